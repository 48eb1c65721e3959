"""One order book as one row of int64 words: pure kernels, used live, in replay and in training.

Both legs hold bids only, each priced on its own leg; asks are derived: the YES ask is one dollar
less the best NO bid. Sizes are 1e-2 contracts in dense slots by grid index. The row also carries
what a reader that skips updates would miss: order flow, trade flow and realised variance.

    row = [header of HEADER words | YES bids by slot | NO bids by slot]

`VERSION` belongs to the seqlock of `ipc.book_table`; nothing here touches it.
"""

from __future__ import annotations

from enum import IntEnum, IntFlag
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

from ipc.units import MAX_RANGES, ONE_DOLLAR_E4, PriceGrid, PriceRange

__all__ = [
    "HEADER",
    "NO",
    "YES",
    "BookFlag",
    "BookState",
    "Row",
    "Side",
    "Status",
    "apply_delta",
    "apply_snapshot",
    "apply_trade",
    "best_bid",
    "clear",
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
LIVE_EVENT_NO: Final = 33  # the last accepted snapshot: from here on the journal tells the row
GRID: Final = 40  # MAX_RANGES x (start, end, step, base)
HEADER: Final = GRID + 4 * MAX_RANGES

YES: Final = 0
NO: Final = 1
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
NS_PER_MS: Final = 1_000_000
RESTART_NS: Final = 5_000_000_000  # so far back no late frame goes: a replay has started again


class BookState(IntEnum):
    """Whether a book may be believed."""

    EMPTY = EMPTY
    LIVE = LIVE
    STALE = STALE


class BookFlag(IntFlag):
    """What else a reader must know of a row."""

    UNRECORDED = UNRECORDED  # holds a change that the journal refused
    WARMING = WARMING  # flow words have counted for less than a minute
    CLOSED = CLOSED  # the market's life is over


class Side(IntEnum):
    """The leg a level stands on."""

    YES = YES
    NO = NO


class Status(IntEnum):
    """What became of an update; a refused one leaves the row as it was."""

    OK = OK
    OFF_GRID = OFF_GRID
    NEGATIVE = NEGATIVE


def row_words(slots: int) -> int:
    """Words of a row with room for `slots` prices a leg, rounded to a cache line."""
    return -(-(HEADER + 2 * slots) // 8) * 8


def new_row(slots: int = 1280, grid: PriceGrid | None = None) -> Row:
    """An EMPTY row outside shared memory."""
    row = np.zeros(row_words(slots), np.int64)
    if grid is not None:
        set_grid(row, grid)
    return row


def set_grid(row: Row, grid: PriceGrid) -> None:
    """Give a row its price grid and clear it; `ValueError` when the row has too few slots."""
    room = (len(row) - HEADER) // 2
    if grid.size > room:
        raise ValueError(
            f"a grid of {grid.size} prices needs RL_BOOK_LEVELS >= {grid.size}, is {room}"
        )
    row[GRID:HEADER] = grid.as_words().ravel()
    row[N_RANGES] = len(grid.ranges)
    row[SLOTS] = grid.size
    clear(row)


def grid_of(row: Row) -> PriceGrid:
    """The price grid of a row."""
    words = row[GRID:HEADER].reshape(MAX_RANGES, 4)[: int(row[N_RANGES])]
    return PriceGrid(PriceRange(int(a), int(b), int(s)) for a, b, s, _ in words)


@njit(cache=True, inline="always")
def slot_of(row: Row, price_e4: int) -> int:
    """The slot of a leg's price, -1 off the grid."""
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


@njit(cache=True, inline="always")
def price_of(row: Row, slot: int) -> int:
    """The price of a slot, 0 for slot -1 (no level)."""
    if slot < 0:
        return 0
    for i in range(row[N_RANGES]):
        start, end = row[GRID + 4 * i], row[GRID + 4 * i + 1]
        price = start + (slot - row[GRID + 4 * i + 3]) * row[GRID + 4 * i + 2]
        if price <= end:
            return int(price)
    return 0


@njit(cache=True)
def best_bid(row: Row, side: int) -> tuple[int, int]:
    """(price, size) of the best bid of a leg, (0, 0) when there is none."""
    slot = row[BEST_YES + side]
    if slot < 0:
        return 0, 0
    return price_of(row, slot), row[HEADER + side * row[SLOTS] + slot]


@njit(cache=True, inline="always")
def _mid2(row: Row) -> int:
    """Best bid + best ask on the YES scale; 0 without both touches."""
    if row[BEST_YES] < 0 or row[BEST_NO] < 0:
        return 0
    return int(price_of(row, row[BEST_YES]) + ONE_DOLLAR_E4 - price_of(row, row[BEST_NO]))


@njit(cache=True, inline="always")
def _note_mid(row: Row) -> None:
    mid2 = _mid2(row)
    if mid2 > 0:
        if row[LAST_MID2] > 0:
            row[REALISED] += (mid2 - row[LAST_MID2]) * (mid2 - row[LAST_MID2])
        row[LAST_MID2] = mid2


@njit(cache=True)
def clear(row: Row) -> None:
    """No levels; the flow words stay."""
    for i in range(HEADER, HEADER + 2 * row[SLOTS]):
        row[i] = 0
    row[BEST_YES] = row[BEST_NO] = -1
    row[YES_LEVELS] = row[NO_LEVELS] = row[YES_TOTAL] = row[NO_TOTAL] = 0


@njit(cache=True)
def check_snapshot(row: Row, sides: Any, prices_e4: Any, counts_e2: Any) -> int:
    """OK, or why this snapshot cannot be this book."""
    for i in range(len(sides)):
        if slot_of(row, prices_e4[i]) < 0:
            return OFF_GRID
        if counts_e2[i] < 0:
            return NEGATIVE
    return OK


@njit(cache=True)
def apply_snapshot(row: Row, sides: Any, prices_e4: Any, counts_e2: Any) -> int:
    """Replace all levels; `sides` u8, `prices_e4` and `counts_e2` int64, one entry a level."""
    status = check_snapshot(row, sides, prices_e4, counts_e2)
    if status != OK:
        return int(status)
    clear(row)
    for i in range(len(sides)):
        _add(row, sides[i], slot_of(row, prices_e4[i]), counts_e2[i])
    _note_mid(row)
    return OK


@njit(cache=True, inline="always")
def _add(row: Row, side: int, slot: int, delta_e2: int) -> None:
    """Change one level by a checked amount and keep best, level count and total true."""
    base = HEADER + side * row[SLOTS]
    before = row[base + slot]
    after = before + delta_e2
    row[base + slot] = after
    row[YES_TOTAL + side] += delta_e2
    if before == 0 and after > 0:
        row[YES_LEVELS + side] += 1
        if slot > row[BEST_YES + side]:
            row[BEST_YES + side] = slot
    elif before > 0 and after == 0:
        row[YES_LEVELS + side] -= 1
        if slot == row[BEST_YES + side]:
            while slot >= 0 and row[base + slot] == 0:
                slot -= 1
            row[BEST_YES + side] = slot


@njit(cache=True)
def check_delta(row: Row, side: int, price_e4: int, delta_e2: int) -> int:
    """OK, or why this change cannot belong to this book."""
    slot = slot_of(row, price_e4)
    if slot < 0:
        return OFF_GRID
    if row[HEADER + side * row[SLOTS] + slot] + delta_e2 < 0:
        return NEGATIVE
    return OK


@njit(cache=True)
def apply_delta(row: Row, side: int, price_e4: int, delta_e2: int) -> int:
    """Change one level by a signed size; a level at zero is gone."""
    status = check_delta(row, side, price_e4, delta_e2)
    if status != OK:
        return int(status)
    best_before = row[BEST_YES + side]
    size_before = row[HEADER + side * row[SLOTS] + best_before] if best_before >= 0 else 0
    _add(row, side, slot_of(row, price_e4), delta_e2)
    best_after = row[BEST_YES + side]
    size_after = row[HEADER + side * row[SLOTS] + best_after] if best_after >= 0 else 0
    flow = (size_after if best_after >= best_before else 0) - (
        size_before if best_after <= best_before else 0
    )
    row[OFI] += flow if side == YES else -flow
    row[N_DELTAS] += 1
    _note_mid(row)
    return OK


@njit(cache=True)
def apply_trade(row: Row, yes_price_e4: int, count_e2: int, taker_side: int, ts_ms: int) -> None:
    """Note a public trade; the levels change by deltas, not by trades."""
    row[LAST_TRADE_PRICE] = yes_price_e4
    row[LAST_TRADE_COUNT] = count_e2
    row[LAST_TRADE_MS] = ts_ms
    row[TRADE_FLOW] += count_e2 if taker_side == YES else -count_e2
    row[N_TRADES] += 1


@njit(cache=True)
def tick_due(row: Row, throttle_ns: int) -> bool:
    """The tick rule, live and in training: LIVE, recorded, open, a throttle since the last tick."""
    if row[STATE] != LIVE or row[FLAGS] & (UNRECORDED | CLOSED):
        return False
    if row[CLOSE_MS] > 0 and row[RECV_NS] >= row[CLOSE_MS] * NS_PER_MS:
        return False
    elapsed_ns = row[RECV_NS] - row[LAST_TICK_NS]
    if elapsed_ns >= throttle_ns:
        return True
    # A step back is no step forward, unless it is so far that a replay has started again.
    return bool(elapsed_ns <= -max(RESTART_NS, throttle_ns))


def levels_of(row: Row, side: Side) -> list[tuple[int, int]]:
    """(price_e4, count_e2) of a leg's bids, ascending, best last."""
    slots = int(row[SLOTS])
    sizes = row[HEADER + side * slots : HEADER + (side + 1) * slots]
    return [(price_of(row, int(s)), int(sizes[s])) for s in np.flatnonzero(sizes)]
