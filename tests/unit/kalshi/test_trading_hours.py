"""The exchange's schedule as the times in which it does not trade."""

from __future__ import annotations

from datetime import datetime

import pytest

from ipc.messages import TradingState
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.rest.public import Schedule
from processes.adapters.kalshi.rest.trading_hours import Halt, TradingHours, halt_at, next_halt
from processes.adapters.kalshi.schemas.rest_public import Session, WeekRow

HOUR_MS = 3_600_000
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
ALL_DAY = (Session(open_time="00:00", close_time="00:00"),)


def ms(day: str, clock: str) -> int:
    """A moment in UTC."""
    return round(datetime.fromisoformat(f"{day}T{clock}:00+00:00").timestamp() * 1000)


def week(**days: tuple[Session, ...]) -> WeekRow:
    hours = dict.fromkeys(DAYS, ALL_DAY) | days
    return WeekRow(start_time="1970-01-01T00:00:00Z", end_time="2027-01-01T00:00:00Z", **hours)


def hours(*weeks: WeekRow, maintenance: tuple[tuple[int, int], ...] = ()) -> TradingHours:
    return TradingHours.of(Schedule(weeks, maintenance))


def test_open_all_day_every_day_has_no_halt() -> None:
    assert hours(week()).halts(ms("2026-08-05", "12:00")) == []


def test_no_hours_at_all_say_nothing() -> None:
    assert hours().halts(ms("2026-08-05", "12:00")) == []


@pytest.mark.parametrize(
    ("day", "begins", "ends"),
    [
        ("2026-08-06", "07:00", "09:00"),  # summer time in New York
        ("2026-12-03", "08:00", "10:00"),
    ],
)
def test_between_two_sessions_of_a_day_the_exchange_is_closed(
    day: str, begins: str, ends: str
) -> None:
    thursday = (
        Session(open_time="00:00", close_time="03:00"),
        Session(open_time="05:00", close_time="00:00"),
    )
    halts = hours(week(thursday=thursday)).halts(ms(day, "06:00"))
    start, end = ms(day, begins), ms(day, ends)
    assert halts[0] == Halt(start, end, TradingState.CLOSED)
    assert halt_at(halts, start - 1) is None
    assert halt_at(halts, start) == halt_at(halts, end - 1) == halts[0]
    assert halt_at(halts, end) is None
    assert next_halt(halts, start - 1) == halts[0]
    assert next_halt(halts, start) != halts[0], "it has begun"


def test_a_session_may_end_on_the_next_day() -> None:
    days = dict.fromkeys(DAYS, (Session(open_time="08:00", close_time="03:00"),))
    halts = hours(week(**days)).halts(ms("2026-08-05", "05:00"))
    assert halts[0][:2] == (ms("2026-08-05", "07:00"), ms("2026-08-05", "12:00"))
    assert halts[1][:2] == (ms("2026-08-06", "07:00"), ms("2026-08-06", "12:00"))


def test_a_day_without_a_session_is_closed() -> None:
    halts = hours(week(sunday=())).halts(ms("2026-08-05", "12:00"))
    assert halts[0][:2] == (ms("2026-08-09", "04:00"), ms("2026-08-10", "04:00"))


def test_a_week_without_a_session_is_closed_to_its_end() -> None:
    now = ms("2026-08-05", "12:00")
    (halt,) = hours(week(**dict.fromkeys(DAYS, ()))).halts(now)
    assert halt.state is TradingState.CLOSED
    assert halt.start_ms < now < now + 7 * 24 * HOUR_MS < halt.end_ms


def test_hours_that_do_not_hold_close_nothing() -> None:
    row = WeekRow(
        start_time="2026-08-20T00:00:00Z",
        end_time="2027-01-01T00:00:00Z",
        **dict.fromkeys(DAYS, ()),
    )
    assert hours(row).halts(ms("2026-08-05", "12:00")) == []


def test_windows_that_meet_end_together() -> None:
    now = ms("2026-08-05", "12:00")
    windows = ((now + HOUR_MS, now + 3 * HOUR_MS), (now - HOUR_MS, now + HOUR_MS))
    halt = halt_at(hours(maintenance=windows).halts(now), now)
    assert halt == Halt(now - HOUR_MS, now + 3 * HOUR_MS, TradingState.MAINTENANCE)


def test_what_is_no_hour_is_an_error_with_a_name() -> None:
    with pytest.raises(WireError, match="25:00"):
        hours(week(monday=(Session(open_time="25:00", close_time="26:00"),)))
