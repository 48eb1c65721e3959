"""What was hit outlives the process, and a record that cannot be read is no clean one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from processes.execution import latches
from processes.execution.day_pnl import DayRecord
from processes.execution.latches import Latch, RecordFile, record_path

LATCH = Latch("daily_loss", "12.00 dollars", "10.00 dollars", "total", 1_800_000_000_000)
DAY = DayRecord(20_000, {"A": (0, -12)}, 5, 3)


def test_it_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    path = record_path(tmp_path)
    first = RecordFile(path, "demo")
    assert (first.latches, first.day, first.error) == ((), DayRecord(), "")
    first.write((LATCH,), DAY)
    again = RecordFile(path, "demo")
    assert (again.latches, again.day, again.error) == ((LATCH,), DAY, "")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert [p.name for p in path.parent.iterdir()] == ["latches.json"]


def test_in_a_line_it_has_both_numbers() -> None:
    assert str(LATCH) == "daily_loss: 12.00 dollars, limit 10.00 dollars (total)"


def test_environments_do_not_mix_and_keep_each_other(tmp_path: Path) -> None:
    path = record_path(tmp_path)
    RecordFile(path, "demo").write((LATCH,), DAY)
    other = RecordFile(path, "production")
    assert other.latches == ()
    other.write((), DayRecord(1))
    kept = RecordFile(path, "demo")
    assert (kept.latches, kept.day) == ((LATCH,), DAY)


def test_its_folder_is_private_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        RecordFile(record_path(tmp_path), "demo").write((LATCH,), DAY)
    finally:
        os.umask(before)
    assert record_path(tmp_path).parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    "content",
    [
        *(b"", b"{", b"[]", b"\xff", b"[" * 100_000),
        b'{"latches": {"demo": [{}]}}',
        b'{"another": ' + b"[" * 100_000,
    ],
)
def test_a_record_that_cannot_be_read_says_so(tmp_path: Path, content: bytes) -> None:
    path = record_path(tmp_path)
    path.parent.mkdir(mode=0o700)
    path.write_bytes(content)
    path.chmod(0o600)
    found = RecordFile(path, "demo")
    assert str(path) in found.error
    assert "\n" not in found.error
    found.write((LATCH,), DAY)
    assert RecordFile(path, "demo").latches == (LATCH,)


def test_a_record_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    path = record_path(tmp_path)
    RecordFile(path, "demo").write((), DAY)
    path.chmod(0o666)
    assert "0666" in RecordFile(path, "demo").error


def test_a_write_that_fails_leaves_the_old_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = record_path(tmp_path)
    record = RecordFile(path, "demo")
    record.write((LATCH,), DAY)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        record.write((), DAY)
    assert RecordFile(path, "demo").latches == (LATCH,)


@pytest.mark.parametrize(("spare", "is_read"), [(0, True), (-1, False)])
def test_a_record_may_be_so_large_and_no_larger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spare: int, is_read: bool
) -> None:
    path = record_path(tmp_path)
    RecordFile(path, "demo").write((LATCH,), DAY)
    monkeypatch.setattr(latches, "MOST_BYTES", path.stat().st_size + spare)
    found = RecordFile(path, "demo")
    assert (found.latches == (LATCH,)) is is_read
    assert (found.error == "") is is_read
