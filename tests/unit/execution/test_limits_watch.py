"""The files of the limits: what is read at the start, said when it changes, and stored."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from support.logged import Logged
from support.order_manager import ManagerRig
from support.orders import TICKER, intent

from ipc.messages import Environment
from processes.execution import limits_watch
from processes.execution.latches import RecordFile, record_path
from processes.execution.limits_file import LimitsStatus
from processes.execution.limits_watch import LimitsWatch
from processes.runtime.config import load_settings


class WatchRig:
    """A watch over the files of a folder, and the manager that it gives limits to."""

    def __init__(self, data_dir: Path, environment: Environment = Environment.DEMO) -> None:
        self.log = Logged()
        self.file = data_dir / "limits.toml"
        self.data_dir = data_dir
        self.watch = LimitsWatch(
            load_settings({"RL_DATA_DIR": str(data_dir)}), environment, self.log
        )
        self.manager = ManagerRig(self.watch.account_limits).known()
        self.limits = self.manager.manager.account_limits

    def write(self, text: str) -> None:
        self.file.write_text(text)
        self.file.chmod(0o600)
        self.watch.look()

    def stored(self) -> RecordFile:
        return RecordFile(record_path(self.data_dir), Environment.DEMO)


def test_without_a_file_it_is_said_once_and_what_follows(tmp_path: Path) -> None:
    demo = WatchRig(tmp_path)
    demo.watch.look()
    ((action, facts),) = demo.log.lines
    assert (action, facts["message"]) == ("limits_missing", "no new orders until it is mended")
    assert str(tmp_path / "limits.toml") in str(facts["error"])
    simulated = WatchRig(tmp_path, Environment.SIMULATED)
    simulated.watch.look()
    ((action, facts),) = simulated.log.lines
    assert (action, facts["message"]) == (
        "limits_not_set",
        "no limits of the whole account are checked",
    )


def test_a_change_is_said_with_what_changed(tmp_path: Path) -> None:
    rig = WatchRig(tmp_path)
    rig.write("[demo]\ndaily_loss = 5")
    rig.write("[demo]\ndaily_loss = 7.5\nopen_orders = 3")
    rig.write("[demo]\ndaily_los = 7.5")
    rig.watch.look()
    assert rig.limits.stopped is not None
    rig.write("[demo]\ndaily_loss = 7.5\nopen_orders = 3")
    path = str(rig.file)
    assert rig.log.lines[1] == ("limits_read", {"path": path, "daily_loss": "none -> 5.00 dollars"})
    changed = {"daily_loss": "5.00 dollars -> 7.50 dollars", "open_orders": "none -> 3"}
    assert rig.log.lines[2] == ("limits_read", {"path": path, **changed})
    action, facts = rig.log.lines[3]
    assert action == LimitsStatus.INVALID
    assert "unknown key demo.daily_los; did you mean daily_loss?" in str(facts["error"])
    assert rig.log.lines[4] == ("limits_read", {"path": path})
    assert rig.limits.stopped is None


def test_another_file_may_be_named(tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text("[demo]\nopen_orders = 3")
    file.chmod(0o600)
    settings = load_settings({"RL_DATA_DIR": str(tmp_path), "RL_LIMITS_FILE": str(file)})
    watch = LimitsWatch(settings, Environment.DEMO, Logged())
    limits = ManagerRig(watch.account_limits).manager.account_limits
    assert limits.stopped is None


def test_a_latch_is_stored_at_once_and_said_at_the_next_start(tmp_path: Path) -> None:
    rig = WatchRig(tmp_path)
    rig.write("[demo]\norders_per_minute = 0")
    rig.manager.manager.on_intent(intent("i1"), rig.manager.mono_ns)
    assert [latch.name for latch in rig.stored().latches] == ["orders_per_minute"]
    again = WatchRig(tmp_path)
    assert again.log.has("limit_still_latched", limit="orders_per_minute", measured="1")
    assert [latch.name for latch in again.limits.latches] == ["orders_per_minute"]
    again.limits.resume("me", "why")
    assert rig.stored().latches == ()


def test_a_record_that_cannot_be_written_is_said_once_and_the_latch_holds(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig = WatchRig(tmp_path)
    rig.write("[demo]\norders_per_minute = 0\norders_per_second = 0")
    (tmp_path / "execution").write_text("a file in the place of the folder")
    rig.manager.manager.on_intent(intent("i1"), rig.manager.mono_ns)
    rig.watch.close()
    assert rig.log.actions().count("limits_not_stored") == 1
    assert [latch.name for latch in rig.limits.latches] == ["orders_per_minute"]


async def test_the_day_is_stored_while_it_runs_and_at_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits_watch, "LOOK_PAUSE", 0.001)
    rig = WatchRig(tmp_path)
    rig.write("[demo]\ndaily_loss = 50")
    rig.manager.manager.tick()
    running = asyncio.create_task(rig.watch.run())
    for _ in range(3_000):
        if TICKER in rig.stored().day.markets:
            break
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.wait((running,))
    assert TICKER in rig.stored().day.markets
    record_path(tmp_path).unlink()
    rig.watch.close()
    assert TICKER in rig.stored().day.markets


def test_without_limits_nothing_is_stored(tmp_path: Path) -> None:
    rig = WatchRig(tmp_path, Environment.SIMULATED)
    rig.manager.manager.tick()
    rig.watch.close()
    assert not record_path(tmp_path).exists()


class EnoughError(Exception):
    """The test has seen enough looks."""


@pytest.mark.parametrize(("changes", "writes"), [(True, 4), (False, 1)])
async def test_the_day_is_written_at_every_tenth_look_and_only_when_it_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: bool, writes: int
) -> None:
    monkeypatch.setattr(limits_watch, "LOOK_PAUSE", 0.0)
    rig = WatchRig(tmp_path)
    rig.write("[demo]\ndaily_loss = 50")
    rig.manager.manager.tick()
    looks, written = [0], []
    write = RecordFile.write

    def look() -> None:
        looks[0] += 1
        if looks[0] > 49:
            raise EnoughError
        if changes:
            rig.limits._measures.streak.losses = looks[0]

    def counted(*arguments: Any) -> None:
        written.append(looks[0])
        write(*arguments)

    monkeypatch.setattr(rig.watch, "look", look)
    monkeypatch.setattr(RecordFile, "write", counted)
    with pytest.raises(EnoughError):
        await rig.watch.run()
    assert written == [10, 20, 30, 40][:writes]


def test_a_latch_that_could_not_be_written_is_written_at_the_end(tmp_path: Path) -> None:
    rig = WatchRig(tmp_path, Environment.SIMULATED)
    rig.file.write_text("[simulated]\norders_per_minute = 0")
    rig.file.chmod(0o600)
    rig.watch.look()
    blocked = tmp_path / "execution"
    blocked.write_text("a file in the place of the folder")
    rig.manager.manager.on_intent(intent("i1"), rig.manager.mono_ns)
    blocked.unlink()
    rig.file.unlink()
    rig.watch.look()  # from here on there are no limits, and the latch holds
    rig.watch.close()
    record = RecordFile(record_path(tmp_path), Environment.SIMULATED)
    assert [latch.name for latch in record.latches] == ["orders_per_minute"]


def test_a_record_that_could_be_written_meanwhile_is_said_again(tmp_path: Path) -> None:
    rig = WatchRig(tmp_path)
    rig.write("[demo]\norders_per_minute = 0\norders_per_second = 0")
    folder = tmp_path / "execution"
    for blocks in (True, False, True):
        if blocks:
            if folder.exists():
                folder.rename(tmp_path / "aside")
            folder.write_text("a file in the place of the folder")
        else:
            folder.unlink()
        rig.watch.close()
    assert rig.log.actions().count("limits_not_stored") == 2
