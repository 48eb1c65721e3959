"""A folder of recordings becomes a session: by time into a journal, from there as if live.

Every frame passes the one reader of recordings, which holds the rules of the live feed; here are
the journal, the database, and what is undone when it cannot be finished.
"""

from __future__ import annotations

import argparse
import heapq
import shutil
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from ipc.book_table import BookTableWriter
from ipc.clock import NS_PER_MS
from ipc.journal import FramedReader, list_streams, new_stream_uid
from ipc.messages import Environment, MarketResult, MarketTerms
from ipc.private_files import private_folder
from ipc.shared_file import remove_tables, shared_path
from processes.adapters.kalshi.feed.book_feed import Mark, WriteQueue
from processes.adapters.kalshi.feed.session import (
    RecordsFullError,
    SessionFacts,
    SessionJournal,
    list_market,
)
from processes.adapters.kalshi.recordings import RecordedFrame, RecordedMarket, RecordingError
from processes.adapters.kalshi.recordings.reader import (
    NEVER_TICKS_NS,
    RecordedFeed,
    Recording,
    open_recordings,
)
from processes.adapters.kalshi.schemas.enums import Result
from processes.adapters.postgres.archives import forget_session, forget_stream
from processes.adapters.postgres.sessions import StoredSession
from processes.recorder.sessions.desk import Desk, Progress
from processes.recorder.stream import SESSION_PRODUCER, RecordedRun
from processes.runtime.config import ConfigError
from processes.runtime.log import no_log

__all__ = ["import_recordings", "merged"]

SEGMENT: Final = 65_536  # records
MAX_BYTES: Final = 64 << 20  # of the journal, between two looks of the recorder
PUMP_EVERY: Final = 20_000  # frames
FOLDER: Final = "import"


class Taken(NamedTuple):
    """A frame of a file in the order of time, or the file's end; `cut`: it breaks off there."""

    recording: Recording
    recorded: RecordedFrame | None
    recv_ms: int
    cut: RecordingError | None = None


class ImportedSession:
    """The journal of one imported session, and the books by which its frames are checked.

    Args:
        folder: of this import, removed at its end.
        facts: of the session.
        markets: all of them, each once.
    """

    def __init__(self, folder: Path, facts: SessionFacts, markets: list[RecordedMarket]) -> None:
        slots = max(m.grid.size for m in markets)
        self.journal = SessionJournal(folder, facts, segment_records=SEGMENT, max_bytes=MAX_BYTES)
        self._table = BookTableWriter.create(shared_path(folder, "books"), len(markets), slots)
        self._most = 2 * slots + 2  # records of a frame
        self._recv_ns = facts.started_ns
        queue = WriteQueue(self._table, self.journal.segments, NEVER_TICKS_NS)
        self._feed = RecordedFeed(queue, {m.ticker: self._list(m) for m in markets})
        self._begun: set[Path] = set()

    @property
    def counts(self) -> Counter[str]:
        """What became of the frames."""
        return self._feed.counts

    def has_room(self) -> bool:
        """Whether the next frame fits, whatever it is."""
        return self.journal.segments.room(self._most)

    def take(self, taken: Taken) -> None:
        """The next frame, or a file's end. `RecordingError` names a line that is no frame."""
        recording = taken.recording
        if recording.path not in self._begun:
            self._begun.add(recording.path)
            self._recv_ns = max(self._recv_ns, recording.starts_ms * NS_PER_MS)
            self._note([self._feed.begin(recording)])
        if taken.recorded is None:
            self._note(self._feed.end(recording, taken.cut))
            return
        self._recv_ns = taken.recv_ms * NS_PER_MS
        self._note(self._feed.take(recording, taken.recorded, taken.recv_ms))

    def end(self) -> None:
        """Write the session's last record; the recorder then knows that this is all."""
        self.journal.end(self._recv_ns)
        self._check()

    def close(self) -> None:
        """Let go of journal and table."""
        self.journal.close()
        self._table.close()

    def _list(self, market: RecordedMarket) -> int:
        known = market.ticker, market.grid, market.open_ms, market.close_ms
        try:
            row = list_market(self._table, self.journal, *known)
        except ValueError as error:
            raise RecordingError(market.path, 0, str(error)) from None
        except RecordsFullError as error:
            raise OSError(str(error)) from None
        if market.result is not Result.NONE or market.yes_value_e4 is not None:
            self.journal.result(_result_of(market))
        if market.fees:
            terms = tuple((s.from_ms, s.fee_type, s.multiplier_e4) for s in market.fees)
            self.journal.terms(MarketTerms(market_ticker=market.ticker, fees=terms))
        self._check()
        return row

    def _note(self, marks: Iterable[Mark]) -> None:
        for mark in marks:
            self.journal.mark(mark.kind, mark.ticker, self._recv_ns, mark.detail)
            self._check()

    def _check(self) -> None:
        if self.journal.waiting:
            raise OSError(f"{self.journal.folder}: the journal of records is full")


def _result_of(market: RecordedMarket) -> MarketResult:
    """What the recording knows of it; reported at its settlement."""
    return MarketResult(
        market_ticker=market.ticker,
        result=str(market.result),
        yes_value_e4=market.yes_value_e4,
        determined_ms=None,
        settled_ms=market.settled_ms or None,
        reported_ns=(market.settled_ms or market.close_ms) * NS_PER_MS,
    )


async def import_recordings(desk: Desk, options: argparse.Namespace) -> int:
    """Make one session of all that is there; undone when it cannot be finished.

    Raises:
        ConfigError: recordings of two environments, or of frames that are stored already.
        RecordingError: a file that cannot be used, or a line that is no frame.
    """
    recordings = open_recordings(
        options.recordings,
        seq=options.seq,
        environment=options.environment and Environment(options.environment),
        skip_damaged=options.skip_damaged,
    )
    markets = _markets_of(recordings)
    environment = _environment_of(markets)
    await _sweep(desk)
    if not options.again:
        await _refuse_known(desk, recordings, environment)
    started_ns = recordings[0].starts_ms * NS_PER_MS
    uid = new_stream_uid(started_ns, desk.entropy)
    folder = desk.data_dir / FOLDER / uid
    source = f"recording:{options.recordings.absolute().name}"
    facts = SessionFacts(uid, environment, source, started_ns)
    private_folder(folder)
    imported = ImportedSession(folder, facts, markets)
    try:
        await _record(desk, imported, uid, recordings)
    except BaseException:
        await desk.reconnect()
        await _undo(desk, uid, folder)
        raise
    _remove(folder)
    session = next(s for s in await desk.loader.sessions() if s.session_uid == uid)
    counts = imported.counts
    said = ", ".join(f"{name.replace('_', ' ')} {counts[name]:,}" for name in sorted(counts))
    print(
        f"session {session.session_id} ({environment}): {session.events or 0:,} events of "
        f"{len(markets)} markets in {len(recordings)} files; {said}"
    )
    return 0


async def _refuse_known(desk: Desk, recordings: list[Recording], environment: Environment) -> None:
    """`ConfigError` for frames that a session holds already: they would count twice."""
    tickers = {m.ticker for r in recordings for m in r.markets}
    for session in await desk.loader.sessions(str(environment)):
        if not tickers.isdisjoint(session.market_tickers):
            await _refuse_same(desk, recordings, session)


async def _refuse_same(desk: Desk, recordings: list[Recording], session: StoredSession) -> None:
    for market in await desk.loader.markets(session.session_id):
        mine = [r for r in recordings if any(m.ticker == market.ticker for m in r.markets)]
        spans = [(r, *_span_ns(r)) for r in mine]
        if not spans:
            continue
        async for events, _ in desk.loader.blocks(session.session_id, market.market_id):
            if not len(events):
                continue
            first, last = int(events["recv_ns"][0]), int(events["recv_ns"][-1])
            for recording, begins, ends in spans:
                if begins <= last and first <= ends:
                    raise ConfigError(
                        f"{recording.path.name}: {market.ticker} of that time is stored already, "
                        f"in session {session.session_id}; allowed: delete that session first, "
                        "or --again to store it twice"
                    )


def _span_ns(recording: Recording) -> tuple[int, int]:
    """Receive times of its first and last frames."""
    last_ms = recording.starts_ms
    for recorded in recording.frames():
        if isinstance(recorded, RecordedFrame):
            last_ms = max(last_ms, recorded.recv_ms)
    return recording.starts_ms * NS_PER_MS, last_ms * NS_PER_MS


def _markets_of(recordings: list[Recording]) -> list[RecordedMarket]:
    """Every market once; the finest grid of those that several files know."""
    found: dict[str, RecordedMarket] = {}
    for market in (m for recording in recordings for m in recording.markets):
        known = found.get(market.ticker)
        if known is None or market.grid.size > known.grid.size:
            found[market.ticker] = market
    return list(found.values())


def _environment_of(markets: list[RecordedMarket]) -> Environment:
    environments = sorted({m.environment for m in markets})
    if len(environments) > 1:
        raise ConfigError(
            f"recordings of {' and '.join(environments)} in one folder; allowed: one environment "
            "(--environment says which)"
        )
    return environments[0]


def merged(recordings: list[Recording]) -> Iterator[Taken]:
    """All frames by receive time; those of one file keep their order. Opened when due."""
    waiting = sorted(recordings, key=lambda r: (r.starts_ms, r.path.name), reverse=True)
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


def _taken(recording: Recording) -> Iterator[Taken]:
    last_ms = recording.starts_ms
    cut: RecordingError | None = None
    for recorded in recording.frames():
        if isinstance(recorded, RecordingError):
            cut = recorded
        else:
            last_ms = max(last_ms, recorded.recv_ms)
            yield Taken(recording, recorded, last_ms)
    yield Taken(recording, None, last_ms, cut)


async def _record(
    desk: Desk, imported: ImportedSession, uid: str, recordings: list[Recording]
) -> None:
    """Frames into the journal, the journal into the database, by turns."""
    stream = RecordedRun(SESSION_PRODUCER, uid, imported.journal.folder, Counter(), no_log())
    await stream.load(desk.connection)
    progress = Progress("import")
    try:
        for number, taken in enumerate(merged(recordings), 1):
            if number % PUMP_EVERY == 0 or not imported.has_room():
                progress.add(await stream.pump(desk.connection))
                stream.tidy()
            imported.take(taken)
        imported.end()
        progress.add(await stream.pump(desk.connection))
        if not await stream.finish(desk.connection):
            raise OSError(f"{imported.journal.folder}: is not recorded to its end")
    finally:
        stream.close()
        imported.close()
    progress.end()


async def _undo(desk: Desk, uid: str, folder: Path) -> None:
    """Half a session is none."""
    for session in await desk.loader.sessions():
        if session.session_uid == uid:
            await forget_session(desk.connection, session)
    await forget_stream(desk.connection, f"{SESSION_PRODUCER}/{uid}")  # begun, no session yet
    _remove(folder)


def _remove(folder: Path) -> None:
    """The folder of an import, and its table, which lies in memory."""
    remove_tables(folder)
    shutil.rmtree(folder)


async def _sweep(desk: Desk) -> None:
    """Undo imports that were killed."""
    for folder in sorted((desk.data_dir / FOLDER).glob("*")):
        streams = list_streams(folder)
        if all(FramedReader(place).writer_is_dead() for _, _, place in streams):
            await _undo(desk, folder.name, folder)
