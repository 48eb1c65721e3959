"""One order book as one row of int64 words: pure kernels, used live, in replay and in training.

Both legs hold bids only, each priced on its own leg's scale. Asks are derived: the YES ask is one
dollar less the best NO bid. Sizes are 1e-2 contracts in dense slots by grid index. The row also
carries what a reader that skips updates would miss: order flow, trade flow and realised variance.

    row = [header of HEADER words | YES bids by slot | NO bids by slot]

`VERSION` belongs to the seqlock of `ipc.book_table`; nothing here touches it. The order-flow
imbalance is that of Cont, Kukanov and Stoikov (2014), "The Price Impact of Order Book Events".
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ipc.clock import NS_PER_MS, NS_PER_S
from ipc.kernels import compiled, inlined
from ipc.units import LEGS, MAX_RANGES, NO, ONE_DOLLAR_E4, YES, LegCode, PriceGrid, PriceRange

__all__ = [
    "HEADER",
    "LEGS",
    "NO",
    "YES",
    "BookFlag",
    "BookState",
    "LegCode",
    "Row",
    "UpdateStatus",
    "apply_delta",
    "apply_snapshot",
    "apply_trade",
    "best_bid",
    "clear",
    "data_age_ms",
    "grid_of",
    "levels_of",
    "new_row",
    "price_of",
    "row_words",
    "set_grid",
    "slot_of",
    "tick_due",
]

Row = npt.NDArray[np.int64]

# Header words.
VERSION: Final = 0  # seqlock
MARKET: Final = 1  # the writer's number of the market that this row holds; changes on reuse
GENERATION: Final = 2  # of the table's writer
STATE: Final = 3  # BookState
FLAGS: Final = 4  # BookFlag bits
EVENT_NO: Final = 5  # last accepted record of this market
SEQ: Final = 6  # the exchange's, of the last snapshot or delta applied
EXCH_MS: Final = 7  # exchange time of the last frame, 0 unknown
RECV_NS: Final = 8  # market time of receipt of the last frame
FRAME_MONO_NS: Final = 9
WRITTEN_MONO_NS: Final = 10
OPEN_MS: Final = 11
CLOSE_MS: Final = 12
N_RANGES: Final = 13
SLOTS: Final = 14  # prices of the grid = slots per leg in use
BEST_YES: Final = 15  # slot of the best bid of the leg, -1 none
BEST_NO: Final = 16
YES_LEVELS: Final = 17  # levels with size
NO_LEVELS: Final = 18
YES_TOTAL: Final = 19  # size of all levels, 1e-2 contracts
NO_TOTAL: Final = 20
LAST_TRADE_PRICE: Final = 21  # YES price, 0 none
LAST_TRADE_COUNT: Final = 22
LAST_TRADE_MS: Final = 23
N_DELTAS: Final = 24
N_TRADES: Final = 25
TRADE_FLOW: Final = 26  # sum of taker sizes, YES takers positive
OFI: Final = 27  # order-flow imbalance at the touch (Cont, Kukanov, Stoikov 2014), summed
REALISED: Final = 28  # sum of squared changes of LAST_MID2
LAST_MID2: Final = 29  # best bid + best ask, YES scale, 1e-4 dollars; 0 unknown
LAST_TICK_NS: Final = 30  # market time of the last tick mark
TICK_EVENT_NO: Final = 31
SINCE_NS: Final = 32  # market time since when the flow words count
LIVE_EVENT_NO: Final = 33  # the last accepted snapshot: from here on the journal gives the row
CLOCK_OFFSET_MS: Final = 34  # what this machine's clock lacks of the exchange's; 0 unknown
TRADED: Final = 35  # sum of taker sizes of either leg, 1e-2 contracts
GRID: Final = 40  # MAX_RANGES x (start, end, step, base)
HEADER: Final = GRID + 4 * MAX_RANGES

EMPTY: Final = 0
LIVE: Final = 1
STALE: Final = 2
UNRECORDED: Final = 1
WARMING: Final = 2
CLOSED: Final = 4
OK: Final = 0
OFF_GRID: Final = -1
NEGATIVE: Final = -2
WARM_UP_NS: Final = 60_000_000_000
RESTART_NS: Final = 5 * NS_PER_S  # no late frame goes back so far: a replay has started over


class BookState(IntEnum):
    """Whether a book may be believed: only a LIVE one is traded on.

    Attributes:
        EMPTY: No snapshot yet.
        LIVE: Up to date as far as the stream is.
        STALE: Something was missed; out of date until the next snapshot.
    """

    EMPTY = EMPTY
    LIVE = LIVE
    STALE = STALE


class BookFlag(IntFlag):
    """What else a reader must know of a row; bits of word `FLAGS`."""

    UNRECORDED = UNRECORDED  # holds a change that the journal refused
    WARMING = WARMING  # flow words have counted for less than a minute
    CLOSED = CLOSED  # the market is closed


class UpdateStatus(IntEnum):
    """What became of an update; one that is refused leaves the row as it was.

    Attributes:
        OK: Applied.
        OFF_GRID: Its price is not on the market's grid.
        NEGATIVE: A level would fall below zero, or a size is negative.
    """

    OK = OK
    OFF_GRID = OFF_GRID
    NEGATIVE = NEGATIVE


def row_words(slots: int) -> int:
    """Words of a row with room for `slots` prices a leg, rounded up to whole cache lines."""
    return -(-(HEADER + 2 * slots) // 8) * 8


def new_row(slots: int = 1280, grid: PriceGrid | None = None) -> Row:
    """Make an EMPTY row outside shared memory.

    Args:
        slots: Prices a leg that the row has room for.
        grid: The market's price grid, set at once when given.

    Returns:
        int64[row_words(slots)], all zero but for the grid.

    Raises:
        ValueError: The grid has more prices than `slots`.
    """
    row = np.zeros(row_words(slots), np.int64)
    if grid is not None:
        set_grid(row, grid)
    return row


def set_grid(row: Row, grid: PriceGrid) -> None:
    """Give a row its price grid and clear its levels.

    Args:
        row: A row with `row_words(slots)` words.
        grid: The market's prices.

    Raises:
        ValueError: The grid has more prices than the row has slots a leg.
    """
    room = (len(row) - HEADER) // 2
    if grid.size > room:
        raise ValueError(
            f"a grid of {grid.size} prices needs RL_BOOK_SLOTS >= {grid.size}, is {room}"
        )
    row[GRID:HEADER] = grid.as_words().ravel()
    row[N_RANGES] = len(grid.ranges)
    row[SLOTS] = grid.size
    clear(row)


def grid_of(row: Row) -> PriceGrid:
    """The price grid of a row, rebuilt from its words."""
    words = row[GRID:HEADER].reshape(MAX_RANGES, 4)[: int(row[N_RANGES])]
    return PriceGrid(PriceRange(int(a), int(b), int(s)) for a, b, s, _ in words)


@inlined
def slot_of(row: Row, price_e4: int) -> int:
    """The slot of a leg's price, -1 when the price is off the grid.

    Args:
        row: A row with a grid.
        price_e4: 1e-4 dollars on the scale of the leg; both legs have the same grid.
    """
    for i in range(row[N_RANGES]):
        start = row[GRID + 4 * i]
        if start <= price_e4 <= row[GRID + 4 * i + 1]:
            step = row[GRID + 4 * i + 2]
            if (price_e4 - start) % step:
                continue
            slot = row[GRID + 4 * i + 3] + (price_e4 - start) // step
            if 0 <= slot < row[SLOTS]:
                return int(slot)
    return -1


@inlined
def price_of(row: Row, slot: int) -> int:
    """The price of a slot in 1e-4 dollars of its leg, 0 for slot -1 (no level)."""
    if slot < 0:
        return 0
    for i in range(row[N_RANGES]):
        start, end = row[GRID + 4 * i], row[GRID + 4 * i + 1]
        price = start + (slot - row[GRID + 4 * i + 3]) * row[GRID + 4 * i + 2]
        if price <= end:
            return int(price)
    return 0


@compiled
def best_bid(row: Row, leg: LegCode) -> tuple[int, int]:
    """The best bid of a leg.

    Returns:
        (price in 1e-4 dollars of the leg, size in 1e-2 contracts); (0, 0) when there is none.
    """
    slot = row[BEST_YES + leg]
    if slot < 0:
        return 0, 0
    return price_of(row, slot), row[HEADER + leg * row[SLOTS] + slot]


@inlined
def _mid2(row: Row) -> int:
    """Best bid + best ask on the YES scale; 0 without both touches."""
    if row[BEST_YES] < 0 or row[BEST_NO] < 0:
        return 0
    return int(price_of(row, row[BEST_YES]) + ONE_DOLLAR_E4 - price_of(row, row[BEST_NO]))


@inlined
def _note_mid(row: Row) -> None:
    mid2 = _mid2(row)
    if mid2 > 0:
        if row[LAST_MID2] > 0:
            row[REALISED] += (mid2 - row[LAST_MID2]) * (mid2 - row[LAST_MID2])
        row[LAST_MID2] = mid2


@compiled
def clear(row: Row) -> None:
    """Remove all levels; what was summed of flow and variance stays."""
    for i in range(HEADER, HEADER + 2 * row[SLOTS]):
        row[i] = 0
    row[BEST_YES] = row[BEST_NO] = -1
    row[YES_LEVELS] = row[NO_LEVELS] = row[YES_TOTAL] = row[NO_TOTAL] = 0


@compiled
def check_snapshot(row: Row, legs: Any, prices_e4: Any, counts_e2: Any) -> int:
    """Check a snapshot against a row before anything changes.

    Returns:
        `OK`, or the negative `UpdateStatus` of the first level that cannot be of this book.
    """
    for i in range(len(legs)):
        if slot_of(row, prices_e4[i]) < 0:
            return OFF_GRID
        if counts_e2[i] < 0:
            return NEGATIVE
    return OK


@compiled
def apply_snapshot(row: Row, legs: Any, prices_e4: Any, counts_e2: Any) -> int:
    """Replace all levels of a book.

    Args:
        row: The book; unchanged when the snapshot is refused.
        legs: uint8[n], `YES` or `NO` of each level.
        prices_e4: int64[n], on the scale of the level's leg.
        counts_e2: int64[n], not negative.

    Returns:
        `OK`, or the negative `UpdateStatus` of the first level that does not fit.
    """
    status = check_snapshot(row, legs, prices_e4, counts_e2)
    if status != OK:
        return int(status)
    clear(row)
    for i in range(len(legs)):
        _add(row, legs[i], slot_of(row, prices_e4[i]), counts_e2[i])
    _note_mid(row)
    return OK


@inlined
def _add(row: Row, leg: LegCode, slot: int, delta_e2: int) -> None:
    """Change one level by a checked amount; keep best, level count and total true."""
    base = HEADER + leg * row[SLOTS]
    before = row[base + slot]
    after = before + delta_e2
    row[base + slot] = after
    row[YES_TOTAL + leg] += delta_e2
    if before == 0 and after > 0:
        row[YES_LEVELS + leg] += 1
        if slot > row[BEST_YES + leg]:
            row[BEST_YES + leg] = slot
    elif before > 0 and after == 0:
        row[YES_LEVELS + leg] -= 1
        if slot == row[BEST_YES + leg]:
            while slot >= 0 and row[base + slot] == 0:
                slot -= 1
            row[BEST_YES + leg] = slot


@compiled
def check_delta(row: Row, leg: LegCode, price_e4: int, delta_e2: int) -> int:
    """Check a change of one level against a row before anything changes.

    Returns:
        `OK`, `OFF_GRID`, or `NEGATIVE` when the level would fall below zero.
    """
    slot = slot_of(row, price_e4)
    if slot < 0:
        return OFF_GRID
    if row[HEADER + leg * row[SLOTS] + slot] + delta_e2 < 0:
        return NEGATIVE
    return OK


@compiled
def apply_delta(row: Row, leg: LegCode, price_e4: int, delta_e2: int) -> int:
    """Change one level by a signed size; a level at zero is gone.

    Adds the change to the order-flow imbalance where it is at the touch, and to the realised
    variance where it moves the mid.

    Args:
        row: The book; unchanged when the change is refused.
        leg: The leg whose bids change.
        price_e4: On the scale of that leg.
        delta_e2: Signed, in 1e-2 contracts.

    Returns:
        `OK` or a negative `UpdateStatus`.
    """
    status = check_delta(row, leg, price_e4, delta_e2)
    if status != OK:
        return int(status)
    best_before = row[BEST_YES + leg]
    size_before = row[HEADER + leg * row[SLOTS] + best_before] if best_before >= 0 else 0
    _add(row, leg, slot_of(row, price_e4), delta_e2)
    best_after = row[BEST_YES + leg]
    size_after = row[HEADER + leg * row[SLOTS] + best_after] if best_after >= 0 else 0
    flow = (size_after if best_after >= best_before else 0) - (
        size_before if best_after <= best_before else 0
    )
    row[OFI] += flow if leg == YES else -flow
    row[N_DELTAS] += 1
    _note_mid(row)
    return OK


@compiled
def apply_trade(row: Row, yes_price_e4: int, count_e2: int, taker_leg: LegCode, ts_ms: int) -> None:
    """Note a public trade. The levels stay: the exchange sends their change as a delta of its own.

    Args:
        row: The book.
        yes_price_e4: Price on the YES scale.
        count_e2: Contracts that traded.
        taker_leg: The leg that the taker bought.
        ts_ms: Exchange time of the trade.
    """
    row[LAST_TRADE_PRICE] = yes_price_e4
    row[LAST_TRADE_COUNT] = count_e2
    row[LAST_TRADE_MS] = ts_ms
    row[TRADE_FLOW] += count_e2 if taker_leg == YES else -count_e2
    row[TRADED] += count_e2
    row[N_TRADES] += 1


@compiled
def tick_due(row: Row, throttle_ns: int) -> bool:
    """The tick rule, the same live and in training.

    Args:
        row: The book right after an update.
        throttle_ns: Least market time between two ticks of a market.

    Returns:
        True when the book is LIVE, recorded and open, and `throttle_ns` has passed since its last
        tick, or market time has gone back as far as only a replay that starts over takes it.
    """
    if row[STATE] != LIVE or row[FLAGS] & (UNRECORDED | CLOSED):
        return False
    if row[CLOSE_MS] > 0 and row[RECV_NS] >= row[CLOSE_MS] * NS_PER_MS:
        return False
    elapsed_ns = row[RECV_NS] - row[LAST_TICK_NS]
    if elapsed_ns >= throttle_ns:
        return True
    # A step back is no step forward, unless it is so far that a replay has started over.
    return bool(elapsed_ns <= -max(RESTART_NS, throttle_ns))


@compiled
def data_age_ms(row: Row) -> int:
    """How old the newest frame of a row was when it was received; a quiet market ages nothing.

    The exchange's time of a frame against this machine's, corrected by the offset of its clock.

    Returns:
        Milliseconds, never below 0; 0 when the exchange did not say, as of a snapshot.
    """
    if row[EXCH_MS] <= 0:
        return 0
    return int(max(row[RECV_NS] // NS_PER_MS + row[CLOCK_OFFSET_MS] - row[EXCH_MS], 0))


def levels_of(row: Row, leg: LegCode) -> list[tuple[int, int]]:
    """List a leg's bids.

    Args:
        row: The book.
        leg: `YES` or `NO`.

    Returns:
        (price_e4 of the leg, count_e2) of every level with size, ascending: the best is last.
    """
    slots = int(row[SLOTS])
    sizes = row[HEADER + leg * slots : HEADER + (leg + 1) * slots]
    return [(price_of(row, int(s)), int(sizes[s])) for s in np.flatnonzero(sizes)]
