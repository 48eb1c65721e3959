"""Every book of a session rebuilt from its rows: what cannot have been so is counted."""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from numba import njit

from ipc import book as b
from ipc.journal import Kind
from ipc.units import ONE_DOLLAR_E4
from processes.adapters.postgres.sessions import SessionDataLoader, StoredMarket

__all__ = ["MarketReport", "SessionReport", "check_market", "check_session"]

BEGIN: Final = int(Kind.SNAPSHOT_BEGIN)
LEVEL: Final = int(Kind.SNAPSHOT_LEVEL)
END: Final = int(Kind.SNAPSHOT_END)
DELTA: Final = int(Kind.DELTA)
NS_PER_MS: Final = 1_000_000
# Places in the kernel's counts.
NEGATIVE: Final = 0
OFF_GRID: Final = 1
CROSSED: Final = 2
LASTING: Final = 3
WITHOUT_BOOK: Final = 4
BROKEN: Final = 5


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
    """A session; gaps and holes are marked by the collector and no errors of the recording."""

    session_id: int
    gaps: int
    holes: int
    missing: int
    duplicates: int
    markets: list[MarketReport]

    @property
    def errors(self) -> int:
        """Errors of all markets, and of the numbering."""
        return self.missing + self.duplicates + sum(m.errors for m in self.markets)


@njit(cache=True)
def _is_crossed(row: b.Row) -> bool:
    yes, no = row[b.BEST_YES], row[b.BEST_NO]
    if yes < 0 or no < 0:
        return False
    return bool(b.price_of(row, yes) + b.price_of(row, no) > ONE_DOLLAR_E4)


@njit(cache=True)
def _check(row: b.Row, columns: Any, counts: npt.NDArray[np.int64]) -> None:
    """Walk a market's events; `columns` is kind, side, price, qty, exchange or receive ms."""
    kinds, sides, prices, sizes, times = columns
    begin, levels = -1, 0
    whole = False
    crossed_ms = -1  # since when, -1 not
    for i in range(len(kinds)):
        kind, status = kinds[i], b.OK
        if kind == BEGIN:
            counts[BROKEN] += begin >= 0
            begin, levels = i, 0
            continue
        if kind == LEVEL:
            levels += 1
            continue
        if kind == END:
            fits = begin >= 0 and i - begin - 1 == levels and sizes[i] == levels
            if fits:
                part = slice(begin + 1, i)
                status = b.apply_snapshot(row, sides[part], prices[part], sizes[part])
            counts[BROKEN] += not fits
            whole, begin = fits, -1
        elif kind == DELTA:
            counts[WITHOUT_BOOK] += not whole
            if whole:
                status = b.apply_delta(row, sides[i], prices[i], sizes[i])
        else:
            continue
        counts[NEGATIVE] += status == b.NEGATIVE
        counts[OFF_GRID] += status == b.OFF_GRID
        if not whole or not _is_crossed(row):
            crossed_ms = -1
            continue
        counts[CROSSED] += 1
        if crossed_ms < 0:
            crossed_ms = times[i]
        elif times[i] > crossed_ms:
            counts[LASTING] += 1


def check_market(market: StoredMarket, events: npt.NDArray[np.void]) -> MarketReport:
    """Rebuild one market's book from its events alone."""
    counts = np.zeros(BROKEN + 1, np.int64)
    received_ms = events["recv_ns"] // NS_PER_MS
    ms = np.where(events["exch_ms"] > 0, events["exch_ms"], received_ms)
    columns = [events[name].astype(np.int64) for name in ("kind", "side", "price", "qty")]
    grid = market.grid
    _check(b.new_row(grid.size, grid), (*columns, ms), counts)
    kinds = [int(np.count_nonzero(columns[0] == k)) for k in (DELTA, Kind.TRADE, END)]
    return MarketReport(market.ticker, len(events), *kinds, *counts.tolist())


async def check_session(
    loader: SessionDataLoader, session_id: int, *, last_event_no: int | None = None
) -> SessionReport:
    """Rebuild every book of a session; `last_event_no` when more is known than the rows say."""
    events, markets = await loader.session_events(session_id)
    marks = await loader.marks(session_id)
    numbers = np.unique(events["event_no"])
    last = max(int(numbers[-1]) if len(numbers) else 0, last_event_no or 0)
    reports = [
        check_market(market, events[markets == market.market_id])
        for market in await loader.markets(session_id)
    ]
    return SessionReport(
        session_id=session_id,
        gaps=sum(mark.kind in ("gap", "disconnected") for mark in marks),
        holes=sum(mark.kind == "hole" for mark in marks),
        missing=last - len(numbers),
        duplicates=len(events) - len(numbers),
        markets=reports,
    )
