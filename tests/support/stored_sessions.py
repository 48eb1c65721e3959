"""Sessions in a database of the test's, as the recorder leaves them, and what is read of them."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import numpy as np
import numpy.typing as npt
from support.journals import CENTS, START_NS
from support.model_sessions import SessionBuilder
from support.postgres import Database, quiet

from ipc.event_journal import COUNT, HEADER_WORDS, RECORD_WORDS
from ipc.journal import EVENT, EventSegments, FramedWriter, stream_folder
from ipc.messages import (
    Environment,
    MarketListed,
    MarketResult,
    SessionEnded,
    SessionMark,
    SessionStarted,
)
from models.simulation.tape import RecordedSession
from processes.adapters.postgres.sessions import SessionDataLoader
from processes.recorder.stream import RecordedRun

__all__ = ["book_events", "loaded", "move_to_own_table", "record", "same_sessions", "wild_events"]

Events = npt.NDArray[np.void]
T = TypeVar("T")


def book_events(*, row: int = 0) -> Events:
    """A snapshot of four levels and three deltas on it; the touch is 0.30 to 0.40."""
    builder = SessionBuilder().at(0).snapshot({29: 10, 30: 5}, {59: 10, 60: 5})
    builder.at(10).delta(0, 30, 2).delta(1, 60, -1)
    builder.at(20).delta(0, 31, 4)
    events = builder.build().events
    events["seq"] = events["event_no"]
    events["row"] = row
    return events


def wild_events(number: int, seed: int) -> Events:
    """Every field anywhere within its bounds, the bounds themselves often."""
    chance = np.random.default_rng(seed)
    events = np.zeros(number, EVENT)
    events["event_no"] = np.arange(1, number + 1)
    events["recv_ns"] = chance.choice([0, 1, START_NS, 2**63 - 1], number)
    exact = events["recv_ns"] // 1_000_000
    lags = chance.choice([0, 5, -7, 32_767, -32_767, 32_768, -32_768], number)
    events["exch_ms"] = np.where(chance.random(number) < 0.3, 0, np.maximum(exact - lags, 0))
    events["count_e2"] = chance.choice([-(2**31), -1, 0, 2**31 - 1], number)
    events["seq"] = chance.choice([0, 1, 2**31 - 1, 2**31, 2**32 - 1], number)
    events["kind"] = chance.integers(1, 7, number)
    events["leg"] = chance.integers(0, 2, number)
    events["price_e4"] = chance.choice([0, 1, 9_999, 10_000, 16_383], number)
    return events


def record(
    database: Database,
    folder: Path,
    events: Events,
    *,
    uid: str = "s1",
    tickers: tuple[str, ...] = ("KXTEST-1",),
    environment: Environment = Environment.SIMULATED,
    marks: tuple[SessionMark | MarketResult, ...] = (),
    ends: bool = True,
) -> None:
    """A session of these events through journal and recorder; without an end it stays active."""
    place = stream_folder(folder, "collector", uid)
    writer, segments = FramedWriter(place), EventSegments(place)
    started = SessionStarted(
        session_uid=uid,
        environment=environment,
        websocket_url="ws://127.0.0.1:8070/trade-api/ws/v2",
        started_ns=START_NS,
    )
    listed = [
        MarketListed(
            row=row,
            market_ticker=ticker,
            from_event_no=1,
            price_ranges=CENTS,
            open_ms=1,
            close_ms=0,
        )
        for row, ticker in enumerate(tickers)
    ]
    assert writer.append(started, *listed, *marks)
    assert segments.room(len(events))
    stop = HEADER_WORDS + RECORD_WORDS * len(events)
    segments.words[HEADER_WORDS:stop] = events.view(np.int64)
    segments.words[COUNT] = len(events)
    if ends:
        assert writer.append(SessionEnded(ended_ns=START_NS + 10**9, event_no=len(events)))
    asyncio.run(_carry(database.dsn, uid, place, writer if ends else None))
    segments.close()


async def _carry(dsn: str, uid: str, place: Path, finished: FramedWriter | None) -> None:
    connection = await asyncpg.connect(dsn)
    stream = RecordedRun("collector", uid, place, Counter(), quiet)
    await stream.load(connection)
    await stream.pump(connection)
    if finished is not None:
        finished.close()
        assert await stream.finish(connection)
    await connection.close()


def move_to_own_table(database: Database, session_id: int = 1) -> None:
    """A small session as a large one is stored: in a partition of its own, sealed."""
    part = f"rl_packed_events_s{session_id}"
    for step in (
        f"select rl_open_events({session_id})",
        f"insert into {part} select * from rl_shared_events where event_key >> 40 = {session_id} "
        "order by event_key",
        f"delete from rl_shared_events where event_key >> 40 = {session_id}",
        f"update rl_orderbook_sessions set events_shared = false where session_id = {session_id}",
        f"select rl_seal_events({session_id}, 0)",
    ):
        database.fetch(step)


def loaded(database: Database, read: Callable[[SessionDataLoader], Awaitable[T]]) -> T:
    """What a loader over a connection of its own reads."""

    async def reading() -> T:
        connection: Any = await asyncpg.connect(database.dsn)
        try:
            return await read(SessionDataLoader(connection))
        finally:
            await connection.close()

    return asyncio.run(reading())


def same_sessions(found: list[RecordedSession], wanted: list[RecordedSession]) -> bool:
    """Bit for bit, grids and lives included."""
    facts = [
        [
            (s.ticker, s.grid.ranges, s.open_ms, s.close_ms, s.yes_value_e4, s.environment, s.fees)
            for s in sessions
        ]
        for sessions in (found, wanted)
    ]
    return facts[0] == facts[1] and all(
        a.events.dtype == b.events.dtype and a.events.tobytes() == b.events.tobytes()
        for a, b in zip(found, wanted, strict=True)
    )
