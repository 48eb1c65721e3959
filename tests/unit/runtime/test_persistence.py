"""When what is not in the database forbids decisions, and orders that open a position."""

from __future__ import annotations

from support.logged import Logged

from ipc.event_journal import EVENT
from ipc.messages import ProcessStats
from processes.runtime.persistence import JOURNAL_BYTES, PersistenceGate

SECOND_NS = 1_000_000_000


def stats(**counters: int) -> ProcessStats:
    return ProcessStats(process="recorder", mono_ns=0, counters=counters)


def made(log: Logged) -> PersistenceGate:
    return PersistenceGate(max_age_ms=60_000, max_size=1_000, now_ns=0, log=log)


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


def of_bytes(*, unheard_counts: bool = True) -> PersistenceGate:
    bounds = 60_000, 1_000
    return PersistenceGate(*bounds, 0, Logged(), JOURNAL_BYTES, unheard_counts=unheard_counts)


def test_the_size_of_journals_is_that_of_events_and_other_records() -> None:
    gate = of_bytes()
    gate.on_stats(stats(behind=2, behind_bytes=1_000 - 2 * EVENT.itemsize), 0)
    assert gate.reason(0) == ""
    gate.on_stats(stats(behind=2, behind_bytes=1_001 - 2 * EVENT.itemsize), 0)
    assert gate.reason(0) == "1001 bytes wait for the database, allowed 1000"


def test_the_age_is_named_with_its_bound() -> None:
    gate = of_bytes()
    gate.on_stats(stats(behind=1, behind_ms=61_000), 0)
    assert gate.reason(0) == "the oldest record waits for 61 s, allowed 60"


def test_a_recorder_that_was_never_there_counts_only_where_it_should() -> None:
    assert not of_bytes().is_open(3_600 * SECOND_NS)
    gate = of_bytes(unheard_counts=False)
    assert gate.is_open(3_600 * SECOND_NS)
    gate.on_stats(stats(behind=0, behind_ms=0), 3_600 * SECOND_NS)
    assert not gate.is_open(3_661 * SECOND_NS), "silent since"
