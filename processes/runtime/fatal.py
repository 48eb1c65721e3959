"""The listener inside supervisord: may this stack start, and when must it end.

Loaded as `[rpcinterface:stack]`. From inside, a stack is refused before anything has started, holds
its data folder for life, and ends with an exit code that says why; a listener in a process of its
own could do none of these (supervisord itself always exits 0).
"""

from __future__ import annotations

import atexit
import fcntl
import os
import signal
import stat
import subprocess
import sys
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from supervisor import events
from supervisor.states import SupervisorStates

from ipc.clock import mono_ns
from processes.runtime.config import ConfigError
from processes.runtime.log import take_over_supervisord
from processes.runtime.preflight import check_folders, check_free, hold_lock, settings_below
from processes.runtime.run import EXIT_CONFIG

__all__ = ["DEATHS_WINDOW_NS", "EXIT_FAULT", "MAX_DEATHS", "StackWatch", "make_stack"]

EXIT_FAULT: Final = 1
MAX_DEATHS: Final = 20  # of one program within the window: it is not going to work
DEATHS_WINDOW_NS: Final = 60 * 1_000_000_000
_LAST_LINE_BYTES: Final = 600
_STOPS: Final = (signal.SIGINT, signal.SIGTERM)
_POLL_S: Final = 0.05


class StackWatch:
    """Ends the stack, loudly, when a program cannot run or keeps dying."""

    def __init__(
        self, supervisord: Any, exit_with: Callable[[int, str], None], now_ns: Callable[[], int]
    ) -> None:
        self._supervisord = supervisord
        self._exit_with = exit_with
        self._now_ns = now_ns
        self._last_line: dict[str, str] = {}
        self._deaths: defaultdict[str, deque[int]] = defaultdict(deque)

    def _subscribe(self) -> None:
        events.subscribe(events.ProcessLogEvent, self._on_output)
        events.subscribe(events.ProcessStateExitedEvent, self._on_exit)
        events.subscribe(events.ProcessStateFatalEvent, self._on_fatal)

    def _on_output(self, event: Any) -> None:
        lines = event.data.decode(errors="replace").strip().splitlines()
        if lines:
            self._last_line[event.process.config.name] = lines[-1][:_LAST_LINE_BYTES]

    def _on_exit(self, event: Any) -> None:
        name, status = event.process.config.name, event.process.exitstatus
        if status == EXIT_CONFIG:
            self._end(name, EXIT_CONFIG, self._last_line.get(name, "exit code 2"))
        elif not event.expected and self._keeps_dying(name):
            last = self._last_line.get(name, "it said nothing")
            self._end(name, EXIT_FAULT, f"ended {MAX_DEATHS} times within a minute; last: {last}")

    def _on_fatal(self, event: Any) -> None:
        name = event.process.config.name
        self._end(name, EXIT_FAULT, f"cannot be started: {event.process.spawnerr}")

    def _keeps_dying(self, name: str) -> bool:
        deaths, now = self._deaths[name], self._now_ns()
        deaths.append(now)
        while deaths[0] < now - DEATHS_WINDOW_NS:
            deaths.popleft()
        return len(deaths) >= MAX_DEATHS

    def _end(self, name: str, code: int, reason: str) -> None:
        options = self._supervisord.options
        if options.mood < SupervisorStates.RUNNING:
            return  # already on the way down; the first reason counts
        options.mood = SupervisorStates.SHUTDOWN
        sys.stderr.write(f"stack: {name} gave up, stopping everything\n")
        self._exit_with(code, f"stack: ended by {name}: {reason}")


def _exit_with(code: int, line: str) -> None:
    """Make this process end with a code and a last line; supervisord knows only exit code 0."""

    def leave() -> None:
        sys.stdout.flush()
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
        os._exit(code)

    atexit.register(leave)


def make_stack(supervisord: Any) -> StackWatch:
    """supervisord's factory: check, hold the data folder, watch. One line and exit 2 on refusal."""
    here = Path(supervisord.options.here)
    try:
        settings = settings_below(here, os.environ)
        take_over_supervisord(supervisord.options.logger, settings.log)
        hold_lock(settings.data_dir)
        check_folders(settings.data_dir)
        check_free(settings)
        _append_to_files()
        _ask_programs(here)
    # supervisord catches every exception of a factory and prints its traceback
    except ConfigError as error:
        sys.stderr.write(f"stack: {error}\n")
        sys.stderr.flush()
        os._exit(EXIT_CONFIG)
    os.environ["PATH"] = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    watch = StackWatch(supervisord, _exit_with, mono_ns)
    watch._subscribe()
    return watch


def _ask_programs(here: Path) -> None:
    """In a process of its own: the libraries that it takes to ask shall not stay in supervisord.

    Asked to stop meanwhile, both end, and nothing has been started.
    """
    stops: list[int] = []
    before = {s: signal.signal(s, lambda number, _: stops.append(number)) for s in _STOPS}
    code: int | None = None
    command = [sys.executable, "-m", "processes.check"]
    with subprocess.Popen(command, cwd=here, start_new_session=True) as check:
        while code is None and not stops:
            with suppress(subprocess.TimeoutExpired):
                code = check.wait(_POLL_S)
        check.terminate()
    if stops:
        os._exit(0)
    for number, handler in before.items():
        signal.signal(number, handler)
    if code:
        os._exit(code if code == EXIT_CONFIG else EXIT_FAULT)


def _append_to_files() -> None:
    """Programs' output reaches a redirected stdout by another opening of it: never overwrite it."""
    for fd in (1, 2):
        if stat.S_ISREG(os.fstat(fd).st_mode):
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)
