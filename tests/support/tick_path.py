"""One tick through the real parts of every process, in this process, and the files it executes.

The exchange's frames come from a WebSocket server of the test; orders go to a local exchange, which
is a process of its own. Everything between is what the programs run: the collector's client and
feed, `ActorService`, `ExecutionService`, `Broadcaster`, with their journals, tables and sockets.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from http import HTTPStatus
from pathlib import Path
from types import FrameType
from typing import Any, Final, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from support.broadcaster import broadcasting
from support.collector_rig import CollectorRig
from support.execution_rig import Rig, executing
from support.execution_world import START_MS
from support.logged import Logged
from support.made_models import make_model
from support.orders import TICKER
from support.patience import PATIENCE
from support.scripted_exchange import Peer, scripted_exchange
from support.ws_client import WsClient, connected

from ipc.clock import ManualClock
from ipc.messages import Environment, SessionStarted
from ipc.units import LINEAR_CENT
from processes.adapters.kalshi.auth.credentials import Algorithm, new_credentials
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.schemas.enums import MarketStatus
from processes.adapters.kalshi.schemas.normalise import MarketInfo
from processes.collector.discovery_link import MarketNews
from processes.collector.orderbook_client import OrderbookClient
from processes.inference.models import choice_of, strategy_of
from processes.inference.service import ActorService
from processes.runtime.log import no_log

__all__ = ["STAGES", "ExecutedFile", "files_of_a_tick"]

ROOT: Final = Path(__file__).resolve().parents[2]
FLOORS: Final = tuple(f"{ROOT / floor}/" for floor in ("ipc", "models", "processes"))
DECIDED: Final = ("policy", "policy hold")  # reasons of a decision that the policy made
STEP_NS: Final = 1_000_000_000  # of market time between two frames: far beyond the throttle
INFERENCE_RUN: Final = "20260810T221500-00000a11"

# The task in which each process works on a tick -> the process, in the order of the tick. What a
# process does beside that (heartbeats, reports, reconciliation) runs in other tasks.
STAGES: Final = {
    "connection": "collector",
    "ticks": "inference",
    "intents": "execution",
    "others": "broadcaster",
    "books": "broadcaster",
}


class ExecutedFile(NamedTuple):
    """A file, relative to the repository, and the first process of the tick that executed it."""

    path: str
    process: str


class _Executed:
    """Which files the tasks of `STAGES`, and the tasks that those start, execute while `counting`.

    Only Python functions show: a kernel that was compiled before runs without a Python frame.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._parents: WeakKeyDictionary[asyncio.Task[Any], asyncio.Task[Any] | None]
        self._parents = WeakKeyDictionary()
        self._files: dict[str, dict[str, None]] = {task: {} for task in STAGES}
        loop.set_task_factory(self._new_task)

    def _new_task(
        self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, Any], **options: Any
    ) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, **options)
        self._parents[task] = asyncio.current_task(loop)
        return task

    def _stage(self) -> str | None:
        task = asyncio.current_task()
        while task is not None and task.get_name() not in STAGES:
            task = self._parents.get(task)
        return None if task is None else task.get_name()

    def _on_event(self, frame: FrameType, event: str, _: object) -> None:
        file = frame.f_code.co_filename
        if event == "call" and file.startswith(FLOORS) and (stage := self._stage()):
            self._files[stage].setdefault(file.removeprefix(f"{ROOT}/"))

    @contextmanager
    def counting(self) -> Iterator[None]:
        """Count what this thread executes."""
        sys.setprofile(self._on_event)
        try:
            yield
        finally:
            sys.setprofile(None)

    def in_order(self) -> list[ExecutedFile]:
        """Every file once, where it is executed first: by process, then by time."""
        found: dict[str, str] = {}
        for stage, files in self._files.items():
            for file in files:
                found.setdefault(file, STAGES[stage])
        return [ExecutedFile(*item) for item in found.items()]


class _Frames:
    """The exchange's side of the collector's connection: a market of 40 bid and 50 asked."""

    def __init__(self) -> None:
        self._answered = 0
        self._sids: dict[str, int] = {}
        self._seq = 0
        self._peer: Peer | None = None

    async def on_event(self, peer: Peer) -> None:
        """Answer every subscription, that of the books with the book."""
        self._peer = peer
        commands, self._answered = peer.commands[self._answered :], len(peer.commands)
        for command in commands:
            for channel in command["params"]["channels"]:
                sid = self._sids[channel] = len(self._sids) + 1
                answer = {"channel": channel, "sid": sid}
                peer.send({"type": "subscribed", "id": command["id"], "msg": answer})
                if channel == "orderbook_delta":
                    levels = {"yes_dollars_fp": [["0.4000", "100.00"]]}
                    levels |= {"no_dollars_fp": [["0.5000", "100.00"]]}
                    self._send("orderbook_snapshot", levels)

    def send_delta(self) -> None:
        """One more contract, far below the best bid."""
        level = {"price_dollars": "0.0200", "delta_fp": "1.00", "side": "yes", "market_id": "m"}
        self._send("orderbook_delta", level)

    def _send(self, kind: str, msg: dict[str, Any]) -> None:
        assert self._peer is not None
        self._seq += 1
        sid, msg = self._sids["orderbook_delta"], {"market_ticker": TICKER} | msg
        self._peer.send({"type": kind, "sid": sid, "seq": self._seq, "msg": msg})


class _TickPath:
    """All processes connected; a tick is a frame and all that follows from it."""

    def __init__(self, rig: Rig, frames: _Frames, clock: ManualClock, client: WsClient) -> None:
        self._rig = rig
        self._frames = frames
        self._clock = clock
        self._client = client
        self._order: dict[str, Any] = {}
        self._action: dict[str, Any] = {}
        self._shown_no = 0

    async def _until(self, fits: Callable[[], bool]) -> None:
        """Read what the dashboard gets until something is known."""
        while not fits():
            message = await self._client.recv()
            if message["type"] == "actor_action":
                self._action = message["data"]
            elif message["type"] == "orderbook_snapshot":
                self._shown_no = message["data"]["event_no"]
            elif message["type"] == "actor_order":
                self._order = message["data"]
                assert self._order["status"] != "rejected", self._order

    def _is_shown(self) -> bool:
        """Whether the dashboard has the newest decision and its book."""
        return 0 < self._action.get("event_no", 0) <= self._shown_no

    def _is_taken(self) -> bool:
        """Whether the exchange has acknowledged the newest decision's order."""
        is_its = self._order.get("intent_id") == self._action["intent_id"]
        return is_its and self._order["acknowledged_mono_ns"] is not None

    async def tick(self) -> bool:
        """Until the dashboard has decision and book -> whether the policy was asked."""
        self._action, self._shown_no = {}, 0
        self._clock.advance(STEP_NS)
        self._frames.send_delta()
        await self._until(self._is_shown)
        return self._action["reason"] in DECIDED

    async def decide(self, *, with_order: bool) -> None:
        """Ticks until one is decided, and its order, if it has one, is at the exchange."""
        while not await self.tick():
            continue  # the account's heartbeat was late: a busy machine
        assert (self._action["intent_id"] is not None) == with_order
        if with_order:
            await self._until(self._is_taken)

    async def warm(self, *, with_order: bool) -> None:
        """Until everything has run; the order of it is canceled, so that the next is new."""
        await self._until(lambda: bool(self._action))  # on the snapshot: still warming up
        await self.decide(with_order=with_order)
        if with_order:
            for order in self._rig.at_exchange(status="resting"):
                path = f"/portfolio/events/orders/{order['order_id']}"
                assert self._rig.exchange.call("DELETE", path).status_code == HTTPStatus.OK
            await self._until(lambda: self._order["status"] == "canceled")


def _is_of(process: str, stats: dict[str, Any]) -> bool:
    return bool(stats["process"] == process)


@asynccontextmanager
async def _running(
    *works: Callable[[asyncio.Event], Coroutine[Any, Any, None]],
) -> AsyncIterator[None]:
    """Services that run until the end of the block."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(work(stop)) for work in works]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


def _actor(rig: Rig, clock: ManualClock, log: Logged) -> ActorService:
    settings = rig.settings
    started = SessionStarted(
        session_uid=INFERENCE_RUN,
        environment=Environment.SIMULATED,
        websocket_url="ws://127.0.0.1:1/trade-api/ws/v2",
        started_ns=clock.now_ns(),
    )
    choice = choice_of(settings.actor)
    return ActorService(settings, strategy_of(settings), choice, clock, started, log)


def _collector_client(
    parts: CollectorRig, target: KalshiTarget, clock: ManualClock
) -> OrderbookClient:
    market = MarketInfo(
        ticker=TICKER,
        event_ticker="KXTEST",
        grid=LINEAR_CENT,
        open_ms=START_MS - 60_000,
        close_ms=START_MS + 3_600_000,
        status=MarketStatus.ACTIVE,
    )
    changes = parts.markets.follow([market], clock.now_ns())
    return OrderbookClient(
        target,
        Signer(new_credentials("key", Algorithm.ED25519)),
        market_tickers=changes.added,
        feed=parts.feed,
        recovery=parts.recovery,
        markets=parts.markets,
        session=parts.session,
        triggers=parts.triggers,
        age=parts.age,
        news=MarketNews(),
        clock=clock,
        log=no_log(),
        rng=np.random.default_rng(1),
    )


@asynccontextmanager
async def _collecting(
    rig: Rig, clock: ManualClock
) -> AsyncIterator[tuple[_Frames, Callable[[], None]]]:
    """(the exchange's frames, what connects the collector to them)."""
    frames = _Frames()
    rig.collector.close()  # its place is taken by the collector's own publisher
    with CollectorRig(rig.data_dir) as parts:
        rig.collector = parts.publisher
        parts.table.heartbeat(1 << 62)
        async with scripted_exchange(frames.on_event) as (target, _):
            client = _collector_client(parts, target, clock)
            tasks: list[asyncio.Task[None]] = []

            def connect() -> None:
                tasks.append(asyncio.create_task(client.run(), name="connection"))

            try:
                yield frames, connect
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


async def _measure(
    data_dir: Path, logits: tuple[float, ...], *, with_order: bool
) -> list[ExecutedFile]:
    executed = _Executed(asyncio.get_running_loop())
    make_model(data_dir, "made", logits)
    clock, log = ManualClock(1_000_000 * START_MS), Logged()
    environ = {
        "RL_ACTOR_STRATEGY": "onnx:made",
        "RL_ACTOR_WARMUP_TICKS": "1",
        "RL_ACTOR_INTENT_DEADLINE_MS": "60000",  # however busy the machine is
        "RL_MAX_DATA_AGE_MS": "off",
    }
    async with (
        asyncio.timeout(PATIENCE),
        executing(data_dir, clock=clock, starts=False, **environ) as rig,
        _collecting(rig, clock) as (frames, connect),
        broadcasting(data_dir) as (_, address),
        _running(_actor(rig, clock, log).run),
        connected(address) as client,
    ):
        rig.is_direct = True
        rig.start()
        await rig.known(TICKER)
        await rig.until(lambda: log.has("session_followed", run_uid="session-1"), "a session")
        await rig.until(lambda: log.has("table_attached", table="accounts"), "the accounts")
        for process in ("inference", "execution"):  # until the broadcaster hears both
            await client.until("stats", partial(_is_of, process))
        connect()
        path = _TickPath(rig, frames, clock, client)
        await path.warm(with_order=with_order)
        with executed.counting():
            await path.decide(with_order=with_order)
    return executed.in_order()


def files_of_a_tick(
    data_dir: Path, logits: tuple[float, ...], *, with_order: bool
) -> list[ExecutedFile]:
    """The files that one tick executes, in order, with a model of these logits.

    `with_order` waits for the order that the decision causes; without it the decision is a HOLD.
    """
    return asyncio.run(_measure(data_dir, logits, with_order=with_order))
