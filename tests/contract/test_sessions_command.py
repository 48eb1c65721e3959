"""`python -m processes.recorder.sessions`: looks, checks, archives, deletes; says what it does."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.journals import START_NS
from support.postgres import ROOT, Database
from support.stored_sessions import book_events, loaded, move_to_own_table, record

from ipc.messages import Environment, MarkKind, SessionMark
from processes.recorder.sessions import archiving
from processes.recorder.sessions.__main__ import main

GAP = SessionMark(
    kind=MarkKind.GAP,
    market_ticker=None,
    event_no=3,
    ts_ns=START_NS,
    detail="expected 3, got 5",
)


@pytest.fixture
def folder(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Commands find this database, and this data folder."""
    monkeypatch.setenv("DATABASE_URL", database.dsn)
    monkeypatch.setenv("RL_DATA_DIR", str(tmp_path))
    return tmp_path


@pytest.fixture
def three(database: Database, folder: Path) -> Path:
    """Session 1 closed (simulated, a gap), 2 closed (demo), 3 active (demo, its journal there)."""
    record(database, folder, book_events(), uid="s1", marks=(GAP,))
    record(database, folder, book_events(), uid="s2", environment=Environment.DEMO)
    record(database, folder, book_events(), uid="s3", environment=Environment.DEMO, ends=False)
    return folder


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> Any:
    assert main([*argv, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def refused(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    """The one line with which a command refuses."""
    try:
        code = main(list(argv))
    except SystemExit as end:
        code = end.code
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


def test_list_shows_every_session_newest_first_and_filters(
    three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines = said(capsys, "list")
    assert [line["session_id"] for line in lines] == [3, 2, 1]
    first = lines[2]
    assert first["database_bytes"] > 0
    assert {k: first[k] for k in first if k != "database_bytes"} == {
        "session_id": 1,
        "session_uid": "s1",
        "environment": "simulated",
        "status": "closed",
        "markets": 1,
        "started": "2026-05-28T20:26:40Z",
        "ended": "2026-05-28T20:26:41Z",
        "span_s": 1.0,
        "events": 9,
        "deltas": 3,
        "trades": 0,
        "gaps": 1,
        "archive_bytes": 0,
        "archive_path": None,
    }
    active = lines[0]  # counted from the rows there are
    assert (active["status"], active["deltas"], active["span_s"]) == ("active", 3, None)
    for filters, wanted in (
        (("--environment", "demo"), [3, 2]),
        (("--status", "closed"), [2, 1]),
        (("--environment", "demo", "--status", "closed"), [2]),
        (("--environment", "production"), []),
    ):
        assert [line["session_id"] for line in said(capsys, "list", *filters)] == wanted


def test_the_table_has_a_line_for_each_session(
    three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["list"]) == 0
    head, *lines = capsys.readouterr().out.splitlines()
    columns = ["id", "environment", "status", "markets", "started", "span", "deltas", "trades"]
    assert head.split() == [*columns, "gaps", "size", "archive"]
    assert [line.split()[:4] for line in lines] == [
        ["3", "demo", "active", "1"],
        ["2", "demo", "closed", "1"],
        ["1", "simulated", "closed", "1"],
    ]
    assert lines[2].split()[4:9] == ["2026-05-28T20:26:40Z", "1", "s", "3", "0"]


def test_show_lists_markets_and_marks(three: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shown = said(capsys, "show", "1")
    (market,) = shown["markets"]
    counts = [market[name] for name in ("market_ticker", "events", "deltas", "trades", "snapshots")]
    assert counts == ["KXTEST-1", 9, 3, 0, 1]
    (mark,) = shown["marks"]
    assert (mark["kind"], mark["event_no"], mark["detail"]) == ("gap", 3, "expected 3, got 5")
    assert shown["rejected"] == 0
    assert main(["show", "latest"]) == 0
    assert "session_id: 3" in capsys.readouterr().out


def test_the_latest_is_the_newest_run_whatever_time_its_data_is_of(
    three: Path, database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    """A replay of a recording from last year, after a live session."""
    database.fetch(
        "update rl_orderbook_sessions set started_at = started_at - interval '1 year', "
        "started_ns = started_ns - 31536000000000000 where session_id = 3"
    )
    assert [line["session_id"] for line in said(capsys, "list")] == [3, 2, 1]
    assert main(["show", "latest"]) == 0
    assert "session_id: 3" in capsys.readouterr().out


def test_verify_finds_nothing_in_true_sessions(
    three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", "all"]) == 0
    out = capsys.readouterr().out
    assert out.count("0 errors") == 3
    assert "gaps 1, holes 0, missing 0, duplicates 0" in out


WRONGS = {
    "missing 1": "delete from rl_packed_events where event_key & 1023 = 8",
    "duplicates 1": "insert into rl_packed_events select * from rl_packed_events "
    "where event_key & 1023 = 5",
    "negative sizes 1": "update rl_packed_events set qty_e2 = -600 where event_key & 1023 = 8",
    "off grid 1": "update rl_packed_events set price_side = 3050 where event_key & 1023 = 9",
    "without book 3": "update rl_packed_events set market_kind = 6 << 28 | 1 "
    "where market_kind >> 28 = 3",
}


@pytest.mark.parametrize("wrong", WRONGS)
def test_verify_finds_what_was_done_to_the_rows(
    database: Database, folder: Path, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    record(database, folder, book_events())
    move_to_own_table(database)
    database.fetch(WRONGS[wrong])
    assert main(["verify", "1"]) == 1
    assert wrong in capsys.readouterr().out
    assert main(["verify", "1", "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["errors"] > 0


def test_a_last_row_that_is_gone_is_missed_too(
    database: Database, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    record(database, folder, book_events())
    database.fetch("delete from rl_shared_events where event_key & 1023 = 9")
    assert main(["verify", "1"]) == 1
    assert "missing 1" in capsys.readouterr().out


def test_archive_takes_what_has_ended_and_drops_only_when_asked(
    database: Database, three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["archive", "all"]) == 0
    done = capsys.readouterr()
    assert "session 1: 9 events in" in done.out
    assert "compare session 2: 9 of 9 events, done" in done.err
    assert sorted(p.name for p in (three / "archive").iterdir()) == ["s1.parquet", "s2.parquet"]
    assert database.value("select count(*) from rl_book_events") == 27
    assert main(["archive", "1", "--drop", "--folder", str(three / "other")]) == 0
    assert database.value("select count(*) from rl_book_events where session_id = 1") == 0
    capsys.readouterr()
    line = next(line for line in said(capsys, "list") if line["session_id"] == 1)
    assert (line["deltas"], line["database_bytes"]) == (3, 0)
    assert line["archive_path"] == str(three / "other" / "s1.parquet")
    assert line["archive_bytes"] > 0
    assert said(capsys, "show", "1")["markets"][0]["deltas"] == 3
    assert main(["verify", "1"]) == 0
    capsys.readouterr()
    assert "its events are not in the database" in refused(capsys, "archive", "1")
    assert "status=active; allowed: closed, error" in refused(capsys, "archive", "3")


@pytest.mark.parametrize("column", ["events", "markets"])
def test_an_archive_that_differs_is_refused_and_nothing_dropped(
    database: Database,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    column: str,
) -> None:
    record(database, folder, book_events())
    true = archiving.read_blocks

    def other(path: Path) -> Any:  # a disk that does not keep what was written
        for events, markets in true(path):
            changed = events.copy(), markets.copy()
            changed[0]["count_e2"][5] += column == "events"
            changed[1][5] += column == "markets"
            yield changed

    monkeypatch.setattr(archiving, "read_blocks", other)
    assert main(["archive", "1", "--drop"]) == 2
    assert "differs from the database in the block of event 1" in capsys.readouterr().err
    assert database.value("select count(*) from rl_book_events") == 9
    assert database.value("select archive_path from rl_orderbook_sessions") is None


def test_an_archive_that_is_cut_short_is_refused(
    database: Database,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    record(database, folder, book_events())
    monkeypatch.setattr(archiving, "read_blocks", lambda _: iter(()))
    assert main(["archive", "1", "--drop"]) == 2
    assert "differs from the database" in capsys.readouterr().err
    assert database.value("select count(*) from rl_book_events") == 9


class Terminal(io.StringIO):
    """Somebody who answers."""

    def isatty(self) -> bool:
        return True


def test_delete_asks_and_says_what_goes(
    database: Database,
    three: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("yes\n"))
    assert main(["delete", "1"]) == 2  # nobody is asked who is not at a terminal
    assert "allowed without one: --yes" in capsys.readouterr().err
    monkeypatch.setattr(sys, "stdin", Terminal("y\nyes\n"))
    assert main(["delete", "1"]) == 0
    assert "nothing is deleted" in capsys.readouterr().out
    assert database.value("select count(*) from rl_book_events") == 27
    assert main(["delete", "1"]) == 0
    out = capsys.readouterr().out
    assert (
        "session 1 (simulated, closed, 2026-05-28T20:26:40Z): 9 events, 1 markets, 1 marks" in out
    )


def test_delete_removes_all_of_a_session_and_nothing_of_another(
    database: Database, three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    database.fetch("insert into rl_rejected_rows values ('collector/s1', 'events', 1, 'r', 'x')")
    database.fetch("insert into rl_rejected_rows values ('collector/s2', 'events', 1, 'r', 'x')")
    assert main(["archive", "1"]) == 0
    assert main(["delete", "1", "--yes"]) == 0
    assert "its archive" in capsys.readouterr().out
    assert (three / "archive" / "s1.parquet").exists()
    assert database.value("select count(*) from rl_shared_events where event_key >> 40 = 1") == 0
    left = {
        "rl_orderbook_sessions": 2,
        "rl_streams": 2,
        "rl_journal_offsets": 4,
        "rl_session_markets": 2,
        "rl_session_marks": 0,
        "rl_rejected_rows": 1,
        "rl_book_events": 18,
    }
    for table, number in left.items():
        assert database.value(f"select count(*) from {table}") == number, table


def test_a_session_that_is_being_recorded_is_not_deleted(
    database: Database, three: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "status=active and its journal is there" in refused(capsys, "delete", "3", "--yes")
    assert "status=active" in refused(capsys, "delete", "all", "--yes")
    assert database.value("select count(*) from rl_orderbook_sessions") == 3


@pytest.mark.parametrize(
    ("argv", "line"),
    [
        (
            ("show", "9"),
            "session '9' is not stored; allowed: latest, all, id, uid (newest ids: 3, 2, 1)",
        ),
        (("show", "all"), "session all are many; allowed: latest or one id"),
        (("list", "--status", "lost"), "--status: invalid choice: 'lost' (choose from"),
        (("list", "--environment", "paper"), "--environment: invalid choice: 'paper' (choose"),
        (("erase", "1"), "invalid choice: 'erase' (choose from"),
        (("archive",), "required: session"),
        (("import", "/nowhere"), "/nowhere: no such file or folder"),
    ],
)
def test_bad_input_is_one_line(
    three: Path, capsys: pytest.CaptureFixture[str], argv: tuple[str, ...], line: str
) -> None:
    assert line in refused(capsys, *argv)


def test_a_database_without_our_schema_is_one_line(
    empty_database: Database, tmp_path: Path
) -> None:
    command = [sys.executable, "-m", "processes.recorder.sessions", "list"]
    environ = {**os.environ, "RL_DATA_DIR": str(tmp_path), "DATABASE_URL": empty_database.dsn}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("sessions: DATABASE_URL=postgresql:///test_")
    assert "has an older schema than this program; allowed:" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_an_embedded_server_that_is_not_there_is_one_line_of_its_own(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "processes.recorder.sessions", "list"]
    environ = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
    environ |= {"RL_DATA_DIR": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("sessions: the embedded PostgreSQL does not answer (")
    assert "; start the stack" in done.stderr
    assert "DATABASE_URL=" not in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_loader_reads_what_the_command_lists(database: Database, three: Path) -> None:
    events, markets = loaded(database, lambda loader: loader.session_events(3))  # active
    assert events.tobytes() == book_events().tobytes()
    assert np.all(markets == 1)
