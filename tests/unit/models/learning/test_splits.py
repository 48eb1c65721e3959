"""Splits by time: parts that follow each other, whole days, dates, rolling blocks."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.recordings import needs_recordings, recordings_folder
from support.training_sessions import market, nanoseconds

from ipc.messages import Environment
from models.learning.splits import (
    Curriculum,
    SplitError,
    activity,
    chosen,
    markets_of_stage,
    moment_ns,
    rolling_splits,
    split_at,
    split_by_days,
    split_by_time,
)
from models.simulation.tape import RecordedSession
from models.trading.fees import FeeRule, FeeStep, MarketFees

HOURS = [
    *("2026-08-05T08:00", "2026-08-05T23:45", "2026-08-06T08:00", "2026-08-07T08:00"),
    *("2026-08-10T19:00", "2026-08-10T20:00", "2026-08-10T23:00"),
]


@pytest.fixture(scope="module")
def markets() -> list[RecordedSession]:
    """Seven markets of four days in New York, the last two hours of the 10th on the 11th in UTC."""
    return [market(at, events=20) for at in reversed(HOURS)]


def test_parts_follow_each_other_in_time(markets: list[RecordedSession]) -> None:
    parts = split_by_time(markets, 0.6, 0.1).as_names()
    assert parts == {
        "train": tuple(HOURS[:4]),
        "validation": tuple(HOURS[4:5]),
        "test": tuple(HOURS[5:]),
    }


def test_whole_days_stay_together_by_new_york_time(markets: list[RecordedSession]) -> None:
    parts = split_by_days(markets, 0.25, 0.2).as_names()
    assert parts["train"] == tuple(HOURS[:2])  # 23:45 is not yet the next day
    assert parts["validation"] == tuple(HOURS[2:3])
    assert parts["test"] == tuple(HOURS[3:])
    parts = split_by_days(markets, 0.6, 0.2).as_names()
    assert (parts["train"], parts["validation"]) == (tuple(HOURS[:4]), tuple(HOURS[4:]))


@given(
    days=st.lists(st.integers(1, 28), min_size=2, max_size=12).filter(lambda d: len(set(d)) > 1),
    share=st.floats(0.05, 0.9),
    rest=st.floats(0.05, 1.0),
)
def test_no_day_is_in_two_parts(days: list[int], share: float, rest: float) -> None:
    sessions = [market(f"2026-08-{day:02d}T{i:02d}:00", events=2) for i, day in enumerate(days)]
    parts = split_by_days(sessions, share, rest * (1 - share)).as_names().values()
    seen = [{name[:10] for name in part} for part in parts]
    assert all(seen[:2])
    assert sum(map(len, seen)) == len(set(days))
    assert [name for part in parts for name in part] == sorted(s.ticker for s in sessions)


def test_dates_cut_where_they_say(markets: list[RecordedSession]) -> None:
    until, then = moment_ns("2026-08-08"), moment_ns("2026-08-10T20:00")
    parts = split_at(markets, until, then).as_names()
    assert parts == {
        "train": tuple(HOURS[:4]),
        "validation": tuple(HOURS[4:5]),
        "test": tuple(HOURS[5:]),
    }
    assert split_at(markets, until, None).as_names()["test"] == ()
    assert then == nanoseconds("2026-08-10T20:00") == moment_ns("2026-08-11T00:00+00:00")


def test_each_block_is_judged_by_what_all_before_it_taught(
    markets: list[RecordedSession],
) -> None:
    split = split_at(markets, moment_ns("2026-08-07"), moment_ns("2026-08-10T20:00"))
    found = [s.as_names() for s in rolling_splits(split, 4)]
    assert [f["train"] for f in found] == [tuple(HOURS[:3]), tuple(HOURS[:4]), tuple(HOURS[:5])]
    assert [f["validation"] for f in found] == [(h,) for h in HOURS[3:6]]
    assert [f["test"] for f in found] == [(h,) for h in HOURS[4:]]
    with pytest.raises(SplitError, match="4 markets after those of train make no 5 blocks"):
        rolling_splits(split, 5)


def test_a_split_says_what_is_in_it(markets: list[RecordedSession]) -> None:
    lines = split_by_days(markets).describe()
    assert lines[0].startswith("train: 4 markets, 156 events, 2026-08-05T08:00 to 2026-08-07T08:00")
    assert lines[0].endswith("begun 2026-08-05 08:00 to 2026-08-07 08:00 New York time")
    assert lines[2:] == ["test: no markets"]
    same_time = split_by_time([market("2026-08-05T08:00"), market("2026-08-05T08:01")])
    assert same_time.describe()[-1] == (
        "1 markets of validation began before the last of train ended"
    )


def test_a_split_says_of_how_many_markets_the_fees_are_assumed(
    markets: list[RecordedSession],
) -> None:
    assert split_by_days(markets).fee_lines() == [
        "fees assumed for 7 of 7 markets: fee type and multiplier (7)"
    ]
    known = MarketFees.of(FeeRule.AUGUST_2026, [FeeStep(0, "quadratic", 10_000)])
    priced = [msgspec.structs.replace(m, fees=known) for m in markets]
    assert split_by_days(priced).fee_lines() == []


def test_what_cannot_be_split_is_said(markets: list[RecordedSession]) -> None:
    with pytest.raises(SplitError, match="1 markets cannot be split by time"):
        split_by_time(markets[:1])
    with pytest.raises(SplitError, match="3 markets of one day"):
        split_by_days(markets[:3])
    with pytest.raises(SplitError, match="leave 0 of 7 markets for train and 7 for validation"):
        split_at(markets, moment_ns("2026-08-01"), None)
    with pytest.raises(ValueError, match=r"invalid date 'August'; allowed: 2026-08-08"):
        moment_ns("August")


def test_markets_are_chosen_by_environment_and_time(markets: list[RecordedSession]) -> None:
    demo = msgspec.structs.replace(markets[0], environment=Environment.DEMO)
    mixed = [demo, *markets[1:]]
    with pytest.raises(ValueError, match="markets of demo and simulated are not mixed"):
        chosen(mixed)
    assert chosen(mixed, mixed=True) == mixed
    assert chosen(mixed, environment="demo") == [demo]
    since, before = moment_ns("2026-08-06"), moment_ns("2026-08-10T20:00")
    found = chosen(markets, since_ns=since, before_ns=before)
    assert sorted(s.ticker for s in found) == HOURS[2:5]
    with pytest.raises(ValueError, match="none of 7 markets"):
        chosen(markets, environment="production")


@needs_recordings
@pytest.mark.slow
def test_the_days_of_the_gold_markets_are_kept_together() -> None:
    from processes.adapters.kalshi.recordings.sessions import load_sessions

    folder, _ = recordings_folder()
    assert folder is not None
    sessions = load_sessions(folder / "gold15m-2026-08")
    parts = split_by_days(sessions)
    assert (len(parts.train), len(parts.validation), len(parts.test)) == (7, 19, 0)
    assert split_at(sessions, moment_ns("2026-08-08"), None).as_names() == parts.as_names()


@pytest.fixture(scope="module")
def six_markets() -> list[RecordedSession]:
    """Six six_markets, the third the busiest, then the fifth."""
    made = [market(f"2026-08-05T0{n}:00", events=60) for n in range(6)]
    for session, pace in zip(made, (1, 2, 6, 3, 5, 4), strict=True):
        first = session.first_ns
        session.events["recv_ns"] = first + (session.events["recv_ns"] - first) // pace
    return made


def test_activity_is_events_a_minute(six_markets: list[RecordedSession]) -> None:
    session = six_markets[0]
    minutes = (int(session.events["recv_ns"][-1]) - session.first_ns) / 60e9
    assert activity(session) == pytest.approx(len(session.events) / minutes)
    assert activity(six_markets[2]) == pytest.approx(6 * activity(session), rel=1e-6)


def test_the_busier_come_first_and_in_the_end_all_do(six_markets: list[RecordedSession]) -> None:
    stages = [markets_of_stage(Curriculum.BUSY, six_markets, n, 8) for n in range(8)]
    assert stages[:2] == [(2, 4)] * 2
    assert stages[2:4] == [(2, 3, 4, 5)] * 2
    assert stages[4:] == [tuple(range(6))] * 4


def test_or_the_calmer(six_markets: list[RecordedSession]) -> None:
    assert markets_of_stage(Curriculum.CALM, six_markets, 0, 8) == (0, 1)
    assert markets_of_stage(Curriculum.CALM, six_markets, 3, 8) == (0, 1, 3, 5)


def test_without_one_all_do_from_the_start(six_markets: list[RecordedSession]) -> None:
    assert markets_of_stage(Curriculum.NONE, six_markets, 0, 8) == tuple(range(6))
