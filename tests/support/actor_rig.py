"""An ActorService among real tables, journals and sockets: the ends that others hold are here.

`FakeCollector` is the collector without an exchange: its own session, write queue and triggers, fed
by hand. `FakeExecution` writes the account table and pulls the intents.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import msgspec
import numpy as np
import zmq.asyncio
from support.model_builders import NOON_NS

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import AccountTableWriter, new_account
from ipc.book_table import BookTableWriter
from ipc.clock import Clock, ManualClock, mono_ns
from ipc.journal import FramedReader, stream_folder
from ipc.messages import (
    ActorAction,
    Doorbell,
    Environment,
    Intent,
    Message,
    SessionInfo,
    SessionStarted,
    UpdateType,
)
from ipc.shared_file import shared_path
from ipc.sockets import Publisher, Puller, Subscriber
from ipc.units import LINEAR_CENT, PriceGrid
from models.decisions import Policy
from processes.collector.session import Session, SessionFacts
from processes.collector.triggers import Triggers
from processes.collector.write_queue import Stamps, WriteQueue
from processes.inference.service import ActorService
from processes.inference.strategy import choice_of, strategy_of
from processes.runtime.config import Settings, load_settings

__all__ = [
    "MARKET",
    "STREAM",
    "FakeCollector",
    "FakeExecution",
    "Logged",
    "Rig",
    "acting",
    "remove_tables",
    "settings_of",
]

MARKET = "KXTEST-26AUG05-1"
URL = "ws://127.0.0.1:1/trade-api/ws/v2"
STREAM = "20260805T160000-00000a11"
MS = 1_000_000
PATIENCE = 20.0  # seconds: a wait that is not fulfilled by then has failed
BEAT = 0.05
Levels = dict[int, int]  # {cents of the leg: contracts}


class Logged:
    """A log that can be asked."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def __call__(self, action: str, **facts: object) -> None:
        self.lines.append((action, facts))

    def actions(self) -> list[str]:
        return [action for action, _ in self.lines]


class FakeCollector:
    """One run of a collector; `flush` publishes what changed since the last flush."""

    def __init__(
        self, data_dir: Path, publisher: Publisher, *, uid: str = "c-1", throttle_ms: int = 250
    ) -> None:
        facts = SessionFacts(uid, Environment.SIMULATED, URL, NOON_NS)
        self.uid = uid
        self.table = BookTableWriter.create(shared_path(data_dir, "books"), 128, 1280)
        self.session = Session(data_dir, facts, segment_records=8_192, max_bytes=1 << 24)
        self.queue = WriteQueue(self.table, self.session.segments, throttle_ms * MS)
        self.triggers = Triggers(self.table, publisher)
        self.publisher = publisher
        self.rows: dict[str, int] = {}
        self.beat()

    def beat(self) -> None:
        """The heartbeat of a collector that moves."""
        self.table.heartbeat(mono_ns())

    def tell(self) -> None:
        """Announce the session."""
        self.publisher.send(
            "session",
            SessionInfo(
                session_uid=self.uid,
                environment=Environment.SIMULATED,
                websocket_url=URL,
                started_ns=NOON_NS,
                markets=tuple(self.rows),
                live_markets=len(self.rows),
                status="live",
            ),
        )

    def add(self, ticker: str = MARKET, grid: PriceGrid = LINEAR_CENT, close_ms: int = 0) -> int:
        """A market with an EMPTY book."""
        row = self.rows[ticker] = self.table.add_market(ticker, grid, 0, close_ms)
        assert self.session.listed(row, ticker, grid, 0, close_ms)
        return row

    def snapshot(self, at_ms: int, yes: Levels, no: Levels, ticker: str = MARKET) -> bool:
        """A whole book, `at_ms` after noon; True when accepted."""
        levels = [(0, *x) for x in sorted(yes.items())] + [(1, *x) for x in sorted(no.items())]
        sides = np.array([side for side, _, _ in levels], np.uint8)
        prices = np.array([100 * cents for _, cents, _ in levels], np.int64)
        counts = np.array([100 * count for _, _, count in levels], np.int64)
        row = self.rows[ticker]
        accepted = self.queue.enqueue_snapshot(row, sides, prices, counts, self._stamps(at_ms))
        return self._mark(accepted, ticker, UpdateType.SNAPSHOT)

    def delta(self, at_ms: int, side: int, cents: int, change: int, ticker: str = MARKET) -> bool:
        """A signed change of one level; True when accepted."""
        row = self.rows[ticker]
        accepted = self.queue.enqueue_delta(
            row, side, 100 * cents, 100 * change, self._stamps(at_ms)
        )
        return self._mark(accepted, ticker, UpdateType.DELTA)

    def tick(self, at_ms: int, ticker: str = MARKET) -> None:
        """A delta far from the touch, published at once."""
        self.delta(at_ms, b.YES, 2, 1, ticker)
        self.flush()

    def flush(self) -> None:
        """Publish one trigger per market that changed."""
        self.beat()
        self.triggers.flush()

    def announce_again(self, ticker: str = MARKET) -> None:
        """A trigger although nothing changed."""
        self.triggers.mark(self.rows[ticker], ticker, UpdateType.STATE)
        self.triggers.flush()

    def _mark(self, accepted: bool, ticker: str, kind: UpdateType) -> bool:
        if accepted:
            self.triggers.mark(self.rows[ticker], ticker, kind)
        return accepted

    @staticmethod
    def _stamps(at_ms: int) -> Stamps:
        return Stamps(1, NOON_NS // MS + at_ms, NOON_NS + at_ms * MS, mono_ns())

    def close(self) -> None:
        """A clean end."""
        self.session.end(NOON_NS)
        self.table.close()


class FakeExecution:
    """The account table and the pulling end of the intents."""

    def __init__(self, context: zmq.asyncio.Context, data_dir: Path, *, pulls: bool) -> None:
        self.table = AccountTableWriter.create(shared_path(data_dir, "accounts"))
        self._puller = Puller(context, "intents", data_dir, {}) if pulls else None
        self.beat()

    def beat(self) -> None:
        """The heartbeat of an execution that moves."""
        self.table.heartbeat(mono_ns())

    def knows(
        self, ticker: str = MARKET, cash: int = 100, position: int = 0, version: int = 7
    ) -> a.AccountRow:
        """Publish a sub-account in dollars and contracts."""
        account = new_account(cash * 1_000_000)
        account[a.POSITION_E2] = 100 * position
        account[a.ACCOUNT_VERSION] = version
        self.table.write(ticker, account)
        return account

    async def intent(self) -> Intent:
        """The next intent; waits for it."""
        assert self._puller is not None
        message = await asyncio.wait_for(self._puller.recv(), PATIENCE)
        assert isinstance(message, Intent)
        return message

    def close(self) -> None:
        """A clean end."""
        if self._puller is not None:
            self._puller.close()
        self.table.close()


class Rig:
    """Everything around one ActorService."""

    def __init__(self, settings: Settings, policy: Policy | None, clock: Clock) -> None:
        self.settings = settings
        self.log = Logged()
        self.context = zmq.asyncio.Context()
        data_dir, environ = settings.data_dir, settings.environ
        self.publisher: Publisher | None = None
        self.heard = Subscriber(self.context, ["inference"], data_dir, environ, ["action"])
        self.bell = Puller(self.context, "doorbell", data_dir, environ)
        self.collector: FakeCollector | None = None
        self.execution: FakeExecution | None = None
        self.service = ActorService(
            settings,
            policy or strategy_of(settings),
            choice_of(settings.actor),
            clock,
            SessionStarted(
                session_uid=STREAM,
                environment=settings.environment,
                websocket_url=URL,
                started_ns=NOON_NS,
            ),
            self.log,
        )

    def collect(self, *tickers: str, uid: str = "c-1", throttle_ms: int = 250) -> FakeCollector:
        """A collector starts with these markets."""
        data_dir = self.settings.data_dir
        if self.publisher is None:
            self.publisher = Publisher(self.context, "collector", data_dir, {}, 1)
        self.collector = FakeCollector(data_dir, self.publisher, uid=uid, throttle_ms=throttle_ms)
        for ticker in tickers or (MARKET,):
            self.collector.add(ticker)
        return self.collector

    def execute(self, *tickers: str, pulls: bool = True) -> FakeExecution:
        """Execution starts and knows these markets; without `pulls` nobody takes intents."""
        self.execution = FakeExecution(self.context, self.settings.data_dir, pulls=pulls)
        for ticker in tickers:
            self.execution.knows(ticker)
        return self.execution

    async def bound(self, uid: str = "c-1") -> None:
        """Until the service follows the collector's session."""
        async with asyncio.timeout(PATIENCE):
            while ("session", {"uid": uid}) not in self.log.lines:
                if self.collector is not None:
                    self.collector.tell()
                await asyncio.sleep(0.01)

    async def until(self, holds: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """Until the service's counters say so -> the counters."""
        async with asyncio.timeout(PATIENCE):
            while not holds(self.service.counters):  # noqa: ASYNC110  counters are only counted
                await asyncio.sleep(0.005)
        return self.service.counters

    async def counted(self, name: str, value: int = 1) -> dict[str, int]:
        """Until a counter has a value -> the counters."""
        return await self.until(lambda counters: counters.get(name, 0) == value)

    async def action(self) -> ActorAction:
        """The next published action; waits for it."""
        _, message = await asyncio.wait_for(self.heard.recv(), PATIENCE)
        assert isinstance(message, ActorAction)
        return message

    def nothing_more(self) -> None:
        """No action waits."""
        assert self.heard.recv_waiting() == []

    async def actions(self, count: int) -> list[ActorAction]:
        """The next `count` published actions."""
        return [await self.action() for _ in range(count)]

    async def rung(self) -> Doorbell:
        """The next ring for the recorder."""
        message = await asyncio.wait_for(self.bell.recv(), PATIENCE)
        assert isinstance(message, Doorbell)
        return message

    def journal(self) -> list[Message]:
        """Everything that the service's journal accepted."""
        folder = stream_folder(self.settings.data_dir, "inference", STREAM)
        return FramedReader(folder).read(0)[0]

    async def beat(self) -> None:
        """What the real ends do 20 times a second."""
        while True:
            for end in (self.collector, self.execution):
                if end is not None:
                    end.beat()
            await asyncio.sleep(BEAT)

    def close(self) -> None:
        """Close every end that is still open."""
        for end in (self.collector, self.execution, self.heard, self.bell, self.publisher):
            if end is not None:
                end.close()
        self.context.term()


def settings_of(data_dir: Path, **environ: str) -> Settings:
    """Settings of a seeded random actor without warm-up."""
    return load_settings(
        {
            "RL_DATA_DIR": str(data_dir),
            "RL_ACTOR_STRATEGY": "baseline:random",
            "RL_ACTOR_WARMUP_TICKS": "0",
            **environ,
        }
    )


@contextmanager
def remove_tables(data_dir: Path) -> Iterator[None]:
    """Shared memory outlives its processes, but not a test."""
    try:
        yield
    finally:
        for name in ("books", "accounts"):
            with suppress(FileNotFoundError):
                shared_path(data_dir, name).unlink()


@asynccontextmanager
async def acting(
    data_dir: Path,
    policy: Policy | None = None,
    clock: Clock | None = None,
    journal_bytes: int | None = None,
    **environ: str,
) -> AsyncIterator[Rig]:
    """A running ActorService and the ends around it; collector and execution start on call."""
    settings = settings_of(data_dir, **environ)
    if journal_bytes is not None:
        books = msgspec.structs.replace(settings.books, journal_max_bytes=journal_bytes)
        settings = msgspec.structs.replace(settings, books=books)
    with remove_tables(data_dir):
        rig = Rig(settings, policy, clock or ManualClock(NOON_NS))
        stop = asyncio.Event()
        running = asyncio.create_task(rig.service.run(stop))
        beating = asyncio.create_task(rig.beat())
        try:
            yield rig
        finally:
            stop.set()
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
            await running
            rig.close()
