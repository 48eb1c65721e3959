"""The state of trading: what each command makes of it, and what is kept of it."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from support.trading_command import command

from ipc.trading import TradingMode
from processes.execution.trading_record import (
    RefusedError,
    TradingRecord,
    commanded,
    load_record,
    record_path,
    save_record,
)

NOW_NS, UTC_NS = 5_000, 7_000
ON, PAUSED = TradingMode.ON, TradingMode.PAUSED
STOPPED, FLATTENING = TradingMode.STOPPED, TradingMode.FLATTENING
COMMAND_OF = {ON: "resume", PAUSED: "pause", STOPPED: "stop", FLATTENING: "flatten"}


def record(mode: TradingMode) -> TradingRecord:
    """A state that a command has made."""
    return commanded(TradingRecord(), command(COMMAND_OF[mode]), NOW_NS, UTC_NS)


@pytest.mark.parametrize(
    ("before", "verb", "after"),
    [
        *((mode, "stop", STOPPED) for mode in TradingMode),
        *((mode, "flatten", FLATTENING) for mode in TradingMode),
        *((mode, "pause", PAUSED) for mode in (ON, PAUSED)),
        *((mode, "pause", None) for mode in (STOPPED, FLATTENING)),
        *((mode, "resume", ON) for mode in (ON, PAUSED, STOPPED)),
        (FLATTENING, "resume", None),
    ],
)
def test_every_command_in_every_mode(
    before: TradingMode, verb: str, after: TradingMode | None
) -> None:
    known = record(before)
    if after is None:
        with pytest.raises(RefusedError, match="allowed: "):
            commanded(known, command(verb), NOW_NS, UTC_NS)
        return
    made = commanded(known, command(verb, "because"), NOW_NS, UTC_NS)
    assert (made.mode, made.who, made.why) == (after, "ann (pid 4711)", "because")
    assert (made.since_ns, made.since_utc_ns) == (NOW_NS, UTC_NS)


def test_a_flatten_ends_at_its_deadline_and_keeps_the_first_touch() -> None:
    flattening = record(FLATTENING).with_touch("T", 4_000)
    assert flattening.flattening is not None
    assert flattening.flattening.deadline_utc_ns == UTC_NS + 30 * 10**9
    assert flattening.flattening.first_touch_e4 == {"T": 4_000}
    ended = flattening.ended("no position is left")
    assert (ended.mode, ended.flattening, ended.outcome) == (STOPPED, None, "no position is left")


@pytest.mark.parametrize("mode", TradingMode)
def test_what_is_kept_is_read_again(tmp_path: Path, mode: TradingMode) -> None:
    kept = record(mode).with_touch("T", 4_000)
    save_record(tmp_path, kept)
    assert load_record(tmp_path) == kept
    assert os.stat(record_path(tmp_path)).st_mode & 0o777 == 0o600


def test_without_a_file_trading_is_on(tmp_path: Path) -> None:
    assert load_record(tmp_path) == TradingRecord()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{}{}",
        b"[" * 100_000,
        b'{"mode": "running"}',
        b'{"mode": "on", "more": 1}',
        b'{"mode": "flattening"}',
        b"\xff\xfe",
    ],
)
def test_what_cannot_be_read_is_a_stop(tmp_path: Path, content: bytes) -> None:
    record_path(tmp_path).write_bytes(content)
    record_path(tmp_path).chmod(0o600)
    found = load_record(tmp_path)
    assert found.mode is STOPPED
    assert found.why.startswith(f"{record_path(tmp_path)} cannot be read: ")
    assert found.why.isprintable()


def test_a_file_that_others_may_write_is_not_believed(tmp_path: Path) -> None:
    save_record(tmp_path, record(ON))
    record_path(tmp_path).chmod(0o666)
    assert load_record(tmp_path).mode is STOPPED


def test_the_file_is_read_by_people() -> None:
    text = msgspec.json.encode(record(STOPPED)).decode()
    assert '"mode":"stopped"' in text
    assert '"who":"ann (pid 4711)"' in text
