"""Thursday's pause in market time: collector, inference, execution and dashboard together.

The local exchange's clock is set to shortly before the pause, and in it to shortly before its end.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
import pytest
import websockets
from aiohttp import web
from aiohttp.typedefs import Handler
from support.broadcaster import broadcasting
from support.local_exchange import LocalExchange, keys
from support.logged import Logged
from support.patience import PATIENCE
from support.running_collector import running_collector

from ipc.clock import MarketClock
from ipc.messages import Environment, SessionStarted
from ipc.private_files import private_folder
from ipc.shared_file import remove_tables
from processes.adapters.kalshi.auth.credentials import Account, CredentialsFile, credentials_path
from processes.exchange.core.books import YES
from processes.exchange.core.orders import OrderState
from processes.exchange.core.rejections import Rejection
from processes.exchange.shared.state import ExchangeRules
from processes.execution.service import ExecutionService
from processes.inference.models import choice_of, strategy_of
from processes.inference.service import ActorService
from processes.runtime.config import Settings, load_settings

pytestmark = pytest.mark.slow

TICKER = "KXPAUSE-26AUG06"
PAUSE_MS = 1_786_000_000_000 // 86_400_000 * 86_400_000  # 2026-08-06, a Thursday, in UTC
START_MS, END_MS = PAUSE_MS + 7 * 3_600_000, PAUSE_MS + 9 * 3_600_000  # 03:00 to 05:00, New York
NAP = 0.05
ENVIRON = {
    "RL_MARKET_MODE": "config",
    "RL_MARKET_TICKERS": TICKER,
    "RL_ACTOR_STRATEGY": "baseline:join_best",
    "RL_ACTOR_WARMUP_TICKS": "1",
    "RL_ACTOR_TICK_THROTTLE_MS": "100",
    "RL_MAX_DATA_AGE_MS": "off",  # however busy the machine is
    "DATABASE_URL": "postgresql://127.0.0.1:1/none",  # nobody records
}


class Paused:
    """The exchange, and what it and the dashboard have seen of our side."""

    def __init__(self, exchange: LocalExchange) -> None:
        self.exchange = exchange
        self.refused: list[str] = []
        self.placed = 0
        self.shown: list[dict[str, Any]] = []  # what the dashboard says of trading
        exchange.app.middlewares.append(self._watch)

    @web.middleware
    async def _watch(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            answer = await handler(request)
        except Rejection as error:
            gone = error.code == "not_found"  # the clock was set past an order's expiry
            if request.method in ("POST", "DELETE") and not gone:
                self.refused.append(f"{request.method} {error.code}")
            raise
        self.placed += request.method == "POST" and request.path.endswith("/orders")
        return answer

    @property
    def halted(self) -> bool:
        return self.exchange.order_entry.halts.stops_trading

    def resting(self) -> int:
        return sum(o.status is OrderState.RESTING for o in self.exchange.order_entry.live_orders())

    async def trade(self) -> None:
        """Somebody changes a level, unless trading stands still."""
        sign = 1
        while True:
            self.exchange.state.apply_due()
            if not self.halted:
                self.exchange.add(TICKER, YES, 1_000, sign * 100)
                sign = -sign
            await asyncio.sleep(NAP)

    async def listen(self, address: str) -> None:
        url = f"{address.replace('http', 'ws')}/rl/ws"
        async with websockets.connect(url, max_size=None) as socket:
            async for text in socket:
                message = json.loads(text)
                if message["type"] == "trading":
                    self.shown.append(message["data"])

    async def until(self, check: Callable[[], Any], what: str) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                while not check():  # noqa: ASYNC110  it is seen from outside only
                    await asyncio.sleep(0.01)
        except TimeoutError:
            raise AssertionError(f"never happened: {what}; refused: {self.refused}") from None


def settings_of(data_dir: Path) -> Settings:
    return load_settings(ENVIRON | {"RL_DATA_DIR": str(data_dir)})


def write_credentials(data_dir: Path) -> None:
    path = credentials_path(data_dir)
    private_folder(path.parent)
    accounts = tuple(Account(c.api_key_id, c.private_key_pem(), c.algorithm) for c in keys())
    path.write_bytes(json_of(CredentialsFile(accounts)))


def json_of(value: object) -> bytes:
    return msgspec.json.encode(value)


@asynccontextmanager
async def stack(data_dir: Path) -> AsyncIterator[Paused]:
    """Everything but the recorder, in this process."""
    write_credentials(data_dir)
    settings, log = settings_of(data_dir), Logged()
    rules = ExchangeRules(weekly_pause=True)
    exchange = LocalExchange(data_dir / "exchange", START_MS - 600_000, rules=rules)
    paused = Paused(exchange)
    async with AsyncExitStack() as ends:
        ends.callback(remove_tables, data_dir)
        await ends.enter_async_context(exchange)
        exchange.market(TICKER)
        exchange.two_sided(TICKER)
        clock = MarketClock(data_dir / "exchange" / "clock")
        _, address = await ends.enter_async_context(broadcasting(data_dir))
        started = [started_of(n, clock) for n in (1, 2)]
        port = urlsplit(exchange.target.rest_url).port
        ends.enter_context(running_collector(data_dir, port or 0, **ENVIRON))
        services = [
            ExecutionService(settings, exchange.target, clock, started[0], log),
            ActorService(
                settings, strategy_of(settings), choice_of(settings.actor), clock, started[1], log
            ),
        ]  # fmt: skip
        stop = asyncio.Event()
        running = [asyncio.create_task(service.run(stop)) for service in services]
        beside = [asyncio.create_task(w) for w in (paused.trade(), paused.listen(address))]
        try:
            yield paused
        finally:
            stop.set()
            await asyncio.gather(*running)
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)


def facts_of(clock: MarketClock) -> tuple[Environment, str, int]:
    return Environment.SIMULATED, "ws://127.0.0.1:1/trade-api/ws/v2", clock.now_ns()


def started_of(number: int, clock: MarketClock) -> SessionStarted:
    environment, url, started_ns = facts_of(clock)
    return SessionStarted(
        session_uid=f"20260806T065000-{number:08x}",
        environment=environment,
        websocket_url=url,
        started_ns=started_ns,
    )


async def test_thursday_s_pause(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    async with stack(tmp_path) as paused:
        await paused.until(paused.resting, "an order rests before the pause")
        await paused.until(
            lambda: paused.shown[-1]["next_pause_ms"] == START_MS, "the page names the next pause"
        )
        assert paused.shown[-1]["state"] == "trading"
        paused.exchange.time.run(START_MS - 6_000)
        await paused.until(lambda: paused.halted, "the pause begins")
        assert paused.resting() == 0
        placed, shown = paused.placed, len(paused.shown)
        await paused.until(lambda: len(paused.shown) > shown + 3, "the dashboard goes on")
        paused.exchange.time.run(END_MS - 4_000)
        await paused.until(lambda: not paused.halted, "the pause ends")
        during = paused.shown[shown:]
        assert (paused.placed, paused.resting()) == (placed, 0)
        assert {data["state"] for data in during} == {"maintenance"}
        assert {data["until_ms"] for data in during} <= {END_MS, None}  # None: it is overdue
        assert during[0]["until_ms"] == END_MS
        ended = asyncio.get_running_loop().time()
        await paused.until(paused.resting, "an order rests after the pause")
        took_s = asyncio.get_running_loop().time() - ended
        record_property("seconds_until_an_order", took_s)
        print(f"trading again after {took_s:.2f} s")
        await paused.until(lambda: paused.shown[-1]["state"] == "trading", "the page says so")
        assert paused.refused == []


@pytest.mark.parametrize("what", ["trading", "exchange"])
async def test_a_pause_that_nobody_announced(tmp_path: Path, what: str) -> None:
    """What is sent before it is known may be refused, once; nothing rests, and it goes on."""
    async with stack(tmp_path) as paused:
        await paused.until(paused.resting, "an order rests")
        state = "paused" if what == "trading" else "maintenance"
        await paused.exchange.order("pause", what=what, on=True)
        await paused.until(lambda: paused.shown[-1]["state"] == state, "the page says so")
        assert paused.resting() == 0
        placed = paused.placed
        shown = len(paused.shown)
        await paused.until(lambda: len(paused.shown) > shown + 3, "the dashboard goes on")
        assert paused.placed == placed
        await paused.exchange.order("pause", what=what, on=False)
        await paused.until(paused.resting, "an order rests again")
        assert len([r for r in paused.refused if r.startswith("POST")]) <= 1
