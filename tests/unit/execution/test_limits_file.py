"""`limits.toml` is read exactly, taken whole or not at all, and looked at again when it changes."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipc.messages import Environment
from processes.execution.limits_file import (
    DEFAULT_WARN_AT_E4,
    LIMITS,
    AccountBounds,
    LimitName,
    LimitsFile,
    LimitsFileError,
    LimitsReading,
    LimitsStatus,
    LimitUnit,
    parse_limits,
)

DEMO = Environment.DEMO
GOOD = '[demo]\ntotal_exposure = 250.10\ndaily_loss = "20.00"\norders_per_minute = 60\n'


def parsed(text: str) -> AccountBounds:
    return parse_limits(text.encode())[DEMO]


def written(path: Path, content: str | bytes = GOOD) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(0o600)
    return path


def read(path: Path, environment: Environment = DEMO) -> LimitsReading:
    return LimitsFile(path, environment).read()


def test_amounts_are_exact_and_in_integers() -> None:
    assert parsed(GOOD).values == {
        LimitName.TOTAL_EXPOSURE: 250_100_000,
        LimitName.DAILY_LOSS: 20_000_000,
        LimitName.ORDERS_PER_MINUTE: 60,
    }
    more = 'market_contracts = 0.1\nprice_collar_cents = 2.5\nminutes_to_close = "2"'
    more += "\nwarn_at = 0.75"
    found = parsed(f"[demo]\n{more}")
    assert found.values == {
        LimitName.MARKET_CONTRACTS: 10,
        LimitName.PRICE_COLLAR_CENTS: 250,
        LimitName.MINUTES_TO_CLOSE: 120_000,
    }
    assert found.warn_at_e4 == 7_500
    assert parsed("[demo]").warn_at_e4 == DEFAULT_WARN_AT_E4


@given(st.integers(0, 10**15))
def test_no_amount_drifts(amount_e6: int) -> None:
    text = f"{amount_e6 // 10**6}.{amount_e6 % 10**6:06d}"
    for form in (text, f'"{text}"'):
        found = parsed(f"[demo]\ntotal_exposure = {form}")
        assert found.of(LimitName.TOTAL_EXPOSURE) == amount_e6


REFUSED = [
    ("[dmo]", "unknown table dmo; did you mean demo?"),
    ("demo = 1", "demo = 1 is no table"),
    ("[demo]\ndaily_los = 1", "unknown key demo.daily_los; did you mean daily_loss?"),
    ("[production]\nDAILY_LOSS = 1", "unknown key production.DAILY_LOSS"),
    ("[demo.daily_loss]", "is not a number; allowed: 0.000001 dollars to"),
    ("[demo]\ndaily_loss = '20 dollars'", "demo.daily_loss = '20 dollars' is not a number"),
    ("[demo]\ndaily_loss = '1e3'", "demo.daily_loss = '1e3' is not a number"),
    ("[demo]\ndaily_loss = '\uff11'", "is not a number"),
    ("[demo]\ndaily_loss = [1]", "demo.daily_loss = [1] is not a number"),
    ("[demo]\ndaily_loss = true", "demo.daily_loss = True is not a number"),
    ("[demo]\ndaily_loss = nan", "demo.daily_loss = NaN is not a number"),
    ("[demo]\ndaily_loss = -inf", "is not a number"),
    ("[demo]\ndaily_loss = 2026-12-01", "demo.daily_loss = 2026-12-01 is not a number"),
    ("[demo]\ndaily_loss = 0", "demo.daily_loss = 0 is out of range"),
    ("[demo]\ntotal_exposure = -1", "demo.total_exposure = -1 is out of range; allowed: 0 to 1000"),
    ("[demo]\ntotal_exposure = 1000000000.01", "is out of range"),
    ("[demo]\ntotal_exposure = 1e999999999", "is out of range"),
    ("[demo]\ntotal_exposure = 1e-999999999", "is out of range"),
    (f"[demo]\ntotal_exposure = {'9' * 200}", "a number of more than 60 digits is out of range"),
    (f"[demo]\ntotal_exposure = {'9' * 9_000}", "it is not TOML"),
    ("[demo]\ntotal_exposure = 1e99999999999999999999", "it is not TOML"),
    ("[demo]\ntotal_exposure = 0.0000001", "too many decimals; allowed: multiples of 0.000001"),
    ("[demo]\nmarket_contracts = 0.001", "too many decimals; allowed: multiples of 0.01"),
    ("[demo]\norders_per_second = 1.5", "is not whole; allowed: whole numbers, 0 to 100000"),
    ("[demo]\nminutes_to_close = 0.5", "is not whole; allowed: whole numbers, 0 to 527040 minutes"),
    ("[demo]\nloss_streak = 0", "demo.loss_streak = 0 is out of range; allowed: whole numbers, 1"),
    ("[demo]\nwarn_at = 0", "demo.warn_at = 0 is out of range; allowed: 0.0001 to 1"),
    ("[demo]\nwarn_at = 1.1", "demo.warn_at = 1.1 is out of range"),
    ("[demo]\ndaily_loss = 1\ndaily_loss = 2", "it is not TOML: Cannot overwrite a value"),
    ("[demo", "it is not TOML"),
    ("a = " + "[" * 30_000, "it is nested too deep"),
]


@pytest.mark.parametrize(("text", "said"), REFUSED, ids=[said[:40] for _, said in REFUSED])
def test_what_is_not_understood_refuses_the_whole_file(text: str, said: str) -> None:
    with pytest.raises(LimitsFileError) as error:
        parse_limits(f"{text}\n[simulated]\ntotal_exposure = 1".encode())
    line = str(error.value)
    assert said in line
    assert "\n" not in line
    assert len(line) < 700


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_no_bytes_end_the_reader(content: bytes) -> None:
    with suppress(LimitsFileError):
        parse_limits(content)


def test_a_value_is_said_in_its_unit() -> None:
    assert LimitUnit.DOLLARS.text(20_000_000) == "20.00 dollars"
    assert LimitUnit.DOLLARS.text(-500_001) == "-0.500001 dollars"
    assert LimitUnit.CONTRACTS.text(1_050) == "10.5 contracts"
    assert LimitUnit.CENTS.text(250) == "2.5 cents"
    assert LimitUnit.MINUTES.text(90_000) == "1.5 minutes"
    assert LimitUnit.COUNT.text(100) == "100"


def test_every_limit_is_in_the_list() -> None:
    assert set(LIMITS) == set(LimitName)


# The file


def test_a_good_file_is_valid(tmp_path: Path) -> None:
    found = read(written(tmp_path / "limits.toml"))
    assert (found.status, found.error) == (LimitsStatus.VALID, "")
    assert found.bounds == parsed(GOOD)


def test_no_file_and_no_table_are_missing(tmp_path: Path) -> None:
    found = read(tmp_path / "limits.toml")
    assert found.status is LimitsStatus.MISSING
    assert found.error.endswith("there is no file; wanted: a table [demo], see docs/limits.md")
    other = read(written(tmp_path / "limits.toml"), Environment.PRODUCTION)
    assert other.status is LimitsStatus.MISSING
    assert "it has no table [production]" in other.error


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"[demo]\ndaily_loss = '\xff'", "byte 21 is not UTF-8"),
        (b"#" * 65_537, "it has 65537 bytes; allowed: 65536"),
        (b"[demo]\nwarn = 1", "unknown key demo.warn"),
    ],
)
def test_bad_content_is_invalid(tmp_path: Path, content: bytes, said: str) -> None:
    found = read(written(tmp_path / "limits.toml", content))
    assert found.status is LimitsStatus.INVALID
    assert said in found.error
    assert found.bounds == AccountBounds()


def test_a_file_of_100_mb_is_not_read(tmp_path: Path) -> None:
    path = written(tmp_path / "limits.toml")
    os.truncate(path, 100 << 20)
    assert "allowed: 65536" in read(path).error


def test_what_is_no_file_of_its_owner_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.mkdir()
    assert "it is no regular file" in read(path).error
    path.rmdir()
    path.symlink_to(written(tmp_path / "real.toml"))
    assert "it is a symlink" in read(path).error
    path.unlink()
    os.mkfifo(path, 0o600)
    assert "it is no regular file" in read(path).error
    path.unlink()
    for mode in (0o660, 0o602):
        written(path).chmod(mode)
        found = read(path)
        assert found.status is LimitsStatus.INVALID
        assert f"mode {mode:04o} lets others write it" in found.error
    path.chmod(0o644)
    assert read(path).status is LimitsStatus.VALID


def test_a_file_that_may_not_be_read_is_invalid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path / "limits.toml")
    refused = PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    monkeypatch.setattr(os, "open", Mock(side_effect=refused))  # root reads any mode
    found = read(path)
    assert found.status is LimitsStatus.INVALID
    assert "cannot be read: Permission denied" in found.error


def test_a_file_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "limits.toml")
    if os.geteuid() == 0:
        os.chown(path, 4711, -1)
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    assert f"it belongs to user {owner}; allowed: {owner + 1}, 0" in read(path).error


def test_it_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    file = LimitsFile(path, DEMO)
    looks = [file.look(), file.look()]
    assert [found and found.status for found in looks] == [LimitsStatus.MISSING, None]
    written(path)
    assert (found := file.look()) is not None
    assert found.bounds == parsed(GOOD)
    assert file.look() is None
    times = path.stat()
    written(path, GOOD.replace("60", "61"))  # the same size
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))  # and time
    assert (found := file.look()) is not None
    assert found.bounds.of(LimitName.ORDERS_PER_MINUTE) == 61
    path.chmod(0o666)
    assert (found := file.look()) is not None
    assert found.status is LimitsStatus.INVALID
    path.unlink()
    assert (found := file.look()) is not None
    assert found.status is LimitsStatus.MISSING


def test_what_changed_is_said_with_units() -> None:
    before, after = parsed(GOOD), parsed("[demo]\ndaily_loss = 5\nopen_orders = 3\nwarn_at = 0.5")
    assert after.changes_from(before) == {
        "total_exposure": "250.10 dollars -> none",
        "daily_loss": "20.00 dollars -> 5.00 dollars",
        "orders_per_minute": "60 -> none",
        "open_orders": "none -> 3",
        "warn_at": "0.8 -> 0.5",
    }
    assert before.changes_from(before) == {}


COMMON = "[common]\ntotal_exposure = 5\ndaily_loss = 2\nwarn_at = 0.5\n"


def test_common_limits_hold_where_a_table_does_not_name_the_same() -> None:
    tables = parse_limits((COMMON + "[demo]\ntotal_exposure = 9\n[production]\n").encode())
    assert tables[DEMO].values == {
        LimitName.TOTAL_EXPOSURE: 9_000_000,
        LimitName.DAILY_LOSS: 2_000_000,
    }
    assert tables[Environment.PRODUCTION].values == {
        LimitName.TOTAL_EXPOSURE: 5_000_000,
        LimitName.DAILY_LOSS: 2_000_000,
    }
    assert tables[DEMO].warn_at_e4 == 5_000


def test_common_limits_are_no_table_of_an_environment(tmp_path: Path) -> None:
    path = written(tmp_path / "limits.toml", COMMON)
    assert parse_limits(COMMON.encode()) == {}
    assert read(path).status is LimitsStatus.MISSING


@pytest.mark.parametrize("table", ["[common]\ndaily_loss = 0\n", "[common]\ndaily_los = 2\n"])
def test_a_mistake_in_the_common_table_refuses_all(table: str) -> None:
    with pytest.raises(LimitsFileError, match=r"common\.daily_los"):
        parse_limits((table + "[demo]\ndaily_loss = 3\n").encode())
