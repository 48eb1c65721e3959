"""What a test may leave behind, found by the folder it worked in: programs and shared tables."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from .patience import PATIENCE

__all__ = ["end", "kill_all", "lives", "tables_of"]

TABLES = "tables"  # the folder of a data folder that names them


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
    """Tables in shared memory that the data folders below `root` name."""
    for link in root.rglob(f"{TABLES}/*"):
        target = link.parent / os.readlink(link) if link.is_symlink() else link
        if root not in target.parents and target.exists():
            yield target


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
