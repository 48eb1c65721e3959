"""What ends a program, and what does not."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from processes.runtime.run import PARENT_VARIABLE

ROOT = Path(__file__).resolve().parents[3]
WAITS = (
    "import signal, sys; from processes.runtime.run import die_with_parent; "
    "die_with_parent(signal.{signal}); print('ready', flush=True); print(sys.stdin.read())"
)
SHELL = "import subprocess, sys; subprocess.run([sys.executable, '-c', sys.argv[1]])"


def waiting(parent: str | None, *code: str) -> subprocess.Popen[str]:
    """A program that runs until its input ends, told that a process is its supervisord."""
    environ = {k: v for k, v in os.environ.items() if k != PARENT_VARIABLE}
    if parent is not None:
        environ[PARENT_VARIABLE] = parent
    return subprocess.Popen(
        [sys.executable, "-c", *(code or (WAITS.format(signal="SIGTERM"),))],
        cwd=ROOT, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip


def test_a_program_whose_supervisord_died_before_it_could_ask_ends() -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    process = waiting(str(gone.pid))
    assert process.communicate(timeout=60) == ("", None)
    assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize("parent", [None, "1"], ids=["alone", "below a stack's shell"])
def test_a_program_that_a_person_started_outlives_the_shell(parent: str | None) -> None:
    shell = waiting(parent, SHELL, WAITS.format(signal="SIGKILL"))
    assert shell.stdout is not None
    assert shell.stdout.readline() == "ready\n"
    shell.kill()
    shell.wait()
    assert shell.communicate("still here", timeout=60) == ("still here\n", None)


def test_a_program_of_a_stack_ends_with_its_supervisord() -> None:
    code = f"import os; os.environ['{PARENT_VARIABLE}'] = str(os.getpid()); {SHELL}"
    supervisord = waiting(None, code, WAITS.format(signal="SIGKILL"))
    assert supervisord.stdout is not None
    assert supervisord.stdout.readline() == "ready\n"
    supervisord.kill()
    supervisord.wait()
    assert supervisord.communicate("still here", timeout=60) == ("", None)
