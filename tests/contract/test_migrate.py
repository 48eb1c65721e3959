"""migrate: files in, schema out; twice, at once, after a kill."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from support.postgres import ROOT, Database, quiet

from processes.adapters.postgres.database import connect_when_migrated
from processes.adapters.postgres.migrate import migrate
from processes.adapters.postgres.migrations import known_versions, load
from processes.runtime.config import ConfigError

COMMAND = [sys.executable, "-m", "processes.adapters.postgres.migrate"]


def environment(dsn: str, tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": dsn, "RL_DATA_DIR": str(tmp_path)}


def start(dsn: str, tmp_path: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        COMMAND,
        cwd=ROOT,
        env=environment(dsn, tmp_path),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def applied(database: Database) -> set[str]:
    return {row["version"] for row in database.fetch("select version from schema_migrations")}


def test_two_runners_at_once_both_succeed_and_apply_each_step_once(
    empty_database: Database, tmp_path: Path
) -> None:
    runners = [start(empty_database.dsn, tmp_path) for _ in range(2)]
    outputs = [runner.communicate(timeout=60)[0] for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0], outputs
    assert applied(empty_database) == known_versions()
    assert sum(output.count("applied migration=") for output in outputs) == len(load())


def test_a_second_run_changes_nothing(database: Database, tmp_path: Path) -> None:
    runner = start(database.dsn, tmp_path)
    output = runner.communicate(timeout=60)[0]
    assert runner.returncode == 0
    assert "migrate done applied=0" in output


def test_a_killed_run_is_finished_by_the_next(empty_database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "steps"
    folder.mkdir()
    (folder / "20260101000000_slow.sql").write_text(
        "-- migrate:up\ncreate table a (x int); select pg_sleep(0.5); create table b (x int);"
    )

    async def killed_in_the_middle() -> None:
        connection = await asyncpg.connect(empty_database.dsn)
        work = asyncio.ensure_future(migrate(connection, load(folder), quiet))
        await asyncio.sleep(0.2)
        connection.terminate()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await work

    async def finished() -> int:
        connection = await asyncpg.connect(empty_database.dsn)
        try:
            return await migrate(connection, load(folder), quiet)
        finally:
            await connection.close()

    asyncio.run(killed_in_the_middle())
    assert asyncio.run(finished()) == 1
    assert empty_database.value("select count(*) from b") == 0


def test_a_step_without_transaction_may_build_an_index_concurrently(
    empty_database: Database, tmp_path: Path
) -> None:
    (tmp_path / "20260101000000_table.sql").write_text("-- migrate:up\ncreate table a (x int);")
    (tmp_path / "20260101000001_index.sql").write_text(
        "-- migrate:up transaction:false\ncreate index concurrently a_x on a (x);"
        "\n-- migrate:down\ndrop index a_x;"
    )

    async def one() -> int:
        connection = await asyncpg.connect(empty_database.dsn)
        try:
            return await migrate(connection, load(tmp_path), quiet)
        finally:
            await connection.close()

    async def two() -> list[int]:
        return await asyncio.gather(one(), one())

    assert sorted(asyncio.run(two())) == [0, 2]
    assert empty_database.value("select to_regclass('a_x') is not null")


def test_a_newer_schema_is_refused_by_runner_and_user(database: Database, tmp_path: Path) -> None:
    database.fetch("insert into schema_migrations values ('29990101000000')")
    runner = start(database.dsn, tmp_path)
    output = runner.communicate(timeout=60)[0]
    assert runner.returncode == 2
    assert "29990101000000, which this program does not know" in output
    assert len(output.splitlines()) == 1

    async def use() -> None:
        await connect_when_migrated(database.dsn, asyncio.Event())

    with pytest.raises(ConfigError, match="29990101000000"):
        asyncio.run(use())


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://u:secret@nosuchhost.invalid/x", "DATABASE_URL=postgresql://u:***@nosuch"),
        ("mysql://u:secret@localhost/x", "DATABASE_URL=mysql://u:***@localhost/x"),
    ],
)
def test_a_wrong_url_is_one_line_without_its_password(
    url: str, reason: str, tmp_path: Path
) -> None:
    runner = start(url, tmp_path)
    output = runner.communicate(timeout=60)[0]
    assert runner.returncode == 2
    assert reason in output
    assert "secret" not in output
    assert len(output.splitlines()) == 1


def test_an_unknown_database_is_refused_at_once(database: Database, tmp_path: Path) -> None:
    runner = start(database.server.dsn("nowhere"), tmp_path)
    output = runner.communicate(timeout=60)[0]
    assert runner.returncode == 2
    assert 'database "nowhere" does not exist' in output


def test_a_runner_that_waits_for_its_server_stops_when_asked(tmp_path: Path) -> None:
    environ = {**os.environ, "RL_DATA_DIR": str(tmp_path)}
    environ.pop("DATABASE_URL", None)
    runner = subprocess.Popen(COMMAND, cwd=ROOT, env=environ)
    with pytest.raises(subprocess.TimeoutExpired):
        runner.wait(1.5)
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(10) == 0


def test_old_sessions_get_their_environment_from_the_host(empty_database: Database) -> None:
    urls = {
        "wss://demo-api.kalshi.co/trade-api/ws/v2": "demo",
        "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2": "demo",
        "wss://trading-api.kalshi.com/trade-api/ws/v2": "production",
        "wss://api.elections.kalshi.com/trade-api/ws/v2": "production",
        "ws://127.0.0.1:8070/trade-api/ws/v2": "simulated",
        "wss://example.org/demo-api.kalshi.co": "unknown",
        "wss://evil-kalshi.com/": "unknown",
    }

    async def fill() -> None:
        connection = await asyncpg.connect(empty_database.dsn)
        try:
            await migrate(connection, load()[:1], quiet)
            await connection.executemany(
                "insert into rl_orderbook_sessions (market_tickers, started_at, status, "
                "websocket_url) values ('{}', now(), 'closed', $1)",
                [(url,) for url in urls],
            )
            await migrate(connection, load(), quiet)
        finally:
            await connection.close()

    asyncio.run(fill())
    rows = empty_database.fetch("select websocket_url, environment from rl_orderbook_sessions")
    assert {row["websocket_url"]: row["environment"] for row in rows} == urls
