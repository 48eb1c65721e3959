"""The run loop that every process shares: settings, uvloop, signals, exit codes.

Exit codes: 0 stopped as asked, 2 a setting or file cannot be used (one line says which), 1 a fault.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine
from typing import Final, NoReturn

import uvloop

from ipc.private_files import UnsafePathError, data_folder
from ipc.shared_file import LayoutError
from processes.runtime.arguments import refuse_arguments
from processes.runtime.config import ConfigError, Settings, load_settings

__all__ = ["EXIT_CONFIG", "PRIVATE_UMASK", "Stopped", "die_with_parent", "run", "unless_stopped"]

EXIT_CONFIG: Final = 2
PRIVATE_UMASK: Final = 0o077  # for what libraries make; our own files have their modes set
SUPERVISED: Final = "SUPERVISOR_ENABLED"  # supervisord says so to what it starts
_PR_SET_PDEATHSIG: Final = 1

Main = Callable[[Settings, asyncio.Event], Awaitable[None]]


class Stopped(Exception):
    """Asked to stop while still waiting for something to start with; a clean end."""


def die_with_parent(signum: int = signal.SIGTERM) -> None:
    """Ask the kernel for a signal when the parent dies: supervisord may be killed with -9."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signum)


def run(name: str, main: Main) -> NoReturn:
    """Run a process until SIGTERM or SIGINT; never returns. `--help` starts nothing."""
    refuse_arguments(name)
    if SUPERVISED in os.environ:  # else a shell that ends would end what it left running
        die_with_parent()
    os.umask(PRIVATE_UMASK)
    try:
        settings = load_settings(os.environ)
        _make_data_dir(settings)
        uvloop.run(_until_stopped(main, settings))
    except (ConfigError, LayoutError, UnsafePathError) as error:
        sys.stderr.write(f"{name}: {' '.join(str(error).splitlines())}\n")
        sys.exit(EXIT_CONFIG)
    except Stopped as reason:
        sys.stderr.write(f"{name}: {reason}\n")
    sys.exit(0)


async def _until_stopped(main: Main, settings: Settings) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for signum in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(signum, stop.set)
    await main(settings, stop)


async def unless_stopped(stop: asyncio.Event, work: Coroutine[None, None, None]) -> None:
    """Do what may take long, with its errors; leave it when asked to stop."""
    working, stopped = asyncio.create_task(work), asyncio.create_task(stop.wait())
    await asyncio.wait((working, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if working.done():
        working.result()
    else:
        working.cancel()


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
