"""Clients of one account that share a budget, against a local exchange of the Basic tier."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import httpx
import pytest
from support.local_exchange import LocalExchange, keys
from support.local_orders import TICKER, two_markets
from support.logged import Logged
from support.patience import PATIENCE

from ipc.clock import ManualClock
from ipc.messages import BookSide, Environment
from ipc.shared_file import remove_tables
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.limits import DAY_NS, follow_limits, shared_budget
from processes.adapters.kalshi.rest.orders import CreateOrder
from processes.adapters.kalshi.rest.rate_budget import Call, Rank, RateBudget


@asynccontextmanager
async def two_clients(
    folder: Path, tier: str = "basic"
) -> AsyncIterator[tuple[LocalExchange, KalshiTradingClient, KalshiTradingClient]]:
    """(exchange, one that trades, one that reads data); a fifth is in what they share."""
    async with two_markets(folder, tier=tier) as exchange:
        clients = []
        for rank in (Rank.TRADING, Rank.DATA):
            log = Logged()
            budget = shared_budget(folder, Environment.SIMULATED, log, rank=rank)
            assert log.lines == []
            clients.append(KalshiTradingClient.at(exchange.target, Signer(keys()[0]), budget))
        try:
            yield exchange, *clients
        finally:
            for client in clients:
                await client.close()
                client.budget.close()
            remove_tables(folder)


def order(price_e4: int = 4_000) -> CreateOrder:
    return CreateOrder(
        market_ticker=TICKER,
        client_order_id=str(uuid.uuid4()),
        book_side=BookSide.BID,
        yes_price_e4=price_e4,
        count_e2=100,
    )


async def test_two_clients_at_full_speed_are_never_answered_429(tmp_path: Path) -> None:
    """More than both buckets hold, at once, and then what they gain."""
    async with two_clients(tmp_path) as (_, trading, data):
        await asyncio.gather(
            *(trading.exchange_status() for _ in range(40)),
            *(data.exchange_status() for _ in range(40)),
        )
        assert trading.budget.limited == data.budget.limited == 0
        counters = data.budget.counters()
        assert counters["budget_read_taken"] == 800
        assert counters["budget_read_limited"] == 0


async def test_a_cancel_goes_while_creates_and_reads_wait(tmp_path: Path) -> None:
    async with two_clients(tmp_path) as (exchange, trading, data):
        made = await trading.create_order(order())
        budget = trading.budget
        while budget.try_take(Call.CREATE) == 0:
            continue
        while budget.try_take(Call.READ) == 0:
            continue
        waiting = [asyncio.create_task(data.exchange_status()) for _ in range(3)]
        await asyncio.sleep(0)
        await trading.cancel_order(made.order_id, TICKER)
        assert not any(task.done() for task in waiting)
        (asked,) = [a for a in exchange.asked if a.method == "DELETE"]
        assert asked.target.partition("?")[0].endswith(made.order_id)
        await asyncio.gather(*waiting)
        assert budget.limited == 0


async def test_a_429_of_one_slows_both_down_and_is_counted(tmp_path: Path) -> None:
    async with two_clients(tmp_path) as (exchange, trading, data):
        await exchange.order("fault", kind="rate_limit_next", method="GET")
        await data.exchange_status()
        assert (data.budget.limited, trading.budget.limited) == (1, 0)
        counters = trading.budget.counters()
        assert counters["budget_read_limited"] == 1
        assert counters["budget_read_share_percent"] < 100
        assert counters["budget_write_share_percent"] == 100


class Day:
    """A clock that sleeping moves, up to a day at which it stands until the test says."""

    def __init__(self) -> None:
        self.clock = ManualClock(1_000_000_000)
        self.until_ns = DAY_NS // 2
        self.moved = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.clock.advance(round(seconds * 1_000_000_000))
        await asyncio.sleep(0)
        while self.clock.now_ns() >= self.until_ns:
            self.moved.clear()
            await self.moved.wait()

    def let_pass(self, ns: int) -> None:
        self.until_ns += ns
        self.moved.set()


@asynccontextmanager
async def following(
    exchange: LocalExchange, day: Day, log: Logged
) -> AsyncIterator[KalshiTradingClient]:
    """The limits of a client are followed, by the clock of the day."""
    budget = RateBudget()
    async with KalshiTradingClient.at(exchange.target, Signer(keys()[0]), budget) as client:
        task = asyncio.create_task(
            follow_limits(lambda: client, budget, log, day.clock.now_ns, day.sleep)
        )
        try:
            yield client
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def until(check: Callable[[], bool]) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + PATIENCE
    while loop.time() < deadline:
        if check():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("never happened")


async def until_said(log: Logged, action: str, times: int) -> None:
    await until(lambda: log.actions().count(action) >= times)


def asked_for_limits(exchange: LocalExchange) -> int:
    return sum(a.target.endswith("/account/limits") for a in exchange.asked)


async def test_limits_are_read_at_the_start_and_once_a_day(tmp_path: Path) -> None:
    day, log = Day(), Logged()
    async with (
        two_markets(tmp_path, tier="basic") as exchange,
        following(exchange, day, log) as client,
    ):
        await until_said(log, "rate_limits", 1)
        assert log.has("rate_limits", tier="basic", read_per_s=200, write_capacity=100)
        assert asked_for_limits(exchange) == 1
        assert client.budget.cost(Call.CANCEL, "DELETE", "/portfolio/events/orders/o-1") == 2
        for meter in exchange.state.meters.values():
            meter.change("advanced")
        day.let_pass(DAY_NS)
        await until_said(log, "rate_limits", 2)
        assert log.has("rate_limits", tier="advanced", write_capacity=900)
        assert asked_for_limits(exchange) == 2
        assert client.budget.counters()["budget_write_capacity"] == 810


@pytest.mark.parametrize(
    "body", [b"<html>", b'{"usage_tier":"x"}', b'{"usage_tier":"x","read":{"refill_rate":0}}']
)
async def test_limits_that_cannot_be_read_leave_basic_and_are_one_line(
    tmp_path: Path, body: bytes
) -> None:
    day, log = Day(), Logged()
    budget = RateBudget()
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(request.url.path)
        return httpx.Response(200, content=body)

    async with two_markets(tmp_path) as exchange:
        transport = httpx.MockTransport(answer)
        signer = Signer(keys()[0])
        async with KalshiTradingClient.at(
            exchange.target, signer, budget, transport=transport
        ) as client:
            task = asyncio.create_task(
                follow_limits(lambda: client, budget, log, day.clock.now_ns, day.sleep)
            )
            await until(lambda: len(asked) >= 5)
            task.cancel()
    assert log.actions() == ["rate_limits_not_read"]
    assert budget.counters()["budget_read_capacity"] == 540
