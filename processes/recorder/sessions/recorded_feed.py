"""Recorded frames into a journal, by the functions that live frames pass; no database here.

Normalised, checked against their subscription's `seq`, applied to a table of books and journalled
by the fused kernels. A book that cannot be believed is STALE until its next snapshot, and the
session says so.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Final

import msgspec

from ipc import book as b
from ipc.book_kernels import (
    NOT_LIVE,
    REFUSED,
    record_delta,
    record_snapshot,
    record_trade,
    set_state,
)
from ipc.book_table import BookTableWriter
from ipc.journal import EventSegments, FramedWriter, stream_folder
from ipc.messages import (
    MarketListed,
    MarketResult,
    MarkKind,
    SessionEnded,
    SessionMark,
    SessionStarted,
)
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.normalise import (
    change_of_delta,
    exchange_ms,
    levels_of_snapshot,
    trade_of,
)
from processes.adapters.kalshi.recordings import RecordedFrame, RecordedMarket, RecordingError
from processes.adapters.kalshi.schemas.enums import Result
from processes.adapters.kalshi.schemas.frames import Delta, Frame, Snapshot, Trade
from processes.adapters.kalshi.stream.subscriptions import Ended, Gap, Subscriptions
from processes.recorder.stream import SESSION_PRODUCER

__all__ = ["Feed", "Source"]

SEGMENT: Final = 65_536  # records
MAX_BYTES: Final = 64 << 20  # of the journal, between two looks of the recorder
NEVER_TICKS_NS: Final = 1 << 62  # nobody reads the table of an import
NS_PER_MS: Final = 1_000_000


Said = SessionStarted | SessionEnded | SessionMark | MarketListed | MarketResult


class Source:
    """One file: its markets, whether it keeps every frame, and where its connection stands."""

    def __init__(
        self, path: Path, markets: list[RecordedMarket], starts_ms: int, *, whole: bool
    ) -> None:
        self.path = path
        self.markets = markets
        self.starts_ms = starts_ms
        self.whole = whole
        self.ended = False
        self.connect()

    def connect(self) -> None:
        """A new connection: an equal sid is a new subscription."""
        self.subscriptions = Subscriptions(on_yes_scale=False)
        self._seqs: dict[int, int] = {}

    def reconnected(self, frame: Frame) -> bool:
        """Whether a subscription's numbers begin anew with this frame."""
        if frame.sid is None or frame.seq is None:
            return False
        last, self._seqs[frame.sid] = self._seqs.get(frame.sid, 0), frame.seq
        return frame.seq <= last


class _Row(msgspec.Struct):
    """A market's row of the table, and the file that its frames come from."""

    number: int
    source: Source | None = None
    snapshot_clock: int = 0


class Feed:
    """The journal of one imported session, and the books by which its frames are checked."""

    def __init__(
        self, folder: Path, started: SessionStarted, markets: list[RecordedMarket]
    ) -> None:
        self.stream_folder = stream_folder(folder, SESSION_PRODUCER, started.session_uid)
        self._writer = FramedWriter(self.stream_folder)
        self._writing = True
        self.segments = EventSegments(self.stream_folder, capacity=SEGMENT, max_bytes=MAX_BYTES)
        slots = max(m.grid.size for m in markets)
        self._table = BookTableWriter.create(folder / "books", len(markets), slots)
        self._most = 2 * slots + 2  # records of a frame
        self._rows: dict[str, _Row] = {}
        self._recv_ns = started.started_ns
        self.counts: Counter[str] = Counter()
        self._say(started)
        for market in markets:
            self._list(market)

    def _say(self, message: Said) -> None:
        if not self._writer.append(message):
            raise OSError(f"{self.stream_folder}: the journal of marks is full")

    def _list(self, market: RecordedMarket) -> None:
        known = market.ticker, market.grid, market.open_ms, market.close_ms
        try:
            row = self._table.add_market(*known)
        except ValueError as error:
            raise RecordingError(market.path, 0, str(error)) from None
        self._rows[market.ticker] = _Row(row)
        ranges = tuple((r.start_e4, r.end_e4, r.step_e4) for r in market.grid.ranges)
        self._say(
            MarketListed(
                row=row,
                market_ticker=market.ticker,
                from_event_no=1,
                price_ranges=ranges,
                open_ms=market.open_ms,
                close_ms=market.close_ms,
            )
        )

        if market.result is not Result.NONE or market.yes_value_e4 is not None:
            self._say_result(market)

    def _say_result(self, market: RecordedMarket) -> None:
        """What the recording knows of it; as old a word as its settlement."""
        told_ms = market.settled_ms or market.close_ms
        self._say(
            MarketResult(
                market_ticker=market.ticker,
                result=str(market.result),
                yes_value_e4=market.yes_value_e4,
                determined_ms=None,
                settled_ms=market.settled_ms or None,
                reported_ns=told_ms * NS_PER_MS,
            )
        )

    def has_room(self) -> bool:
        """Whether the next frame fits, whatever it is."""
        return self.segments.room(self._most)

    def take(self, source: Source, recorded: RecordedFrame, recv_ms: int) -> None:
        """One frame, in the order of its file; `RecordingError` names the line that is none."""
        frame, self._recv_ns = recorded.frame, recv_ms * NS_PER_MS
        self._follow(source, frame)
        if not isinstance(frame, Delta | Trade | Snapshot):
            return
        row = self._rows.get(frame.msg.market_ticker)
        if row is None:
            self.counts["of_markets_without_a_book"] += 1
            return
        self._own(row, source, recorded, frame.msg.market_ticker)
        try:
            result = self._record(row, frame)
        except WireError as error:
            raise RecordingError(recorded.path, recorded.line, str(error)) from None
        self._settle(row, frame.msg.market_ticker, result)

    def _follow(self, source: Source, frame: Frame) -> None:
        """The subscription's count; in a file that keeps a part of it jumps are no losses."""
        if source.reconnected(frame):
            source.connect()
            source.reconnected(frame)  # its numbers count from here
            self._distrust(source, MarkKind.DISCONNECTED, f"{source.path.name}: seq begins anew")
        if not source.whole:
            return
        for event in source.subscriptions.on_frame(frame):
            if isinstance(event, Gap):
                detail = f"{source.path.name}: expected seq {event.expected}, got {event.got}"
                self._lost(source, frame, detail)
            elif isinstance(event, Ended) and event.terminal:
                detail = f"{source.path.name}: {event.channel} ended: {event.code}"
                self._distrust(source, MarkKind.GAP, detail)

    def _lost(self, source: Source, frame: Frame, detail: str) -> None:
        """Books do not depend on trades that are missing."""
        self.counts["gaps"] += 1
        if isinstance(frame, Trade):
            self._mark(MarkKind.GAP, None, detail)
        else:
            self._distrust(source, MarkKind.GAP, detail)

    def _own(self, row: _Row, source: Source, recorded: RecordedFrame, ticker: str) -> None:
        """A market's frames come from one file at a time."""
        if row.source is source:
            return
        if row.source is not None and not row.source.ended:
            other = row.source.path.name
            raise RecordingError(
                recorded.path, recorded.line, f"{ticker} is in {other} at the same time"
            )
        row.source = source

    def _record(self, row: _Row, frame: Delta | Trade | Snapshot) -> int:
        table, segments = self._table, self.segments
        target = table.live, table.tick_rows, segments.words, True, row.number
        if isinstance(frame, Snapshot):
            stamps = self._stamps(frame.seq, 0)
            levels = levels_of_snapshot(frame.msg)
            result = record_snapshot(*target, levels, stamps, NEVER_TICKS_NS)
            if result >= REFUSED:
                row.snapshot_clock = frame.msg.clock or 0
            return int(result)
        stamps = self._stamps(frame.seq, exchange_ms(frame.msg.ts_ms, frame.msg.ts))
        if isinstance(frame, Trade):
            return int(record_trade(*target, trade_of(frame.msg), stamps, NEVER_TICKS_NS))
        if frame.msg.clock is not None and frame.msg.clock <= row.snapshot_clock:
            return NOT_LIVE  # the snapshot holds it
        return int(record_delta(*target, change_of_delta(frame.msg), stamps, NEVER_TICKS_NS))

    def _stamps(self, seq: int, exch_ms: int) -> tuple[int, int, int, int, int]:
        return seq, exch_ms, self._recv_ns, 0, 0

    def _settle(self, row: _Row, ticker: str, result: int) -> None:
        if result > 0:
            self.counts["frames"] += 1
        elif result == NOT_LIVE:
            self.counts["before_a_snapshot"] += 1
        elif result == REFUSED:
            raise OSError(f"{self.stream_folder}: the journal of events is full")
        else:
            self.counts["gaps"] += 1
            set_state(self._table.live, row.number, b.STALE, 0)
            self._mark(MarkKind.GAP, ticker, f"a frame does not fit the book: status {result}")

    def _distrust(self, source: Source, kind: MarkKind, detail: str) -> None:
        """Believe none of a file's books until their next snapshots."""
        self._make_stale(row for row in self._rows.values() if row.source is source)
        self._mark(kind, None, detail)

    def _make_stale(self, rows: Iterable[_Row]) -> None:
        for row in rows:
            if self._table.live[row.number, b.STATE] == b.LIVE:
                set_state(self._table.live, row.number, b.STALE, 0)

    def _mark(self, kind: MarkKind, ticker: str | None, detail: str) -> None:
        last = self.segments.next_event_no - 1
        self._say(
            SessionMark(
                kind=kind,
                market_ticker=ticker,
                event_no=last,
                ts_ns=self._recv_ns,
                detail=detail,
            )
        )

    def begin(self, source: Source) -> None:
        """A file's first frame is next."""
        kept = "every frame" if source.whole else "a part of its subscriptions: seq may jump"
        self._recv_ns = max(self._recv_ns, source.starts_ms * NS_PER_MS)
        self._mark(MarkKind.CONNECTED, None, f"{source.path.name}: {kept}")

    def end_of(self, source: Source) -> None:
        """A file's last frame has been taken; another that goes on brings snapshots of its own."""
        source.ended = True
        self._make_stale(row for row in self._rows.values() if row.source is source)

    def end(self) -> None:
        """The last record of the session."""
        self._say(SessionEnded(ended_ns=self._recv_ns, event_no=self.segments.next_event_no - 1))
        self._close_marks()  # which tells the recorder that this is all

    def close(self) -> None:
        """Let go of journal and table."""
        self._close_marks()
        self.segments.close()
        self._table.close()

    def _close_marks(self) -> None:
        if self._writing:
            self._writing = False
            self._writer.close()
