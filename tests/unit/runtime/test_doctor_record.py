"""The record of a passed examination: of what it is, how old it may be, and who can read it."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest
from support.production import examined, write_limits

from ipc.clock import NS_PER_S
from ipc.messages import Environment
from processes.runtime.doctor_record import DoctorRecord, load_doctor_record, record_problem

NOW = 1_800_000_000 * NS_PER_S
HOUR = 3_600
WANTED = DoctorRecord(Environment.PRODUCTION, "key", "limits", 0)


def problem(age_s: float = 0, max_age_s: int = HOUR, **fields: object) -> str:
    passed = msgspec.structs.replace(WANTED, passed_utc_ns=NOW - int(age_s * NS_PER_S), **fields)
    return record_problem(passed, WANTED, NOW, max_age_s)


@pytest.mark.parametrize(
    ("age_s", "is_fine"),
    [(0, True), (HOUR - 1, True), (HOUR, True), (HOUR + 1, False), (-300, True), (-301, False)],
)
def test_it_may_be_so_old_and_no_older(age_s: float, is_fine: bool) -> None:
    assert (problem(age_s) == "") is is_fine


@pytest.mark.parametrize(
    ("field", "value", "named"),
    [
        ("environment", Environment.DEMO, "environment"),
        ("key_id_hash", "another", "key"),
        ("limits_hash", "another", "limits.toml"),
        ("limits_hash", "", "limits.toml"),
        ("version", "0.0.0", "version"),
        ("format", 2, "format"),
    ],
)
def test_it_must_be_of_the_same(field: str, value: object, named: str) -> None:
    assert f"was of another {named}" in problem(**{field: value})


def test_without_one_the_line_says_what_to_run(tmp_path: Path) -> None:
    found = load_doctor_record(tmp_path)
    assert isinstance(found, str)
    assert record_problem(found, WANTED, NOW, HOUR) == (
        f"nothing was examined for {tmp_path}; run kalshi-actor check --connect"
    )


def test_it_is_private_and_read_back(tmp_path: Path) -> None:
    write_limits(tmp_path)
    written = examined(tmp_path, "an-id")
    assert load_doctor_record(tmp_path) == written
    path = tmp_path / "doctor" / "passed.json"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    assert b"an-id" not in path.read_bytes()


@pytest.mark.parametrize("content", [b"", b"{}", b"\xff", b'{"environment": "nowhere"}'])
def test_one_that_cannot_be_read_is_none(tmp_path: Path, content: bytes) -> None:
    examined(tmp_path, "an-id")
    (tmp_path / "doctor" / "passed.json").write_bytes(content)
    found = load_doctor_record(tmp_path)
    assert isinstance(found, str)
    assert found.startswith("its record cannot be read")


def test_one_that_others_may_write_is_none(tmp_path: Path) -> None:
    examined(tmp_path, "an-id")
    (tmp_path / "doctor" / "passed.json").chmod(0o666)
    assert isinstance(load_doctor_record(tmp_path), str)
