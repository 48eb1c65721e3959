"""Stored sessions: which there are, their events as the journal had them, any book of the past.

A session's events are in its partition or, once that is dropped, in its Parquet archive; the arrays
are the same, bit for bit.

    connection = await connect_when_asked(dsn_of(load_settings(os.environ)))
    loader = SessionDataLoader(connection)
    session = named_session(await loader.sessions(), "latest")
    markets = await loader.load(session)  # RecordedSession, one per market
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg
import msgspec
import numpy as np
import numpy.typing as npt

from ipc import book as b
from ipc.clock import NS_PER_MS
from ipc.journal import EVENT, Kind
from ipc.messages import Environment, MarkKind
from ipc.recorded_book import RecordedBook, RecordFaults
from ipc.units import PriceGrid, PriceRange
from models.simulation.data_age import ClockOffsets
from models.simulation.tape import RecordedSession, SessionError
from models.trading.fees import FeeStep, MarketFees
from models.trading.known_fees import fees_of_recording
from processes.adapters.parquet.archive import ArchiveError, read_blocks
from processes.adapters.postgres.packed_events import decode_events, key_of, table_of
from processes.adapters.postgres.queries import load_queries

__all__ = [
    "ALL",
    "LATEST",
    "BookWalk",
    "SessionDataLoader",
    "StoredMark",
    "StoredMarket",
    "StoredProgram",
    "StoredSession",
    "by_market",
    "events_query",
    "named_session",
    "on_events_of",
    "split_by_market",
]

_SQL: Final = load_queries("sessions.sql")
_EVENTS: Final = "rl_events_of_session"  # in a query: the table that holds the session's events
BLOCK: Final = 1 << 20  # events read at a time
ALL: Final = 2**62  # beyond every number
_NUMBER: Final = re.compile(r"-?\d{1,15}")  # milliseconds
LATEST: Final = "latest"
NAMED: Final = 20  # sessions that an error names
PATIENCE_S: Final = 600.0  # for one block of a busy server

Events = npt.NDArray[np.void]
Markets = npt.NDArray[np.int32]


class StoredSession(msgspec.Struct, frozen=True):
    """One collector run as the database knows it; counts are None until it has ended.

    Attributes:
        session_id: Number in this database.
        session_uid: Name of the run; None for sessions of the plan's own tables.
        environment: Where its data came from.
        status: `active`, `closed`, `lost` or `error`.
        websocket_url: The stream.
        started_ns: Market time of the start.
        ended_ns: Market time of the end.
        market_tickers: What it followed.
        last_event_no: Number of its last event.
        events: How many events.
        deltas: How many of them are changes of a level.
        trades: How many of them are trades.
        archive_path: Its Parquet file, None without one.
        stored: Whether its events are in the database.
    """

    session_id: int
    session_uid: str | None
    environment: str
    status: str
    websocket_url: str | None
    started_ns: int | None
    ended_ns: int | None
    market_tickers: list[str]
    last_event_no: int | None
    events: int | None
    deltas: int | None
    trades: int | None
    archive_path: str | None
    stored: bool  # its events are in the database
    shared: bool = False  # there in the table of small sessions


class StoredProgram(msgspec.Struct, frozen=True):
    """A program that pays for orders or volume in a market; as `ipc.messages.ProgramListed`."""

    program_id: str
    kind: str
    description: str
    start_ms: int
    end_ms: int
    reward_e6: int  # for the whole period
    paid_out: bool
    target_size_e2: int | None
    discount_bps: int | None
    most_per_account_e6: int | None
    listed_ns: int


class StoredMarket(msgspec.Struct, frozen=True):
    """A market within a session.

    Attributes:
        market_id: Number in this database.
        ticker: The market.
        price_ranges: The grid as (start_e4, end_e4, step_e4).
        open_ms: When it opened, Unix milliseconds; 0 unknown.
        close_ms: When it closed; 0 unknown.
        result: The exchange's word, None where that is not known.
        yes_value_e4: What a YES contract paid, None where that is not known.
    """

    market_id: int
    ticker: str
    price_ranges: list[tuple[int, int, int]]
    open_ms: int
    close_ms: int
    result: str | None = None
    yes_value_e4: int | None = None  # what a YES contract paid
    fees: list[FeeStep] = []  # what it charged, as its session read it; empty: not read
    programs: list[StoredProgram] = []

    @property
    def grid(self) -> PriceGrid:
        """The prices it can have."""
        return PriceGrid(PriceRange(*r) for r in self.price_ranges)


class StoredMark(msgspec.Struct, frozen=True):
    """A reconnect, a gap, a hole, or its healing.

    Attributes:
        kind: A value of `ipc.messages.MarkKind`.
        market_ticker: The market, None when it concerns all.
        event_no: The last event before it.
        ts_ns: Market time.
        detail: For people.
    """

    kind: str
    market_ticker: str | None
    event_no: int
    ts_ns: int
    detail: str


def on_events_of(session: StoredSession, query: str) -> str:
    """The query on the table that holds the session's events, and on no other."""
    return query.replace(_EVENTS, table_of(session.session_id, shared=session.shared))


def events_query(name: str, session: StoredSession) -> str:
    """A query of `sessions.sql` on the table that holds the session's events."""
    return on_events_of(session, _SQL[name])


class SessionDataLoader:
    """Reads stored sessions over one connection.

    For one moment over several calls, hold a `repeatable_read` transaction around them.

    Args:
        connection: Open, of `asyncpg`; it stays the caller's to close.
    """

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def sessions(
        self, environment: str | None = None, status: str | None = None
    ) -> list[StoredSession]:
        """List sessions, newest first.

        Args:
            environment: Only those of one; None for any.
            status: Only those of one; None for any.
        """
        rows = await self._connection.fetch(_SQL["sessions"], environment, status)
        return [StoredSession(**row) for row in rows]

    async def session(self, session_id: int) -> StoredSession:
        """Read what is known of one session.

        Args:
            session_id: Its number.

        Raises:
            SessionError: There is none; names those that there are.
        """
        known = {s.session_id: s for s in await self.sessions()}
        if session_id not in known:
            newest = ", ".join(map(str, sorted(known)[-NAMED:])) or "none is stored"
            raise SessionError(f"session {session_id} is unknown; allowed: {newest}")
        return known[session_id]

    async def markets(self, session_id: int) -> list[StoredMarket]:
        """List the markets of a session in the order in which they were first listed.

        Args:
            session_id: Its number; an unknown one has none.
        """
        rows = await self._connection.fetch(_SQL["markets"], session_id)
        fees = await self._by_market("fees", session_id)
        programs = await self._by_market("programs", session_id)
        return [
            StoredMarket(
                row["market_id"],
                row["market_ticker"],
                [(start, end, step) for start, end, step in row["price_ranges"]],
                row["open_ms"],
                row["close_ms"],
                row["result"],
                row["yes_value_e4"],
                [FeeStep(*facts) for facts in fees[row["market_id"]]],
                [StoredProgram(*facts) for facts in programs[row["market_id"]]],
            )
            for row in rows
        ]

    async def _by_market(self, query: str, session_id: int) -> defaultdict[int, list[list[Any]]]:
        """Rows that begin with a market's id, by that id."""
        found: defaultdict[int, list[list[Any]]] = defaultdict(list)
        for market_id, *facts in await self._connection.fetch(_SQL[query], session_id):
            found[market_id].append(facts)
        return found

    async def marks(self, session_id: int) -> list[StoredMark]:
        """Gaps, reconnects and holes of a session, in order."""
        rows = await self._connection.fetch(_SQL["marks"], session_id)
        return [StoredMark(**row) for row in rows]

    async def blocks(
        self, session_id: int, market_id: int | None = None, up_to_event_no: int = ALL
    ) -> AsyncIterator[tuple[Events, Markets]]:
        """Read a session's events, or a market's, block by block in order.

        Args:
            session_id: Its number.
            market_id: Only events of one market; None for all.
            up_to_event_no: Only events up to this number.

        Yields:
            (array of `EVENT`, at most 2^20 of the session's numbers at a time from the database;
            int32 market id of each). The field `row` is 0.

        Raises:
            SessionError: The session is unknown, or its archive is missing or cannot be read.
        """
        session = await self.session(session_id)
        if not session.stored:
            for block in _archived(session):
                yield _part(*block, market_id, up_to_event_no)
            return
        last = session.last_event_no
        if last is None:  # not counted yet
            last = await self._connection.fetchval(
                events_query("last_event_no", session), session_id
            )
        last = min(last, up_to_event_no)
        for start in range(1, last + 1, BLOCK):
            stop = min(start + BLOCK, last + 1)
            yield await self._block(session, start, stop, market_id)

    async def _block(
        self, session: StoredSession, start: int, stop: int, market_id: int | None
    ) -> tuple[Events, Markets]:
        """Events [start, stop); those of a session that ended meanwhile may have moved."""
        try:
            return await self._read_block(session, start, stop, market_id)
        except asyncpg.UndefinedTableError:
            if self._connection.is_in_transaction():
                raise SessionError(
                    f"session {session.session_id} ended while it was read; try again"
                ) from None
        moved = await self.session(session.session_id)
        return await self._read_block(moved, start, stop, market_id)

    async def _read_block(
        self, session: StoredSession, start: int, stop: int, market_id: int | None
    ) -> tuple[Events, Markets]:
        session_id = session.session_id
        keys = session_id, key_of(session_id, start), key_of(session_id, stop)
        name = "packed_events" if market_id is None else "packed_market_events"
        query = events_query(name, session)
        data = bytearray()

        async def take(piece: bytes) -> None:
            data.extend(piece)

        await self._connection.copy_from_query(
            query,
            *(keys if market_id is None else (*keys, market_id)),
            output=take,
            format="binary",
            timeout=PATIENCE_S,
        )
        return _in_order(*decode_events(data))

    async def session_events(self, session_id: int) -> tuple[Events, Markets]:
        """All events of a session in order, and the market of each."""
        return _joined([block async for block in self.blocks(session_id)])

    async def events(self, session_id: int, market_id: int, up_to_event_no: int = ALL) -> Events:
        """Read a market's events as journal records; the table row that each named is not kept.

        Args:
            session_id: The session.
            market_id: The market's number, from `markets`.
            up_to_event_no: Only events up to this number of the session.

        Returns:
            Array of `EVENT`, in order.

        Raises:
            SessionError: As of `blocks`.
        """
        parts = [block async for block in self.blocks(session_id, market_id, up_to_event_no)]
        return _joined(parts)[0]

    async def book_seqs(self, session_id: int) -> npt.NDArray[np.int64]:
        """List the sequence numbers of all that came on subscriptions of books.

        Returns:
            int64[N, 3] of event number, exchange `seq`, market id.
        """
        events, markets = await self.session_events(session_id)
        on_book = events["kind"] <= Kind.DELTA
        named = (events["event_no"], events["seq"], markets)
        return np.stack([column[on_book].astype(np.int64) for column in named], axis=1)

    async def deltas(self, session_id: int) -> dict[str, int]:
        """Deltas of each market, counted."""
        counts: dict[int, int] = {}
        async for events, markets in self.blocks(session_id):
            ids, numbers = np.unique(markets[events["kind"] == Kind.DELTA], return_counts=True)
            for market_id, number in zip(ids.tolist(), numbers.tolist(), strict=True):
                counts[market_id] = counts.get(market_id, 0) + number
        tickers = {m.market_id: m.ticker for m in await self.markets(session_id)}
        return {tickers[market_id]: number for market_id, number in counts.items()}

    async def holes(self, session_id: int) -> tuple[int, int]:
        """Count what a session's record lacks.

        Returns:
            (holes that the session marks, event numbers that are missing).
        """
        marked = sum(mark.kind == "hole" for mark in await self.marks(session_id))
        last = number = 0
        async for events, _ in self.blocks(session_id):
            number += len(events)
            last = int(events["event_no"][-1]) if len(events) else last
        return marked, last - number

    async def load(self, session: StoredSession) -> list[RecordedSession]:
        """Load every market of a session as the learner reads it.

        Args:
            session: As listed.

        Raises:
            SessionError: Event numbers are missing, its environment is unknown, or its archive
                cannot be read.
        """
        events, markets = await self.session_events(session.session_id)
        known, marks = await self.markets(session.session_id), await self.marks(session.session_id)
        return split_by_market(session, known, marks, events, markets)

    async def load_all(
        self, sessions: Sequence[StoredSession], *, mixed: bool = False
    ) -> list[RecordedSession]:
        """Load every market of several sessions.

        Args:
            sessions: As listed.
            mixed: Whether sessions of several environments are allowed at once: demo and production
                differ in liquidity and spread.

        Raises:
            SessionError: They are of several environments and not `mixed`, or as of `load`.
        """
        environments = sorted({s.environment for s in sessions})
        if len(environments) > 1 and not mixed:
            raise SessionError(f"sessions of {' and '.join(environments)} are not mixed by default")
        return [market for session in sessions for market in await self.load(session)]


def _archived(session: StoredSession) -> Iterator[tuple[Events, Markets]]:
    if session.archive_path is None:
        raise SessionError(f"session {session.session_id}: neither its events nor an archive")
    try:
        yield from read_blocks(Path(session.archive_path))
    except ArchiveError as error:
        raise SessionError(f"session {session.session_id}: {error}") from None


def _part(
    events: Events, markets: Markets, market_id: int | None, up_to_event_no: int
) -> tuple[Events, Markets]:
    wanted = events["event_no"] <= up_to_event_no
    if market_id is not None:
        wanted &= markets == market_id
    return (events, markets) if wanted.all() else (events[wanted], markets[wanted])


def _in_order(events: Events, markets: Markets) -> tuple[Events, Markets]:
    """Rows come as they lie, which is nearly always their order."""
    if np.all(np.diff(events["event_no"]) > 0):
        return events, markets
    order = np.argsort(events["event_no"], kind="stable")
    return events[order], markets[order]


def _joined(blocks: list[tuple[Events, Markets]]) -> tuple[Events, Markets]:
    if not blocks:
        return np.zeros(0, EVENT), np.zeros(0, np.int32)
    if len(blocks) == 1:
        return blocks[0]
    return np.concatenate([e for e, _ in blocks]), np.concatenate([m for _, m in blocks])


def named_session(stored: Sequence[StoredSession], name: str, *words: str) -> StoredSession:
    """Find the session that a command names.

    Args:
        stored: All of them, the newest first.
        name: An id, a uid or `latest`.
        words: What else the command allows, for the error.

    Raises:
        SessionError: There is none; names what is allowed.
    """
    if name == LATEST and stored:
        return stored[0]
    for session in stored:
        if name in (str(session.session_id), session.session_uid):
            return session
    newest = ", ".join(str(s.session_id) for s in stored[:5]) or "none"
    allowed = ", ".join([LATEST, *words, f"id, uid (newest ids: {newest})"])
    raise SessionError(f"session {name!r} is not stored; allowed: {allowed}")


def by_market(events: Events, markets: Markets) -> dict[int, Events]:
    """Group events by market.

    Args:
        events: Array of `EVENT`.
        markets: int32, the market id of each.

    Returns:
        Market id -> its events, in their order.
    """
    if not len(events):
        return {}
    order = np.argsort(markets, kind="stable")
    ids, starts = np.unique(markets[order], return_index=True)
    return dict(zip(ids.tolist(), np.split(events[order], starts[1:]), strict=True))


def split_by_market(
    session: StoredSession,
    known: list[StoredMarket],
    marks: Iterable[StoredMark],
    events: Events,
    markets: Markets,
) -> list[RecordedSession]:
    """Make one `RecordedSession` of each market, in the order in which they were first listed.

    Args:
        session: Whose events they are.
        known: Its markets.
        events: All its events.
        markets: int32, the market id of each.

    Raises:
        SessionError: Event numbers are missing (a book without a change is another book), or the
            environment is none of `Environment`.
    """
    if missing := (int(events["event_no"][-1]) - len(events) if len(events) else 0):
        raise SessionError(
            f"session {session.session_id}: {missing} event numbers are missing; "
            "allowed: sessions in which `sessions verify` finds none missing"
        )
    pieces, offsets = by_market(events, markets), _clock_offsets(marks)
    return [
        _recorded(session, market, pieces[market.market_id], offsets)
        for market in known
        if market.market_id in pieces
    ]


def _clock_offsets(marks: Iterable[StoredMark]) -> ClockOffsets:
    """What the collector noted of its clock; a mark that says no number is passed over."""
    noted = [m for m in marks if m.kind == MarkKind.CLOCK and _NUMBER.fullmatch(m.detail)]
    return tuple(sorted((m.event_no, int(m.detail)) for m in noted))


def _recorded(
    session: StoredSession, market: StoredMarket, events: Events, offsets: ClockOffsets
) -> RecordedSession:
    if session.environment not in list(Environment):
        raise SessionError(
            f"session {session.session_id}: environment={session.environment} teaches nothing; "
            f"allowed: {', '.join(Environment)}"
        )
    began_ms = market.open_ms or int(events["recv_ns"][0]) // NS_PER_MS
    return RecordedSession(
        ticker=market.ticker,
        events=events,
        grid=market.grid,
        open_ms=market.open_ms,
        close_ms=market.close_ms,
        yes_value_e4=market.yes_value_e4,
        environment=Environment(session.environment),
        fees=_fees(session, market, began_ms),
        clock_offsets=offsets,
    )


def _fees(session: StoredSession, market: StoredMarket, began_ms: int) -> MarketFees:
    try:
        return fees_of_recording(market.ticker, began_ms, market.fees)
    except ValueError as error:
        raise SessionError(f"session {session.session_id}: {market.ticker}: {error}") from None


class BookWalk:
    """A market's book event by event, forward only.

    Args:
        events: Of one market, in their order.
        grid: Its prices.
    """

    def __init__(self, events: Events, grid: PriceGrid) -> None:
        self._events = events
        self._book = RecordedBook(grid)
        self._next = 0

    def at(self, event_no: int) -> b.Row:
        """The book right after an event.

        Args:
            event_no: Number in the session, not below that of the call before.

        Returns:
            int64 in the layout of `ipc.book`, valid until the next call.

        Raises:
            SessionError: Before the first snapshot, or after an event that does not fit.
        """
        stop = int(np.searchsorted(self._events["event_no"], event_no, "right"))
        if stop > self._next:
            self._book.take(self._events[self._next : stop])
            self._next = stop
        faults = self._book.faults
        if faults.misfits:
            raise SessionError(f"events up to {event_no} do not fit the book: {_shown(faults)}")
        if not self._book.is_whole:
            raise SessionError(f"no snapshot up to event {event_no}")
        return self._book.row


def _shown(faults: RecordFaults) -> str:
    found = msgspec.structs.asdict(faults)
    return ", ".join(f"{name.replace('_', ' ')} {n}" for name, n in found.items() if n)
