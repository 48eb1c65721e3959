"""What the end of a run looks for: programs that still work in its folders, tables of theirs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from support import leftovers
from support.leftovers import end, kill_all, lives, tables_of

from ipc.book_table import BookTableWriter
from ipc.shared_file import shared_path

STUBBORN = """
import signal
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
while True:
    signal.pause()
"""


def started(folder: Path, code: str) -> subprocess.Popen[str]:
    """A program that works in this folder, once it has said something."""
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    return process


def test_a_program_that_works_in_a_folder_is_found_and_killed(tmp_path: Path) -> None:
    other, own = tmp_path / "a", tmp_path / "ab"
    other.mkdir()
    own.mkdir()
    with started(own, STUBBORN) as process:
        assert set(lives(own)) == {process.pid}
        assert kill_all(other) == {}
        assert set(kill_all(own)) == {process.pid}
        assert process.wait() == -9
    assert lives(own) == {}


def test_a_program_that_does_not_end_is_killed_and_that_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leftovers, "PATIENCE", 0.1)
    process = started(tmp_path, STUBBORN)
    with pytest.raises(subprocess.TimeoutExpired):
        end(process)
    assert process.returncode == -9


def test_a_table_of_a_folder_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = shared_path(folder, "books")
    BookTableWriter.create(path, rows=1, slots=99).close()
    assert list(tables_of(tmp_path)) == [path.parent / path.readlink()]
    path.unlink()
    assert list(tables_of(tmp_path)) == []
