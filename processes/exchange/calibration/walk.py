"""One pass over a tape with its book rebuilt: where each change fell, and looks at the book."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from ipc.units import ONE_DOLLAR_E4
from processes.exchange.calibration.tape import Happening, Mark, Tape
from processes.exchange.core.books import NO, YES, PublishedBook

__all__ = ["CENT", "LOOK_US", "Walk", "walk"]

CENT: Final = 100  # e4
LOOK_US: Final = 250_000  # between two looks at the book
PLUMB_EVERY: Final = 16  # changes between two looks into its depth
REACH: Final = 15  # cents from the best whose depth is looked at

Ints = npt.NDArray[np.int64]


class Walk:
    """What one pass saw.

    `changes` has a row a delta: ts_us, leg, price, delta, cents below the best of its side
    (negative: better; `REACH` * 10 where there was no best), opened, emptied, best changed.
    `looks` has a row a look: yes bid, yes ask, size at the best of both legs, levels of both legs
    (0 for what is not there). `depths[leg distance]` are the sizes found at it, 0 for none.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int, int, float, bool, bool, bool]] = []
        self.seen: list[tuple[int, int, int, int, int, int]] = []
        self.depths: list[list[int]] = [[] for _ in range(REACH)]
        self.best_sizes: list[int] = []
        self.trades: list[Mark] = []
        self.crossed = 0
        self.negative = 0

    @property
    def changes(self) -> npt.NDArray[np.float64]:
        """One row a delta."""
        return np.array(self.rows, np.float64).reshape(-1, 8)

    @property
    def looks(self) -> Ints:
        """One row a look."""
        return np.array(self.seen, np.int64).reshape(-1, 6)


def walk(tape: Tape) -> Walk:
    """Rebuild the book along a tape; looks begin with the first change and end with the last."""
    found, book = Walk(), PublishedBook()
    times = [m.ts_us for m in tape if m.what is Happening.CHANGE]
    if not times:
        return found
    next_us, end_us = times[0], times[-1]
    for mark in tape:
        if mark.what is Happening.SNAPSHOT:
            book.replace(mark.levels)
            continue
        if mark.what is Happening.TRADE:
            found.trades.append(mark)
            continue
        while next_us < mark.ts_us and next_us <= end_us:
            _look(found, book)
            next_us += LOOK_US
        _change(found, book, mark)
        if not len(found.rows) % PLUMB_EVERY:
            _plumb(found, book)
    return found


def _change(found: Walk, book: PublishedBook, mark: Mark) -> None:
    leg, price = mark.leg, mark.price_e4
    best, before = book.best(leg), book.count(leg, price)
    after = before + mark.count_e2
    book.change(leg, price, mark.count_e2)
    now_best = best
    if after > 0 and price > best:
        now_best = price
    elif after <= 0 and price == best:
        now_best = book.best(leg)
    distance = (best - price) / CENT if best else REACH * 10.0
    found.negative += after < 0
    found.crossed += now_best + book.best(1 - leg) >= ONE_DOLLAR_E4
    found.rows.append(
        (
            mark.ts_us,
            leg,
            price,
            mark.count_e2,
            distance,
            before == 0 and after > 0,
            before > 0 and after <= 0,
            now_best != best,
        )
    )


def _look(found: Walk, book: PublishedBook) -> None:
    bid, no_bid = book.best(YES), book.best(NO)
    ask = ONE_DOLLAR_E4 - no_bid if no_bid else 0
    yes, no = book.legs
    found.seen.append((bid, ask, yes.get(bid, 0), no.get(no_bid, 0), len(yes), len(no)))


def _plumb(found: Walk, book: PublishedBook) -> None:
    for side in book.legs:
        best = max(side, default=0)
        if best:
            found.best_sizes.append(side[best])
            for distance in range(min(REACH, (best - 1) // CENT + 1)):
                found.depths[distance].append(side.get(best - distance * CENT, 0))
