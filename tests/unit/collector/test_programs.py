"""The list of programs: pools an hour, what is over, and the order."""

from __future__ import annotations

import msgspec

from processes.adapters.kalshi.rest.public import IncentiveProgram
from processes.collector.programs import (
    MOST_LINES,
    listed_programs,
    pool_per_hour_e6,
    program_table,
)

NOW = 1_790_000_000_000
QUARTER = IncentiveProgram(
    "p1", "A", "liquidity", "d", NOW - 1, NOW + 899_999, 20_000_000, False, 30_000, 5_000
)


def test_a_pool_is_compared_by_the_hour_not_by_its_period() -> None:
    month = msgspec.structs.replace(
        QUARTER, program_id="p2", market_ticker="B", end_ms=NOW - 1 + 720 * 3_600_000,
        reward_e6=2_000_000_000,
    )  # fmt: skip
    assert pool_per_hour_e6(QUARTER) == 80_000_000
    assert pool_per_hour_e6(month) == 2_777_777
    assert [p.market_ticker for p in listed_programs([month, QUARTER], NOW)] == ["A", "B"]


def test_what_is_over_is_left_out_and_what_is_to_come_is_upcoming() -> None:
    over = msgspec.structs.replace(QUARTER, end_ms=NOW)
    later = msgspec.structs.replace(QUARTER, start_ms=NOW + 1)
    assert [p.status for p in listed_programs([over, later, QUARTER], NOW)] == [
        "upcoming",
        "active",
    ]


def test_a_period_that_does_not_last_has_no_rate() -> None:
    strange = msgspec.structs.replace(QUARTER, start_ms=NOW + 9, end_ms=NOW + 9)
    (listed,) = listed_programs([strange], NOW)
    assert listed.pool_per_hour is None
    assert " - " in program_table([listed])


def test_the_table_has_dollars_contracts_and_whether_it_is_followed() -> None:
    (line,) = program_table(listed_programs([QUARTER], NOW, {"A"})).splitlines()[1:]
    assert line.split()[:3] == ["A", "liquidity", "active"]
    assert line.split()[-5:] == ["80.00", "20.00", "300.00", "0.5", "yes"]


def test_a_long_list_is_cut_and_says_so() -> None:
    lines = program_table(listed_programs([QUARTER] * (MOST_LINES + 3), NOW)).splitlines()
    assert len(lines) == MOST_LINES + 2
    assert lines[-1] == "3 more; --json lists all"
