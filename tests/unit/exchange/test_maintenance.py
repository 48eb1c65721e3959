"""Maintenance by a clock that the test moves: when it begins, ends, and what it leaves alone."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from support.exchange_core import Core

from processes.exchange.core.operations import Maintenance, Pauses, weekly_window

HOUR_MS = 3_600_000
WEEK_MS = 7 * 24 * HOUR_MS


def ms(day: str, clock: str) -> int:
    """A moment in UTC."""
    return round(datetime.fromisoformat(f"{day}T{clock}:00+00:00").timestamp() * 1000)


class Watched:
    """Maintenance, and how often connections were cut."""

    def __init__(self, *, weekly: bool = False) -> None:
        self.core = Core()
        self.cuts = 0
        self.maintenance = Maintenance(Pauses(self.core.order_entry), weekly=weekly)
        self.maintenance.on_start = self._cut

    def _cut(self) -> None:
        self.cuts += 1

    def at(self, now_ms: int) -> bool:
        """Whether trading stands at this moment."""
        self.maintenance.apply(now_ms)
        return self.core.order_entry.halts.stops_trading


@pytest.mark.parametrize(
    ("now", "day", "starts"),
    [
        (("2026-07-01", "12:00"), "2026-07-02", "07:00"),  # summer time
        (("2026-12-02", "12:00"), "2026-12-03", "08:00"),
        (("2026-12-03", "09:59"), "2026-12-03", "08:00"),  # it is on
        (("2026-12-03", "10:00"), "2026-12-10", "08:00"),  # it is over
        (("2026-12-04", "01:00"), "2026-12-10", "08:00"),  # still Thursday in New York
        (("2026-10-30", "12:00"), "2026-11-05", "08:00"),  # summer time ends between
    ],
)
def test_the_weekly_pause_is_thursday_morning_in_new_york(
    now: tuple[str, str], day: str, starts: str
) -> None:
    window = weekly_window(ms(*now))
    assert window.start_ms == ms(day, starts)
    assert window.end_ms - window.start_ms == 2 * HOUR_MS
    assert datetime.fromtimestamp(window.start_ms / 1000, UTC).strftime("%A") == "Thursday"


def test_windows_that_meet_are_one_pause() -> None:
    watched = Watched()
    watched.maintenance.announce(2_000, 3_000)
    watched.maintenance.announce(1_000, 2_000)
    assert [watched.at(t) for t in (999, 1_000, 1_999, 2_000, 2_999, 3_000)] == [
        *(False, True, True, True, True, False)
    ]
    assert watched.cuts == 1


def test_one_that_time_leapt_over_still_cuts_connections() -> None:
    watched = Watched()
    watched.maintenance.announce(1_000, 2_000)
    assert not watched.at(5_000)
    assert watched.cuts == 1
    assert not watched.at(6_000)
    assert watched.cuts == 1


def test_it_says_when_trading_goes_on() -> None:
    watched = Watched()
    watched.maintenance.announce(1_000, 2_000)
    assert watched.maintenance.resumes_ms(500) is None
    assert watched.at(1_500)
    assert watched.maintenance.resumes_ms(1_500) == 2_000


def test_clear_takes_back_what_was_announced_and_not_the_weekly_pause() -> None:
    watched = Watched(weekly=True)
    thursday = ms("2026-12-03", "08:00")
    watched.maintenance.announce(thursday - HOUR_MS, thursday + HOUR_MS)
    assert watched.at(thursday - 1)
    watched.maintenance.clear(thursday - 1)
    assert not watched.at(thursday - 1)
    assert [w.start_ms for w in watched.maintenance.windows(thursday - 1)] == [thursday]
    assert watched.at(thursday)
    assert not watched.at(thursday + 2 * HOUR_MS)
    assert watched.at(thursday + WEEK_MS)
    assert watched.cuts == 3
