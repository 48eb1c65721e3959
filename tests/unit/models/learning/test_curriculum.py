"""Which markets a training begins with."""

from __future__ import annotations

import pytest
from support.training_sessions import market

from models.learning.curriculum import Curriculum, activity, markets_of_stage
from models.simulation.tape import RecordedSession


@pytest.fixture(scope="module")
def markets() -> list[RecordedSession]:
    """Six markets, the third the busiest, then the fifth."""
    made = [market(f"2026-08-05T0{n}:00", events=60) for n in range(6)]
    for session, pace in zip(made, (1, 2, 6, 3, 5, 4), strict=True):
        first = session.first_ns
        session.events["recv_ns"] = first + (session.events["recv_ns"] - first) // pace
    return made


def test_activity_is_events_a_minute(markets: list[RecordedSession]) -> None:
    session = markets[0]
    minutes = (int(session.events["recv_ns"][-1]) - session.first_ns) / 60e9
    assert activity(session) == pytest.approx(len(session.events) / minutes)
    assert activity(markets[2]) == pytest.approx(6 * activity(session), rel=1e-6)


def test_the_busier_come_first_and_in_the_end_all_do(markets: list[RecordedSession]) -> None:
    stages = [markets_of_stage(Curriculum.BUSY, markets, n, 8) for n in range(8)]
    assert stages[:2] == [(2, 4)] * 2
    assert stages[2:4] == [(2, 3, 4, 5)] * 2
    assert stages[4:] == [tuple(range(6))] * 4


def test_or_the_calmer(markets: list[RecordedSession]) -> None:
    assert markets_of_stage(Curriculum.CALM, markets, 0, 8) == (0, 1)
    assert markets_of_stage(Curriculum.CALM, markets, 3, 8) == (0, 1, 3, 5)


def test_without_one_all_do_from_the_start(markets: list[RecordedSession]) -> None:
    assert markets_of_stage(Curriculum.NONE, markets, 0, 8) == tuple(range(6))
