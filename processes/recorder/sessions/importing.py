"""A folder of recordings becomes a session: by time into a journal, from there as if live."""

from __future__ import annotations

import argparse
import heapq
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ipc.clock import NS_PER_MS
from ipc.journal import FramedReader, list_streams, new_stream_uid
from ipc.messages import Environment, SessionStarted
from ipc.private_files import private_folder
from processes.adapters.kalshi.recordings import (
    RecordedFrame,
    RecordedMarket,
    RecordingError,
    load_markets,
    read_frames,
    recording_files,
)
from processes.adapters.postgres.archives import forget_session, forget_stream
from processes.recorder.sessions.desk import Desk, Progress
from processes.recorder.sessions.recorded_feed import Feed, Source
from processes.recorder.stream import SESSION_PRODUCER, Stream
from processes.runtime.config import ConfigError
from processes.runtime.log import no_log

__all__ = ["AUTO", "SEQS", "import_recordings", "merged", "sources_of"]

AUTO: Final = "auto"
WHOLE: Final = "whole"
PART: Final = "part"
SEQS: Final = (AUTO, WHOLE, PART)
SAMPLE: Final = 2_000  # sequenced frames that tell a part of a subscription from all of it
MANY: Final = 0.05  # of them jump: a recording that lost so much would not be worth keeping
PUMP_EVERY: Final = 20_000  # frames
FOLDER: Final = "import"


class Taken(NamedTuple):
    """A frame of a file in the order of time; no frame: the file's end."""

    source: Source
    recorded: RecordedFrame | None
    recv_ms: int


async def import_recordings(desk: Desk, options: argparse.Namespace) -> int:
    """Make one session of all that is there; undone when it cannot be finished."""
    sources = sources_of(options.recordings, options.seq)
    markets = _markets_of(sources)
    environment = _environment_of(markets)
    started_ns = sources[0].starts_ms * NS_PER_MS
    uid = new_stream_uid(started_ns, desk.entropy)
    folder = desk.data_dir / FOLDER / uid
    await _sweep(desk)
    started = SessionStarted(
        session_uid=uid,
        environment=environment,
        websocket_url=f"recording:{options.recordings.absolute().name}",
        started_ns=started_ns,
    )
    private_folder(folder)
    feed = Feed(folder, started, markets)
    try:
        counts = await _record(desk, feed, uid, sources)
    except BaseException:
        await desk.begin_anew()
        await _undo(desk, uid, folder)
        raise
    shutil.rmtree(folder)
    session = next(s for s in await desk.loader.sessions() if s.session_uid == uid)
    facts = ", ".join(f"{name.replace('_', ' ')} {counts[name]:,}" for name in sorted(counts))
    print(
        f"session {session.session_id} ({environment}): {session.events or 0:,} events of "
        f"{len(markets)} markets in {len(sources)} files; {facts}"
    )
    return 0


def sources_of(path: Path, seq: str = AUTO) -> list[Source]:
    """The files by the time of their first frames; `RecordingError` for one without any book."""
    sources = []
    for file in recording_files(path):
        first = next(read_frames(file), None)
        markets = load_markets(file)
        if first is None or not markets:
            raise RecordingError(file, 0, "no orderbook_snapshot in it")
        whole = seq == WHOLE or (seq == AUTO and _is_whole(file))
        sources.append(Source(file, markets, first.recv_ms, whole=whole))
    return sorted(sources, key=lambda s: (s.starts_ms, s.path.name))


def _is_whole(file: Path) -> bool:
    """Whether hardly any of the first frames leaves its subscription's order."""
    last: dict[int, int] = {}
    seen = jumps = 0
    for recorded in read_frames(file):
        frame = recorded.frame
        if frame.sid is None or frame.seq is None:
            continue
        jumps += frame.sid in last and frame.seq > last[frame.sid] + 1
        last[frame.sid] = frame.seq
        seen += 1
        if seen == SAMPLE:
            break
    return jumps <= MANY * seen


def _markets_of(sources: list[Source]) -> list[RecordedMarket]:
    """Every market once; the finest grid of those that several files know."""
    found: dict[str, RecordedMarket] = {}
    for market in (m for source in sources for m in source.markets):
        known = found.get(market.ticker)
        if known is None or market.grid.size > known.grid.size:
            found[market.ticker] = market
    return list(found.values())


def _environment_of(markets: list[RecordedMarket]) -> Environment:
    environments = sorted({m.environment for m in markets})
    if len(environments) > 1:
        raise ConfigError(
            f"recordings of {' and '.join(environments)} in one folder; allowed: one environment"
        )
    return environments[0]


def merged(sources: list[Source]) -> Iterator[Taken]:
    """All frames by receive time; those of one file keep their order. Opened when due."""
    waiting = sorted(sources, key=lambda s: (s.starts_ms, s.path.name), reverse=True)
    heads: list[tuple[int, int, Taken, Iterator[Taken]]] = []
    number = 0
    while waiting or heads:
        while waiting and (not heads or waiting[-1].starts_ms <= heads[0][0]):
            frames = _taken(waiting.pop())
            first = next(frames)
            heapq.heappush(heads, (first.recv_ms, number, first, frames))
            number += 1
        _, own, taken, frames = heapq.heappop(heads)
        yield taken
        following = next(frames, None)
        if following is not None:
            heapq.heappush(heads, (following.recv_ms, own, following, frames))


def _taken(source: Source) -> Iterator[Taken]:
    last_ms = source.starts_ms
    for recorded in read_frames(source.path):
        last_ms = max(last_ms, recorded.recv_ms)
        yield Taken(source, recorded, last_ms)
    yield Taken(source, None, last_ms)


async def _record(desk: Desk, feed: Feed, uid: str, sources: list[Source]) -> Counter[str]:
    """Frames into the journal, the journal into the database, by turns."""
    stream = Stream(SESSION_PRODUCER, uid, feed.stream_folder, Counter(), no_log())
    await stream.load(desk.connection)
    progress = Progress("import")
    begun: set[Path] = set()
    try:
        for number, taken in enumerate(merged(sources), 1):
            if number % PUMP_EVERY == 0 or not feed.has_room():
                progress.add(await stream.pump(desk.connection))
                stream.tidy()
            if taken.source.path not in begun:
                begun.add(taken.source.path)
                feed.begin(taken.source)
            if taken.recorded is None:
                feed.end_of(taken.source)
            else:
                feed.take(taken.source, taken.recorded, taken.recv_ms)
        feed.end()
        progress.add(await stream.pump(desk.connection))
        if not await stream.finish(desk.connection):
            raise OSError(f"{feed.stream_folder}: is not recorded to its end")
    finally:
        stream.close()
        feed.close()
    progress.end()
    return feed.counts


async def _undo(desk: Desk, uid: str, folder: Path) -> None:
    """Half a session is none."""
    for session in await desk.loader.sessions():
        if session.session_uid == uid:
            await forget_session(desk.connection, session)
    await forget_stream(desk.connection, f"{SESSION_PRODUCER}/{uid}")  # begun, no session yet
    shutil.rmtree(folder)


async def _sweep(desk: Desk) -> None:
    """Undo imports that were killed."""
    for folder in sorted((desk.data_dir / FOLDER).glob("*")):
        streams = list_streams(folder)
        if all(FramedReader(place).writer_is_dead() for _, _, place in streams):
            await _undo(desk, folder.name, folder)
