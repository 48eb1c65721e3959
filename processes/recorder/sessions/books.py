"""Every book of a session rebuilt from its rows: what cannot have been so is counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt
from numba import njit

from ipc import book as b
from ipc.journal import Kind
from ipc.units import ONE_DOLLAR_E4
from processes.adapters.postgres.archives import compare_results
from processes.adapters.postgres.sessions import SessionDataLoader, StoredMarket, by_market

__all__ = ["MarketCheck", "MarketReport", "SessionReport", "check_session"]

BEGIN: Final = int(Kind.SNAPSHOT_BEGIN)
LEVEL: Final = int(Kind.SNAPSHOT_LEVEL)
END: Final = int(Kind.SNAPSHOT_END)
DELTA: Final = int(Kind.DELTA)
TRADE: Final = int(Kind.TRADE)
STATE: Final = int(Kind.STATE)
NS_PER_MS: Final = 1_000_000
# Places in the kernel's state: levels since a snapshot's begin or -1, whether the book is whole,
# exchange time since when it is crossed or -1.
BEGUN: Final = 0
IS_WHOLE: Final = 1
CROSSED_MS: Final = 2
# Places in the kernel's counts.
NEGATIVE: Final = 0
OFF_GRID: Final = 1
CROSSED: Final = 2
LASTING: Final = 3
WITHOUT_BOOK: Final = 4
BROKEN: Final = 5

Words = npt.NDArray[np.int64]


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

    Nor are results that nobody knows yet, here or when the archive was written.
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


@njit(cache=True)
def _is_crossed(row: b.Row) -> bool:
    yes, no = row[b.BEST_YES], row[b.BEST_NO]
    if yes < 0 or no < 0:
        return False
    return bool(b.price_of(row, yes) + b.price_of(row, no) > ONE_DOLLAR_E4)


@njit(cache=True)
def _check(
    row: b.Row, state: Words, levels: tuple[Words, Words, Words], columns: Any, counts: Words
) -> None:
    """Walk some of a market's events; `columns` is kind, side, price, qty, exchange or receive ms.

    `state` and `levels` (those of the snapshot that has begun) carry over to the next events.
    """
    kinds, sides, prices, sizes, times = columns
    for i in range(len(kinds)):
        kind, status = kinds[i], b.OK
        if kind == BEGIN:
            counts[BROKEN] += state[BEGUN] >= 0
            state[BEGUN] = 0
            continue
        if kind == LEVEL:
            n = state[BEGUN]
            if 0 <= n < len(levels[0]):
                levels[0][n], levels[1][n], levels[2][n] = sides[i], prices[i], sizes[i]
                state[BEGUN] += 1
            else:
                counts[BROKEN] += 1
            continue
        if kind == END:
            n = state[BEGUN]
            state[IS_WHOLE], state[BEGUN] = n == sizes[i], -1
            if state[IS_WHOLE]:
                status = b.apply_snapshot(row, levels[0][:n], levels[1][:n], levels[2][:n])
            else:
                counts[BROKEN] += 1
        elif kind == DELTA and state[IS_WHOLE]:
            status = b.apply_delta(row, sides[i], prices[i], sizes[i])
        else:
            counts[WITHOUT_BOOK] += kind == DELTA
            continue
        counts[NEGATIVE] += status == b.NEGATIVE
        counts[OFF_GRID] += status == b.OFF_GRID
        if not state[IS_WHOLE] or not _is_crossed(row):
            state[CROSSED_MS] = -1
            continue
        counts[CROSSED] += 1
        if state[CROSSED_MS] < 0:
            state[CROSSED_MS] = times[i]
        elif times[i] > state[CROSSED_MS]:
            counts[LASTING] += 1


class MarketCheck:
    """One market's book, rebuilt from its events alone, as many at a time as one likes."""

    def __init__(self, market: StoredMarket) -> None:
        grid = market.grid
        self._ticker = market.ticker
        self._row = b.new_row(grid.size, grid)
        self._state = np.array([-1, 0, -1], np.int64)
        sides, prices, sizes = (np.zeros(2 * grid.size, np.int64) for _ in range(3))
        self._levels = sides, prices, sizes
        self._counts = np.zeros(BROKEN + 1, np.int64)
        self._kinds = np.zeros(STATE + 1, np.int64)

    def take(self, events: npt.NDArray[np.void]) -> None:
        """The next of its events."""
        received_ms = events["recv_ns"] // NS_PER_MS
        ms = np.where(events["exch_ms"] > 0, events["exch_ms"], received_ms)
        columns = [
            events[name].astype(np.int64) for name in ("kind", "leg", "price_e4", "count_e2")
        ]
        _check(self._row, self._state, self._levels, (*columns, ms), self._counts)
        self._kinds += np.bincount(events["kind"], minlength=STATE + 1)

    def report(self) -> MarketReport:
        """What was found so far."""
        kinds = [int(self._kinds[kind]) for kind in (DELTA, TRADE, END)]
        events = int(self._kinds.sum())
        return MarketReport(self._ticker, events, *kinds, *self._counts.tolist())


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
