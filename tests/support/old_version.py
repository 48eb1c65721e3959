"""The version before, out of the repository's own history: its stack and its commands."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any, Final

import pytest

from .stack import ROOT, Stack

__all__ = ["COMMIT", "JOURNALS", "OldStack", "check_out", "run_old"]

COMMIT: Final = "cefe7031e83104b9b133585407c93eea38ef5837"  # the last one of version 0.1
UMASK: Final = 0o022  # as most users have it: what that version wrote, others may read
COMPILED_S: Final = 900.0  # seconds for every kernel to be compiled, on a slow machine

# What each journal of a data folder holds, as the version that wrote it reads it.
JOURNALS: Final = """
import json, sys
from collections import Counter
from pathlib import Path
from ipc.journal import EventReader, FramedReader, list_streams
found = []
for producer, uid, folder in list_streams(Path(sys.argv[1])):
    records, at, kinds = FramedReader(folder), 0, Counter()
    while True:
        messages, at = records.read(at)
        if not messages:
            break
        kinds.update(type(message).__name__ for message in messages)
    events = EventReader(folder).count()
    found.append({"producer": producer, "uid": uid, "kinds": kinds, "events": events})
print(json.dumps(found))
"""


def check_out(folder: Path) -> Path:
    """The files of that commit in a folder, its kernels compiled; skips where history ends before.

    They run with this Python's packages, and without this checkout: `PYTHONPATH` comes first.
    """
    packed = folder / "old.tar"
    folder.mkdir(parents=True)
    if shutil.which("git") is None:
        pytest.skip("git is not installed: no version before this one")
    archive = ["git", "-C", str(ROOT), "archive", f"--output={packed}", COMMIT]
    done = subprocess.run(archive, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no commit {COMMIT[:7]} in this history: {done.stderr.strip()}")
    checkout = folder / "checkout"
    with tarfile.open(packed) as files:
        files.extractall(checkout, filter="data")
    run_old(checkout, {**os.environ}, "-m", "processes.runtime.warm")
    return checkout


def run_old(checkout: Path, environ: dict[str, str], *arguments: str) -> str:
    """What a command of the old version prints; one that fails is an error."""
    done = subprocess.run(
        [sys.executable, *arguments],
        cwd=checkout,
        env={**environ, "PYTHONPATH": os.pathsep.join((str(checkout), str(checkout / "tests")))},
        capture_output=True,
        text=True,
        timeout=COMPILED_S,
        check=False,
        umask=UMASK,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


class OldStack(Stack):
    """A stack of the old version, started from its own checkout."""

    def __init__(self, checkout: Path, folder: Path, **environ: str) -> None:
        super().__init__(folder, PYTHONPATH=str(checkout), **environ)
        self._checkout = checkout
        self.configuration = checkout / "supervisord.conf"
        self.umask = UMASK
        self.control = checkout / "var" / "supervisor.sock"

    def link_checkout(self) -> None:
        """Its programs run in the checkout itself."""

    def run(self, *arguments: str) -> str:
        """What a command of the old version prints beside the stack."""
        return run_old(self._checkout, self.environ, *arguments)

    def journals(self) -> list[dict[str, Any]]:
        """What the journals hold that are not recorded to their end."""
        found: list[dict[str, Any]] = json.loads(self.run("-c", JOURNALS, str(self.data_dir)))
        return found
