"""The journals of one session: its book events, and the records that stand beside them.

Records (started, a market listed, a mark, a result, ended) are few and must not be lost: one that
the journal refuses waits here, in order, until there is room.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from ipc.book_table import BookTableWriter
from ipc.errors import KalshiActorError
from ipc.journal import EventSegments, RunJournal
from ipc.messages import (
    Environment,
    MarketListed,
    MarketResult,
    MarketTerms,
    MarkKind,
    ProgramListed,
    SessionMark,
    SessionStarted,
)
from ipc.units import PriceGrid

__all__ = ["PRODUCER", "RecordsFullError", "SessionFacts", "SessionJournal", "list_market"]

PRODUCER: Final = "collector"


class RecordsFullError(KalshiActorError, RuntimeError):
    """The journal takes no record now."""


class SessionFacts(msgspec.Struct, frozen=True):
    """What a session is of.

    Attributes:
        uid: Its name, also that of its journal.
        environment: Where the data comes from.
        websocket_url: The stream.
        started_ns: Market time of the start.
    """

    uid: str
    environment: Environment
    websocket_url: str
    started_ns: int


class SessionJournal:
    """Both journals of one session: `segments` takes book events, the methods take records.

    Args:
        data_dir: The journals' folder is made below it.
        facts: Written as the first record.
        segment_records: Book events of one file.
        max_bytes: Of all files of book events that the recorder has not taken yet.

    Attributes:
        facts: As given.
        folder: Of both journals.
        segments: The journal of book events.
    """

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
        self._records = RunJournal(data_dir, PRODUCER, started)
        self.folder = self._records.folder
        self.segments = EventSegments(self.folder, capacity=segment_records, max_bytes=max_bytes)
        self._is_open = True

    @property
    def stream(self) -> str:
        """The journal's name for the recorder's doorbell."""
        return self._records.stream

    def files_in_use(self) -> tuple[Callable[[], Path], ...]:
        """What gives the file that each journal writes now."""
        return lambda: self._records.path, lambda: self.segments.path

    @property
    def records_dropped(self) -> int:
        """Records that the journal refused for too long."""
        return self._records.dropped

    @property
    def last_event_no(self) -> int:
        """Number of the last accepted event, 0 before the first."""
        return self.segments.next_event_no - 1

    @property
    def waiting(self) -> int:
        """Records that the journal has refused so far."""
        return self._records.waiting

    def mark(self, kind: MarkKind, ticker: str | None, ts_ns: int, detail: str = "") -> None:
        """Note something at the present place of the event stream.

        Kept in memory, in order, while the journal refuses it.

        Args:
            kind: What happened.
            ticker: The market, None for several.
            ts_ns: Market time.
            detail: For people.
        """
        self._records.keep(
            SessionMark(
                kind=kind,
                market_ticker=ticker,
                event_no=self.last_event_no,
                ts_ns=ts_ns,
                detail=detail,
            )
        )

    def listed(self, row: int, ticker: str, grid: PriceGrid, open_ms: int, close_ms: int) -> bool:
        """Say that a row holds this market from the next event on.

        An event whose row was never listed cannot be assigned to a market, so a market is used only
        after this.

        Args:
            row: Row number.
            ticker: The market.
            grid: Its prices.
            open_ms: When it opens, 0 unknown.
            close_ms: When it closes, 0 unknown.

        Returns:
            False when the journal did not accept it.
        """
        listing = MarketListed(
            row=row,
            market_ticker=ticker,
            from_event_no=self.segments.next_event_no,
            price_ranges=tuple((r.start_e4, r.end_e4, r.step_e4) for r in grid.ranges),
            open_ms=open_ms,
            close_ms=close_ms,
        )
        return self._records.append(listing)

    def result(self, result: MarketResult) -> None:
        """Keep what the exchange said that a market paid."""
        self._records.keep(result)

    def terms(self, terms: MarketTerms) -> None:
        """Keep what the exchange says that a market charges."""
        self._records.keep(terms)

    def program(self, program: ProgramListed) -> None:
        """Keep a program of a market."""
        self._records.keep(program)

    def retry(self) -> None:
        """Offer again what was refused."""
        self._records.flush()

    def end(self, ended_ns: int) -> None:
        """Write the last record of a clean run and close both journals."""
        self._records.end(ended_ns, self.last_event_no)
        self.close()

    def close(self) -> None:
        """Close both journals; what follows them takes the session for complete. Safe to repeat."""
        if self._is_open:
            self._is_open = False
            self._records.close()
            self.segments.close()


def list_market(
    table: BookTableWriter,
    session: SessionJournal,
    ticker: str,
    grid: PriceGrid,
    open_ms: int,
    close_ms: int,
) -> int:
    """Give a market a row of the table and list it in the session, both or neither.

    Args:
        table: The table of books.
        session: The journals.
        ticker: The market.
        grid: Its prices.
        open_ms: When it opens, Unix milliseconds; 0 unknown.
        close_ms: When it closes; 0 unknown.

    Returns:
        Its row.

    Raises:
        TableFullError: No row is free.
        ValueError: The name or the grid does not fit the table.
        RecordsFullError: The journal does not take the listing now.
    """
    row = table.add_market(ticker, grid, open_ms, close_ms)
    if not session.listed(row, ticker, grid, open_ms, close_ms):
        table.remove_market(row)
        raise RecordsFullError(f"{ticker}: the journal is full")
    return row
