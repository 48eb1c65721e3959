"""What a test may leave behind, found by the folder it worked in: programs and shared tables."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ipc.shared_file import shared_path

from .patience import PATIENCE

__all__ = ["end", "kill_all", "lives", "tables_of"]

TABLES = ("books", "accounts")


def lives(folder: Path) -> dict[int, str]:
    """pid -> command line of the programs that have this folder in their environment or cwd."""
    found = {}
    named = re.compile(re.escape(os.fsencode(folder)) + rb"(?![\w.-])")
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone meanwhile, or another user's
            words = (process / "environ").read_bytes() + os.fsencode(os.readlink(process / "cwd"))
            if named.search(words) and process.name != str(os.getpid()):
                command = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                found[int(process.name)] = command.strip()
    return found


def kill_all(folder: Path) -> dict[int, str]:
    """Kill those programs -> which they were."""
    found = lives(folder)
    for pid in found:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    return found


def tables_of(root: Path) -> Iterator[Path]:
    """Shared tables, outside of it, of every folder below `root` in which a process has worked."""
    for folder, _, _ in os.walk(root):
        for name in TABLES:
            table = shared_path(Path(folder), name)
            if root not in table.parents and table.exists():
                yield table


def end(process: subprocess.Popen[str]) -> None:
    """Ask a program to end; one that does not is killed, and that is an error."""
    if process.poll() is not None:
        process.communicate()
        return
    process.terminate()
    try:
        process.communicate(timeout=PATIENCE)
    except BaseException:
        process.kill()
        process.communicate()
        raise
