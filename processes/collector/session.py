"""One collector run: its name, its two journals and the marks in them.

Marks are few and must not be lost: one that the journal refuses waits here, in order, until there
is room.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Final

import msgspec

from ipc.journal import EventSegments, FramedWriter, stream_folder
from ipc.messages import (
    Environment,
    MarketListed,
    MarketResult,
    MarkKind,
    Message,
    SessionEnded,
    SessionMark,
    SessionStarted,
)
from ipc.units import PriceGrid

__all__ = ["PRODUCER", "Session", "SessionFacts"]

PRODUCER: Final = "collector"
MAX_WAITING: Final = 10_000  # marks; beyond it the oldest goes, counted


class SessionFacts(msgspec.Struct, frozen=True):
    """What a session is of."""

    uid: str
    environment: Environment
    websocket_url: str
    started_ns: int


class Session:
    """The journals of one run: `segments` takes book events, `mark` and `listed` the rest."""

    def __init__(
        self, data_dir: Path, facts: SessionFacts, *, segment_records: int, max_bytes: int
    ) -> None:
        self.facts = facts
        folder = stream_folder(data_dir, PRODUCER, facts.uid)
        self._marks = FramedWriter(folder)
        self.segments = EventSegments(folder, capacity=segment_records, max_bytes=max_bytes)
        self._waiting: deque[Message] = deque()
        self.marks_dropped = 0
        self._write(
            SessionStarted(
                session_uid=facts.uid,
                environment=facts.environment,
                websocket_url=facts.websocket_url,
                started_ns=facts.started_ns,
            )
        )

    @property
    def stream(self) -> str:
        """The journal's name for the recorder's doorbell."""
        return f"{PRODUCER}/{self.facts.uid}"

    @property
    def last_event_no(self) -> int:
        """Number of the last accepted event, 0 before the first."""
        return self.segments.next_event_no - 1

    def mark(self, kind: MarkKind, ticker: str | None, ts_ns: int, detail: str = "") -> None:
        """Note something at the present place of the event stream."""
        self._write(
            SessionMark(
                kind=kind,
                market_ticker=ticker,
                event_no=self.last_event_no,
                ts_ns=ts_ns,
                detail=detail,
            )
        )

    def listed(self, row: int, ticker: str, grid: PriceGrid, open_ms: int, close_ms: int) -> bool:
        """Say that `row` holds this market from the next event on; False when not accepted.

        An event whose row was never listed could not be told from another market's, so a market
        is used only after this.
        """
        self.retry()
        listing = MarketListed(
            row=row,
            market_ticker=ticker,
            from_event_no=self.segments.next_event_no,
            price_ranges=tuple((r.start_e4, r.end_e4, r.step_e4) for r in grid.ranges),
            open_ms=open_ms,
            close_ms=close_ms,
        )
        return not self._waiting and self._marks.append(listing)

    def told(self, result: MarketResult) -> None:
        """Keep what the exchange said that a market paid."""
        self._write(result)

    def retry(self) -> None:
        """Offer again what was refused."""
        while self._waiting and self._marks.append(self._waiting[0]):
            self._waiting.popleft()

    def _write(self, message: Message) -> None:
        self._waiting.append(message)
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self.marks_dropped += 1
        self.retry()

    def end(self, ended_ns: int) -> None:
        """Last record of a clean run."""
        self._write(SessionEnded(ended_ns=ended_ns, event_no=self.last_event_no))
        self._marks.close()
        self.segments.close()
