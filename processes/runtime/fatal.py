"""The listener inside supervisord: may this stack start, and when must it end.

Loaded as `[rpcinterface:stack]`. From inside, a stack is refused before anything has started, holds
its data folder for life, and ends with an exit code that says why; a listener in a process of its
own could do none of these (supervisord itself always exits 0).

supervisord listens before it calls a factory, at an address that its file cannot derive from a
variable that may be unset. So this module, which supervisord imports while it reads the file,
replaces the method that opens its servers: two stacks of one checkout share nothing.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import re
import signal
import stat
import subprocess
import sys
from collections import defaultdict, deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, NoReturn

from supervisor import events
from supervisor.http import make_http_servers
from supervisor.options import ServerOptions
from supervisor.states import SupervisorStates
from supervisor.supervisorctl import ControllerPluginBase

from ipc.clock import NS_PER_S, mono_ns
from ipc.private_files import UnsafePathError, private_folder
from ipc.shared_file import LayoutError, remove_tables
from processes.runtime.config import ConfigError
from processes.runtime.log import error_in, take_over_supervisord
from processes.runtime.preflight import (
    check_folders,
    check_free,
    control_socket,
    data_dir_below,
    hold_lock,
    settings_below,
)
from processes.runtime.run import EXIT_CONFIG, EXIT_FAULT, PARENT_VARIABLE, PRIVATE_UMASK

__all__ = [
    "DEATHS_WINDOW_NS",
    "MAX_DEATHS",
    "MAX_SAME",
    "RAN_WELL_NS",
    "StackWatch",
    "find_stack",
    "make_stack",
]

MAX_DEATHS: Final = 20  # of one program within the window: it is not going to work
DEATHS_WINDOW_NS: Final = 60 * NS_PER_S
MAX_SAME: Final = 3  # deaths of one cause in a row
RAN_WELL_NS: Final = 30 * NS_PER_S  # a program that lived so long had another cause
_LAST_LINE_BYTES: Final = 600
_FIGURES: Final = re.compile(r"0x[0-9a-f]+|[0-9]+")
_STOPS: Final = (signal.SIGINT, signal.SIGTERM)
_POLL_S: Final = 0.05
_leaving: list[Path] = []  # data folders whose tables go with this process


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
        self._started_ns: dict[str, int] = {}
        self._same: dict[str, tuple[tuple[int, str], int]] = {}  # last cause, how often in a row

    def _subscribe(self) -> None:
        events.subscribe(events.ProcessStateStartingEvent, self._on_start)
        events.subscribe(events.ProcessLogEvent, self._on_output)
        events.subscribe(events.ProcessStateExitedEvent, self._on_exit)
        events.subscribe(events.ProcessStateFatalEvent, self._on_fatal)

    def _on_start(self, event: Any) -> None:
        name = event.process.config.name
        self._started_ns[name] = self._now_ns()
        self._last_line.pop(name, None)

    def _on_output(self, event: Any) -> None:
        lines = event.data.decode(errors="replace").strip().splitlines()
        if lines:
            reason = error_in(lines[-1]) or lines[-1]  # a line's time and run are its own
            self._last_line[event.process.config.name] = reason[:_LAST_LINE_BYTES]

    def _on_exit(self, event: Any) -> None:
        name, status = event.process.config.name, event.process.exitstatus
        if status == EXIT_CONFIG:
            self._end(name, EXIT_CONFIG, self._last_line.get(name, "exit code 2"))
            return
        if event.expected:
            return
        last = self._last_line.get(name, "it said nothing")
        if self._same_again(name, status, last):
            self._end(name, EXIT_FAULT, f"ended {MAX_SAME} times of the same cause: {last}")
        elif self._keeps_dying(name):
            self._end(name, EXIT_FAULT, f"ended {MAX_DEATHS} times within a minute; last: {last}")

    def _on_fatal(self, event: Any) -> None:
        name = event.process.config.name
        self._end(name, EXIT_FAULT, f"cannot be started: {event.process.spawnerr}")

    def _same_again(self, name: str, status: int, last: str) -> bool:
        """Whether it fails at the same thing, figures aside, each time soon after its start.

        A program that a signal killed (supervisord counts that as -1) has no cause of its own.
        """
        cause = status, _FIGURES.sub("#", last)
        lived_ns = self._now_ns() - self._started_ns.get(name, 0)
        if status < 0 or lived_ns > RAN_WELL_NS:
            self._same.pop(name, None)
            return False
        before, times = self._same.get(name, (cause, 0))
        self._same[name] = cause, times + 1 if before == cause else 1
        return self._same[name][1] >= MAX_SAME

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
        _remove_tables()  # `os._exit` leaves no turn to the others
        sys.stdout.flush()
        sys.stderr.write(line + "\n")
        sys.stderr.flush()
        os._exit(code)

    atexit.register(leave)


def make_stack(supervisord: Any) -> StackWatch:
    """supervisord's factory: watch from the first program on."""
    watch = StackWatch(supervisord, _exit_with, mono_ns)
    watch._subscribe()
    return watch


def find_stack(controller: Any) -> ControllerPluginBase:
    """supervisorctl's factory: talk to the stack of `RL_DATA_DIR`, unless `-s` named another."""
    options = controller.options
    if options.serverurl == options.configroot.supervisorctl.serverurl:
        try:
            socket = control_socket(data_dir_below(Path(options.here), os.environ))
        except (UnsafePathError, OSError) as error:
            sys.exit(f"supervisorctl: {error}")
        options.serverurl = f"unix://{socket}"
    return ControllerPluginBase(controller)


def _open_servers(options: Any, supervisord: Any) -> Any:
    """Check, hold the data folder, then listen below it. One line and exit 2 on refusal."""
    here = Path(options.here)
    os.environ[PARENT_VARIABLE] = str(os.getpid())
    os.umask(PRIVATE_UMASK)
    try:
        settings = settings_below(here, os.environ)
        take_over_supervisord(supervisord.options.logger, settings.log)
        hold_lock(settings.data_dir)
        check_folders(settings.data_dir)
        check_free(settings)
        _make_output_openable()
        _append_to_files()
        _ask_programs(here)
        _own_tables(settings.data_dir)
        _listen_below(settings.data_dir, options)
    except (ConfigError, LayoutError, UnsafePathError) as error:
        _refuse(str(error))
    except OSError as error:  # supervisord would take it for one of its sockets
        _refuse(f"{error.filename or 'the start'}: {error.strerror}")
    programs = str(Path(sys.executable).parent)
    os.environ["PATH"] = os.pathsep.join((programs, os.environ.get("PATH") or os.defpath))
    return make_http_servers(options, supervisord)


def _refuse(line: str) -> NoReturn:
    sys.stderr.write(f"stack: {line}\n")
    sys.stderr.flush()
    os._exit(EXIT_CONFIG)


def _listen_below(data_dir: Path, options: Any) -> None:
    """Pid file and control socket; the holder of the lock may remove what was left of a socket."""
    socket = control_socket(data_dir)
    try:
        private_folder(socket.parent)
        socket.unlink(missing_ok=True)
    except OSError as error:
        raise ConfigError(
            f"RL_DATA_DIR={data_dir}: {socket} cannot be made: {error.strerror}; remove what is "
            "in its place or choose another data folder"
        ) from None
    options.pidfile = str(data_dir / "supervisord.pid")
    options.serverurl = f"unix://{socket}"
    for config in options.server_configs:
        config["file"] = str(socket)


def _own_tables(data_dir: Path) -> None:
    """Remove the tables that a killed stack left, and this one's at its end."""
    with suppress(OSError):
        remove_tables(data_dir)
    _leaving.append(data_dir)
    atexit.register(_remove_tables)


def _remove_tables() -> None:
    """A table that cannot be removed is no reason to end otherwise; the next start says why."""
    while _leaving:
        with suppress(OSError, ValueError):
            remove_tables(_leaving.pop())


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


def _make_output_openable() -> None:
    """Programs reopen /dev/fd/1, which a socket, or another user's file or pipe, does not allow.

    Then `cat` passes on what they write, and ends after the last of them.
    """
    try:
        os.close(os.open("/dev/fd/1", os.O_WRONLY | os.O_APPEND))
    except OSError:
        same = os.path.sameopenfile(1, 2)
        end, begin = os.pipe()
        subprocess.Popen(["cat"], stdin=end, start_new_session=True)
        for fd in (1, 2) if same else (1,):
            os.dup2(begin, fd)
        os.close(begin)
        os.close(end)


def _append_to_files() -> None:
    """Programs' output reaches a redirected stdout by another opening of it: never overwrite it."""
    for fd in (1, 2):
        if stat.S_ISREG(os.fstat(fd).st_mode):
            fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_APPEND)


ServerOptions.make_http_servers = _open_servers
