"""How a process ends: as asked, with one line when not, with its supervisord, and in time."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from support.logged import events
from support.patience import PATIENCE
from support.stack import ROOT

from processes.runtime.run import PARENT_VARIABLE

HEAD = """
import asyncio, signal, sys, threading, time
from processes.runtime import run as kit
from processes.runtime.config import ConfigError
from processes.runtime.run import Run, run
from processes.runtime.tasks import serve

def say(word):
    print(word, flush=True)
"""
SERVES = """
async def waits():
    try:
        say("serving")
        await asyncio.Event().wait()
    finally:
        say("wound down")

async def main(this):
    this.ready()
    await serve({"helper": HELPER, "waits": waits()}, this.stop)
    say("closed")
"""

Program = Callable[..., AbstractContextManager[subprocess.Popen[str]]]


@pytest.fixture
def program(tmp_path: Path) -> Program:
    """A process of the kit whose `main` is in `code`."""

    @contextmanager
    def started(code: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
        known = {k: v for k, v in os.environ.items() if not k.startswith(("RL_", "KALSHI_"))}
        process = subprocess.Popen(
            [sys.executable, "-c", HEAD + textwrap.dedent(code) + '\nrun("thing", main)\n'],
            cwd=ROOT,
            env=known | {"RL_DATA_DIR": str(tmp_path / "data")} | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    return started


def until(process: subprocess.Popen[str], word: str) -> None:
    assert process.stdout is not None
    assert process.stdout.readline() == word + "\n"


def test_a_stop_lets_every_task_wind_down(program: Program) -> None:
    with program(SERVES.replace("HELPER", "asyncio.Event().wait()")) as process:
        until(process, "serving")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "wound down\nclosed\n", "")


def test_a_stop_before_it_is_ready_ends_it_at_once(program: Program) -> None:
    """Whatever it does, for how long, and whether or not its loop turns."""
    code = """
    async def main(this):
        say("starting")
        while True:
            time.sleep(0.01)
    """
    with program(code) as process:
        until(process, "starting")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    assert (process.returncode, out, err) == (0, "", "")


def test_a_helper_that_fails_ends_it_with_one_line_that_names_it(program: Program) -> None:
    failing = """
    async def fails():
        await asyncio.sleep(0)
        raise OSError(24, "Too many open files")
    """
    code = textwrap.dedent(failing) + SERVES.replace("HELPER", "fails()")
    with program(code) as process:
        out, err = process.communicate(timeout=PATIENCE)
    (line,) = events(out)
    task = 'task=helper error="OSError: [Errno 24] Too many open files"'
    assert line.startswith(f"thing task_failed {task} traceback=")
    assert (process.returncode, err) == (1, "")


def test_whatever_else_is_raised_is_one_line_too(program: Program) -> None:
    code = """
    async def main(this):
        raise ValueError("two\\nlines")
    """
    with program(code, RL_LOG_FORMAT="json") as process:
        out, err = process.communicate(timeout=PATIENCE)
    (line,) = map(json.loads, out.splitlines())
    assert (line["action"], line["error"]) == ("process_failed", "ValueError: two\nlines")
    assert (process.returncode, err) == (1, "")


@pytest.mark.parametrize("form", ["console", "json"])
def test_what_cannot_be_used_is_one_line_and_exit_code_2(program: Program, form: str) -> None:
    code = """
    async def main(this):
        raise ConfigError("RL_X=1 is unknown; allowed: 2")
    """
    with program(code, RL_LOG_FORMAT=form) as process:
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 2
    if form == "console":
        assert (out, err) == ("", "thing: RL_X=1 is unknown; allowed: 2\n")
    else:
        (line,) = map(json.loads, out.splitlines())
        assert (line["action"], line["error"]) == ("start_refused", "RL_X=1 is unknown; allowed: 2")
        assert err == ""


def test_a_format_that_is_unknown_is_refused_in_the_usual_one(program: Program) -> None:
    code = "async def main(this): raise AssertionError\n"
    with program(code, RL_LOG_FORMAT="yaml") as process:
        out, err = process.communicate(timeout=PATIENCE)
    wanted = "thing: RL_LOG_FORMAT='yaml' is unknown; allowed: console, json\n"
    assert (process.returncode, out, err) == (2, "", wanted)


def test_no_thread_is_waited_for(program: Program) -> None:
    """A name that is looked up, or a model that loads: the interpreter would wait for both."""
    code = """
    async def main(this):
        this.ready()
        asyncio.get_running_loop().run_in_executor(None, time.sleep, 3_600)
        threading.Thread(target=time.sleep, args=(3_600,)).start()
        say("serving")
        await serve({"waits": asyncio.Event().wait()}, this.stop)
    """
    with program(code) as process:
        until(process, "serving")
        process.send_signal(signal.SIGTERM)
        assert process.communicate(timeout=PATIENCE) == ("", "")
    assert process.returncode == 0


@pytest.mark.parametrize("stands", ["await asyncio.sleep(3_600)", "time.sleep(3_600)"])
def test_what_does_not_end_in_time_is_named_and_ended(program: Program, stands: str) -> None:
    code = f"""
    async def lingers():
        try:
            say("serving")
            await asyncio.Event().wait()
        finally:
            {stands}

    async def main(this):
        kit.STOP_SECONDS = 0.3
        this.ready()
        await serve({{"lingers": lingers()}}, this.stop)
    """
    with program(code) as process:
        until(process, "serving")
        process.send_signal(signal.SIGTERM)
        out, err = process.communicate(timeout=PATIENCE)
    (line,) = events(out)
    assert line.startswith("thing stop_overdue seconds=0.3 tasks=")
    assert "lingers" in line
    assert (process.returncode, err) == (1, "")


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
    assert process.communicate(timeout=PATIENCE) == ("", None)
    assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize("parent", [None, "1"], ids=["alone", "below a stack's shell"])
def test_a_program_that_a_person_started_outlives_the_shell(parent: str | None) -> None:
    shell = waiting(parent, SHELL, WAITS.format(signal="SIGKILL"))
    assert shell.stdout is not None
    assert shell.stdout.readline() == "ready\n"
    shell.kill()
    shell.wait()
    assert shell.communicate("still here", timeout=PATIENCE) == ("still here\n", None)


def test_a_program_of_a_stack_ends_with_its_supervisord() -> None:
    code = f"import os; os.environ['{PARENT_VARIABLE}'] = str(os.getpid()); {SHELL}"
    supervisord = waiting(None, code, WAITS.format(signal="SIGKILL"))
    assert supervisord.stdout is not None
    assert supervisord.stdout.readline() == "ready\n"
    supervisord.kill()
    supervisord.wait()
    assert supervisord.communicate("still here", timeout=PATIENCE) == ("", None)
