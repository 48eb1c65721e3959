from __future__ import annotations

import pytest
from support.model_builders import NOON_NS, book

from ipc import book as b
from ipc.messages import Trigger, UpdateType
from processes.inference.due import Gate, closed_gate, tick_fits


def live_row() -> b.Row:
    row = book({45: 100}, {52: 50})
    row[b.MARKET], row[b.GENERATION] = 3, 2
    row[b.EVENT_NO] = row[b.TICK_EVENT_NO] = 9
    row[b.CLOSE_MS] = NOON_NS // 1_000_000 + 1_000
    return row


def trigger(tick_event_no: int = 9, generation: int = 2) -> Trigger:
    return Trigger(
        market_ticker="A",
        row=0,
        generation=generation,
        update_type=UpdateType.DELTA,
        sequence_number=1,
        event_no=tick_event_no,
        tick_event_no=tick_event_no,
        recv_ns=0,
        frame_mono_ns=0,
        written_mono_ns=0,
    )


def test_an_open_book_has_no_gate():
    assert closed_gate(live_row(), live_row()) is None


@pytest.mark.parametrize(
    ("word", "value", "gate"),
    [
        (b.MARKET, 4, Gate.OTHER_MARKET),
        (b.GENERATION, 3, Gate.OTHER_MARKET),
        (b.STATE, b.EMPTY, Gate.EMPTY),
        (b.STATE, b.STALE, Gate.STALE),
        (b.FLAGS, b.UNRECORDED, Gate.UNRECORDED),
        (b.FLAGS, b.CLOSED, Gate.CLOSED),
        (b.FLAGS, b.WARMING, None),
        (b.LIVE_EVENT_NO, 8, Gate.OTHER_INCARNATION),
        (b.RECV_NS, NOON_NS + 1_000_000_000, Gate.CLOSED),
        (b.RECV_NS, NOON_NS + 999_999_999, None),
        (b.EVENT_NO, 10, None),
    ],
)
def test_what_became_of_the_live_row_decides(word, value, gate):
    live = live_row()
    live[word] = value
    assert closed_gate(live_row(), live) is gate


def test_a_market_without_a_close_never_closes_by_time():
    tick_row, live = live_row(), live_row()
    tick_row[b.CLOSE_MS] = live[b.CLOSE_MS] = 0
    assert closed_gate(tick_row, live) is None


def test_a_tick_fits_its_own_and_an_older_trigger():
    assert tick_fits(live_row(), trigger())
    assert tick_fits(live_row(), trigger(tick_event_no=5))


@pytest.mark.parametrize(
    ("word", "value"),
    [
        (b.STATE, b.STALE),
        (b.GENERATION, 1),
        (b.TICK_EVENT_NO, 8),
        (b.EVENT_NO, 10),
    ],
)
def test_a_row_that_is_not_the_announced_tick_does_not_fit(word, value):
    tick_row = live_row()
    tick_row[word] = value
    assert not tick_fits(tick_row, trigger())
