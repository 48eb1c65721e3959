"""One market's book, rebuilt from its records alone: the way back from the journal.

The rules are those by which records are made: only a snapshot that is whole (as many levels as its
END says) makes a book, a delta without a book is of none, a size below zero or a price off the grid
cannot have been. `RecordedBook` counts what breaks them; the caller decides what that
means.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from ipc import book as b
from ipc.clock import NS_PER_MS
from ipc.journal import Kind
from ipc.kernels import compiled
from ipc.units import ONE_DOLLAR_E4, PriceGrid

__all__ = ["RecordFaults", "RecordedBook"]

BEGIN: Final = int(Kind.SNAPSHOT_BEGIN)
LEVEL: Final = int(Kind.SNAPSHOT_LEVEL)
END: Final = int(Kind.SNAPSHOT_END)
DELTA: Final = int(Kind.DELTA)
# Places in the kernel's state: levels since a snapshot's begin or -1, whether the book is whole,
# exchange time since when it is crossed or -1.
BEGUN: Final = 0
IS_WHOLE: Final = 1
CROSSED_MS: Final = 2
# Places in the kernel's counts, in the order of `RecordFaults`.
NEGATIVE: Final = 0
OFF_GRID: Final = 1
CROSSED: Final = 2
LASTING: Final = 3
WITHOUT_BOOK: Final = 4
BROKEN: Final = 5

Words = npt.NDArray[np.int64]


class RecordFaults(msgspec.Struct, frozen=True):
    """What is wrong with a market's records, counted.

    Attributes:
        negative_sizes: Changes that would have left a level below zero; not applied.
        off_grid: Changes and snapshots with a price off the grid; not applied.
        crossings: Records after which the best YES bid and the best NO bid sum to more than a
            dollar.
        lasting_crossings: Those that outlast one exchange millisecond. Within one they are sweeps,
            whose deltas arrive one by one, and no fault.
        without_book: Deltas before a snapshot that is whole.
        broken_snapshots: Snapshots without an end, or with other levels than their END says.
    """

    negative_sizes: int
    off_grid: int
    crossings: int
    lasting_crossings: int
    without_book: int
    broken_snapshots: int

    @property
    def misfits(self) -> int:
        """Records that cannot be of this book."""
        wrong = self.negative_sizes + self.off_grid
        return wrong + self.without_book + self.broken_snapshots


@compiled
def _is_crossed(row: b.Row) -> bool:
    yes, no = row[b.BEST_YES], row[b.BEST_NO]
    if yes < 0 or no < 0:
        return False
    return bool(b.price_of(row, yes) + b.price_of(row, no) > ONE_DOLLAR_E4)


@compiled
def _walk(
    row: b.Row, state: Words, levels: tuple[Words, Words, Words], columns: Any, counts: Words
) -> None:
    """Walk some of a market's events; `columns`: kind, leg, price, count, exchange or receive ms.

    `state` and `levels` (those of the snapshot that has begun) carry over to the next events.
    """
    kinds, legs, prices, counts_e2, times = columns
    for i in range(len(kinds)):
        kind, status = kinds[i], b.OK
        if kind == BEGIN:
            counts[BROKEN] += state[BEGUN] >= 0
            state[BEGUN] = 0
            continue
        if kind == LEVEL:
            n = state[BEGUN]
            if 0 <= n < len(levels[0]):
                levels[0][n], levels[1][n], levels[2][n] = legs[i], prices[i], counts_e2[i]
                state[BEGUN] += 1
            else:
                counts[BROKEN] += 1
            continue
        if kind == END:
            n = state[BEGUN]
            state[IS_WHOLE], state[BEGUN] = n == counts_e2[i], -1
            if state[IS_WHOLE]:
                status = b.apply_snapshot(row, levels[0][:n], levels[1][:n], levels[2][:n])
            else:
                counts[BROKEN] += 1
        elif kind == DELTA and state[IS_WHOLE]:
            status = b.apply_delta(row, legs[i], prices[i], counts_e2[i])
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


class RecordedBook:
    """A book that follows its market's events, as many at a time as one likes, in their order.

    Args:
        grid: The prices of the market.

    Attributes:
        row: int64, the book in the layout of `ipc.book`. Only its levels are maintained: state and
            times are those of a new row.
    """

    def __init__(self, grid: PriceGrid) -> None:
        self.row = b.new_row(grid.size, grid)
        self._state = np.array([-1, 0, -1], np.int64)
        legs, prices, counts_e2 = (np.zeros(2 * grid.size, np.int64) for _ in range(3))
        self._levels = legs, prices, counts_e2
        self._counts = np.zeros(BROKEN + 1, np.int64)

    @property
    def is_whole(self) -> bool:
        """Whether there is a book: its last snapshot was whole."""
        return bool(self._state[IS_WHOLE])

    @property
    def faults(self) -> RecordFaults:
        """What was found so far."""
        return RecordFaults(*self._counts.tolist())

    def take(self, events: npt.NDArray[np.void]) -> None:
        """Apply the next of its events.

        Args:
            events: Array of `ipc.journal.EVENT`, of this market alone, in order; a snapshot may be
                spread over several calls. Kinds that do not change a book are passed over.
        """
        received_ms = events["recv_ns"] // NS_PER_MS
        ms = np.where(events["exch_ms"] > 0, events["exch_ms"], received_ms)
        names = "kind", "leg", "price_e4", "count_e2"
        columns = [events[name].astype(np.int64) for name in names]
        _walk(self.row, self._state, self._levels, (*columns, ms), self._counts)
