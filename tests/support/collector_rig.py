"""A collector without its socket: real table, real journal, real publisher."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any

import zmq.asyncio
from support.logged import Logged

from ipc import book as b
from ipc.book_table import BookTable, BookTableWriter, SharedOrderbookState
from ipc.clock import RealClock
from ipc.journal import EVENT, FramedReader, events_of, stream_folder
from ipc.messages import Environment, Message, SessionMark, Trigger
from ipc.shared_file import remove_tables, shared_path
from ipc.sockets import Publisher, Subscriber
from ipc.units import LINEAR_CENT
from processes.adapters.kalshi.auth.clock_offset import ClockOffset
from processes.adapters.kalshi.feed.book_feed import WriteQueue
from processes.adapters.kalshi.feed.session import SessionFacts, SessionJournal
from processes.adapters.kalshi.schemas.enums import MarketStatus
from processes.adapters.kalshi.schemas.normalise import MarketInfo
from processes.adapters.kalshi.schemas.stream_messages import LifecycleMsg
from processes.collector.data_age import DataAge
from processes.collector.markets import Markets
from processes.collector.orderbook_client import CollectorFeed, Triggers
from processes.collector.recovery import Recovery
from processes.collector.results import Results
from processes.collector.terms import Terms
from processes.collector.trading_status import TradingTracker

MS = 1_000_000
START_NS = 1_790_000_000_000 * MS


def market(ticker: str, close_ms: int = 1_790_000_900_000) -> MarketInfo:
    return MarketInfo(
        ticker=ticker,
        event_ticker="E",
        grid=LINEAR_CENT,
        open_ms=1_790_000_000_000,
        close_ms=close_ms,
        status=MarketStatus.ACTIVE,
    )


class CollectorRig:
    """Feed frames with `feed.on_frame`; look at table, journal and triggers from outside."""

    def __init__(
        self,
        tmp_path: Path,
        *,
        rows: int = 4,
        segment_records: int = 1024,
        max_bytes: int = 1 << 24,
        throttle_ms: int = 250,
    ) -> None:
        self.log = Logged()
        self.data_dir = tmp_path
        facts = SessionFacts("20260101T000000-aabbccdd", Environment.SIMULATED, "ws://x", START_NS)
        self.table_path = shared_path(tmp_path, "books")
        self.table = BookTableWriter.create(self.table_path, rows=rows, slots=99)
        self.session = SessionJournal(
            tmp_path, facts, segment_records=segment_records, max_bytes=max_bytes
        )
        self.context = zmq.asyncio.Context()
        self.publisher = Publisher(self.context, "collector", tmp_path, {}, 1)
        self.triggers = Triggers(self.table, self.publisher)
        self.markets = Markets(self.table, self.session, self.log)
        self.queue = WriteQueue(self.table, self.session.segments, throttle_ms * MS)
        self.recovery = Recovery()
        self.results = Results(self.session)
        parts = (self.markets, self.queue, self.session, self.triggers, self.recovery)
        self.terms, self.trading = Terms(self.session, self.log), TradingTracker()
        self.feed = CollectorFeed(*parts, self.results, self.terms, self.trading)
        self.clock_offset = ClockOffset()
        self.age = DataAge(self.clock_offset, self.table, self.session, RealClock(), self.log)
        self.books = SharedOrderbookState(BookTable.attach(self.table_path))
        self.now_ns = START_NS

    def follow(self, *tickers: str) -> None:
        changes = self.markets.follow([market(t) for t in tickers], self.now_ns)
        self.recovery.follow(changes.added, changes.removed, 0)

    def take(self, *frames: Any, step_ms: int = 0) -> list[LifecycleMsg | None]:
        """Frames in their order -> what each says of a market's status."""
        said: list[LifecycleMsg | None] = []
        for frame in frames:
            self.now_ns += step_ms * MS
            said.append(self.feed.on_frame(frame, self.now_ns, 1))
        return said

    def row(self, ticker: str) -> b.Row:
        row = self.books.get_row(ticker)
        assert row is not None
        return row

    def events(self) -> list[tuple[int, ...]]:
        """(event_no, kind, side, price, qty) of all that was accepted."""
        names = ("event_no", "kind", "leg", "price_e4", "count_e2")
        assert set(names) <= set(EVENT.names or ())
        blocks = events_of(stream_folder(self.data_dir, "collector", self.session.facts.uid))
        return [tuple(int(e[n]) for n in names) for block in blocks for e in block]

    def messages(self) -> list[Message]:
        folder = stream_folder(self.data_dir, "collector", self.session.facts.uid)
        return FramedReader(folder).read(0)[0]

    def marks(self) -> list[tuple[str, str | None]]:
        return [(str(m.kind), m.market_ticker) for m in self.messages() if type(m) is SessionMark]

    async def triggers_of(self, subscriber: Subscriber, count: int) -> list[Trigger]:
        found = []
        for _ in range(count):
            _, message = await subscriber.recv()
            assert isinstance(message, Trigger)
            found.append(message)
        return found

    def __enter__(self) -> CollectorRig:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.publisher.close()
        self.books.table.close()
        self.table.close()
        self.context.term()
        remove_tables(self.data_dir)
