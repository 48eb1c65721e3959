"""Recordings as the learner reads them: one `RecordedSession` per market, in the journal's layout.

The events are the same records, in the same order, that the collector journals when the local
exchange replays the recording: receive time in whole milliseconds of the recording, and no records
of a book that is STALE.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ipc import book as b
from ipc.clock import NS_PER_MS
from ipc.event_journal import CAPACITY, COUNT, FIRST, HEADER_WORDS, RECORD_WORDS
from ipc.journal import EVENT
from ipc.messages import Environment
from models.simulation.tape import RecordedSession
from models.trading.fees import MarketFees
from models.trading.known_fees import fees_of_recording
from processes.adapters.kalshi.feed.book_feed import WriteQueue
from processes.adapters.kalshi.recordings.lines import RecordingError
from processes.adapters.kalshi.recordings.markets import RecordedMarket
from processes.adapters.kalshi.recordings.reader import (
    AUTO,
    NEVER_TICKS_NS,
    RecordedFeed,
    Recording,
    Say,
    open_recordings,
    to_stderr,
)

__all__ = ["load_sessions"]

CAPACITY_RECORDS: Final = 65_536

Events = npt.NDArray[np.void]


class _Rows:
    """Books in memory, one row per market."""

    def __init__(self, markets: list[RecordedMarket], slots: int) -> None:
        self.live = np.stack([b.new_row(slots, m.grid) for m in markets])
        self.tick_rows = np.zeros_like(self.live)


class _Journal:
    """Records in memory; `events` takes them out."""

    def __init__(self, capacity: int) -> None:
        self.words = np.zeros(HEADER_WORDS + RECORD_WORDS * capacity, np.int64)
        self.words[FIRST], self.words[CAPACITY] = 1, capacity
        self._taken: list[Events] = []

    @property
    def left(self) -> int:
        return int(self.words[CAPACITY] - self.words[COUNT])

    def room(self, records: int) -> bool:
        """Always; what is full is put aside."""
        if records > self.left:
            self._put_aside()
        return records <= self.left

    def _put_aside(self) -> None:
        count = int(self.words[COUNT])
        end = HEADER_WORDS + RECORD_WORDS * count
        self._taken.append(self.words[HEADER_WORDS:end].view(EVENT).copy())
        self.words[FIRST] += count
        self.words[COUNT] = 0

    def events(self) -> Events:
        """All of them, in order."""
        self._put_aside()
        return np.concatenate(self._taken)


def load_sessions(
    path: Path,
    *,
    seq: str = AUTO,
    environment: Environment | None = None,
    skip_damaged: bool = False,
    say: Say = to_stderr,
) -> list[RecordedSession]:
    """Load every market of a recording or of a folder, file by file in the order of their names.

    Fees are those in force when a market opened, of a plain quadratic series: recordings do not say
    more.

    Args:
        path: A recording, or a folder of them.
        seq: One of `SEQS`: whether a jump of `seq` is a loss; `auto` looks at how often it jumps.
        environment: Of all of them; None: by the folder's name.
        skip_damaged: Leave out files that cannot be used, and say so.
        say: Takes one line per file that is left out, has gaps, or breaks off.

    Returns:
        The markets that have events.

    Raises:
        RecordingError: Names file and line of what cannot be used.
    """
    recordings = open_recordings(
        path, seq=seq, environment=environment, skip_damaged=skip_damaged, say=say
    )
    by_name = sorted(recordings, key=lambda r: r.path)
    return [session for recording in by_name for session in _sessions_of(recording, say)]


def _sessions_of(recording: Recording, say: Say) -> list[RecordedSession]:
    markets = recording.markets
    slots = max(m.grid.size for m in markets)
    journal = _Journal(max(CAPACITY_RECORDS, 2 * slots + 2))
    queue = WriteQueue(_Rows(markets, slots), journal, NEVER_TICKS_NS)
    feed = RecordedFeed(queue, {m.ticker: row for row, m in enumerate(markets)})
    cut: RecordingError | None = None
    recv_ms = 0
    for recorded in recording.frames():
        if isinstance(recorded, RecordingError):
            cut = recorded
        else:
            recv_ms = max(recv_ms, recorded.recv_ms)
            feed.take(recording, recorded, recv_ms)
    feed.end(recording, cut)
    if cut is not None:
        say(f"used up to where it breaks off: {cut}")
    if gaps := feed.counts["gaps"]:
        say(f"{recording.path}: {gaps} gaps; its books are left out from each to its next snapshot")
    events = journal.events()
    of_row = (events[events["row"] == row] for row in range(len(markets)))
    return [_session(m, mine) for m, mine in zip(markets, of_row, strict=True) if len(mine)]


def _session(market: RecordedMarket, events: Events) -> RecordedSession:
    events["event_no"] = np.arange(1, len(events) + 1)
    events["row"] = 0
    began_ms = market.open_ms or int(events["recv_ns"][0]) // NS_PER_MS
    return RecordedSession(
        ticker=market.ticker,
        events=events,
        grid=market.grid,
        open_ms=market.open_ms,
        close_ms=market.close_ms,
        yes_value_e4=market.yes_value_e4,
        environment=market.environment,
        fees=_fees(market, began_ms),
    )


def _fees(market: RecordedMarket, began_ms: int) -> MarketFees:
    try:
        return fees_of_recording(market.ticker, began_ms, market.fees)
    except ValueError as error:
        raise RecordingError(market.path, 0, f"{market.ticker}: {error}") from None
