"""What a recorded delta costs: bytes in PostgreSQL and in Parquet, seconds until it is an array."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.figures import Figure
from benchmarks.journal import SESSION
from benchmarks.market import MARKET_NS
from ipc.clock import mono_ns
from ipc.event_journal import COUNT, HEADER_WORDS, RECORD_WORDS
from ipc.journal import EVENT, EventSegments, Kind, stream_folder
from ipc.messages import Environment
from ipc.units import LINEAR_CENT
from processes.adapters.kalshi.feed.session import SessionFacts, SessionJournal
from processes.adapters.parquet.archive import ArchiveWriter, read_events
from processes.adapters.postgres.database import connect_within
from processes.adapters.postgres.migrate import migrate
from processes.adapters.postgres.migrations import load
from processes.adapters.postgres.sessions import SessionDataLoader
from processes.recorder.stream import RecordedRun
from tests.support.postgres import PostgresServer, quiet

__all__ = ["run", "synthetic_deltas"]

DELTAS: Final = 1_000_000
MARKETS: Final = 100
RATE: Final = 5_000  # deltas a second over all markets
SEED: Final = 1
URL: Final = "ws://127.0.0.1:8070/trade-api/ws/v2"
SIZES_E2: Final = np.array([10, 100, 200, 1_000, 2_500, 3_000, 4_000, 10_000, 40_000, 200_000])
ODDS: Final = np.array([12, 5, 6, 22, 6, 4, 6, 22, 9, 8]) / 100


def synthetic_deltas(number: int, seed: int) -> npt.NDArray[np.void]:
    """Journal records as live ones are: nanoseconds at random, a few busy markets, round sizes.

    A fifth of the sizes is not round, a third of the deltas shares its exchange time with the one
    before, and prices walk about a touch of their own.
    """
    chance = np.random.default_rng(seed)
    events = np.zeros(number, EVENT)
    events["event_no"] = events["seq"] = np.arange(1, number + 1)
    events["recv_ns"] = MARKET_NS + np.cumsum(chance.exponential(1e9 / RATE, number)).astype(int)
    lag_ms = 5 + chance.gamma(2.0, 4.0, number).astype(np.int64)
    events["exch_ms"] = np.maximum.accumulate(events["recv_ns"] // 1_000_000 - lag_ms)
    events["row"] = np.minimum(chance.zipf(1.5, number) - 1, MARKETS - 1)
    touch = 20 + (events["row"].astype(np.int64) * 37) % 60
    away = np.minimum(chance.geometric(0.25, number) - 1, 19)
    events["price_e4"] = 100 * (touch - away)
    sizes = chance.choice(SIZES_E2, number, p=ODDS)
    odd = chance.random(number) < 0.2
    sizes[odd] = chance.integers(1, 100_000, odd.sum())
    events["count_e2"] = sizes * chance.choice([-1, 1], number)
    events["kind"], events["leg"] = Kind.DELTA, chance.integers(0, 2, number)
    return events


def _journal(folder: Path) -> None:
    """A session's journal that has not been recorded yet."""
    facts = SessionFacts(SESSION, Environment.SIMULATED, URL, MARKET_NS)
    session = SessionJournal(folder, facts, segment_records=65_536, max_bytes=1 << 30)
    for row in range(MARKETS):
        session.listed(row, f"KXBENCH-{row}", LINEAR_CENT, 1, 2)
    events = synthetic_deltas(DELTAS, SEED)
    done = 0
    while done < len(events):
        done += _append(session.segments, events[done:])
    session.end(int(events["recv_ns"][-1]))


def _append(segments: EventSegments, events: npt.NDArray[np.void]) -> int:
    """As many as the segment in use has room for."""
    if not segments.room(1):
        raise RuntimeError("the journal refused")
    words, count = segments.words, int(segments.words[COUNT])
    taken = events[: (len(words) - HEADER_WORDS) // RECORD_WORDS - count]
    start = HEADER_WORDS + RECORD_WORDS * count
    words[start : start + RECORD_WORDS * len(taken)] = taken.view(np.int64)
    words[COUNT] += len(taken)
    return len(taken)


async def _timed(work: Awaitable[Any]) -> tuple[Any, float]:
    begun = mono_ns()
    result = await work
    return result, (mono_ns() - begun) / 1e9


async def _bytes_a_delta(connection: Any) -> float:
    size = "select pg_total_relation_size('rl_packed_events_s1')"
    return float(await connection.fetchval(size)) / DELTAS


async def _store(dsn: str, folder: Path) -> list[Figure]:
    connection = await connect_within(dsn, 60)
    try:
        await migrate(connection, load(), quiet)
        place = stream_folder(folder, "collector", SESSION)
        stream = RecordedRun("collector", SESSION, place, Counter(), quiet)
        await stream.load(connection)
        _, pumped_s = await _timed(stream.pump(connection))
        opened = await _bytes_a_delta(connection)
        _, settled_s = await _timed(stream.finish(connection))
        closed = await _bytes_a_delta(connection)
        loader = SessionDataLoader(connection)
        (events, markets), loaded_s = await _timed(loader.session_events(1))
        if len(events) != DELTAS:
            raise RuntimeError(f"{len(events)} of {DELTAS} deltas came back")
        return [
            Figure("journal to PostgreSQL, key unique", DELTAS / pumped_s, "rows/s"),
            Figure("PostgreSQL, session open", opened, "bytes"),
            Figure("PostgreSQL, session closed", closed, "bytes"),
            Figure("count, seal and settle 1 M", settled_s, "s"),
            Figure("1 M deltas from PostgreSQL to arrays", loaded_s, "s"),
            *_archived(folder / "archive.parquet", events, markets),
        ]
    finally:
        await connection.close()


def _archived(
    path: Path, events: npt.NDArray[np.void], markets: npt.NDArray[np.int32]
) -> list[Figure]:
    begun = mono_ns()
    with ArchiveWriter(path, b"{}") as writer:
        writer.write(events, markets)
    written = mono_ns()
    again, same_markets = read_events(path)
    read = mono_ns()
    if not (np.array_equal(again, events) and np.array_equal(same_markets, markets)):
        raise RuntimeError("the archive differs")
    return [
        Figure("Parquet", path.stat().st_size / DELTAS, "bytes"),
        Figure("1 M deltas from arrays to Parquet", (written - begun) / 1e9, "s"),
        Figure("1 M deltas from Parquet to arrays", (read - written) / 1e9, "s"),
    ]


def run() -> list[Figure]:
    """A million synthetic deltas through the recorder, into arrays, into a file, into arrays."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _journal(folder)
        server = PostgresServer(folder)
        server.start()
        try:
            return asyncio.run(_store(server.dsn("postgres"), folder))
        finally:
            server.stop()
