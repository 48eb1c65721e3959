"""Programs that must not start: what they say, what they leave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.leftovers import lives
from support.logged import events
from support.patience import PATIENCE
from support.stack import ROOT, Stack

__all__ = ["line_of_program", "line_of_stack"]

OF_THE_STACK = {"stack.lock"}  # all that a refused stack may leave in its data folder


def line_of_stack(stack: Stack, *given: str) -> str:
    """The one line of a stack that refuses to start; `given` is what the test put into its data."""
    assert stack.wait() == 2, stack.said
    said = stack.said.splitlines()
    assert len(said) == 1, stack.said
    assert said[0].startswith("stack: ")
    assert lives(stack.folder) == {}
    if stack.data_dir.is_dir():
        assert {path.name for path in stack.data_dir.iterdir()} <= OF_THE_STACK | set(given)
    return said[0]


def line_of_program(process: str, data_dir: Path, **environ: str) -> str:
    """The last line of a process, started alone, that refuses to run; its only complaint."""
    foreign = ("RL_", "KALSHI_", "ORDERBOOK_", "DATABASE_URL")
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(foreign)}
    done = subprocess.run(
        [sys.executable, "-m", f"processes.{process}"],
        cwd=ROOT,
        env={**inherited, "RL_DATA_DIR": str(data_dir), **environ},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=PATIENCE,
    )
    assert done.returncode == 2, done.stdout
    *others, last = done.stdout.splitlines()
    assert len(events(done.stdout)) == len(others), done.stdout
    return last
