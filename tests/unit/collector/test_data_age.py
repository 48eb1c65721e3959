"""Delays of frames, the clock's offset in rows and session, and the alarm of a backlog."""

from __future__ import annotations

from collections.abc import Iterator
from email.utils import formatdate
from pathlib import Path

import pytest
from support.collector_rig import CollectorRig

from ipc import book as b
from ipc.clock import ManualClock
from ipc.messages import SessionMark
from processes.adapters.kalshi.stream.socket import Backlog
from processes.collector import data_age

MS = 1_000_000


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[CollectorRig]:
    monkeypatch.setattr(data_age, "LOOK_NS", 0)  # every look counts
    with CollectorRig(tmp_path) as rig:
        yield rig


def waiting(size: int, age_ms: int = 1_000) -> Backlog:
    return Backlog(frames=size, bytes=100 * size, age_ns=age_ms * MS)


def clock_marks(rig: CollectorRig) -> list[str]:
    return [m.detail for m in rig.messages() if isinstance(m, SessionMark) and m.kind == "clock"]


def test_the_percentiles_are_of_the_delays(rig: CollectorRig) -> None:
    assert "data_age_p50_ms" not in rig.age.counters()
    rig.age.delays.extend([10] * 98 + [500, 900])
    rig.age.look(Backlog())
    figures = rig.age.counters()
    assert (figures["data_age_p50_ms"], figures["data_age_max_ms"]) == (10, 900)
    assert 500 <= figures["data_age_p99_ms"] <= 900
    assert rig.age.delays == []


def test_an_offset_that_is_known_corrects_ages_and_is_noted_once(rig: CollectorRig) -> None:
    rig.follow("A")
    rig.age.look(Backlog())
    assert clock_marks(rig) == []
    for n in range(50):
        now_ms = 1_790_000_000_000 + n * 5_137
        rig.clock_offset.on_reply(date_of(now_ms + 3_000), now_ms - 10, now_ms + 10)
    for _ in range(3):
        rig.age.delays.append(-2_800)
        rig.age.look(Backlog())
    (noted,) = clock_marks(rig)
    assert int(noted) == pytest.approx(3_000, abs=60)
    assert int(rig.row("A")[b.CLOCK_OFFSET_MS]) == int(noted)
    assert rig.age.counters()["data_age_p50_ms"] == pytest.approx(200, abs=60)
    assert rig.age.counters()["clock_offset_ms"] == pytest.approx(3_000, abs=120)


def test_a_backlog_that_grows_is_an_alarm_until_little_waits(rig: CollectorRig) -> None:
    for size in (10, 20, 30):
        rig.age.look(waiting(size))
    assert rig.age.counters()["backlog_growing"] == 1
    assert rig.log.has("data_backlog_grows", frames=30)
    rig.age.look(waiting(25))
    assert rig.age.counters()["backlog_growing"] == 1
    rig.age.look(waiting(2, age_ms=1))
    assert rig.age.counters()["backlog_growing"] == 0
    assert rig.log.has("data_backlog_over")


@pytest.mark.parametrize("sizes", [(30, 20, 10), (10, 20, 15, 20, 30)])
def test_one_that_is_worked_off_is_none(rig: CollectorRig, sizes: tuple[int, ...]) -> None:
    for size in sizes:
        rig.age.look(waiting(size))
    assert rig.age.counters()["backlog_growing"] == 0
    assert rig.age.counters()["backlog_frames"] == sizes[-1]


def test_what_has_just_come_is_no_backlog_however_much_it_is(rig: CollectorRig) -> None:
    for size in (10, 20, 30, 40):
        rig.age.look(waiting(size, age_ms=data_age.LATE_MS - 1))
    assert rig.age.counters()["backlog_growing"] == 0
    assert not rig.log.has("data_backlog_grows")


def test_a_replay_has_its_own_times_and_no_offset(rig: CollectorRig) -> None:
    rig.follow("A")
    clock = ManualClock(1_790_000_000_000 * MS, replaying=True)
    age = data_age.DataAge(rig.clock_offset, rig.table, rig.session, clock, rig.log)
    for n in range(50):
        now_ms = 1_790_000_000_000 + n * 5_137
        rig.clock_offset.on_reply(date_of(now_ms + 3_000), now_ms - 10, now_ms + 10)
    before_ms = rig.clock_offset.offset_ms
    age.delays.append(-3_010)
    age.look(Backlog())
    assert clock_marks(rig) == ["0"]
    assert int(rig.row("A")[b.CLOCK_OFFSET_MS]) == 0
    assert rig.clock_offset.offset_ms == before_ms, "its frames say nothing of this machine"


def date_of(ms: int) -> str:
    return formatdate(ms // 1000, usegmt=True)
