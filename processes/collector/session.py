"""One collector run: its name, its two journals and the marks in them.

Marks are few and must not be lost: one that the journal refuses waits here, in order, until there
is room.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from ipc.journal import EventSegments
from ipc.messages import (
    Environment,
    MarketListed,
    MarketResult,
    MarkKind,
    SessionMark,
    SessionStarted,
)
from ipc.units import PriceGrid
from processes.runtime.journal import RunJournal

__all__ = ["PRODUCER", "Session", "SessionFacts"]

PRODUCER: Final = "collector"


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
        started = SessionStarted(
            session_uid=facts.uid,
            environment=facts.environment,
            websocket_url=facts.websocket_url,
            started_ns=facts.started_ns,
        )
        self._marks = RunJournal(data_dir, PRODUCER, started)
        self.segments = EventSegments(
            self._marks.folder, capacity=segment_records, max_bytes=max_bytes
        )

    @property
    def stream(self) -> str:
        """The journal's name for the recorder's doorbell."""
        return self._marks.stream

    @property
    def marks_dropped(self) -> int:
        """Marks that the journal refused for too long."""
        return self._marks.dropped

    @property
    def last_event_no(self) -> int:
        """Number of the last accepted event, 0 before the first."""
        return self.segments.next_event_no - 1

    def mark(self, kind: MarkKind, ticker: str | None, ts_ns: int, detail: str = "") -> None:
        """Note something at the present place of the event stream."""
        self._marks.keep(
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
        listing = MarketListed(
            row=row,
            market_ticker=ticker,
            from_event_no=self.segments.next_event_no,
            price_ranges=tuple((r.start_e4, r.end_e4, r.step_e4) for r in grid.ranges),
            open_ms=open_ms,
            close_ms=close_ms,
        )
        return self._marks.append(listing)

    def told(self, result: MarketResult) -> None:
        """Keep what the exchange said that a market paid."""
        self._marks.keep(result)

    def retry(self) -> None:
        """Offer again what was refused."""
        self._marks.flush()

    def end(self, ended_ns: int) -> None:
        """Last record of a clean run."""
        self._marks.end(ended_ns, self.last_event_no)
        self.segments.close()
