"""Market time: announced once, read by everybody, never torn."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ipc import clock as c
from ipc.clock import ManualClock, MarketClock, MarketClockWriter, RealClock


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The monotonic clock, moved by hand."""
    now = [1_000]
    monkeypatch.setattr(c, "mono_ns", lambda: now[0])
    return now


def test_market_time_runs_at_the_announced_speed(tmp_path: Path, at: list[int]) -> None:
    writer = MarketClockWriter(tmp_path / "exchange" / "clock")
    writer.announce(5_000_000, 10_000)
    clock = MarketClock(tmp_path / "exchange" / "clock")
    assert clock.now_ns() == 5_000_000
    at[0] += 700
    assert clock.now_ns() == 5_007_000
    writer.announce(9_000_000, 0)
    at[0] += 700
    assert clock.now_ns() == 9_000_000
    assert clock.replaying


def test_nobody_reads_what_was_not_announced(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    with pytest.raises(FileNotFoundError):
        MarketClock(path)
    path.touch(0o600)
    with pytest.raises(RuntimeError, match="not announced"):
        MarketClock(path)
    MarketClockWriter(path)
    with pytest.raises(RuntimeError, match="not announced"):
        MarketClock(path)


def test_an_exchange_that_dies_in_mid_announcement_leaves_its_last_word(
    tmp_path: Path, at: list[int]
) -> None:
    writer = MarketClockWriter(tmp_path / "clock")
    writer.announce(1_000, 1_000)
    clock = MarketClock(tmp_path / "clock")
    writer._put(3, 77, 77, 77)  # odd: the second half never comes
    assert clock.now_ns() == 1_000
    writer.close()
    again = MarketClockWriter(tmp_path / "clock")
    again.announce(50_000, 1_000)
    assert clock.now_ns() == 50_000


LEFT_BEHIND = """
import os, sys
from pathlib import Path
from ipc.clock import MarketClockWriter
MarketClockWriter(Path(sys.argv[1])).announce(1_000, 1_000)
print("announced", flush=True)
os.kill(os.getpid(), 9)
"""


def test_what_a_dead_exchange_left_is_not_believed(tmp_path: Path) -> None:
    path = tmp_path / "clock"
    died = subprocess.run(
        [sys.executable, "-c", LEFT_BEHIND, str(path)], capture_output=True, check=False
    )
    assert (died.stdout, died.returncode) == (b"announced\n", -9)
    with pytest.raises(RuntimeError, match="has ended"):
        MarketClock(path)
    writer = MarketClockWriter(path)
    with pytest.raises(RuntimeError, match="not announced"):
        MarketClock(path)
    writer.announce(70_000, 0)
    assert MarketClock(path).now_ns() == 70_000
    writer.close()
    with pytest.raises(RuntimeError, match="has ended"):
        MarketClock(path)


def test_a_second_exchange_does_not_announce_beside_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(c, "_LOCK_PATIENCE_S", 0.02)
    writer = MarketClockWriter(tmp_path / "clock")
    writer.announce(1_000, 0)
    with pytest.raises(BlockingIOError):
        MarketClockWriter(tmp_path / "clock")
    assert MarketClock(tmp_path / "clock").now_ns() == 1_000


def test_announcements_are_never_torn(tmp_path: Path, at: list[int]) -> None:
    """Market time, origin and speed always belong together, however often they change."""
    writer = MarketClockWriter(tmp_path / "clock")
    writer.announce(1, 1)
    clock = MarketClock(tmp_path / "clock")
    stop = threading.Event()

    def announce() -> None:
        value = 2
        while not stop.is_set():
            at[0] = value
            writer.announce(value, value)
            value += 1

    thread = threading.Thread(target=announce)
    thread.start()
    seen = {clock._read() for _ in range(5_000)}
    stop.set()
    thread.join()
    assert all(market == speed for market, _, speed in seen)


def test_the_other_clocks() -> None:
    manual = ManualClock(5, replaying=True)
    manual.advance(7)
    assert (manual.now_ns(), manual.replaying) == (12, True)
    real = RealClock()
    before = c.real_ns()
    assert before <= real.now_ns() <= c.real_ns()
    assert not real.replaying
    assert c.mono_ns() <= c.mono_ns()
