"""migrate: files in, schema out; twice, at once, after a kill."""

from __future__ import annotations

import asyncio
import itertools
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from support.patience import PATIENCE, eventually
from support.postgres import ROOT, Database, quiet

from processes.adapters.kalshi.auth.environments import detect_environment
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
    outputs = [runner.communicate(timeout=PATIENCE)[0] for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0], outputs
    assert applied(empty_database) == known_versions()
    assert sum(output.count("migration_applied migration=") for output in outputs) == len(load())


def test_no_migrations_at_all_are_an_error(tmp_path: Path) -> None:
    for folder in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ConfigError, match=f"{folder}: there are no migrations; install"):
            load(folder)
        with pytest.raises(ConfigError, match="no migrations"):
            known_versions(folder)


def test_a_second_run_changes_nothing(database: Database, tmp_path: Path) -> None:
    runner = start(database.dsn, tmp_path)
    output = runner.communicate(timeout=PATIENCE)[0]
    assert runner.returncode == 0
    assert "migrate migrations_done applied=0" in output


MIDWAY = "select 1 from pg_locks where locktype = 'advisory' and objid = 7 and not granted"


def test_a_killed_run_is_finished_by_the_next(empty_database: Database, tmp_path: Path) -> None:
    folder = tmp_path / "steps"
    folder.mkdir()
    (folder / "20260101000000_slow.sql").write_text(
        "-- migrate:up\ncreate table a (x int); select pg_advisory_xact_lock(7);"
        " create table b (x int);"
    )

    async def killed_in_the_middle() -> None:
        holder = await asyncpg.connect(empty_database.dsn)
        await holder.execute("select pg_advisory_lock(7)")
        connection = await asyncpg.connect(empty_database.dsn)
        work = asyncio.ensure_future(migrate(connection, load(folder), quiet))
        while not await holder.fetchval(MIDWAY):
            assert not work.done()
        connection.terminate()
        with pytest.raises((asyncpg.PostgresError, asyncpg.InterfaceError, OSError)):
            await work
        await holder.close()

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
    output = runner.communicate(timeout=PATIENCE)[0]
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
        ("postgresql://u:secret@nosuchhost.invalid/x", "DATABASE_URL=postgresql://nosuch"),
        ("mysql://u:secret@localhost/x", "DATABASE_URL=(not shown) cannot be used"),
    ],
)
def test_a_wrong_url_is_one_line_without_its_password(
    url: str, reason: str, tmp_path: Path
) -> None:
    runner = start(url, tmp_path)
    output = runner.communicate(timeout=PATIENCE)[0]
    assert runner.returncode == 2
    assert reason in output
    assert "secret" not in output
    assert len(output.splitlines()) == 1


def test_an_unknown_database_is_refused_at_once(database: Database, tmp_path: Path) -> None:
    runner = start(database.server.dsn("nowhere"), tmp_path)
    output = runner.communicate(timeout=PATIENCE)[0]
    assert runner.returncode == 2
    assert "the database does not exist" in output


def catches(pid: int, signum: int) -> bool:
    """Whether a program has a handler for a signal; before that it would simply die of it."""
    status = Path(f"/proc/{pid}/status").read_text()
    (caught,) = [line.split()[1] for line in status.splitlines() if line.startswith("SigCgt:")]
    return bool(int(caught, 16) >> (signum - 1) & 1)


def test_a_runner_that_waits_for_its_server_stops_when_asked(tmp_path: Path) -> None:
    environ = {**os.environ, "RL_DATA_DIR": str(tmp_path)}
    environ.pop("DATABASE_URL", None)
    runner = subprocess.Popen(COMMAND, cwd=ROOT, env=environ)
    eventually(lambda: catches(runner.pid, signal.SIGTERM), "it can be asked to stop")
    assert runner.poll() is None
    runner.send_signal(signal.SIGTERM)
    assert runner.wait(PATIENCE) == 0


URLS = {
    "wss://demo-api.kalshi.co/trade-api/ws/v2": "demo",
    "wss://external-api-ws.demo.kalshi.co/trade-api/ws/v2": "demo",
    "wss://trading-api.kalshi.com/trade-api/ws/v2": "production",
    "wss://api.elections.kalshi.com/trade-api/ws/v2": "production",
    "ws://127.0.0.1:8070/trade-api/ws/v2": "simulated",
    "wss://example.org/demo-api.kalshi.co": "unknown",
    "wss://evil-kalshi.com/": "unknown",
}
SCHEMES = ("wss://", "WSS://", "https://", "", "//", "1s://")
USERS = ("", "user:demo.kalshi.co@", "a@b@")
NAMES = (
    *("demo-api.kalshi.co", "x.kalshi.co", "kalshi.co", "demo-api.kalshi.com", "DEMO.kalshi.CO."),
    *("trading-api.kalshi.com", "api.elections.kalshi.com", "x.demo-api.kalshi.com", "kalshi.com."),
    *("localhost", "127.0.0.1", "[::1]", "LOCALHOST", "127.0.0.1.example.org", "[::1", "::1"),
    *("example.org", "notkalshi.com", "kalshi.com.example.org", "notkalshi.co", "", ".", "kalshi"),
)
ENDS = ("", ":443", "/trade-api/ws/v2", "?demo-api.kalshi.co", "#@kalshi.com", ":8070/kalshi.co@x")


def test_database_and_client_agree_about_every_host(database: Database) -> None:
    urls = ["".join(parts) for parts in itertools.product(SCHEMES, USERS, NAMES, ENDS)]
    by_client = [str(detect_environment(url) or "unknown") for url in urls]
    rows = database.fetch(
        "select rl_environment_of_url(url) as found from unnest($1::text[]) "
        "with ordinality as asked (url, place) order by place",
        urls,
    )
    found = zip(urls, by_client, (row["found"] for row in rows), strict=True)
    different = [row for row in found if row[1] != row[2]]
    assert different[:5] == []
    assert {"demo", "production", "simulated", "unknown"} == set(by_client)


PLAN_SESSIONS = (  # the plan's own table, before and after its own migration
    "create table rl_orderbook_sessions (session_id bigserial primary key, "
    "market_tickers text[] not null, started_at timestamptz not null, ended_at timestamptz, "
    "status varchar(20) not null, websocket_url text, connection_metadata jsonb)"
)
PLAN_MIGRATION = (
    "alter table rl_orderbook_sessions add column environment varchar(20) default 'demo', "
    "add constraint chk_sessions_environment "
    "check (environment in ('demo', 'production', 'unknown')); "
    "create index idx_sessions_environment on rl_orderbook_sessions (environment)"
)
PLAN_ROWS = [
    ("wss://demo-api.kalshi.co/trade-api/ws/v2", "closed", "demo", "closed"),
    ("wss://trading-api.kalshi.com/trade-api/ws/v2", "error", "production", "error"),
    ("wss://api.elections.kalshi.com/trade-api/ws/v2", "active", "production", "active"),
    ("wss://somewhere.example.org/ws", "completed", "unknown", "closed"),
    (None, "crashed", "unknown", "error"),
]


@pytest.mark.parametrize("migrated", [False, True], ids=["before", "after its own migration"])
def test_the_sessions_of_a_database_from_before_are_taken_over(
    empty_database: Database, tmp_path: Path, *, migrated: bool
) -> None:
    async def fill() -> None:
        connection = await asyncpg.connect(empty_database.dsn)
        try:
            await connection.execute(PLAN_SESSIONS)
            if migrated:
                await connection.execute(PLAN_MIGRATION)
            await connection.executemany(
                "insert into rl_orderbook_sessions (market_tickers, started_at, status, "
                "websocket_url) values ('{KXOLD-1}', now(), $1, $2)",
                [(status, url) for url, status, _, _ in PLAN_ROWS],
            )
        finally:
            await connection.close()

    asyncio.run(fill())
    runner = start(empty_database.dsn, tmp_path)
    output = runner.communicate(timeout=60)[0]
    assert runner.returncode == 0, output
    rows = empty_database.fetch("select * from rl_orderbook_sessions order by session_id")
    found = [(row["websocket_url"], row["environment"], row["status"]) for row in rows]
    assert found == [(url, kind, status) for url, _, kind, status in PLAN_ROWS]


def test_a_table_that_is_something_else_is_one_line_and_exit_code_2(
    empty_database: Database, tmp_path: Path
) -> None:
    empty_database.fetch("create table rl_orderbook_sessions (id integer)")
    runner = start(empty_database.dsn, tmp_path)
    output = runner.communicate(timeout=60)[0]
    assert runner.returncode == 2
    (line,) = [line for line in output.splitlines() if "refuses" in line]
    assert "20261122110000_session_environment.sql" in line
    assert "Traceback" not in output


async def migrated_to(database: Database, steps: int, *fill: tuple[str, list[Any]]) -> None:
    """The schema of that many steps, with rows in it."""
    connection = await asyncpg.connect(database.dsn)
    try:
        await migrate(connection, load()[:steps], quiet)
        for query, rows in fill:
            await connection.executemany(query, rows)
    finally:
        await connection.close()


def test_old_sessions_get_their_environment_from_the_host(empty_database: Database) -> None:
    insert = (
        "insert into rl_orderbook_sessions (market_tickers, started_at, status, websocket_url) "
        "values ('{}', now(), 'closed', $1)"
    )
    asyncio.run(migrated_to(empty_database, 1, (insert, [(url,) for url in URLS])))
    asyncio.run(migrated_to(empty_database, len(load())))
    rows = empty_database.fetch("select websocket_url, environment from rl_orderbook_sessions")
    assert {row["websocket_url"]: row["environment"] for row in rows} == URLS


PREVIOUS = 5  # steps of the schema before events were packed
START_NS = 1_780_000_000_000_000_000
STATUSES = ("active", "closed", "lost")


def old_event(session: int, number: int) -> tuple[int, ...]:
    """session_id, event_no, recv_ns, exch_ms, seq, market_id, price_e4, qty_e2, kind, side."""
    recv_ns = START_NS + number * 1_234_567
    exch_ms = (0, recv_ns // 10**6 - 7, recv_ns // 10**6 + 32_768, 5)[number % 4]
    seq = (number, 2**31 - 1, 2**31, 2**32 - 1)[number % 4]
    qty = (-(2**31), 2**31 - 1, number)[number % 3]
    what = (number % 6 + 1, number % 2)
    return session, number, recv_ns, exch_ms, seq, 1, 9_999 * (number % 2), qty, *what


async def fill_previous(database: Database) -> None:
    """The previous schema: a session per URL with events, each status, marks, streams."""
    session = (
        "insert into rl_orderbook_sessions (session_uid, market_tickers, started_at, started_ns, "
        "status, websocket_url, environment) values ($1, '{KXOLD-1}', now(), $2, $3, $4, $5)"
    )
    sessions = [
        (f"s{n}", START_NS, STATUSES[n % 3], url, environment)
        for n, (url, environment) in enumerate(URLS.items())
    ]
    await migrated_to(
        database,
        PREVIOUS,
        (session, sessions),
        ("insert into rl_markets (market_ticker) values ($1)", [("KXOLD-1",)]),
        *(
            (
                f"create table rl_book_events_s{n} partition of rl_book_events for values in ({n})",
                [()],
            )
            for n in range(1, len(URLS) + 1)
        ),
        (
            "insert into rl_book_events values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
            [old_event(n, number) for n in range(1, len(URLS) + 1) for number in range(1, 41)],
        ),
        (
            "insert into rl_session_marks values ($1, 1, 'gap', null, 3, $2, 'expected 3, got 5')",
            [(3, START_NS + 10**12)],
        ),
        (
            "insert into rl_streams (stream, environment, websocket_url, started_ns, status) "
            "values ($1, 'demo', '', 1, $2)",
            [(f"collector/s{n}", STATUSES[n % 3]) for n in range(len(URLS))],
        ),
    )


def assert_previous_kept(database: Database) -> None:
    found = database.fetch(
        "select session_id, event_no, recv_ns, exch_ms, seq, market_id, price_e4, qty_e2, kind, "
        "side from rl_book_events order by session_id, event_no"
    )
    wanted = [old_event(n, number) for n in range(1, len(URLS) + 1) for number in range(1, 41)]
    assert [tuple(row) for row in found] == wanted
    rows = database.fetch("select * from rl_orderbook_sessions order by session_id")
    assert {row["websocket_url"]: row["environment"] for row in rows} == URLS
    assert [row["status"] for row in rows] == [
        ("active", "closed", "error")[n % 3] for n in range(7)
    ]
    last_ns = START_NS + 40 * 1_234_567
    ends = [row["ended_ns"] for row in rows if row["status"] == "error"]
    assert ends == [START_NS + 10**12, last_ns]  # a mark after the last event; the last event
    counts = [(row["events"], row["last_event_no"]) for row in rows if row["status"] != "active"]
    assert counts == [(40, 40)] * 4
    streams = database.fetch("select status from rl_streams order by stream_id")
    assert [row["status"] for row in streams] == [row["status"] for row in rows]
    kept = "select count(*) from pg_indexes where tablename like 'rl_packed_events_s%' and "
    assert database.value(kept + "indexdef like '%UNIQUE%'") == 3  # the active sessions'
    assert database.value("select count(*) from rl_orderbook_sessions where events_shared") == 4
    assert database.value("select count(*) from rl_shared_events") == 160


def test_rows_of_the_previous_schema_are_kept_whole(
    empty_database: Database, tmp_path: Path
) -> None:
    asyncio.run(fill_previous(empty_database))
    runners = [start(empty_database.dsn, tmp_path) for _ in range(2)]  # at once
    outputs = [runner.communicate(timeout=PATIENCE)[0] for runner in runners]
    assert [runner.returncode for runner in runners] == [0, 0], outputs
    assert_previous_kept(empty_database)
    again = start(empty_database.dsn, tmp_path)
    assert "migrate migrations_done applied=0" in again.communicate(timeout=PATIENCE)[0]
    assert_previous_kept(empty_database)


def test_a_value_that_cannot_be_packed_stops_the_migration_and_changes_nothing(
    empty_database: Database, tmp_path: Path
) -> None:
    asyncio.run(fill_previous(empty_database))
    empty_database.fetch("update rl_book_events set seq = 4294967296 * 2 where event_no = 40")
    runner = start(empty_database.dsn, tmp_path)
    output = runner.communicate(timeout=PATIENCE)[0]
    assert runner.returncode == 2
    assert "integer out of range" in output
    assert output.count("\n") <= PREVIOUS + 1, "more than one line about it"
    assert empty_database.value("select count(*) from rl_book_events where seq > 4294967296") == 7
    assert len(applied(empty_database)) == PREVIOUS
