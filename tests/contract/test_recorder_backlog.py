"""recorder: `behind` counts all that was accepted and is not stored, whatever the cause."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import asyncpg
import pytest
import zmq.asyncio
from support.journals import CollectorJournal, FramedJournal
from support.patience import PATIENCE
from support.postgres import Database
from support.recorder_process import RecorderProcess

from ipc.messages import ProcessStats
from ipc.sockets import Subscriber


class Reports:
    """What the recorder says of itself, over its own socket."""

    def __init__(self, subscriber: Subscriber) -> None:
        self._subscriber = subscriber

    async def until(self, holds: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """The first report that fits."""
        last: dict[str, int] = {}
        try:
            async with asyncio.timeout(PATIENCE):
                while not (last and holds(last)):
                    _, message = await self._subscriber.recv()
                    assert isinstance(message, ProcessStats)
                    last = message.counters
        except TimeoutError:
            raise AssertionError(f"never reported; last: {last}") from None
        return last


@pytest.fixture
async def reports(tmp_path: Path) -> AsyncIterator[Reports]:
    context = zmq.asyncio.Context()
    subscriber = Subscriber(context, ["recorder"], tmp_path / "data", {}, ["stats"])
    yield Reports(subscriber)
    subscriber.close()
    context.term()


async def events_in(database: Database) -> int:
    (row,) = await database.afetch("select count(*) from rl_book_events")
    return int(row["count"])


async def allow_connections(database: Database, *, allowed: bool) -> None:
    """As where the server goes away: every connection ends, and no new one is made."""
    connection = await asyncpg.connect(database.server.dsn("postgres"))
    try:
        await connection.execute(f"alter database {database.name} allow_connections {allowed}")
        if not allowed:
            await connection.execute(
                "select pg_terminate_backend(pid) from pg_stat_activity where datname = $1",
                database.name,
            )
    finally:
        await connection.close()


async def test_with_the_database_away_what_is_accepted_is_counted_until_it_is_stored(
    database: Database, recorder: RecorderProcess, tmp_path: Path, reports: Reports
) -> None:
    session = CollectorJournal(tmp_path / "data", "s1")
    session.list_market(0, "KXTEST-1")
    session.deltas(5)
    ticks = FramedJournal(tmp_path / "data", "inference", "i1")
    recorder.start()
    whole = {"behind": 0, "behind_bytes": 0, "behind_ms": 0, "database": 1}
    await reports.until(lambda c: c.get("events", 0) == 5 and whole.items() <= c.items())
    await allow_connections(database, allowed=False)
    await reports.until(lambda c: not c["database"])
    before = ticks.writer.position
    session.deltas(4_000)
    ticks.tick()
    counters = await reports.until(lambda c: c["behind"] == 4_000 and c["behind_ms"] > 0)
    assert counters["database"] == 0
    assert counters["behind_bytes"] == ticks.writer.position - before
    later = await reports.until(lambda c: c["behind_ms"] > counters["behind_ms"])
    assert later["behind"] == 4_000
    await allow_connections(database, allowed=True)
    await reports.until(lambda c: whole.items() <= c.items())
    assert await events_in(database) == 4_005
    session.close()
    ticks.close()


async def test_a_recorder_that_never_had_a_database_counts_from_the_start(
    database: Database, recorder: RecorderProcess, tmp_path: Path, reports: Reports
) -> None:
    await allow_connections(database, allowed=False)
    session = CollectorJournal(tmp_path / "data", "s1")
    session.list_market(0, "KXTEST-1")
    session.deltas(4_000)
    recorder.start()
    counters = await reports.until(lambda c: c["behind_ms"] > 0)
    assert (counters["behind"], counters["database"]) == (4_000, 0)
    assert counters["behind_bytes"] == session.writer.position
    await allow_connections(database, allowed=True)
    await reports.until(lambda c: (c["behind"], c["behind_bytes"], c["database"]) == (0, 0, 1))
    session.close()


async def test_a_refused_stream_is_counted_while_others_are_stored(
    database: Database, recorder: RecorderProcess, tmp_path: Path, reports: Reports
) -> None:
    broken = CollectorJournal(tmp_path / "data", "s1")
    broken.list_market(0, "KXTEST-1")
    broken.deltas(50)
    records = broken.writer.path
    records.write_bytes(records.read_bytes()[:-1] + b"\0")  # no reader can go past it
    well = CollectorJournal(tmp_path / "data", "s2")
    well.list_market(0, "KXTEST-2")
    well.deltas(7)
    recorder.start()
    counters = await reports.until(lambda c: c["refused_streams"] == 1 and c.get("events") == 7)
    assert counters["behind"] == 50
    assert 0 < counters["behind_bytes"] <= broken.writer.position
    broken.deltas(3)
    counters = await reports.until(lambda c: c["behind"] == 53)
    assert counters["database"] == 1
    assert await events_in(database) == 7
    broken.close()
    well.close()


async def test_a_stream_that_the_server_refuses_is_counted_until_it_is_let_in(
    database: Database, recorder: RecorderProcess, tmp_path: Path, reports: Reports
) -> None:
    await database.afetch(
        "create function refuse() returns trigger language plpgsql as "
        "$$ begin raise insufficient_privilege; end $$"
    )
    await database.afetch(
        "create trigger refuses before insert on rl_ticks execute function refuse()"
    )
    ticks = FramedJournal(tmp_path / "data", "inference", "i1")
    recorder.start()
    await reports.until(lambda c: c["database"] == 1 and c["behind_bytes"] == 0)
    before = ticks.writer.position
    for _ in range(100):
        ticks.tick()
    counters = await reports.until(lambda c: c["waiting_streams"] == 1 and c["behind_ms"] > 0)
    assert counters["behind_bytes"] == ticks.writer.position - before
    await database.afetch("drop trigger refuses on rl_ticks")
    await reports.until(lambda c: not c["waiting_streams"] and not c["behind_bytes"])
    ticks.close()
