"""Thousands of sessions in one database: those of before with a partition each, and new ones."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from support.postgres import Database
from support.stored_sessions import book_events, loaded, record

from processes.adapters.postgres.sessions import SessionDataLoader
from processes.recorder.sessions.__main__ import main

OLD = 300  # with a partition of their own, each a table and an index
ALL = 6_000
USES = 8  # of one query on one connection: from the sixth on its plan knows no session

MANY = """
insert into rl_orderbook_sessions
    (session_uid, started_ns, websocket_url, environment, market_tickers, started_at, status,
     events, deltas, trades, last_event_no, events_shared)
select 'many-' || n, n, '', 'simulated', '{}', to_timestamp(n), 'closed', 1, 1, 0, 1, n > $2
from generate_series(1, $1) n
"""
LISTED = """
insert into rl_session_markets
select session_id, 0, 1, 1, '{{0,10000,100}}', 1, 0
from rl_orderbook_sessions where session_uid like 'many-%'
"""
OLD_PARTITIONS = """
do $$ declare session record; begin
    for session in select session_id from rl_orderbook_sessions
                   where session_uid like 'many-%' and not events_shared loop
        perform rl_open_events(session.session_id);
        execute format('insert into rl_packed_events_s%s values '
                       '(%s::bigint << 40 | 1, 1, 1, 100, 4 << 28 | 1, 100)',
                       session.session_id, session.session_id);
    end loop;
end $$
"""
SHARED = """
insert into rl_shared_events
select session_id << 40 | 1, 1, 1, 100, 4 << 28 | 1, 100
from rl_orderbook_sessions where events_shared and session_uid like 'many-%'
"""


async def _fill(database: Database) -> None:
    connection = await asyncpg.connect(database.dsn)
    try:
        await connection.execute(MANY, ALL, OLD)
        await connection.execute(LISTED)
        await connection.execute(OLD_PARTITIONS)
        await connection.execute(SHARED)
    finally:
        await connection.close()


async def _locks(connection: Any) -> int:
    return int(
        await connection.fetchval(
            "select count(*) from pg_locks where pid = pg_backend_pid() and locktype = 'relation'"
        )
    )


async def _read_again_and_again(database: Database) -> list[int]:
    """Relation locks that each read of one session holds until its transaction ends."""
    connection = await asyncpg.connect(database.dsn)
    loader, held = SessionDataLoader(connection), []
    try:
        for _ in range(USES):
            async with connection.transaction():
                events, _ = await loader.session_events(1)
                assert len(events) == len(book_events())
                held.append(await _locks(connection))
    finally:
        await connection.close()
    return held


def test_thousands_of_sessions_are_listed_and_read(
    database: Database,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    record(database, tmp_path, book_events())
    asyncio.run(_fill(database))
    monkeypatch.setenv("DATABASE_URL", database.dsn)
    monkeypatch.setenv("RL_DATA_DIR", str(tmp_path))
    assert main(["list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)
    assert len(listed) == ALL + 1
    assert all(line["database_bytes"] > 0 for line in listed)
    assert max(asyncio.run(_read_again_and_again(database))) < 30
    assert main(["show", "2"]) == 0
    assert main(["archive", "3", "--drop"]) == 0
    assert main(["delete", "2", str(OLD + 10), "--yes"]) == 0
    assert database.value("select count(*) from rl_book_events") == ALL + len(book_events()) - 3
    moved = database.value("select rl_share_events(1000)")
    assert moved == OLD - 2
    left = "select count(*) from pg_class where relname ~ '^rl_packed_events_s[0-9]+$'"
    assert database.value(left) == 0
    assert database.value("select count(*) from rl_book_events") == ALL + len(book_events()) - 3
    sessions = loaded(database, lambda loader: loader.sessions())
    assert sum(session.stored for session in sessions) == ALL - 2
