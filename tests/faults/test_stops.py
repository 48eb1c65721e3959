"""A stop ends every program by itself, however busy the machine is: none has to be killed.

One stack, started and stopped again and again while it trades and a busy loop runs on each core.
`make test` stops it once, `make test-faults` a hundred times (`--rounds 100`).
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from support.logged import events
from support.stack import ACTORS, ROOT, Stack

from processes.runtime.run import STOP_SECONDS

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]

STOPS = 1  # of `make test`
START_TRIES = 4  # of a minute each
LOADED_S = 120  # a busy loop ends by itself, whatever becomes of the test
KILLED = re.compile(r"killing '(\w+)' \(\d+\) with SIGKILL")
OVERDUE = ("stop_overdue", "task_failed", "process_failed")


@pytest.fixture
def stack(tmp_path: Path) -> Iterator[Stack]:
    """One that trades all the time, so that orders rest when it is stopped."""
    running = Stack(
        tmp_path / "stack",
        RL_ACTOR_STRATEGY="baseline:random",
        RL_ACTOR_WARMUP_TICKS="2",
        RL_EXCHANGE_SEED="7",
    )
    yield running
    running.close()


@contextmanager
def busy_cores() -> Iterator[None]:
    """A loop on each core that never rests."""
    spin = f"import time\nend = time.monotonic() + {LOADED_S}\nwhile time.monotonic() < end: pass"
    loops = [subprocess.Popen([sys.executable, "-c", spin]) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def start(stack: Stack) -> None:
    """Until the policy decides; patient, because other tests may share the machine."""
    stack.start()
    for _ in range(START_TRIES):
        try:
            stack.deciding()
        except AssertionError:
            assert stack.runs()
        else:
            return
    raise AssertionError(f"it never decided: {stack.said[-2_000:]}")


def stop_under_load(stack: Stack, chance: np.random.Generator) -> list[str]:
    """Start, trade, stop at some moment -> what went wrong."""
    before = len(stack.said) if stack.log.exists() else 0
    start(stack)
    with busy_cores():
        time.sleep(float(chance.uniform(0.0, 2.0)))  # the moment is the chance, not a wait
        code, took_s = stack.stop()
    said = stack.said[before:]
    wrong = KILLED.findall(said)
    wrong += [line for line in events(said) if any(word in line for word in OVERDUE)]
    print(f"stopped in {took_s:.2f} s, exit code {code}, {wrong or 'all by themselves'}")
    return wrong + ([f"exit code {code}"] if code else [])


def assert_nothing_accepted_is_left_out(stack: Stack) -> None:
    """One more life, stopped at leisure: the recorder has brought in every journal of all lives."""
    start(stack)
    assert stack.stop()[0] == 0
    assert [p for p in (stack.data_dir / "journal").glob("*/*") if p.is_dir()] == []


def stop_again_and_again(stack: Stack, stops: int, seed: int) -> None:
    chance = np.random.default_rng(seed)
    wrong = [stop_under_load(stack, chance) for _ in range(stops)]
    assert [found for found in wrong if found] == []
    assert_nothing_accepted_is_left_out(stack)


def test_no_program_has_to_be_killed(stack: Stack, seed: int) -> None:
    stop_again_and_again(stack, STOPS, seed)


@pytest.mark.slow
@pytest.mark.timeout(7_200)
def test_no_program_has_to_be_killed_however_often(stack: Stack, rounds: int, seed: int) -> None:
    stop_again_and_again(stack, rounds, seed)


def test_supervisord_waits_longer_than_a_stop_may_take() -> None:
    text = (ROOT / "supervisord.conf").read_text()
    sections = dict(re.findall(r"\[program:(\w+)\]([^\[]*)", text))
    for name in (*ACTORS, "exchange"):
        waits = re.search(r"^stopwaitsecs=(\d+)$", sections[name], re.M)
        assert waits is not None, name
        assert int(waits[1]) >= STOP_SECONDS + 2, name
