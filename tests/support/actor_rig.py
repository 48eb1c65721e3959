"""An ActorService among real tables, journals and sockets: the ends that others hold are here.

The collector is a `FakeCollector`; `FakeExecution` writes the account table. Whatever the service
connects to is bound before it, and a test begins only when every socket carries messages: PUB drops
and PUSH refuses what is sent earlier.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec
import zmq.asyncio
from support.fake_collector import BEATING_NS, MARKET, STOPPED_NS, URL, FakeCollector
from support.logged import Logged
from support.model_builders import NOON_NS
from support.patience import PATIENCE
from support.trading import trading_status

from ipc import account_table as a
from ipc import shared_file
from ipc.account_table import AccountTableWriter, new_account
from ipc.clock import ManualClock, mono_ns
from ipc.journal import FramedReader, stream_folder
from ipc.messages import (
    ActorAction,
    Doorbell,
    Environment,
    Intent,
    LeaveMarket,
    MarketsChosen,
    Message,
    ProcessStats,
    SessionInfo,
    SessionStarted,
    Tick,
)
from ipc.shared_file import shared_path
from ipc.sockets import Publisher, Puller, Pusher, Subscriber
from processes.inference.models import choice_of, strategy_of
from processes.inference.service import ActorService
from processes.runtime.config import Settings, load_settings

__all__ = [
    "BUYS",
    "STREAM",
    "FakeExecution",
    "Rig",
    "acting",
    "remove_tables",
    "settings_of",
]

STREAM = "20260805T160000-00000a11"
BUYS = {"RL_ACTOR_STRATEGY": "baseline:join_best"}  # flat, it buys at every tick
LOOK = 0.002  # seconds between looks at what only a look can tell
KNOCK = "knock"  # topic of messages that are of no process

End = TypeVar("End", Publisher, Puller, Subscriber, FakeCollector, "FakeExecution")


class FakeExecution:
    """Execution's account table."""

    def __init__(self, data_dir: Path) -> None:
        self.table = AccountTableWriter.create(shared_path(data_dir, "accounts"))
        self.table.heartbeat(mono_ns() + BEATING_NS)

    def stand_still(self) -> None:
        """Its heart stopped a while ago."""
        self.table.heartbeat(mono_ns() + STOPPED_NS)

    def knows(
        self, ticker: str = MARKET, cash: int = 100, position: int = 0, version: int = 7
    ) -> a.AccountRow:
        """Publish a sub-account in dollars and contracts."""
        account = new_account(cash * 1_000_000)
        account[a.POSITION_E2] = 100 * position
        account[a.ACCOUNT_VERSION] = version
        self.table.write(ticker, account)
        return account

    def close(self) -> None:
        """A clean end."""
        self.table.close()


class FakeRecorder:
    """What the recorder reports of itself."""

    def __init__(self, publisher: Publisher) -> None:
        self._publisher = publisher

    async def reports_until(self, holds: Callable[[], bool], **counters: int) -> None:
        """Its counters, again and again: a subscription takes its time."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                stats = ProcessStats(process="recorder", mono_ns=mono_ns(), counters=counters)
                self._publisher.send("stats", stats)
                await asyncio.sleep(LOOK)


class Rig:
    """Everything around one ActorService; `ends` closes it all, whatever a test came to."""

    def __init__(self, settings: Settings, ends: ExitStack, *, pulls: bool) -> None:
        self.settings = settings
        self.log = Logged()
        self.context = zmq.asyncio.Context()
        self._ends = ends
        ends.callback(self.context.term)
        where = (settings.data_dir, settings.environ)
        self.publisher = self._held(Publisher(self.context, "collector", *where, 1))
        self._bell = self._held(Puller(self.context, "doorbell", *where))
        self._intents = self._held(Puller(self.context, "intents", *where)) if pulls else None
        self.clock = ManualClock(NOON_NS)
        self.service = ActorService(
            settings,
            strategy_of(settings),
            choice_of(settings.actor),
            self.clock,
            SessionStarted(
                session_uid=STREAM,
                environment=settings.environment,
                websocket_url=URL,
                started_ns=NOON_NS,
            ),
            self.log,
        )
        ends.callback(self.service._wires.close)  # it does so itself, unless it never ran
        topics = ["action", "markets", KNOCK]
        self._heard = self._held(Subscriber(self.context, ["inference"], *where, topics))
        self._knocks = 0

    def _held(self, end: End) -> End:
        return self._ends.enter_context(closing(end))

    # What others do.

    def collect(self, *tickers: str, uid: str = "c-1") -> FakeCollector:
        """A collector starts with these markets; their books are EMPTY."""
        collector = self._held(FakeCollector(self.settings.data_dir, self.publisher, uid))
        for ticker in tickers or (MARKET,):
            collector.add(ticker)
        return collector

    def record(self) -> FakeRecorder:
        """A recorder starts."""
        where = (self.settings.data_dir, self.settings.environ)
        return FakeRecorder(self._held(Publisher(self.context, "recorder", *where, 1)))

    async def execute(self, *tickers: str) -> FakeExecution:
        """Execution starts and knows these markets; waits until the service has its table."""
        execution = self._held(FakeExecution(self.settings.data_dir))
        for ticker in tickers:
            execution.knows(ticker)
        await self.until(lambda _: self.log.has("table_attached", table="accounts"))
        return execution

    def tell(self, uid: str) -> None:
        """The collector says which session it is."""
        session = SessionInfo(
            session_uid=uid,
            environment=Environment.SIMULATED,
            websocket_url=URL,
            started_ns=NOON_NS,
            markets=(),
            live_markets=0,
            status="live",
        )
        self.publisher.send("trading", trading_status())
        self.publisher.send("session", session)

    async def follow(self, uid: str) -> None:
        """Tell of a session until the service follows it."""
        async with asyncio.timeout(PATIENCE):
            while not self.log.has("session_followed", run_uid=uid):
                self.tell(uid)
                await asyncio.sleep(LOOK)

    async def start(self, *tickers: str) -> FakeCollector:
        """Execution knows the markets, the collector holds their books, the session is known.

        Their first ticks, at noon, are not announced yet.
        """
        tickers = tickers or (MARKET,)
        await self.execute(*tickers)
        collector = self.collect(*tickers)
        await self.follow(collector.uid)
        for ticker in tickers:
            collector.snapshot(0, ticker)
        return collector

    # What the service did.

    async def until(self, holds: Callable[[dict[str, int]], bool]) -> dict[str, int]:
        """Until the service's counters say so -> the counters."""
        async with asyncio.timeout(PATIENCE):
            while not holds(self.service.counters):  # noqa: ASYNC110  counters are only counted
                await asyncio.sleep(LOOK)
        return self.service.counters

    async def counted(self, name: str, value: int = 1) -> dict[str, int]:
        """Until a counter has a value -> the counters."""
        return await self.until(lambda counters: counters.get(name, 0) == value)

    async def settled(self) -> dict[str, int]:
        """Until the service has worked through all that was published so far -> the counters.

        A number left out marks the place: messages come in order and gaps are counted.
        """
        gaps = self.service.counters["trigger_gaps"]
        self.publisher.sent += 1
        self.publisher.send(KNOCK, Doorbell(stream=KNOCK))
        return await self.counted("trigger_gaps", gaps + 1)

    async def action(self) -> ActorAction:
        """The next published action; waits for it."""
        async with asyncio.timeout(PATIENCE):
            while not isinstance(message := (await self._heard.recv())[1], ActorAction):
                pass
        return message

    async def actions(self, count: int) -> list[ActorAction]:
        """The next `count` published actions."""
        return [await self.action() for _ in range(count)]

    async def nothing_more(self) -> None:
        """No action follows from what was published so far."""
        await self.settled()
        knock = self._knock()
        async with asyncio.timeout(PATIENCE):
            while (message := (await self._heard.recv())[1]) != knock:
                assert not isinstance(message, ActorAction)

    async def intent(self) -> Intent:
        """The next intent; waits for it."""
        assert self._intents is not None
        message = await asyncio.wait_for(self._intents.recv(), PATIENCE)
        assert isinstance(message, Intent)
        return message

    async def left(self) -> LeaveMarket:
        """The next market that execution is told to leave; waits for it, passing intents over."""
        assert self._intents is not None
        async with asyncio.timeout(PATIENCE):
            while not isinstance(message := await self._intents.recv(), LeaveMarket):
                pass
        return message

    async def chosen(self, *tickers: str) -> MarketsChosen:
        """The next word on the hot markets that names these; waits for it."""
        async with asyncio.timeout(PATIENCE):
            while True:
                message = (await self._heard.recv())[1]
                if isinstance(message, MarketsChosen):
                    found = [s.ticker for s in message.scores if s.since_ms is not None]
                    if found == list(tickers):
                        return message

    async def rung(self) -> Doorbell:
        """The next ring for the recorder; waits for it."""
        message = await asyncio.wait_for(self._bell.recv(), PATIENCE)
        assert isinstance(message, Doorbell)
        return message

    def journal(self) -> list[Message]:
        """Everything that the service's journal accepted."""
        folder = stream_folder(self.settings.data_dir, "inference", STREAM)
        return FramedReader(folder).read(0)[0]

    def decisions(self) -> list[ActorAction]:
        """The decisions of the journal."""
        return [m for m in self.journal() if isinstance(m, ActorAction)]

    def ticks(self) -> list[Tick]:
        """The ticks of the journal."""
        return [m for m in self.journal() if isinstance(m, Tick)]

    # What `acting` does.

    def _knock(self) -> Doorbell:
        """Publish something on the service's own socket, behind all that it published."""
        self._knocks += 1
        knock = Doorbell(stream=f"{KNOCK} {self._knocks}")
        self.service._publisher.send(KNOCK, knock)
        return knock

    async def connected(self) -> None:
        """Until every socket of the service but the collector's carries messages."""
        async with asyncio.timeout(PATIENCE):
            while not self._heard.recv_waiting():
                self._knock()
                await asyncio.sleep(LOOK)
            await _connected(self.service._bell._pusher, self._bell)
            if self._intents is not None:
                await _connected(self.service._outbox._intents, self._intents)


async def _connected(pusher: Pusher, puller: Puller) -> None:
    while not pusher.send(Doorbell(stream=KNOCK)):  # noqa: ASYNC110  sockets tell nobody
        await asyncio.sleep(LOOK)
    await puller.recv()


def settings_of(data_dir: Path, **environ: str) -> Settings:
    """Settings of a seeded random actor without warm-up."""
    return load_settings(
        {
            "RL_DATA_DIR": str(data_dir),
            "RL_ACTOR_STRATEGY": "baseline:random",
            "RL_ACTOR_WARMUP_TICKS": "0",
            "RL_MAX_DATA_AGE_MS": "off",  # however busy the machine is
            **environ,
        }
    )


@contextmanager
def remove_tables(data_dir: Path) -> Iterator[None]:
    """Shared memory outlives its processes, but not a test."""
    try:
        yield
    finally:
        shared_file.remove_tables(data_dir)


@asynccontextmanager
async def acting(
    data_dir: Path, *, pulls: bool = True, journal_bytes: int | None = None, **environ: str
) -> AsyncIterator[Rig]:
    """A running ActorService; collector and execution start on call.

    Without `pulls` nobody takes intents.
    """
    settings = settings_of(data_dir, **environ)
    if journal_bytes is not None:
        books = msgspec.structs.replace(settings.books, journal_max_bytes=journal_bytes)
        settings = msgspec.structs.replace(settings, books=books)
    with remove_tables(data_dir), ExitStack() as ends:
        rig = Rig(settings, ends, pulls=pulls)
        await rig.connected()
        stop = asyncio.Event()
        running = asyncio.create_task(rig.service.run(stop))
        try:
            yield rig
        finally:
            stop.set()
            await running
