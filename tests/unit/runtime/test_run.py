"""What ends a program, and what does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from processes.runtime.run import PARENT_VARIABLE

ROOT = Path(__file__).resolve().parents[3]
WAITS = (
    "import sys; from processes.runtime.run import die_with_parent; die_with_parent(); "
    "print('ready', flush=True); sys.stdin.read()"
)


def waiting(parent: str | None) -> subprocess.Popen[str]:
    """A program that runs until its input ends, told that a process is its supervisord."""
    environ = {k: v for k, v in os.environ.items() if k != PARENT_VARIABLE}
    if parent is not None:
        environ[PARENT_VARIABLE] = parent
    return subprocess.Popen(
        [sys.executable, "-c", WAITS],
        cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_program_whose_supervisord_died_before_it_could_ask_ends() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    process = waiting(str(gone.pid))
    assert process.communicate(timeout=60) == ("", None)
    assert process.returncode == -signal.SIGTERM


def test_a_program_that_nobody_supervises_runs_on() -> None:
    for parent in (None, "1"):
        process = waiting(parent)
        assert process.communicate("", timeout=60) == ("ready\n", None)
        assert process.returncode == 0
