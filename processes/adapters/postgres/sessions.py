"""Stored sessions: which there are, their events as the journal had them, any book of the past."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from ipc import book as b
from ipc.journal import EVENT, Kind
from ipc.messages import Environment
from ipc.units import PriceGrid, PriceRange
from models.fees import FeeSchedule, rule_at_ms
from models.sessions import RecordedSession, SessionError
from processes.adapters.postgres.queries import load_queries

__all__ = ["ALL", "BookWalk", "SessionDataLoader", "StoredMarket", "StoredSession"]

_SQL: Final = load_queries("sessions.sql")
_MS: Final = 1_000_000
ALL: Final = 2**62  # beyond every event number

Events = npt.NDArray[np.void]


class StoredSession(msgspec.Struct, frozen=True):
    """One collector run as the database knows it."""

    session_id: int
    session_uid: str | None
    environment: str
    status: str
    started_ns: int | None
    ended_ns: int | None
    market_tickers: list[str]


class StoredMarket(msgspec.Struct, frozen=True):
    """A market within a session."""

    market_id: int
    ticker: str
    grid: PriceGrid
    open_ms: int
    close_ms: int


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

    async def markets(self, session_id: int) -> list[StoredMarket]:
        """The markets of a session."""
        rows = await self._connection.fetch(_SQL["markets"], session_id)
        return [
            StoredMarket(
                row["market_id"],
                row["market_ticker"],
                PriceGrid(PriceRange(*r) for r in row["price_ranges"]),
                row["open_ms"],
                row["close_ms"],
            )
            for row in rows
        ]

    async def events(self, session_id: int, market_id: int, up_to_event_no: int = ALL) -> Events:
        """A market's events as journal records; the table row that each named is not kept."""
        rows = await self._connection.fetch(_SQL["events"], session_id, market_id, up_to_event_no)
        return np.array([tuple(row) for row in rows], EVENT)

    async def book_seqs(self, session_id: int) -> npt.NDArray[np.int64]:
        """[N, 3] event number, exchange `seq`, market id of all that was on book subscriptions."""
        rows = await self._connection.fetch(_SQL["book_seqs"], session_id)
        return np.array([tuple(row) for row in rows], np.int64).reshape(-1, 3)

    async def deltas(self, session_id: int) -> dict[str, int]:
        """Deltas of each market, counted."""
        return dict(await self._connection.fetch(_SQL["deltas"], session_id))

    async def holes(self, session_id: int) -> tuple[int, int]:
        """(holes that the session marks, event numbers that are missing)."""
        row = await self._connection.fetchrow(_SQL["holes"], session_id)
        return row["marked"], row["missing"]

    async def load(self, session: StoredSession) -> list[RecordedSession]:
        """Every market of a session as the learner reads it; what it paid is not known here."""
        loaded = []
        for market in await self.markets(session.session_id):
            events = await self.events(session.session_id, market.market_id)
            if len(events):
                loaded.append(_recorded(session, market, events))
        return loaded


def _recorded(session: StoredSession, market: StoredMarket, events: Events) -> RecordedSession:
    began_ms = market.open_ms or int(events["recv_ns"][0]) // _MS
    return RecordedSession(
        ticker=market.ticker,
        events=events,
        grid=market.grid,
        open_ms=market.open_ms,
        close_ms=market.close_ms,
        yes_value_e4=None,
        environment=Environment(session.environment),
        fees=FeeSchedule.of(rule_at_ms(began_ms)),
    )


class BookWalk:
    """A market's book event by event, forward only."""

    def __init__(self, events: Events, grid: PriceGrid) -> None:
        self._events = events
        self._row = b.new_row(grid.size, grid)
        self._begin = -1
        self._next = 0
        self._whole = False

    def at(self, event_no: int) -> b.Row:
        """The book right after an event, valid until the next call.

        `SessionError` before the first snapshot, or for an event that does not fit.
        """
        stop = int(np.searchsorted(self._events["event_no"], event_no, "right"))
        for i in range(self._next, stop):
            self._apply(i)
        self._next = max(self._next, stop)
        if not self._whole:
            raise SessionError(f"no snapshot up to event {event_no}")
        return self._row

    def _apply(self, i: int) -> None:
        event = self._events[i]
        status = b.OK
        if event["kind"] == Kind.SNAPSHOT_BEGIN:
            self._begin = i
        elif event["kind"] == Kind.SNAPSHOT_END:
            levels = self._events[self._begin + 1 : i]
            prices, counts = levels["price"].astype(np.int64), levels["qty"].astype(np.int64)
            status = b.apply_snapshot(self._row, levels["side"].copy(), prices, counts)
            self._whole = True
        elif event["kind"] == Kind.DELTA:
            change = int(event["side"]), int(event["price"]), int(event["qty"])
            status = b.apply_delta(self._row, *change)
        _fits(status, int(event["event_no"]))


def _fits(status: int, event_no: int) -> None:
    if status != b.OK:
        raise SessionError(f"event {event_no} does not fit the book: {b.Status(status).name}")
