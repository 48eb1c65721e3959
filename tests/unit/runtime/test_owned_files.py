"""What a process made is looked at by inode; what is not there any more ends it with one line."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from subprocess import PIPE, Popen

import pytest
from support.logged import events
from support.patience import PATIENCE

from processes.runtime.owned_files import FileGone, OwnedFiles
from processes.runtime.tasks import serve

PROGRAM = """
from processes.runtime.owned_files import OwnedFiles
from processes.runtime.run import run
from processes.runtime.tasks import serve

async def main(this):
    made = this.settings.data_dir / "made"
    made.touch()
    files = OwnedFiles((made,))
    this.ready()
    this.log("made")
    await serve({"files": files.watch()}, this.stop)

run("owner", main)
"""


def test_what_is_there_has_not_gone(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.touch()
    folder.mkdir()
    owned = OwnedFiles((file, folder), lambda: file)
    file.write_text("more")
    (folder / "inner").touch()
    assert owned.gone() is None


def test_a_file_that_was_removed_or_replaced_has_gone(tmp_path: Path) -> None:
    file, other = tmp_path / "file", tmp_path / "other"
    file.touch()
    other.touch()  # at the same time, so that its inode is another one
    owned = OwnedFiles((file,))
    file.unlink()
    assert owned.gone() == file
    other.rename(file)
    assert owned.gone() == file


def test_of_a_symlink_counts_what_it_leads_to(tmp_path: Path) -> None:
    table, link = tmp_path / "table", tmp_path / "link"
    table.touch()
    link.symlink_to(table)
    owned = OwnedFiles((link,))
    table.unlink()
    assert owned.gone() == link


def test_a_folder_that_was_removed_with_all_above_it_has_gone(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "journal"
    folder.mkdir(parents=True)
    owned = OwnedFiles((folder,))
    folder.parent.rename(tmp_path / "moved")
    assert owned.gone() == folder


def test_a_file_in_use_may_be_another_one_but_must_be_there(tmp_path: Path) -> None:
    files = [tmp_path / "one", tmp_path / "two"]
    for file in files:
        file.touch()
    in_use = [files[0]]
    owned = OwnedFiles((), lambda: in_use[0])
    in_use[0] = files[1]
    files[0].unlink()
    assert owned.gone() is None
    files[1].unlink()
    assert owned.gone() == files[1]


async def test_a_task_group_ends_with_it(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    owned = OwnedFiles((file,))
    file.unlink()
    with pytest.raises(FileGone, match="was removed or replaced while this program used it"):
        await asyncio.wait_for(serve({"files": owned.watch()}, asyncio.Event()), PATIENCE)


def test_the_process_says_it_in_one_line_and_asks_to_be_started_again(tmp_path: Path) -> None:
    """Exit code 1 is a fault that supervisord answers with another start."""
    process = Popen(
        [sys.executable, "-c", PROGRAM],
        env={"RL_DATA_DIR": str(tmp_path)},
        stdout=PIPE,
        stderr=PIPE,
        text=True,
    )
    assert process.stdout is not None
    first = process.stdout.readline()
    (tmp_path / "made").unlink()
    out, err = process.communicate(timeout=PATIENCE)
    assert events(first) == ["owner made"]
    (line,) = events(out)
    assert line.startswith(f'owner file_gone error="{tmp_path}/made was removed or replaced')
    assert (process.returncode, err) == (1, "")
