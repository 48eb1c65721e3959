"""The offset of this machine's clock, from replies and frames that a test makes."""

from __future__ import annotations

from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processes.adapters.kalshi.auth.clock_offset import WIDEST_MS, ClockOffset

NOON_MS = 1_790_000_000_000


def reply(
    offset: ClockOffset, machine_ms: int, true_ms: int, trip_ms: int = 40, part: int = 500
) -> None:
    """A reply that was made after so many thousandths of its trip, at `true_ms` by the exchange."""
    date = formatdate(true_ms // 1000, usegmt=True)
    before_ms = trip_ms * part // 1000
    offset.on_reply(date, machine_ms - before_ms, machine_ms + trip_ms - before_ms)


def test_nothing_is_known_before_a_reply() -> None:
    assert (ClockOffset().offset_ms, ClockOffset().off_ms) == (None, None)


@pytest.mark.parametrize("ahead_ms", [-3_600_000, -700, 0, 20, 7_000])
def test_replies_at_other_parts_of_a_second_narrow_it_down(ahead_ms: int) -> None:
    offset = ClockOffset()
    for n in range(40):
        true_ms = NOON_MS + n * 5_137
        reply(offset, true_ms + ahead_ms, true_ms)
    assert offset.offset_ms == pytest.approx(-ahead_ms, abs=60)
    off_ms = offset.off_ms
    assert off_ms is not None
    assert abs(off_ms) <= abs(ahead_ms)
    assert off_ms == 0 or off_ms * ahead_ms < 0


@given(
    offset_ms=st.integers(-100_000, 100_000),
    replies=st.lists(
        st.tuples(st.integers(0, 10**6), st.integers(0, 3_000), st.integers(0, 1_000)),
        min_size=1,
        max_size=30,
    ),
)
def test_it_is_never_off_by_more_than_its_bounds(
    offset_ms: int, replies: list[tuple[int, int, int]]
) -> None:
    offset = ClockOffset()
    for after_ms, trip_ms, part in replies:
        true_ms = NOON_MS + after_ms
        reply(offset, true_ms - offset_ms, true_ms, trip_ms, part)
    if offset.offset_ms is not None:
        assert abs(offset.offset_ms - offset_ms) <= WIDEST_MS // 2
    assert offset.off_ms is not None
    assert abs(offset.off_ms) <= abs(offset_ms)


def test_one_reply_bounds_it_and_corrects_no_age() -> None:
    offset = ClockOffset()
    reply(offset, NOON_MS - 7_000, NOON_MS)
    assert offset.offset_ms is None
    assert offset.off_ms == pytest.approx(7_000, abs=60)


def test_a_clock_that_is_set_voids_what_was_known() -> None:
    offset = ClockOffset()
    for n in range(20):
        reply(offset, NOON_MS + n * 137, NOON_MS + n * 137)
    reply(offset, NOON_MS + 3_600_000 + 20_000, NOON_MS + 20_000)
    assert offset.off_ms is not None
    assert offset.off_ms < -3_598_000
    for n in range(40):
        true_ms = NOON_MS + 30_000 + n * 5_137
        reply(offset, true_ms + 3_600_000, true_ms)
    assert offset.offset_ms == pytest.approx(-3_600_000, abs=60)


def test_nor_do_frames_of_before_it_was_set_bound_it() -> None:
    offset = ClockOffset()
    for n in range(40):
        reply(offset, NOON_MS + n * 5_137 - 3_000, NOON_MS + n * 5_137)
    offset.on_frame(NOON_MS, NOON_MS - 2_700)
    for after_ms in (300_500, 301_000):  # between 2,280 and 2,820 by these two
        reply(offset, NOON_MS + after_ms - 2_300, NOON_MS + after_ms)
    assert offset.offset_ms == pytest.approx(2_550, abs=10)


def test_a_frame_cannot_come_before_it_was_sent() -> None:
    offset = ClockOffset()
    for n in range(40):
        reply(offset, NOON_MS + n * 5_137, NOON_MS + n * 5_137, trip_ms=400)
    wide = offset.offset_ms
    offset.on_frame(NOON_MS, NOON_MS - 100)
    assert wide is not None
    assert offset.offset_ms is not None
    assert offset.offset_ms > wide


@pytest.mark.parametrize("date", [None, "", "yesterday", "Mon, 99 Foo 2026 00:00:00 GMT", "\x00"])
def test_a_date_that_is_none_says_nothing(date: str | None) -> None:
    offset = ClockOffset()
    offset.on_reply(date, NOON_MS, NOON_MS)
    assert offset.off_ms is None
