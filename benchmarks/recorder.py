"""From journals to PostgreSQL: what one stream of the recorder carries in a second."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any, Final

from benchmarks.figures import Figure
from benchmarks.journal import SESSION, decision
from benchmarks.market import MARKET_NS, TICKER
from ipc.clock import mono_ns
from ipc.event_journal import COUNT, HEADER_WORDS, RECORD_WORDS
from ipc.journal import FramedWriter, Kind, stream_folder
from ipc.messages import Environment, SessionStarted
from ipc.units import LINEAR_CENT
from processes.adapters.kalshi.feed.session import SessionFacts, SessionJournal
from processes.adapters.postgres.database import connect_within
from processes.adapters.postgres.migrate import migrate
from processes.adapters.postgres.migrations import load
from processes.recorder.stream import RecordedRun
from tests.support.postgres import PostgresServer, quiet

__all__ = ["run"]

EVENTS: Final = 300_000
DECISIONS: Final = 50_000
URL: Final = "ws://127.0.0.1:8070/trade-api/ws/v2"


def _events(folder: Path) -> None:
    """A session's journal of deltas that have not been recorded yet."""
    facts = SessionFacts(SESSION, Environment.SIMULATED, URL, MARKET_NS)
    session = SessionJournal(folder, facts, segment_records=65_536, max_bytes=1 << 30)
    session.listed(0, TICKER, LINEAR_CENT, 1, 2)
    for number in range(1, EVENTS + 1):
        if not session.segments.room(1):
            raise RuntimeError("the journal refused")
        words = session.segments.words
        at = HEADER_WORDS + RECORD_WORDS * int(words[COUNT])
        what = Kind.DELTA | (number % 2) << 8 | 100 * (1 + number % 99) << 32
        words[at : at + RECORD_WORDS] = (number, MARKET_NS + number, 0, 100 | number << 32, what)
        words[COUNT] += 1
    session.end(MARKET_NS + EVENTS)


def _decisions(folder: Path) -> None:
    """A journal of ticks and decisions, two records each."""
    writer = FramedWriter(stream_folder(folder, "inference", SESSION))
    started = SessionStarted(
        session_uid=SESSION,
        environment=Environment.SIMULATED,
        websocket_url=URL,
        started_ns=MARKET_NS,
    )
    messages = [m for number in range(1, DECISIONS + 1) for m in decision(number)]
    if not writer.append(started, *messages):
        raise RuntimeError("the journal refused")
    writer.close()


async def _pump(connection: Any, folder: Path, producer: str, name: str) -> Figure:
    place = stream_folder(folder, producer, SESSION)
    stream = RecordedRun(producer, SESSION, place, Counter(), quiet)
    await stream.load(connection)
    begun = mono_ns()
    records = await stream.pump(connection)
    seconds = (mono_ns() - begun) / 1e9
    stream.close()
    return Figure(name, records / seconds, "rows/s")


async def _record(dsn: str, folder: Path) -> list[Figure]:
    connection = await connect_within(dsn, 60)
    try:
        await migrate(connection, load(), quiet)
        return [
            await _pump(connection, folder, "collector", "book events into their partition"),
            await _pump(connection, folder, "inference", "ticks and decisions"),
        ]
    finally:
        await connection.close()


def run() -> list[Figure]:
    """Journals are written first, then recorded at once by an embedded server of their own."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _events(folder)
        _decisions(folder)
        server = PostgresServer(folder)
        server.start()
        try:
            return asyncio.run(_record(server.dsn("postgres"), folder))
        finally:
            server.stop()
