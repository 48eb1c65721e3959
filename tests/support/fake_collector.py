"""The collector without an exchange: its real session, write queue and triggers, fed by hand."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import numpy as np
from support.model_builders import NOON_NS

from ipc import book as b
from ipc.book_table import BookTableWriter
from ipc.clock import mono_ns
from ipc.messages import Environment, UpdateType
from ipc.shared_file import shared_path
from ipc.sockets import Publisher
from ipc.units import LINEAR_CENT
from processes.adapters.kalshi.feed.book_feed import Stamps, WriteQueue
from processes.adapters.kalshi.feed.session import SessionFacts, SessionJournal
from processes.collector.orderbook_client import Triggers

__all__ = [
    "BEATING_NS",
    "MARKET",
    "MS",
    "NO_LEVELS",
    "STOPPED_NS",
    "URL",
    "YES_LEVELS",
    "FakeCollector",
]

MARKET = "KXTEST-26AUG05-1"
URL = "ws://127.0.0.1:1/trade-api/ws/v2"
MS = 1_000_000
THROTTLE_NS = 250 * MS
STOPPED_NS = -3_000 * MS  # a heartbeat that nobody takes for life
BEATING_NS = 3_600_000 * MS  # one that lasts for a test, however long the machine keeps it waiting
Levels = dict[int, int]  # {cents of the leg: contracts}
YES_LEVELS: Levels = {45: 100, 44: 200}
NO_LEVELS: Levels = {52: 50, 50: 10}


class FakeCollector:
    """One run of a collector; `flush` publishes what changed since the last flush."""

    def __init__(self, data_dir: Path, publisher: Publisher, uid: str) -> None:
        facts = SessionFacts(uid, Environment.SIMULATED, URL, NOON_NS)
        self.uid = uid
        self._closing = ExitStack()
        self.table = BookTableWriter.create(shared_path(data_dir, "books"), 128, 1280)
        self._closing.callback(self.table.close)
        self.session = SessionJournal(data_dir, facts, segment_records=8_192, max_bytes=1 << 24)
        self._closing.callback(self.session.end, NOON_NS)
        self.queue = WriteQueue(self.table, self.session.segments, THROTTLE_NS)
        self.triggers = Triggers(self.table, publisher)
        self.rows: dict[str, int] = {}
        self.move()

    def move(self) -> None:
        """Its heart beats from now on."""
        self.table.heartbeat(mono_ns() + BEATING_NS)

    def stand_still(self) -> None:
        """Its heart stopped a while ago; it still holds its lock."""
        self.table.heartbeat(mono_ns() + STOPPED_NS)

    def add(self, ticker: str = MARKET) -> int:
        """A market with an EMPTY book."""
        row = self.rows[ticker] = self.table.add_market(ticker, LINEAR_CENT, 0, 0)
        assert self.session.listed(row, ticker, LINEAR_CENT, 0, 0)
        return row

    def snapshot(
        self,
        at_ms: int,
        ticker: str = MARKET,
        yes: Levels = YES_LEVELS,
        no: Levels = NO_LEVELS,
    ) -> bool:
        """A whole book, `at_ms` after noon; True when accepted."""
        levels = [(0, *x) for x in sorted(yes.items())] + [(1, *x) for x in sorted(no.items())]
        sides = np.array([side for side, _, _ in levels], np.uint8)
        prices = np.array([100 * cents for _, cents, _ in levels], np.int64)
        counts = np.array([100 * count for _, _, count in levels], np.int64)
        row = self.rows[ticker]
        accepted = self.queue.enqueue_snapshot(row, sides, prices, counts, _stamps(at_ms))
        return self._mark(accepted, ticker, UpdateType.SNAPSHOT)

    def delta(self, at_ms: int, side: int, cents: int, change: int, ticker: str = MARKET) -> bool:
        """A signed change of one level; True when accepted."""
        row = self.rows[ticker]
        accepted = self.queue.enqueue_delta(row, side, 100 * cents, 100 * change, _stamps(at_ms))
        return self._mark(accepted, ticker, UpdateType.DELTA)

    def tick(self, at_ms: int, ticker: str = MARKET) -> None:
        """A delta far from the touch, published at once."""
        self.delta(at_ms, b.YES, 2, 1, ticker)
        self.flush()

    def flush(self) -> None:
        """Publish one trigger per market that changed."""
        self.triggers.flush()

    def announce_again(self, ticker: str = MARKET) -> None:
        """A trigger although nothing changed."""
        self.triggers.mark(self.rows[ticker], ticker, UpdateType.STATE)
        self.flush()

    def _mark(self, accepted: bool, ticker: str, kind: UpdateType) -> bool:
        if accepted:
            self.triggers.mark(self.rows[ticker], ticker, kind)
        return accepted

    def close(self) -> None:
        """A clean end; a second one changes nothing."""
        self._closing.close()


def _stamps(at_ms: int) -> Stamps:
    now_ns = mono_ns()
    return 1, NOON_NS // MS + at_ms, NOON_NS + at_ms * MS, now_ns, now_ns
