"""A writer that hammers one row through the fused kernels, and the check of what a reader copied.

Every number that a frame brings is made from its event number, and best level, level count and
total of each leg can be counted again from the slots: a copy that mixes two writes shows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ipc import book as b
from ipc.book_kernels import record_delta, record_snapshot, record_trade
from ipc.event_journal import COUNT, FIRST
from ipc.kernels import pause

__all__ = ["STEP_NS", "fresh_levels", "hammer", "read_without_check", "whole"]

STEP_NS = 1_000  # market time from one event to the next
NS_PER_EVENT = 10  # of the two monotonic stamps
TICK_EVENTS = 64  # events between two tick marks
TRADE_IN = 16  # one write in so many is a trade


@njit(cache=True)
def _next(chance: int) -> int:
    """The following state of a 31-bit linear congruential generator."""
    return (chance * 1_103_515_245 + 12_345) & 0x7FFFFFFF


@njit(cache=True)
def _stamps(event_no: int) -> Any:
    mono_ns = NS_PER_EVENT * event_no
    return event_no, event_no, STEP_NS * event_no, mono_ns, mono_ns + 1


@njit(cache=True)
def hammer(
    live: Any,
    tick_rows: Any,
    words: Any,
    row: int,
    levels: Any,
    chance: int,
    writes: int,
    pauses: int,
    book_in: int,
) -> int:
    """`writes` accepted writes, one in `book_in` a whole book -> the chance for the next call.

    `pauses` spins lie between two writes. `levels` are rewritten for every whole book.
    """
    target = live[row]
    throttle_ns = TICK_EVENTS * STEP_NS
    for _ in range(writes):
        for _ in range(pauses):
            pause()
        chance = _next(chance)
        following = words[FIRST] + words[COUNT]
        side, slot = (chance >> 8) & 1, (chance >> 9) % target[b.SLOTS]
        kind, size = (chance >> 16) % book_in, 1 + (chance >> 12) % 9_999
        if kind == 0:
            sides, _, counts = levels
            for i in range(len(counts)):
                counts[i] = 1 + (size * (i + 1)) % 9_999
            stamps = _stamps(following + len(sides) + 1)
            done = record_snapshot(live, tick_rows, words, True, row, levels, stamps, throttle_ns)
        elif (chance >> 4) % TRADE_IN == 0:
            trade = (side, b.price_of(target, slot), size, False)
            done = record_trade(
                live, tick_rows, words, True, row, trade, _stamps(following), throttle_ns
            )
        else:
            have = target[b.HEADER + side * target[b.SLOTS] + slot]
            change = (side, b.price_of(target, slot), -have if have > 0 else size)
            done = record_delta(
                live, tick_rows, words, True, row, change, _stamps(following), throttle_ns
            )
        if done <= 0:
            return -1
    return chance


@njit(cache=True)
def _leg_is_whole(row: b.Row, side: int) -> bool:
    best, levels, total = -1, 0, 0
    for slot in range(row[b.SLOTS]):
        size = row[b.HEADER + side * row[b.SLOTS] + slot]
        if size != 0:
            best, levels, total = slot, levels + 1, total + size
    return bool(
        best == row[b.BEST_YES + side]
        and levels == row[b.YES_LEVELS + side]
        and total == row[b.YES_TOTAL + side]
    )


@njit(cache=True)
def whole(row: b.Row, tick: bool) -> bool:
    """Whether a copy is one write's and no other's; a tick row is as of its own mark."""
    event_no = row[b.EVENT_NO]
    seq, exch_ms, recv_ns, frame_ns, written_ns = _stamps(event_no)
    if (row[b.EXCH_MS], row[b.RECV_NS]) != (exch_ms, recv_ns):
        return False
    if row[b.LAST_TRADE_MS] == exch_ms:  # a trade leaves the number of the book's last frame
        if row[b.SEQ] >= seq:
            return False
    elif row[b.SEQ] != seq:
        return False
    if (row[b.FRAME_MONO_NS], row[b.WRITTEN_MONO_NS]) != (frame_ns, written_ns):
        return False
    marked = row[b.TICK_EVENT_NO]
    if row[b.LAST_TICK_NS] != STEP_NS * marked or marked > event_no:
        return False
    if tick and marked != event_no:
        return False
    return _leg_is_whole(row, 0) and _leg_is_whole(row, 1)


@njit(cache=True)
def _copy(row: b.Row, out: b.Row, words: int) -> None:
    for i in range(words):
        out[i] = row[i]


def read_without_check(row: b.Row, out: b.Row, words: int) -> bool:
    """What `ipc.kernels.read_row` would be without a version."""
    _copy(row, out, words)
    return True


def fresh_levels(row: b.Row, levels: int) -> Any:
    """A whole book as the kernels take it: `levels` prices a leg, spread over the grid."""
    at = np.linspace(0, int(row[b.SLOTS]) - 1, levels).astype(np.int64)
    prices = np.array([b.price_of(row, slot) for slot in at], np.int64)
    sides = np.repeat(np.array([b.YES, b.NO], np.uint8), levels)
    return sides, np.concatenate((prices, prices)), np.ones(2 * levels, np.int64)
