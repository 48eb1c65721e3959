"""Every book of a session rebuilt from its rows: what cannot have been so is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from ipc.clock import NS_PER_MS
from ipc.journal import Kind
from ipc.recorded_book import RecordedBook
from models.trading.known_fees import fees_of_recording
from processes.adapters.postgres.archives import compare_results
from processes.adapters.postgres.sessions import (
    SessionDataLoader,
    StoredMarket,
    StoredSession,
    by_market,
)

__all__ = ["MarketCheck", "MarketReport", "SessionReport", "check_session", "fees_assumed"]

DELTA: Final = int(Kind.DELTA)
TRADES: Final = [int(Kind.TRADE), int(Kind.BLOCK_TRADE)]
END: Final = int(Kind.SNAPSHOT_END)
KINDS: Final = len(Kind) + 1  # they count from 1


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

    Nor are results that are not known yet, or were not when the archive was written, and fees that
    have to be assumed.
    """

    session_id: int
    gaps: int
    holes: int
    missing: int
    duplicates: int
    unknown_results: int
    not_in_archive: int  # results that came after it
    other_in_archive: int
    assumed_fees: int  # markets whose fees are not known, or `flat`
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
        self._kinds = np.zeros(KINDS, np.int64)

    def take(self, events: npt.NDArray[np.void]) -> None:
        """The next of its events."""
        self._book.take(events)
        self._kinds += np.bincount(events["kind"], minlength=KINDS)

    def report(self) -> MarketReport:
        """What was found so far."""
        kinds = [int(self._kinds[kind].sum()) for kind in (DELTA, TRADES, END)]
        events = int(self._kinds.sum())
        faults = msgspec.structs.astuple(self._book.faults)
        return MarketReport(self._ticker, events, *kinds, *faults)


def fees_assumed(session: StoredSession, market: StoredMarket) -> bool:
    """Whether anything about what a market charges is assumed, or what was read is unusable."""
    began_ms = market.open_ms or (session.started_ns or 0) // NS_PER_MS
    try:
        return bool(fees_of_recording(market.ticker, began_ms, market.fees).assumption)
    except ValueError:
        return True


async def check_session(
    loader: SessionDataLoader,
    session_id: int,
    *,
    last_event_no: int | None = None,
    done: Callable[[int], None] = lambda _: None,
) -> SessionReport:
    """Rebuild every book of a session; `last_event_no` when more is known than the rows say."""
    marks, known = await loader.marks(session_id), await loader.markets(session_id)
    session = await loader.session(session_id)
    lacks, differs = compare_results(session, known)
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
        assumed_fees=sum(fees_assumed(session, market) for market in known),
        markets=[check.report() for check in checks.values()],
    )
