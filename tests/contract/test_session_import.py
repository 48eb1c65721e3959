"""`sessions import`: recordings become a session as if their frames had come live."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from support.imports import (
    FIELDS,
    assert_archive_equal,
    assert_holds_recording,
    imported,
    newest,
)
from support.kalshi_frames import trade as raw_trade
from support.made_recording import START_MS, write_recording
from support.postgres import ROOT, Database
from support.recorder_process import eventually
from support.stored_sessions import loaded

from ipc import shared_file
from ipc.journal import Kind
from ipc.messages import Environment
from processes.adapters.kalshi.recordings import RecordingError, read_frames
from processes.adapters.kalshi.recordings.reader import open_recordings
from processes.adapters.kalshi.recordings.sessions import load_sessions
from processes.recorder.sessions import importing
from processes.recorder.sessions.__main__ import main
from processes.recorder.sessions.importing import merged

COUNTS = ("events", "deltas", "trades", "last_event_no")


@pytest.fixture
def folder(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for recordings; commands find this database."""
    monkeypatch.setenv("DATABASE_URL", database.dsn)
    monkeypatch.setenv("RL_DATA_DIR", str(tmp_path / "data"))
    recordings = tmp_path / "recordings"
    recordings.mkdir()
    return recordings


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write_lines(path: Path, lines: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))


def marks(database: Database, kind: str) -> list[Any]:
    return database.fetch(
        "select event_no, detail from rl_session_marks where kind = $1 order by record_no", kind
    )


def test_a_folder_becomes_one_session_with_every_frame_in_the_order_of_time(
    database: Database, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for n, start_ms in enumerate((START_MS, START_MS + 5_000, START_MS + 60_000)):
        ticker = f"KXMADE-{n}"
        write_recording(folder, seconds=10, seed=n, ticker=ticker, start_ms=start_ms)
    session, report = imported(database, folder)
    assert report.errors == report.gaps == report.holes == 0
    assert session.status == "closed"
    assert session.environment == "production"
    assert session.websocket_url == "recording:recordings"
    assert sorted(session.market_tickers) == ["KXMADE-0", "KXMADE-1", "KXMADE-2"]
    assert session.started_ns == START_MS * 10**6
    assert session.ended_ns == (START_MS + 60_000 + 10 + 10_000 - 20) * 10**6
    assert [getattr(session, name) for name in COUNTS] == [3 * 532, 1_500, 0, 3 * 532]
    events, markets = loaded(database, lambda loader: loader.session_events(1))
    assert np.all(np.diff(events["recv_ns"]) >= 0)
    assert len(set(markets[600:900].tolist())) == 2  # two at once
    assert_holds_recording(database, session, folder)
    assert_archive_equal(database, session)
    said = capsys.readouterr()
    assert "session 1 (production): 1,596 events of 3 markets in 3 files; frames 1,503" in said.out
    assert "import: 1,604 events, done" in said.err  # with the marks of the session
    assert_no_folder(folder)


def test_block_trades_are_recorded_as_such(database: Database, folder: Path) -> None:
    path = write_recording(folder, seconds=1)
    trade = {
        "trade_id": "00000000-0000-4000-8000-000000000002",
        "market_ticker": "KXMADE-1",
        "yes_price_dollars": "0.5000",
        "no_price_dollars": "0.5000",
        "count_fp": "40.00",
        "taker_outcome_side": "yes",
        "taker_book_side": "bid",
        "ts_ms": START_MS + 1_500,
    }
    with path.open("a") as file:
        for number, is_block in enumerate((True, False)):
            event = {"type": "trade", "sid": 2, "seq": number + 1}
            event["msg"] = trade | {"is_block_trade": is_block}
            file.write(json.dumps({"recv_ms": START_MS + 1_500 + number, "event": event}) + "\n")
    session, report = imported(database, folder)
    assert (report.errors, report.markets[0].trades) == (0, 2)
    events, _ = loaded(database, lambda loader: loader.session_events(1))
    assert events["kind"][-2:].tolist() == [Kind.BLOCK_TRADE, Kind.TRADE]
    assert_archive_equal(database, session)


def test_frames_without_a_receive_time_take_the_exchanges(database: Database, folder: Path) -> None:
    made = write_recording(folder.parent / "made", seconds=4)
    bare = [line["event"] for line in lines_of(made)]
    with gzip.open(folder / "bare.jsonl.gz", "wt") as file:
        file.write("".join(json.dumps(event) + "\n" for event in bare))
    session, report = imported(database, folder)
    assert report.errors == 0
    events, _ = loaded(database, lambda loader: loader.session_events(session.session_id))
    deltas = events[events["kind"] == Kind.DELTA]
    assert len(deltas) == 200
    assert np.array_equal(deltas["recv_ns"], deltas["exch_ms"] * 10**6)
    assert_holds_recording(database, session, folder)


def test_a_lost_frame_is_a_gap_and_nothing_is_believed_until_the_next_snapshot(
    database: Database, folder: Path
) -> None:
    path = write_recording(folder, seconds=10)
    lines = lines_of(path)
    again = write_recording(folder.parent / "again", seconds=2, start_ms=START_MS + 4_010)
    resync = lines_of(again)[:1]  # a snapshot, in the place of frame 201
    resync[0]["event"]["seq"] = 201
    write_lines(path, lines[:100] + lines[101:200] + resync + lines[201:202])
    _, report = imported(database, folder)
    (gap,) = marks(database, "gap")
    assert gap["detail"] == "KXMADE-1.ndjson: expected seq 101, got 102"
    assert gap["event_no"] == 32 + 99
    assert (report.errors, report.gaps) == (0, 1)
    (market,) = report.markets
    assert (market.snapshots, market.deltas) == (2, 99 + 1)  # 99 before the gap, one after it


def test_a_lost_frame_costs_the_same_without_a_database(
    database: Database, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_recording(folder, seconds=10)
    lines = lines_of(path)
    resync = lines_of(write_recording(folder.parent / "again", seconds=2))[:1]
    resync[0]["event"]["seq"] = 201
    write_lines(path, lines[:100] + lines[101:200] + resync + lines[201:202])
    (read,) = load_sessions(path)
    assert "1 gaps; its books are left out" in capsys.readouterr().err
    session, _ = imported(database, folder)
    (stored,) = loaded(database, lambda loader: loader.load(session))
    assert read.events[FIELDS].tolist() == stored.events[FIELDS].tolist()
    assert (read.events["kind"] == Kind.DELTA).sum() == 99 + 1


def test_a_recording_that_was_joined_in_the_middle_has_no_gap(
    database: Database, folder: Path
) -> None:
    path = write_recording(folder, seconds=4)
    lines = lines_of(path)
    for line in lines:
        line["event"]["seq"] += 1
    write_lines(path, lines)
    session, report = imported(database, folder)
    assert (report.errors, report.gaps, session.deltas) == (0, 0, 200)


def test_a_file_that_breaks_off_is_used_up_to_there(
    database: Database, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_recording(folder, seconds=4)
    path.write_bytes(path.read_bytes()[:-40])  # in the middle of its last line
    other = write_recording(folder, seconds=4, seed=2, ticker="KXMADE-2")
    with gzip.open(folder / "KXMADE-3.ndjson.gz", "wb", compresslevel=1) as file:
        file.write(other.read_bytes().replace(b"KXMADE-2", b"KXMADE-3"))
    packed = folder / "KXMADE-3.ndjson.gz"
    packed.write_bytes(packed.read_bytes()[:-200])
    assert main(["import", str(folder)]) == 0
    assert "files that break off 2" in capsys.readouterr().out
    ends = [mark["detail"] for mark in marks(database, "disconnected")]
    assert "the file breaks off: KXMADE-1.ndjson:201" in ends
    assert any("KXMADE-3.ndjson.gz" in end for end in ends)
    session, stored = newest(database), {}
    for market in loaded(database, lambda loader: loader.load(session)):
        stored[market.ticker] = int((market.events["kind"] == Kind.DELTA).sum())
    assert stored["KXMADE-1"] == 199
    assert stored["KXMADE-2"] == 200
    assert 0 < stored["KXMADE-3"] < 200
    read = {s.ticker: int((s.events["kind"] == Kind.DELTA).sum()) for s in load_sessions(folder)}
    assert read == stored
    assert capsys.readouterr().err.count("used up to where it breaks off") == 2


@pytest.mark.parametrize("spoil", ["empty", "without a snapshot"])
def test_a_file_without_a_book_is_refused_or_left_out_by_name(
    database: Database, folder: Path, spoil: str, capsys: pytest.CaptureFixture[str]
) -> None:
    write_recording(folder, seconds=4)
    other = write_recording(folder, seconds=4, seed=2, ticker="KXMADE-2")
    write_lines(other, [] if spoil == "empty" else lines_of(other)[1:])
    says = "KXMADE-2.ndjson: no orderbook_snapshot in it"
    assert main(["import", str(folder)]) == 2
    assert says in capsys.readouterr().err
    with pytest.raises(RecordingError, match="no orderbook_snapshot in it"):
        load_sessions(folder)
    session, _ = imported(database, folder, "--skip-damaged")
    assert says in capsys.readouterr().err
    assert session.market_tickers == ["KXMADE-1"]
    assert [s.ticker for s in load_sessions(folder, skip_damaged=True)] == ["KXMADE-1"]
    assert says in capsys.readouterr().err


def test_frames_that_are_stored_already_are_refused_unless_asked_for_again(
    database: Database, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_recording(folder, seconds=4)
    imported(database, folder)
    assert main(["import", str(path)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert "KXMADE-1 of that time is stored already, in session 1; allowed" in line
    assert database.value("select count(*) from rl_orderbook_sessions") == 1
    later = write_recording(folder.parent / "later", seconds=4, start_ms=START_MS + 60_000)
    imported(database, later)  # the same market at another time
    imported(database, path, "--again")
    assert database.value("select count(*) from rl_orderbook_sessions") == 3


def test_whose_recordings_they_are_can_be_said(database: Database, folder: Path) -> None:
    below = folder.parent / "demo" / "mine" / "day"
    write_recording(below, seconds=1)
    session, _ = imported(database, below)
    assert session.environment == "production"  # only the nearest two folders' names count
    near = folder.parent / "demo-days" / "mine"
    write_recording(near, seconds=1, ticker="KXMADE-2")
    session, _ = imported(database, near)
    assert session.environment == "demo"
    session, _ = imported(database, near, "--environment", "production")
    assert session.environment == "production"


def test_a_result_is_found_whatever_the_file_is_called(database: Database, folder: Path) -> None:
    path = write_recording(folder, seconds=1)
    path.rename(folder / "monday.ndjson")
    (folder / "markets.csv").write_text(
        "window,event_ticker,open_time,close_time,result,settlement_value_dollars\n"
        "KXMADE-1,KXMADE,2026-08-05T00:00:00Z,2026-08-05T01:00:00Z,yes,1.0000\n"
    )
    session, _ = imported(database, folder)
    (market,) = loaded(database, lambda loader: loader.markets(session.session_id))
    assert (market.result, market.yes_value_e4) == ("yes", 10_000)


def test_a_part_of_a_subscription_may_jump(database: Database, folder: Path) -> None:
    path = write_recording(folder, seconds=10)
    lines = lines_of(path)
    for n, line in enumerate(lines):
        line["event"]["seq"] = 1 + 3 * n
    write_lines(path, lines)
    session, report = imported(database, folder)
    assert (report.errors, report.gaps, session.deltas) == (0, 0, 500)
    events, _ = loaded(database, lambda loader: loader.session_events(1))
    assert events["seq"][-1] == 1 + 3 * 500  # the exchange's own
    assert "a part of its subscriptions" in marks(database, "connected")[0]["detail"]


@pytest.mark.parametrize(("option", "deltas"), [("whole", 0), ("part", 500)])
def test_whether_jumps_are_losses_can_be_said(
    database: Database, folder: Path, option: str, deltas: int
) -> None:
    path = write_recording(folder, seconds=10)
    lines = lines_of(path)
    for n, line in enumerate(lines):
        line["event"]["seq"] = 1 + 3 * n
    write_lines(path, lines)
    session, report = imported(database, folder, "--seq", option)
    assert (report.errors, session.deltas) == (0, deltas)


def test_a_subscription_whose_numbers_start_over_is_a_new_connection(
    database: Database, folder: Path
) -> None:
    path = write_recording(folder, seconds=4)
    other = write_recording(folder.parent / "other", seconds=4, seed=2, start_ms=START_MS + 9_000)
    late = lines_of(other)
    stray = lines_of(path)[5]  # of the new connection, but before its snapshot
    stray["recv_ms"], stray["event"]["seq"] = START_MS + 8_000, 1
    for line in late:
        line["event"]["seq"] += 1
    write_lines(path, [*lines_of(path), stray, *late])
    session, report = imported(database, folder)
    (mark,) = marks(database, "disconnected")
    assert mark["detail"] == "KXMADE-1.ndjson: seq starts again"
    assert marks(database, "gap") == []
    assert (report.errors, session.deltas) == (0, 400)  # the stray one is of no book


def test_a_frame_that_does_not_fit_its_book_is_a_gap_of_that_market(
    database: Database, folder: Path
) -> None:
    path = write_recording(folder, seconds=10)
    lines = lines_of(path)
    lines[50]["event"]["msg"]["delta_fp"] = "-99999.00"
    write_lines(path, lines)
    _, report = imported(database, folder)
    (gap,) = marks(database, "gap")
    assert "does not fit the book" in gap["detail"]
    (market,) = report.markets
    assert (report.errors, market.deltas) == (0, 49)


def test_files_of_one_market_one_after_the_other_go_on_with_their_own_snapshots(
    database: Database, folder: Path
) -> None:
    first = write_recording(folder / "a", seconds=4)
    first.rename(folder / "a.ndjson")
    second = write_recording(folder / "b", seconds=4, seed=2, start_ms=START_MS + 60_000)
    second.rename(folder / "b.ndjson")
    session, report = imported(database, folder)
    assert (report.errors, session.deltas, len(report.markets)) == (0, 400, 1)


def test_two_files_of_one_market_at_once_are_refused_and_nothing_stays(
    database: Database, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a", "b"):
        made = write_recording(folder / name, seconds=4, seed=ord(name))
        made.rename(folder / f"{name}.ndjson")
    assert main(["import", str(folder)]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "KXMADE-1 is in a.ndjson at the same time" in error
    assert_nothing_stays(database, folder)


def assert_no_folder(folder: Path) -> None:
    """Nothing is left of imports, on disk or in memory."""
    assert list((folder.parent / "data" / "import").iterdir()) == []
    assert list(shared_file._SHM.glob("*books*")) == []


def assert_nothing_stays(database: Database, folder: Path) -> None:
    for table in ("rl_orderbook_sessions", "rl_streams", "rl_journal_offsets", "rl_book_events"):
        assert database.value(f"select count(*) from {table}") == 0
    assert database.fetch("select 1 from pg_class where relname like 'rl_packed_events_s%'") == []
    assert_no_folder(folder)


def test_a_broken_line_is_named_and_nothing_stays(
    database: Database,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(importing, "PUMP_EVERY", 100)  # much is in the database by then
    path = write_recording(folder, seconds=10)
    with path.open("a") as file:  # an amount that is none: nobody looks at it before its turn
        broken = raw_trade(1, ticker="KXMADE-1").replace(b'"count_fp":"1.00"', b'"count_fp":"one"')
        file.write(json.dumps({"recv_ms": START_MS + 60_000, "event": json.loads(broken)}) + "\n")
    assert main(["import", str(folder)]) == 2
    line = capsys.readouterr().err.splitlines()[-1]
    assert f"{path.name}:502:" in line
    assert_nothing_stays(database, folder)


def test_demo_and_production_do_not_become_one_session(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_recording(folder, seconds=1, ticker="KXMADE-1")
    write_recording(folder, seconds=1, ticker="KXMADE-2")
    (one, two) = open_recordings(folder)
    monkeypatch.setattr(importing, "open_recordings", lambda *_, **__: [one, two_of_demo(two)])
    assert main(["import", str(folder)]) == 2
    assert "demo and production in one folder; allowed: one" in capsys.readouterr().err


def two_of_demo(source: Any) -> Any:
    source.markets = [
        msgspec.structs.replace(m, environment=Environment.DEMO) for m in source.markets
    ]
    return source


def stopped_in_the_middle(database: Database, folder: Path, signum: int) -> int:
    """An import that gets a signal once its first rows are there -> its exit code."""
    made = write_recording(folder, seconds=1_800, events_per_s=200)
    command = [sys.executable, "-m", "processes.recorder.sessions", "import", str(made)]
    with subprocess.Popen(command, cwd=ROOT, env=dict(os.environ)) as process:
        some = "select exists (select from rl_book_events)"
        eventually(lambda: database.value(some), "rows arrive")
        assert process.poll() is None, "it was too quick for this test"
        process.send_signal(signum)
        return process.wait(60)


@pytest.mark.slow
def test_an_interrupted_import_leaves_nothing(database: Database, folder: Path) -> None:
    assert stopped_in_the_middle(database, folder, signal.SIGINT) == 130
    assert_nothing_stays(database, folder)


def test_an_import_that_ends_amid_a_transaction_leaves_nothing(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pump, calls = importing.RecordedRun.pump, []

    async def interrupted(stream: Any, connection: Any) -> int:
        calls.append(stream)
        if len(calls) == 3:
            await connection.transaction().start()  # and nobody will end it
            raise OSError("interrupted")
        return await pump(stream, connection)

    monkeypatch.setattr(importing, "PUMP_EVERY", 100)
    monkeypatch.setattr(importing.RecordedRun, "pump", interrupted)
    assert main(["import", str(write_recording(folder, seconds=10))]) == 2
    assert_nothing_stays(database, folder)


@pytest.mark.slow
def test_a_killed_import_is_undone_by_the_next(database: Database, folder: Path) -> None:
    assert stopped_in_the_middle(database, folder, signal.SIGKILL) == -signal.SIGKILL
    assert newest(database).status == "active"
    small = write_recording(folder.parent / "small", seconds=1)
    session, _ = imported(database, small)
    assert database.value("select count(*) from rl_orderbook_sessions") == 1
    assert session.deltas == 50
    assert database.value("select count(*) from rl_book_events") == session.events
    assert list((folder.parent / "data" / "import").iterdir()) == []


def test_more_than_a_journal_holds_goes_through_it(
    database: Database, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("processes.recorder.sessions.importing.SEGMENT", 1_000)
    monkeypatch.setattr("processes.recorder.sessions.importing.MAX_BYTES", 3 * 41_000)
    write_recording(folder, seconds=200)
    session, report = imported(database, folder)
    assert (report.errors, session.deltas) == (0, 10_000)
    assert_holds_recording(database, session, folder)


def test_frames_of_one_file_keep_their_order_whatever_their_times_say(tmp_path: Path) -> None:
    path = write_recording(tmp_path, seconds=2)
    lines = lines_of(path)
    lines[10]["recv_ms"] -= 5_000
    write_lines(path, lines)
    taken = list(merged(open_recordings(tmp_path)))
    assert [t.recorded for t in taken if t.recorded] == list(read_frames(path))
    assert taken[-1].recorded is None
    times = [t.recv_ms for t in taken]
    assert times == sorted(times)
