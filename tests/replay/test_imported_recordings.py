"""Every real recording, imported: no book contradicts itself, the archive holds the same bits."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.imports import assert_archive_equal, assert_holds_recording, imported
from support.postgres import Database
from support.recordings import needs_recordings, recordings_folder
from support.stored_sessions import loaded

from ipc.journal import Kind
from processes.adapters.kalshi.recordings import read_frames, recording_files
from processes.adapters.kalshi.schemas.frames import Delta, Snapshot, Trade

pytestmark = needs_recordings

GOLD = "gold15m-2026-08"
SMALL = {  # folder -> gaps: that five files of the slow market begin with seq 2 is none
    "btc-range-2026-04-18": 0,
    "btc15m-30s-2026-05-11": 0,
    "btcmaxy-cents-2025-11-02_05": 0,
    "demo-env-2026-07-01": 0,
}


@pytest.fixture
def recordings(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder, _ = recordings_folder()
    assert folder is not None
    monkeypatch.setenv("DATABASE_URL", database.dsn)
    monkeypatch.setenv("RL_DATA_DIR", str(tmp_path))
    return folder


def check(database: Database, path: Path, gaps: int) -> None:
    session, report = imported(database, path)
    assert (report.errors, report.gaps, report.holes) == (0, gaps, 0)
    kinds = {Delta: 0, Trade: 0, Snapshot: 0}
    for file in recording_files(path):
        for recorded in read_frames(file):
            kind = type(recorded.frame)
            if kind in kinds:
                kinds[kind] += 1
    counted = [sum(getattr(m, name) for m in report.markets) for name in ("deltas", "trades")]
    assert counted == [kinds[Delta], kinds[Trade]]  # nothing was left out
    assert counted == [session.deltas, session.trades]
    assert sum(m.snapshots for m in report.markets) == kinds[Snapshot]
    assert_holds_recording(database, session, path)
    assert_archive_equal(database, session)


@pytest.mark.parametrize("folder", SMALL)
def test_a_folder_of_recordings_becomes_a_session_without_errors(
    database: Database, recordings: Path, folder: str
) -> None:
    check(database, recordings / folder, SMALL[folder])


def test_a_gold_market_becomes_a_session_without_errors(
    database: Database, recordings: Path
) -> None:
    check(database, recordings / GOLD / "KXGOLD15M-26AUG101900-00.ndjson.gz", 0)


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_all_gold_markets_become_one_session_without_errors(
    database: Database, recordings: Path
) -> None:
    check(database, recordings / GOLD, 0)


def test_what_replay_says_is_demo_is_imported_as_demo(database: Database, recordings: Path) -> None:
    session, _ = imported(database, recordings / "demo-env-2026-07-01")
    assert session.environment == "demo"
    events, _ = loaded(database, lambda loader: loader.session_events(session.session_id))
    deltas = events[events["kind"] == Kind.DELTA]
    assert (deltas["recv_ns"] >= deltas["exch_ms"] * 10**6).all()  # bare frames: never earlier
