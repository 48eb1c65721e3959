"""When what is not in the database forbids decisions."""

from __future__ import annotations

from support.logged import Logged

from ipc.messages import ProcessStats
from processes.inference.persistence import PersistenceGate

SECOND_NS = 1_000_000_000


def stats(**counters: int) -> ProcessStats:
    return ProcessStats(process="recorder", mono_ns=0, counters=counters)


def made(log: Logged) -> PersistenceGate:
    return PersistenceGate(max_age_ms=60_000, max_events=1_000, now_ns=0, log=log)


def test_a_recorder_that_is_never_heard_shuts_it_after_the_bound() -> None:
    gate = made(Logged())
    assert gate.is_open(60 * SECOND_NS)
    assert not gate.is_open(60 * SECOND_NS + 1_000_000)


def test_age_counts_on_from_the_last_report() -> None:
    gate = made(Logged())
    gate.on_stats(stats(behind=5, behind_ms=50_000), 0)
    assert gate.is_open(10 * SECOND_NS)
    assert not gate.is_open(11 * SECOND_NS)


def test_too_many_events_shut_it_and_storing_them_opens_it_each_with_one_line() -> None:
    log = Logged()
    gate = made(log)
    gate.on_stats(stats(behind=1_000, behind_ms=1), SECOND_NS)
    assert gate.is_open(SECOND_NS)
    gate.on_stats(stats(behind=1_001, behind_ms=1), SECOND_NS)
    assert [gate.is_open(SECOND_NS) for _ in range(3)] == [False] * 3
    gate.on_stats(stats(behind=0, behind_ms=0), 2 * SECOND_NS)
    assert [gate.is_open(2 * SECOND_NS) for _ in range(3)] == [True] * 3
    assert log.has("not_persisted", behind=1_001)
    assert log.has("persisted_again", behind=0)
    assert len(log.lines) == 2
