"""Programs that must not start: what they say, what they leave."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support.logged import events
from support.stack import ROOT, Stack

__all__ = ["line_of_program", "line_of_stack", "lives"]

BOUND_S = 60
OF_THE_STACK = {"stack.lock"}  # all that a refused stack may leave in its data folder


def lives(folder: Path) -> list[str]:
    """Programs that run with this folder in their environment, or below it."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            words = (process / "environ").read_bytes() + os.fsencode(os.readlink(process / "cwd"))
            if os.fsencode(folder) in words and process.name != str(os.getpid()):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # gone meanwhile, or another user's
            continue
    return found


def line_of_stack(stack: Stack, *given: str) -> str:
    """The one line of a stack that refuses to start; `given` is what the test put into its data."""
    assert stack.wait() == 2, stack.said
    said = stack.said.splitlines()
    assert len(said) == 1, stack.said
    assert said[0].startswith("stack: ")
    assert lives(stack.folder) == []
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
        timeout=BOUND_S,
    )
    assert done.returncode == 2, done.stdout
    *others, last = done.stdout.splitlines()
    assert len(events(done.stdout)) == len(others), done.stdout
    return last
