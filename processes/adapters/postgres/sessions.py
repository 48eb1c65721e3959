"""Stored sessions: which there are, their events as the journal had them, any book of the past.

A session's events are in its partition or, once that is dropped, in its Parquet archive; the arrays
are the same, bit for bit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from ipc import book as b
from ipc.clock import NS_PER_MS
from ipc.journal import EVENT, Kind
from ipc.messages import Environment
from ipc.recorded_book import RecordedBook, RecordFaults
from ipc.units import PriceGrid, PriceRange
from models.simulation.tape import RecordedSession, SessionError
from models.trading.fees import FeeSchedule, rule_at_ms
from processes.adapters.parquet.archive import ArchiveError, read_blocks
from processes.adapters.postgres.packed_events import decode_events, key_of
from processes.adapters.postgres.queries import load_queries

__all__ = [
    "ALL",
    "LATEST",
    "BookWalk",
    "SessionDataLoader",
    "StoredMark",
    "StoredMarket",
    "StoredSession",
    "by_market",
    "named_session",
    "split_by_market",
]

_SQL: Final = load_queries("sessions.sql")
BLOCK: Final = 1 << 20  # events read at a time
ALL: Final = 2**62  # beyond every number
LATEST: Final = "latest"
PATIENCE_S: Final = 600.0  # for one block of a busy server

Events = npt.NDArray[np.void]
Markets = npt.NDArray[np.int32]


class StoredSession(msgspec.Struct, frozen=True):
    """One collector run as the database knows it; counts are None until it has ended."""

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


class StoredMarket(msgspec.Struct, frozen=True):
    """A market within a session; what it paid is None where that is not known."""

    market_id: int
    ticker: str
    price_ranges: list[tuple[int, int, int]]
    open_ms: int
    close_ms: int
    result: str | None = None
    yes_value_e4: int | None = None  # what a YES contract paid

    @property
    def grid(self) -> PriceGrid:
        """The prices it can have."""
        return PriceGrid(PriceRange(*r) for r in self.price_ranges)


class StoredMark(msgspec.Struct, frozen=True):
    """A reconnect, a gap, a hole, or its healing."""

    kind: str
    market_ticker: str | None
    event_no: int
    ts_ns: int
    detail: str


class SessionDataLoader:
    """Reads stored sessions over one connection."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    async def sessions(
        self, environment: str | None = None, status: str | None = None
    ) -> list[StoredSession]:
        """Sessions, newest first; of one environment, of one status, or of any."""
        rows = await self._connection.fetch(_SQL["sessions"], environment, status)
        return [StoredSession(**row) for row in rows]

    async def session(self, session_id: int) -> StoredSession:
        """One session; `SessionError` names those that there are."""
        known = {s.session_id: s for s in await self.sessions()}
        if session_id not in known:
            allowed = ", ".join(map(str, sorted(known))) or "none is stored"
            raise SessionError(f"session {session_id} is unknown; allowed: {allowed}")
        return known[session_id]

    async def markets(self, session_id: int) -> list[StoredMarket]:
        """The markets of a session."""
        rows = await self._connection.fetch(_SQL["markets"], session_id)
        return [
            StoredMarket(
                row["market_id"],
                row["market_ticker"],
                [(start, end, step) for start, end, step in row["price_ranges"]],
                row["open_ms"],
                row["close_ms"],
                row["result"],
                row["yes_value_e4"],
            )
            for row in rows
        ]

    async def marks(self, session_id: int) -> list[StoredMark]:
        """Gaps, reconnects and holes of a session, in order."""
        rows = await self._connection.fetch(_SQL["marks"], session_id)
        return [StoredMark(**row) for row in rows]

    async def blocks(
        self, session_id: int, market_id: int | None = None, up_to_event_no: int = ALL
    ) -> AsyncIterator[tuple[Events, Markets]]:
        """A session's events, or a market's, block by block in order, with the market of each."""
        session = await self.session(session_id)
        if not session.stored:
            for block in _archived(session):
                yield _part(*block, market_id, up_to_event_no)
            return
        last = session.last_event_no
        if last is None:  # not counted yet
            last = await self._connection.fetchval(_SQL["last_event_no"], session_id)
        last = min(last, up_to_event_no)
        for start in range(1, last + 1, BLOCK):
            stop = min(start + BLOCK, last + 1)
            yield await self._block(session_id, start, stop, market_id)

    async def _block(
        self, session_id: int, start: int, stop: int, market_id: int | None
    ) -> tuple[Events, Markets]:
        """Events [start, stop) out of the partition."""
        keys = session_id, key_of(session_id, start), key_of(session_id, stop)
        query = _SQL["packed_events" if market_id is None else "packed_market_events"]
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
        """A market's events as journal records; the table row that each named is not kept."""
        parts = [block async for block in self.blocks(session_id, market_id, up_to_event_no)]
        return _joined(parts)[0]

    async def book_seqs(self, session_id: int) -> npt.NDArray[np.int64]:
        """[N, 3] event number, exchange `seq`, market id of all that was on book subscriptions."""
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
        """(holes that the session marks, event numbers that are missing)."""
        marked = sum(mark.kind == "hole" for mark in await self.marks(session_id))
        last = number = 0
        async for events, _ in self.blocks(session_id):
            number += len(events)
            last = int(events["event_no"][-1]) if len(events) else last
        return marked, last - number

    async def load(self, session: StoredSession) -> list[RecordedSession]:
        """Every market of a session as the learner reads it.

        `SessionError` when event numbers are missing.
        """
        events, markets = await self.session_events(session.session_id)
        return split_by_market(session, await self.markets(session.session_id), events, markets)

    async def load_all(
        self, sessions: Sequence[StoredSession], *, mixed: bool = False
    ) -> list[RecordedSession]:
        """Every market of several sessions.

        Unless `mixed`, `SessionError` for sessions of several environments: demo and production
        differ in liquidity and spread.
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
    """The session with that id or uid, or the `latest`; `stored` has the newest first.

    `SessionError` names what is allowed, `words` too.
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
    """Events of each market id, in their order."""
    if not len(events):
        return {}
    order = np.argsort(markets, kind="stable")
    ids, starts = np.unique(markets[order], return_index=True)
    return dict(zip(ids.tolist(), np.split(events[order], starts[1:]), strict=True))


def split_by_market(
    session: StoredSession, known: list[StoredMarket], events: Events, markets: Markets
) -> list[RecordedSession]:
    """Each market's events on their own, in the order in which the markets were first listed.

    `SessionError` when event numbers are missing: a book without a change is another book.
    """
    if missing := (int(events["event_no"][-1]) - len(events) if len(events) else 0):
        raise SessionError(
            f"session {session.session_id}: {missing} event numbers are missing; "
            "allowed: sessions in which `sessions verify` finds none missing"
        )
    pieces = by_market(events, markets)
    return [
        _recorded(session, market, pieces[market.market_id])
        for market in known
        if market.market_id in pieces
    ]


def _recorded(session: StoredSession, market: StoredMarket, events: Events) -> RecordedSession:
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
        fees=FeeSchedule.of(rule_at_ms(began_ms)),
    )


class BookWalk:
    """A market's book event by event, forward only.

    Args:
        events: of one market, in their order.
        grid: its prices.
    """

    def __init__(self, events: Events, grid: PriceGrid) -> None:
        self._events = events
        self._book = RecordedBook(grid)
        self._next = 0

    def at(self, event_no: int) -> b.Row:
        """The book right after an event, valid until the next call.

        Raises:
            SessionError: before the first snapshot, or after an event that does not fit.
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
