"""One fused kernel per frame: journal record, book, seqlock and tick mark in a single call.

Most of a kernel's cost is the call from Python, so nothing here is split. The journal's count is
stored before the row changes: no reader can see a change that was not offered to the journal.

All three `record_*` kernels take the live rows and the tick rows of `ipc.book_table` (int64[rows,
words]), the words of the journal segment in use (`ipc.event_journal`), whether the journal has
room, the market's row number, what changed, and the stamps (seq, exch_ms, recv_ns, frame_mono_ns,
written_mono_ns).
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ipc import book as b
from ipc.event_journal import CAPACITY, COUNT, FIRST, HEADER_WORDS, RECORD_WORDS, Kind
from ipc.kernels import begin_write, compiled, end_write, inlined, store_release
from ipc.units import ONE_DOLLAR_E4, LegCode

__all__ = [
    "NOT_LIVE",
    "REFUSED",
    "TOO_LARGE",
    "record_delta",
    "record_snapshot",
    "record_trade",
    "set_state",
]

Words = npt.NDArray[np.int64]
Rows = npt.NDArray[np.int64]

REFUSED: Final = 0  # applied, not accepted by the journal
NOT_LIVE: Final = -3  # neither applied nor journalled: the book waits for a snapshot
TOO_LARGE: Final = -4  # a size beyond a record's 32 bits: neither applied nor journalled

SNAPSHOT_BEGIN: Final = int(Kind.SNAPSHOT_BEGIN)
SNAPSHOT_LEVEL: Final = int(Kind.SNAPSHOT_LEVEL)
SNAPSHOT_END: Final = int(Kind.SNAPSHOT_END)
DELTA: Final = int(Kind.DELTA)
TRADE: Final = int(Kind.TRADE)
BLOCK_TRADE: Final = int(Kind.BLOCK_TRADE)
_LOW32: Final = 0xFFFFFFFF
_MAX_COUNT_E2: Final = 2**31 - 1


@inlined
def _put(
    words: Words,
    position: int,
    stamps: Any,
    kind: int,
    leg: LegCode,
    row: int,
    price_e4: int,
    count_e2: int,
) -> None:
    """Write one packed record; `stamps` is (seq, exch_ms, recv_ns, ...). Not yet counted."""
    at = HEADER_WORDS + RECORD_WORDS * position
    words[at] = words[FIRST] + position
    words[at + 1] = stamps[2]
    words[at + 2] = stamps[1]
    words[at + 3] = (count_e2 & _LOW32) | (stamps[0] << 32)
    words[at + 4] = kind | (leg << 8) | (row << 16) | (price_e4 << 32)


@inlined
def _stamp(row: b.Row, stamps: Any, event_no: int) -> None:
    row[b.EXCH_MS] = stamps[1]
    row[b.RECV_NS] = stamps[2]
    row[b.FRAME_MONO_NS] = stamps[3]
    row[b.WRITTEN_MONO_NS] = stamps[4]
    if event_no > 0:
        row[b.EVENT_NO] = event_no
    else:
        row[b.FLAGS] |= b.UNRECORDED
    if row[b.FLAGS] & b.WARMING and stamps[2] - row[b.SINCE_NS] > b.WARM_UP_NS:
        row[b.FLAGS] &= ~b.WARMING


@inlined
def _mark_tick(live: b.Row, tick_row: b.Row, throttle_ns: int) -> None:
    """Copy a row that is due to its tick row; both name the event of the tick."""
    if not b.tick_due(live, throttle_ns):
        return
    begin_write(live)
    live[b.LAST_TICK_NS] = live[b.RECV_NS]
    live[b.TICK_EVENT_NO] = live[b.EVENT_NO]
    end_write(live)
    begin_write(tick_row)
    for i in range(1, b.HEADER + 2 * live[b.SLOTS]):
        tick_row[i] = live[i]
    end_write(tick_row)


@inlined
def _accept(words: Words, room: bool, unrecorded: bool, records: int) -> int:
    """The event number of the last of `records` records if they may be journalled, else REFUSED."""
    if not room or unrecorded or words[COUNT] + records > words[CAPACITY]:
        return REFUSED
    return int(words[FIRST] + words[COUNT] + records - 1)


@compiled
def record_delta(
    live: Rows,
    tick_rows: Rows,
    words: Words,
    room: bool,
    row: int,
    change: Any,
    stamps: Any,
    throttle_ns: int,
) -> int:
    """Apply and journal one change of a level.

    While a row is UNRECORDED everything but an accepted snapshot is refused: what the journal holds
    can always be rebuilt.

    Args:
        live: The live rows.
        tick_rows: Their copies as of the last tick.
        words: The journal segment in use.
        room: False makes the journal refuse.
        row: Row number of the market.
        change: (leg, price_e4 of the leg, signed delta_e2).
        stamps: See the module.
        throttle_ns: Least market time between two ticks.

    Returns:
        The event number, `REFUSED` (0) when it was applied but not journalled, or negative when it
        was
        neither: `NOT_LIVE`, `TOO_LARGE` or an `UpdateStatus`.
    """
    target = live[row]
    leg, price_e4, delta_e2 = change
    if target[b.STATE] != b.LIVE:
        return NOT_LIVE
    if not -_MAX_COUNT_E2 <= delta_e2 <= _MAX_COUNT_E2:
        return TOO_LARGE
    status = b.check_delta(target, leg, price_e4, delta_e2)
    if status != b.OK:
        return int(status)
    event_no = _accept(words, room, (target[b.FLAGS] & b.UNRECORDED) != 0, 1)
    if event_no != REFUSED:
        _put(words, words[COUNT], stamps, DELTA, leg, row, price_e4, delta_e2)
        store_release(words, COUNT, words[COUNT] + 1)
    begin_write(target)
    b.apply_delta(target, leg, price_e4, delta_e2)
    target[b.SEQ] = stamps[0]
    _stamp(target, stamps, event_no)
    end_write(target)
    _mark_tick(target, tick_rows[row], throttle_ns)
    return int(event_no)


@compiled
def record_trade(
    live: Rows,
    tick_rows: Rows,
    words: Words,
    room: bool,
    row: int,
    change: Any,
    stamps: Any,
    throttle_ns: int,
) -> int:
    """Note and journal one public trade; arguments and return value as of `record_delta`.

    `change` is (leg that the taker bought, YES price_e4, count_e2, is_block). The row's SEQ stays
    that of its book: trades are numbered by a subscription of their own. A block trade is no part
    of the row's trade flow.
    """
    target = live[row]
    leg, price_e4, count_e2, is_block = change
    if target[b.STATE] != b.LIVE:
        return NOT_LIVE
    if count_e2 > _MAX_COUNT_E2:
        return TOO_LARGE
    if count_e2 < 0:
        return int(b.NEGATIVE)
    if not 0 <= price_e4 <= ONE_DOLLAR_E4:
        return int(b.OFF_GRID)
    event_no = _accept(words, room, (target[b.FLAGS] & b.UNRECORDED) != 0, 1)
    if event_no != REFUSED:
        kind = BLOCK_TRADE if is_block else TRADE
        _put(words, words[COUNT], stamps, kind, leg, row, price_e4, count_e2)
        store_release(words, COUNT, words[COUNT] + 1)
    begin_write(target)
    if not is_block:
        b.apply_trade(target, price_e4, count_e2, leg, stamps[1])
    _stamp(target, stamps, event_no)
    end_write(target)
    _mark_tick(target, tick_rows[row], throttle_ns)
    return int(event_no)


@compiled
def record_snapshot(
    live: Rows,
    tick_rows: Rows,
    words: Words,
    room: bool,
    row: int,
    levels: Any,
    stamps: Any,
    throttle_ns: int,
) -> int:
    """Replace and journal a book: BEGIN, one LEVEL each, END, counted together.

    Only an accepted snapshot clears UNRECORDED and makes a book LIVE. Other arguments as of
    `record_delta`.

    Args:
        levels: (legs uint8[n], leg prices_e4 int64[n], counts_e2 int64[n]).

    Returns:
        The event number of the END record, `REFUSED`, or negative when nothing changed because the
        snapshot is not of this market's grid or too large.
    """
    target = live[row]
    legs, prices_e4, counts_e2 = levels
    n = len(legs)
    if n and counts_e2.max() > _MAX_COUNT_E2:
        return TOO_LARGE
    status = b.check_snapshot(target, legs, prices_e4, counts_e2)
    if status != b.OK:
        return int(status)
    event_no = _accept(words, room, False, n + 2)
    if event_no != REFUSED:
        at = words[COUNT]
        _put(words, at, stamps, SNAPSHOT_BEGIN, b.YES, row, 0, n)
        for i in range(n):
            _put(
                words, at + 1 + i, stamps, SNAPSHOT_LEVEL, legs[i], row, prices_e4[i], counts_e2[i]
            )
        _put(words, at + 1 + n, stamps, SNAPSHOT_END, b.YES, row, 0, n)
        store_release(words, COUNT, at + n + 2)
    begin_write(target)
    b.apply_snapshot(target, legs, prices_e4, counts_e2)
    if event_no != REFUSED:
        target[b.FLAGS] &= ~b.UNRECORDED
        target[b.LIVE_EVENT_NO] = event_no
    if target[b.SINCE_NS] == 0 or stamps[2] < target[b.SINCE_NS]:
        target[b.SINCE_NS] = stamps[2]
        target[b.FLAGS] |= b.WARMING
    target[b.STATE] = b.LIVE
    target[b.SEQ] = stamps[0]
    _stamp(target, stamps, event_no)
    end_write(target)
    _mark_tick(target, tick_rows[row], throttle_ns)
    return int(event_no)


@compiled
def set_state(live: Rows, row: int, state: int, flags: int) -> None:
    """Change a row's state, for example to STALE at a gap; the levels stay.

    Args:
        live: The live rows.
        row: Row number of the market.
        state: `BookState`.
        flags: `BookFlag` bits to add; those that are set stay.
    """
    target = live[row]
    begin_write(target)
    target[b.STATE] = state
    target[b.FLAGS] |= flags
    end_write(target)
