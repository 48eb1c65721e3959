"""A reader's table: attached when it is there, and again when it is replaced."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from support.logged import Logged

from ipc.account_table import AccountTable, AccountTableWriter
from ipc.shared_file import AttachedTable, LayoutError, SharedFile, shared_path


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    found = shared_path(tmp_path, "accounts")
    yield found
    found.unlink(missing_ok=True)


def attached(data_dir: Path, log: Logged) -> AttachedTable[AccountTable]:
    return AttachedTable(data_dir, "accounts", AccountTable.attach, log)


def test_a_table_that_is_not_there_is_waited_for_with_one_line(tmp_path: Path, path: Path) -> None:
    log = Logged()
    reader = attached(tmp_path, log)
    assert reader.refresh() is reader.refresh() is reader.table is None
    assert reader.age_ns(0) is None
    writer = AccountTableWriter.create(path)
    writer.heartbeat(7)
    assert reader.refresh() is reader.refresh() is reader.table is not None
    assert reader.age_ns(9) == 2
    assert log.actions() == ["table_waiting", "table_attached"]
    reader.close()
    writer.close()


def test_another_file_in_its_place_is_another_table(tmp_path: Path, path: Path) -> None:
    log = Logged()
    reader = attached(tmp_path, log)
    AccountTableWriter.create(path).close()
    first = reader.refresh()
    path.unlink()
    AccountTableWriter.create(path, rows=8).close()
    assert reader.refresh() not in (None, first)
    assert reader.attached == 2
    path.unlink()
    assert reader.refresh() is None  # and what it held is unmapped
    assert log.actions() == ["table_attached", "table_attached", "table_waiting"]


def test_a_table_of_another_version_is_refused(tmp_path: Path, path: Path) -> None:
    SharedFile.create(path, magic=7, layout=99, shape=(1,), body_words=8).close()
    with pytest.raises(LayoutError, match="table layout 99"):
        attached(tmp_path, Logged()).refresh()
