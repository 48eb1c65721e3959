"""Recorded files are data from outside: bounded, and every fault names its file and line."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.kalshi_frames import MARKET, delta, snapshot

from processes.adapters.kalshi.recordings import lines as lines_module
from processes.adapters.kalshi.recordings.lines import (
    RecordingCut,
    RecordingError,
    read_frames,
    read_marks,
    up_to_cut,
)
from processes.adapters.kalshi.recordings.markets import load_markets
from processes.adapters.kalshi.recordings.sessions import load_sessions
from processes.exchange.replay.timeline import load_recordings, timeline

RECV_MS = 1_785_930_336_512
GOOD = [
    b'{"recv_ms":%d,"event":%s}\n' % (RECV_MS + n, frame.strip())
    for n, frame in enumerate([snapshot(1), delta(2, size="3.00"), delta(3, size="3.00")])
]
DEEP = 100_000


def recording(folder: Path, *parts: bytes, name: str = f"{MARKET}.ndjson") -> Path:
    path = folder / name
    data = b"".join(parts)
    path.write_bytes(gzip.compress(data) if name.endswith(".gz") else data)
    return path


def taken(path: Path) -> int:
    """Frames of a file, each decoded."""
    return len([recorded.frame for recorded in read_frames(path)])


BAD = {
    "nested": b"[" * DEEP + b"]" * DEEP,
    "nested and cut": b'{"event":' * DEEP,
    "a nested event": b'{"recv_ms":1,"event":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "an event in no UTF-8": b'{"recv_ms":1,"event":{"type":"\xff"}}',
    "an event that is none": b'{"recv_ms":1,"event":7}',
    "text that is none": b'{"recv_ts_ns":1,"raw":"<html>"}',
    "9e18": b'{"recv_ms":9e18,"event":{"type":"x"}}',
    "1e300": b'{"recv_ms":1e300,"event":{"type":"x"}}',
    "negative": b'{"recv_ms":-1,"event":{"type":"x"}}',
    "negative ns": b'{"recv_ts_ns":-1,"raw":"{}"}',
    "ns beyond 64 bits": b'{"recv_ts_ns":%s,"raw":"{}"}' % (b"9" * 40),
    "400 digits": b'{"recv_ms":%s,"event":{"type":"x"}}' % (b"9" * 400),
    "no form": b"{}",
    "cents of text": b'{"recv_ms":1,"event":{"type":"orderbook_delta","sid":1,"seq":1,'
    b'"msg":{"market_ticker":"A","price":"x","delta":1,"side":"yes"}}}',
    "levels that are none": b'{"recv_ms":1,"event":{"type":"orderbook_snapshot","sid":1,"seq":1,'
    b'"msg":{"market_ticker":"A","yes":7}}}',
    "a bare frame of no time": b'{"type":"orderbook_delta","sid":1,"seq":1,"msg":'
    b'{"market_ticker":"A","price_dollars":"0.1","delta_fp":"1","side":"yes","ts":"soon"}}',
}


@pytest.mark.parametrize("line", BAD.values(), ids=BAD)
@pytest.mark.parametrize("name", [f"{MARKET}.ndjson", f"{MARKET}.ndjson.gz"])
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: bytes, name: str) -> None:
    path = recording(tmp_path, GOOD[0].replace(b"512", b"511"), line + b"\n", GOOD[1], name=name)
    if line.startswith((b'{"type"', b'{"recv_ms":1,"event":{"type":"orderbook')):
        path = recording(tmp_path, line + b"\n", GOOD[1], name=name)
    for read in (taken, load_markets, load_sessions):
        with pytest.raises(RecordingError, match=rf"{path.name}:[12]: ") as caught:
            read(path)
        assert len(str(caught.value)) < len(str(path)) + 400


def test_a_blank_line_of_a_gigabyte_is_refused_in_little_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "MAX_LINE", 1 << 20)
    path = tmp_path / f"{MARKET}.ndjson.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        file.write(GOOD[0])
        for _ in range(64):
            file.write(b" " * (1 << 20))
    tracemalloc.start()
    try:
        with pytest.raises(RecordingError, match=":2: a line of more than 1048576 bytes"):
            taken(path)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()


def test_blank_lines_are_skipped(tmp_path: Path) -> None:
    assert taken(recording(tmp_path, b"\n", GOOD[0], b"   \t\n", GOOD[1], b"\r\n")) == 2


@pytest.mark.parametrize("name", [f"{MARKET}.ndjson", f"{MARKET}.ndjson.gz"])
def test_a_file_that_was_cut_off_is_used_up_to_the_cut_and_said_so_once(
    tmp_path: Path, name: str
) -> None:
    whole = recording(tmp_path, *GOOD, name=name)
    if name.endswith(".gz"):
        with gzip.open(whole, "wb", compresslevel=0) as file:
            file.write(b"".join(GOOD))
    data = whole.read_bytes()
    whole.write_bytes(data[: -len(GOOD[2]) // 2])
    with pytest.raises(RecordingCut, match=f"{name}:3: "):
        taken(whole)
    cuts: list[str] = []
    assert len(list(up_to_cut(read_frames(whole), cuts.append))) == 2
    assert [m.ticker for m in load_markets(whole)] == [MARKET]
    said: list[str] = []
    (session,) = load_sessions(whole, say=said.append)
    assert int(session.events["seq"].max()) == 2
    assert said == cuts
    (line,) = said
    assert line.startswith(f"used up to where it breaks off: {whole}:3: ")


def test_the_exchange_replays_a_file_up_to_its_cut(tmp_path: Path) -> None:
    path = recording(tmp_path, *GOOD[:2], GOOD[2][:40])
    said: list[str] = []
    steps = list(timeline(load_recordings(path), said.append))
    assert [step.frame.line for step in steps if step.frame] == [1, 2]
    (line,) = said
    assert f"{path}:3: " in line


def test_frames_that_still_wait_for_a_time_at_the_cut_are_given_out(tmp_path: Path) -> None:
    line = b'{"type":"odd","sid":1,"seq":1,"msg":{}}\n'
    frames = read_frames(recording(tmp_path, line, line, line[:20]))
    assert [next(frames).line, next(frames).line] == [1, 2]
    with pytest.raises(RecordingCut, match=":3: "):
        next(frames)


def test_a_file_of_half_a_line_is_no_recording(tmp_path: Path) -> None:
    for name in (f"{MARKET}.ndjson", f"{MARKET}.ndjson.gz"):
        path = recording(tmp_path, GOOD[0][:40], name=name)
        with pytest.raises(RecordingError, match=":1: not a recorded line"):
            taken(path)


def test_a_last_line_without_its_newline_is_whole(tmp_path: Path) -> None:
    assert taken(recording(tmp_path, GOOD[0], GOOD[1].rstrip())) == 2


def test_frames_without_any_time_are_not_all_held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lines_module, "MAX_UNTIMED", 1 << 10)
    line = b'{"type":"odd","sid":1,"seq":1,"msg":{}}\n'
    frames = read_frames(recording(tmp_path, *[line] * 1_000))
    assert next(frames).recv_ms == 0
    assert len(list(frames)) == 999


def test_numbers_without_room_in_a_record_are_refused(tmp_path: Path) -> None:
    big = json.loads(GOOD[1])
    big["event"]["seq"] = 2**40
    path = recording(tmp_path, GOOD[0], json.dumps(big).encode() + b"\n")
    with pytest.raises(RecordingError, match="seq=1099511627776 is out of range"):
        load_sessions(path)


@pytest.mark.parametrize(
    "data",
    [b"[" * DEEP, b"\xff", b"{}", b'{"response":{"markets":[' + b"[" * DEEP + b"]}}", b"null"],
)
def test_what_lies_beside_a_recording_may_hold_anything(tmp_path: Path, data: bytes) -> None:
    path = recording(tmp_path, *GOOD)
    (tmp_path / "metadata").mkdir()
    event = MARKET.rpartition("-")[0] or MARKET
    file = tmp_path / "metadata" / f"{event}.json"
    file.write_bytes(data)
    with pytest.raises(RecordingError, match="not an event's reply"):
        load_markets(path)
    file.unlink()
    (tmp_path / "markets.csv").write_bytes(b"window,result\n" + MARKET.encode() + b"," + data)
    with pytest.raises(RecordingError, match=r"markets\.csv"):
        load_markets(path)


@given(st.lists(st.binary(max_size=60), max_size=6), st.booleans())
def test_any_file_is_frames_or_a_recording_error(
    tmp_path_factory: pytest.TempPathFactory, pieces: list[bytes], ended: bool
) -> None:
    folder = tmp_path_factory.mktemp("any")
    path = recording(folder, *(GOOD if ended else GOOD[:1]), *pieces)
    for read in (taken, load_markets, load_sessions, lambda p: list(read_marks(p))):
        try:
            read(path)
        except RecordingError:
            continue
