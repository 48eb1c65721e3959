"""How every process starts and ends: settings, log, signals, exit codes.

Exit codes: 0 stopped as asked, 2 a setting or file cannot be used (one line says which), 1 a fault.

A stop (SIGTERM, SIGINT) that comes before `Run.ready` ends the process at once: nothing has been
promised to anybody. After it, `Run.stop` is set, and the process ends by itself within
`STOP_SECONDS`. It leaves without taking the interpreter down (`leave`): what Python and LLVM clear
up there is memory, and on a busy machine it takes longer than all that matters.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
import threading
import traceback
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final, NoReturn

import msgspec
import uvloop

from ipc.journal import new_stream_uid
from ipc.private_files import UnsafePathError, data_folder
from processes.runtime.arguments import refuse_arguments
from processes.runtime.config import ConfigError, LogSettings, Settings, load_log, load_settings
from processes.runtime.log import Log, open_log
from processes.runtime.owned_files import FileGone
from processes.runtime.tasks import HOPELESS, Stopped, TaskFailed

__all__ = [
    "EXIT_CONFIG",
    "EXIT_FAULT",
    "PARENT_VARIABLE",
    "PRIVATE_UMASK",
    "STOP_SECONDS",
    "Run",
    "die_with_parent",
    "leave",
    "run",
]

EXIT_FAULT: Final = 1
EXIT_CONFIG: Final = 2
PARENT_VARIABLE: Final = "STACK_PID"  # set for the programs of a stack by their supervisord
PRIVATE_UMASK: Final = 0o077  # for what libraries make; our own files have their modes set
STOP_SECONDS: Final = 8.0  # from the signal to the end; supervisord kills two seconds later
_STOPS: Final = (signal.SIGTERM, signal.SIGINT)
_PR_SET_PDEATHSIG: Final = 1
_TOKEN_BYTES: Final = 4


class Run(msgspec.Struct, frozen=True):
    """One run of a process.

    Attributes:
        process: Its name.
        token: 4 random bytes, drawn at the start, different in every run.
        settings: As the environment gave them.
        stop: Set when it shall end.
        log: Where its events go.
        ready: To be called once the process can end by itself when `stop` is set.
    """

    process: str
    token: bytes  # drawn at the start, different in every run
    settings: Settings
    stop: asyncio.Event
    log: Log
    ready: Callable[[], None]

    @property
    def number(self) -> int:
        """The run as the number that its messages carry."""
        return int.from_bytes(self.token)

    def uid(self, started_ns: int) -> str:
        """The run's name in the journal, for a start at `started_ns` since the Unix epoch."""
        return new_stream_uid(started_ns, self.token)


Main = Callable[[Run], Awaitable[None]]


def die_with_parent(signum: int = signal.SIGTERM) -> None:
    """Ask the kernel for a signal when supervisord dies, which may be killed with -9.

    A program that a person started outlives the shell it was started from.
    """
    parent = os.environ.get(PARENT_VARIABLE)
    if sys.platform != "linux" or not parent:
        return
    if parent == str(os.getppid()):
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signum)
    if not _is_running(parent):  # it died before the kernel was asked
        os.kill(os.getpid(), signum)


def _is_running(pid: str) -> bool:
    try:
        facts = Path("/proc", pid, "stat").read_text()
    except OSError:
        return False
    return facts.rpartition(")")[2].split()[0] != "Z"


def leave(code: int) -> NoReturn:
    """End this process now, with what it has written; no `atexit`, no thread is waited for."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, RuntimeError):  # gone, closed, or in the middle of a write
            continue
    os._exit(code)


def run(process: str, main: Main, *, reads_arguments: bool = True) -> NoReturn:
    """Run a process until SIGTERM or SIGINT; never returns. `--help` starts nothing.

    Args:
        process: Its name, in log lines and errors.
        main: Runs it; returns when its work is done or `stop` is set.
        reads_arguments: Answer `--help` and refuse all other arguments; False where the caller has
            read them.
    """
    if reads_arguments:
        refuse_arguments(process)
    die_with_parent()
    os.umask(PRIVATE_UMASK)
    for signum in _STOPS:
        signal.signal(signum, lambda *_: leave(0))
    leave(_code_of(process, main))


def _code_of(process: str, main: Main) -> int:
    """Run to the end -> exit code; whatever went wrong has become one line."""
    token = os.urandom(_TOKEN_BYTES)
    shown = LogSettings()
    log: Log = open_log(process, token.hex(), shown)
    try:
        shown = load_log(os.environ)
        log = open_log(process, token.hex(), shown)
        settings = load_settings(os.environ)
        _make_data_dir(settings)
        # Never closed: that would wait for threads, of which some resolve names or load models.
        runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
        runner.run(_until_stopped(process, token, settings, log, main))
    except HOPELESS as error:
        _refuse(process, error, shown, log)
        return EXIT_CONFIG
    except SystemExit as asked:
        return asked.code if isinstance(asked.code, int) else EXIT_FAULT
    except Stopped as reason:
        log("stopped", reason=reason)
    except FileGone as gone:
        log.error("file_gone", error=gone)
        return EXIT_FAULT
    except TaskFailed as failed:
        cause = failed.error or failed
        log.error("task_failed", task=failed.task, error=_named(cause), traceback=_trace(cause))
        return EXIT_FAULT
    except Exception as error:  # noqa: BLE001  the last place that can say what it was
        log.error("process_failed", error=_named(error), traceback=_trace(error))
        return EXIT_FAULT
    return 0


def _named(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def _trace(error: BaseException) -> str:
    return "".join(traceback.format_exception(error))


def _refuse(process: str, error: Exception, shown: LogSettings, log: Log) -> None:
    """Report what cannot be used: as text on standard error, or as a line of the log in JSON."""
    words = " ".join(str(error).splitlines())
    if shown.format == "json":
        log.error("start_refused", error=words)
    else:
        sys.stderr.write(f"{process}: {words}\n")


async def _until_stopped(
    process: str, token: bytes, settings: Settings, log: Log, main: Main
) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()

    def ready() -> None:
        for signum in _STOPS:
            loop.add_signal_handler(signum, stop.set)

    deadline = loop.create_task(_bound(stop, loop, log), name="stop deadline")
    try:
        await main(Run(process, token, settings, stop, log, ready))
    finally:
        deadline.cancel()


async def _bound(stop: asyncio.Event, loop: asyncio.AbstractEventLoop, log: Log) -> None:
    """From the stop on, a thread watches the time: the loop itself may be what stands still."""
    await stop.wait()

    def overdue() -> None:
        names = sorted(task.get_name() for task in asyncio.all_tasks(loop))
        log.error("stop_overdue", seconds=STOP_SECONDS, tasks=names)
        leave(EXIT_FAULT)

    watch = threading.Timer(STOP_SECONDS, overdue)
    watch.daemon = True
    watch.start()


def _make_data_dir(settings: Settings) -> None:
    try:
        data_folder(settings.data_dir)
        probe = settings.data_dir / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise ConfigError(
            f"RL_DATA_DIR={settings.data_dir} cannot be written: {error.strerror}"
        ) from None
    except UnsafePathError as error:
        raise ConfigError(f"RL_DATA_DIR={settings.data_dir} cannot be used: {error}") from None
