"""Policies judged on stored sessions, as on their archives."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from support.model_sessions import random_session
from support.postgres import Database
from support.stored_sessions import record

from ipc.messages import Environment
from models import evaluate
from processes.recorder.sessions.__main__ import main as sessions

TRADES = ("--policy", "baseline:random", "--policy", "baseline:hold", "--pricing", "aggressive")


def walked(seed: int) -> Any:
    """A market's events as a journal holds them."""
    events = random_session(seed, 400).events
    events["row"] = 0
    return events


@pytest.fixture
def stored(database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two sessions of one market each; -> the data folder."""
    monkeypatch.setenv("DATABASE_URL", database.dsn)
    monkeypatch.setenv("RL_DATA_DIR", str(tmp_path))
    record(database, tmp_path, walked(1), uid="s1", tickers=("KXWALK-1",))
    record(database, tmp_path, walked(2), uid="s2", tickers=("KXWALK-2",))
    return tmp_path


SOURCE_OF_NONE = ["--environment", "production"]


def judged(folder: Path, *source: str) -> dict[str, Any]:
    path = folder / "figures.json"
    assert evaluate.main([*source, *TRADES, "--json", str(path)]) == 0
    told: dict[str, Any] = json.loads(path.read_text())
    return told


def test_sessions_and_their_archives_are_judged_the_same(stored: Path) -> None:
    told = judged(stored, "--session", "1", "--session", "s2")
    assert told["outcomes"][0]["tickers"] == ["KXWALK-1", "KXWALK-2"]
    assert all(told["outcomes"][0]["filled_e2"])
    assert told["setting"]["environments"] == "simulated"
    assert sessions(["archive", "1", "2", "--drop"]) == 0
    archives = sorted((stored / "archive").glob("*.parquet"))
    assert len(archives) == 2
    assert judged(stored, *(x for path in archives for x in ("--archive", str(path)))) == told
    assert judged(stored, "--session", "s1", "--session", "latest") == told
    assert judged(stored, "--session", "all", "--environment", "simulated") == told
    assert evaluate.main([*SOURCE_OF_NONE, "--session", "all"]) == 2


async def test_what_was_judged_is_noted_beside_the_sessions(
    stored: Path, database: Database
) -> None:
    await asyncio.to_thread(judged, stored, "--session", "1", "--session", "2")
    connection = await asyncpg.connect(database.dsn)
    try:
        rows = await connection.fetch("select * from rl_model_runs order by model_run_id")
    finally:
        await connection.close()
    assert [row["model_id"] for row in rows] == ["baseline:random", "baseline:hold"]
    for row in rows:
        assert (row["kind"], row["status"]) == ("evaluate", "closed")
        assert (row["environments"], row["session_ids"]) == (["simulated"], [1, 2])
        assert len(json.loads(row["metrics"])["net_e6"]) == 2
        assert json.loads(row["config"])["pricing"] == "aggressive"
        assert row["started_ns"] < row["ended_ns"]


def test_a_session_that_is_not_stored_is_named(
    stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate.main(["--session", "9"]) == 2
    assert (
        capsys.readouterr().err
        == "evaluate: session '9' is not stored; allowed: latest, all, id, uid (newest ids: 2, 1)\n"
    )


def test_environments_are_not_mixed(
    database: Database, stored: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    demo = Environment.DEMO
    record(database, stored, walked(3), uid="s3", tickers=("KXWALK-3",), environment=demo)
    assert evaluate.main(["--session", "1", "--session", "3"]) == 2
    assert "sessions of demo and simulated are not mixed" in capsys.readouterr().err
