"""Every book of a session rebuilt from its rows: what cannot have been so is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from ipc.journal import Kind
from ipc.recorded_book import RecordedBook
from processes.adapters.postgres.archives import compare_results
from processes.adapters.postgres.sessions import SessionDataLoader, StoredMarket, by_market

__all__ = ["MarketCheck", "MarketReport", "SessionReport", "check_session"]

DELTA: Final = int(Kind.DELTA)
TRADE: Final = int(Kind.TRADE)
END: Final = int(Kind.SNAPSHOT_END)
STATE: Final = int(Kind.STATE)


class MarketReport(msgspec.Struct, frozen=True):
    """A market's events; a crossing within one exchange millisecond is a sweep, not an error."""

    market_ticker: str
    events: int
    deltas: int
    trades: int
    snapshots: int
    negative_sizes: int
    off_grid: int
    crossings: int
    lasting_crossings: int
    without_book: int
    broken_snapshots: int

    @property
    def errors(self) -> int:
        """What cannot be in a true recording."""
        wrong = self.negative_sizes + self.off_grid + self.lasting_crossings
        return wrong + self.without_book + self.broken_snapshots


class SessionReport(msgspec.Struct, frozen=True):
    """A session; gaps and holes are marked by the collector and no errors of the recording.

    Nor are results that are not known yet, or were not when the archive was written.
    """

    session_id: int
    gaps: int
    holes: int
    missing: int
    duplicates: int
    unknown_results: int
    not_in_archive: int  # results that came after it
    other_in_archive: int
    markets: list[MarketReport]

    @property
    def errors(self) -> int:
        """Errors of all markets, of the numbering, and results that an archive says otherwise."""
        wrong = self.missing + self.duplicates + self.other_in_archive
        return wrong + sum(m.errors for m in self.markets)


class MarketCheck:
    """One market's book, rebuilt from its events alone, as many at a time as one likes."""

    def __init__(self, market: StoredMarket) -> None:
        self._ticker = market.ticker
        self._book = RecordedBook(market.grid)
        self._kinds = np.zeros(STATE + 1, np.int64)

    def take(self, events: npt.NDArray[np.void]) -> None:
        """The next of its events."""
        self._book.take(events)
        self._kinds += np.bincount(events["kind"], minlength=STATE + 1)

    def report(self) -> MarketReport:
        """What was found so far."""
        kinds = [int(self._kinds[kind]) for kind in (DELTA, TRADE, END)]
        events = int(self._kinds.sum())
        faults = msgspec.structs.astuple(self._book.faults)
        return MarketReport(self._ticker, events, *kinds, *faults)


async def check_session(
    loader: SessionDataLoader,
    session_id: int,
    *,
    last_event_no: int | None = None,
    done: Callable[[int], None] = lambda _: None,
) -> SessionReport:
    """Rebuild every book of a session; `last_event_no` when more is known than the rows say."""
    marks, known = await loader.marks(session_id), await loader.markets(session_id)
    lacks, differs = compare_results(await loader.session(session_id), known)
    checks = {m.market_id: MarketCheck(m) for m in known}
    last = last_event_no or 0
    numbers = rows = 0
    async for events, markets in loader.blocks(session_id):
        for market_id, mine in by_market(events, markets).items():
            checks[market_id].take(mine)
        rows += len(events)
        numbers += len(np.unique(events["event_no"]))
        last = max(last, int(events["event_no"][-1]) if len(events) else 0)
        done(len(events))
    return SessionReport(
        session_id=session_id,
        gaps=sum(mark.kind in ("gap", "disconnected") for mark in marks),
        holes=sum(mark.kind == "hole" for mark in marks),
        missing=last - numbers,
        duplicates=rows - numbers,
        unknown_results=sum(m.yes_value_e4 is None for m in known),
        not_in_archive=lacks,
        other_in_archive=differs,
        markets=[check.report() for check in checks.values()],
    )
