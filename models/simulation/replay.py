"""The walk from a market's recorded events to its ticks: rows and features as they were live.

Ticks are where the rule says (`walk_by_rule`) or where the actor recorded them (`walk_to`). Either
way every accepted snapshot makes the book LIVE again and with it begins a new tick history.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ipc import book as b
from ipc.journal import Kind
from ipc.kernels import compiled
from models.observation.builder import FLOATS, HOUR_NS, INTS, TOTAL, ZoneClock, observe_tick

__all__ = ["Columns", "columns_of", "walk_by_rule", "walk_to", "zone_offsets"]

Words = npt.NDArray[np.int64]
Events = npt.NDArray[np.void]

BEGIN: Final = int(Kind.SNAPSHOT_BEGIN)
LEVEL: Final = int(Kind.SNAPSHOT_LEVEL)
END: Final = int(Kind.SNAPSHOT_END)
DELTA: Final = int(Kind.DELTA)
TRADE: Final = int(Kind.TRADE)
STATE: Final = int(Kind.STATE)
SKIPPED: Final = 1  # an event that changes no row


class Columns(NamedTuple):
    """Events as one int64 array per field of `ipc.event_journal.EVENT`: what kernels read."""

    event_no: Words
    recv_ns: Words
    exch_ms: Words
    kind: Words
    leg: Words
    price_e4: Words
    count_e2: Words


def columns_of(events: Events) -> Columns:
    """Split the journal's records of one market into columns.

    Args:
        events: Array of `ipc.event_journal.EVENT`.

    Returns:
        Contiguous int64 arrays, which the kernels compile for once.
    """
    names = ("event_no", "recv_ns", "exch_ms", "kind", "leg", "price_e4", "count_e2")
    return Columns(*(np.ascontiguousarray(events[name], np.int64) for name in names))


def zone_offsets(first_ns: int, last_ns: int) -> tuple[Words, int]:
    """The schema zone's offset from UTC for every hour of a walk.

    Kernels cannot ask for time zones, so all hours are looked up in advance.

    Args:
        first_ns: Market time of the first event.
        last_ns: Market time of the last.

    Returns:
        (int64 seconds per hour, number of the first hour since the Unix epoch).
    """
    clock, first, last = ZoneClock(), first_ns // HOUR_NS, last_ns // HOUR_NS
    hours = range(first, last + 1)
    return np.array([clock.offset_s(h * HOUR_NS) for h in hours], np.int64), first


@compiled
def _apply(row: b.Row, events: Columns, i: int, start: int) -> int:
    """Apply one event to the row; a snapshot, which began at `start`, counts at its END."""
    kind = events.kind[i]
    if kind == DELTA:
        return int(b.apply_delta(row, events.leg[i], events.price_e4[i], events.count_e2[i]))
    if kind == END:
        sides, prices = events.leg[start + 1 : i], events.price_e4[start + 1 : i]
        return int(b.apply_snapshot(row, sides, prices, events.count_e2[start + 1 : i]))
    if kind == TRADE:
        b.apply_trade(row, events.price_e4[i], events.count_e2[i], events.leg[i], events.exch_ms[i])
    return 0


@compiled
def _take(row: b.Row, events: Columns, i: int, start: int, ints: Words) -> int:
    """Take in event `i`: SKIPPED, OK, or the negative status of one that does not fit the book."""
    kind = events.kind[i]
    if kind == STATE:
        row[b.STATE] = events.count_e2[i]
    if kind in (BEGIN, LEVEL, STATE) or (kind != END and row[b.STATE] != b.LIVE):
        return SKIPPED
    status = _apply(row, events, i, start)
    if status != b.OK:
        return int(status)
    if kind == END:
        row[b.STATE], row[b.LIVE_EVENT_NO] = b.LIVE, events.event_no[i]
        ints[TOTAL] = 0  # the history starts over
    row[b.EVENT_NO], row[b.RECV_NS] = events.event_no[i], events.recv_ns[i]
    row[b.EXCH_MS] = events.exch_ms[i]
    return int(b.OK)


@compiled
def _hour(row: b.Row, offsets_s: Words, first_hour: int) -> int:
    """The zone's offset at the row's time."""
    return int(offsets_s[min(row[b.RECV_NS] // HOUR_NS - first_hour, len(offsets_s) - 1)])


@compiled
def walk_by_rule(
    code: int,
    row: b.Row,
    events: Columns,
    throttle_ns: int,
    offsets_s: Words,
    first_hour: int,
    rows: Any,
    features: Any,
    tick_event: Any,
) -> tuple[int, int]:
    """Walk all events and tick by the live rule.

    Args:
        code: Of the builder.
        row: An EMPTY row with the market's grid and close; changed in place.
        events: All events of the market.
        throttle_ns: Least market time between two ticks.
        offsets_s: From `zone_offsets`.
        first_hour: From `zone_offsets`.
        rows: int64[T, W], written one entry a tick.
        features: float32[T, tick_size], likewise.
        tick_event: int64[T], the index of each tick's event.

    Returns:
        (ticks, OK), or (index of the event that does not fit, its negative status).
    """
    ints, floats = np.zeros(INTS, np.int64), np.zeros(FLOATS)
    ticks = start = 0
    for i in range(len(events.kind)):
        if events.kind[i] == BEGIN:
            start = i
        status = _take(row, events, i, start, ints)
        if status < b.OK:
            return i, status
        if status == SKIPPED or not b.tick_due(row, throttle_ns):
            continue
        row[b.LAST_TICK_NS], row[b.TICK_EVENT_NO] = row[b.RECV_NS], row[b.EVENT_NO]
        rows[ticks] = row[: rows.shape[1]]
        offset_s = _hour(row, offsets_s, first_hour)
        observe_tick(code, row, offset_s, ints, floats, features[ticks])
        tick_event[ticks] = i
        ticks += 1
    return ticks, b.OK


@compiled
def walk_to(
    code: int,
    row: b.Row,
    events: Columns,
    tick_nos: Words,
    offsets_s: Words,
    first_hour: int,
    rows: Any,
    features: Any,
    histories: Words,
) -> tuple[int, int]:
    """Walk to given ticks, such as those that the actor recorded.

    Arguments as of `walk_by_rule`, and:

    Args:
        tick_nos: int64[T], event numbers in ascending order.
        histories: int64[T], written with the number of ticks before each.

    Returns:
        (ticks found, OK), or (index of the event that does not fit, its negative status).
    """
    ints, floats = np.zeros(INTS, np.int64), np.zeros(FLOATS)
    ticks = start = 0
    for i in range(len(events.kind)):
        if ticks == len(tick_nos):
            break
        if events.kind[i] == BEGIN:
            start = i
        status = _take(row, events, i, start, ints)
        if status < b.OK:
            return i, status
        if status == SKIPPED or events.event_no[i] != tick_nos[ticks]:
            continue
        rows[ticks] = row[: rows.shape[1]]
        histories[ticks] = ints[TOTAL]
        offset_s = _hour(row, offsets_s, first_hour)
        observe_tick(code, row, offset_s, ints, floats, features[ticks])
        ticks += 1
    return ticks, b.OK
