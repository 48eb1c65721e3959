"""When the exchange is asked for our places in the queues, and how often at most."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from support.order_manager import ManagerRig
from support.orders import TICKER, intent
from support.patience import PATIENCE, turns

from processes.adapters.kalshi.errors import RateLimited
from processes.adapters.kalshi.rest.portfolio import QueuePosition
from processes.execution.gateway import CHUNK
from processes.execution.orders import CreateAccepted, SendOrder
from processes.execution.queue_positions import GAP, UNANSWERED, QueuePositions

INTERVAL = 0.01  # seconds of waiting that the tests do not want to count

Read = Callable[[list[str]], Awaitable[list[QueuePosition]]]


def resting(*tickers: str) -> ManagerRig:
    """An order of ours rests in each market."""
    rig = ManagerRig(open_orders=1_000)
    for ticker in tickers:
        rig.known(ticker)
        rig.manager.on_intent(intent(f"i-{ticker}", market_ticker=ticker), rig.mono_ns)
        (request,) = rig.requests(SendOrder)
        name = request.order.client_order_id
        rig.state.on_fact(name, CreateAccepted(f"e-{ticker}", 0, request.order.initial_e2, 1))
    rig.drain()
    return rig


async def followed(rig: ManagerRig, read: Read, sleeps: int, slept: list[float]) -> list[float]:
    """Follow until it has slept so often -> how long each time."""

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) > sleeps:
            raise asyncio.CancelledError
        await asyncio.sleep(0)

    queues = QueuePositions(rig.state, rig.drain, asyncio.Event(), INTERVAL, sleep)
    with pytest.raises(asyncio.CancelledError):
        await queues.follow(read)
    return slept[:-1]


async def test_all_markets_are_asked_at_once_and_many_in_pieces_with_pauses() -> None:
    tickers = sorted(f"KX-{n:03}" for n in range(CHUNK + 1))
    rig, asked, slept = resting(*tickers), [], []

    async def read(names: list[str]) -> list[QueuePosition]:
        asked.append((len(slept), names))
        return [QueuePosition(f"e-{name}", name, 700) for name in names]

    assert await followed(rig, read, 3, slept) == [GAP] * 3
    assert asked == [(1, tickers[:CHUNK]), (2, tickers[CHUNK:]), (3, tickers[:CHUNK])]
    assert {o.ahead_e2 for o in rig.state.orders.open_orders()} == {700}


async def test_where_nothing_rests_nothing_is_asked() -> None:
    async def read(names: list[str]) -> list[QueuePosition]:
        raise AssertionError(f"asked for {names}")

    assert len(await followed(ManagerRig().known(), read, 5, [])) == 5


async def test_a_refusal_makes_the_pauses_longer_until_there_is_an_answer() -> None:
    rig, refused = resting(TICKER), [True, True, True, False, True, False]

    async def read(names: list[str]) -> list[QueuePosition]:
        if refused.pop(0):
            raise RateLimited(429, "", "too many requests")
        return [QueuePosition(f"e-{name}", name, 700) for name in names]

    slept = await followed(rig, read, 6, [])
    assert slept == [GAP, 2 * GAP, 4 * GAP, 8 * GAP, GAP, 2 * GAP]
    counters = rig.state.counters
    assert (counters["queues_not_read"], counters["queues_read"]) == (4, 2)
    assert UNANSWERED.after(1_000) == 32.0


async def test_an_order_of_unknown_place_is_asked_for_before_the_interval_is_over() -> None:
    rig, wanted, read_at = resting(TICKER), asyncio.Event(), asyncio.Event()

    async def read(names: list[str]) -> list[QueuePosition]:
        read_at.set()
        return []

    queues = QueuePositions(rig.state, rig.drain, wanted, 3_600, lambda _: asyncio.sleep(0))
    task = asyncio.create_task(queues.follow(read))
    await turns()
    assert not read_at.is_set()
    wanted.set()
    await asyncio.wait_for(read_at.wait(), PATIENCE)
    assert not wanted.is_set()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_it_can_be_ended_in_the_moment_in_which_an_order_comes_to_rest() -> None:
    """Python 3.11's `wait_for` would drop the cancellation, and a stop would wait for ever."""
    rig, wanted = resting(TICKER), asyncio.Event()
    waits = asyncio.Event()

    async def read(names: list[str]) -> list[QueuePosition]:
        return []

    async def sleep(seconds: float) -> None:
        waits.set()
        await asyncio.sleep(0)

    queues = QueuePositions(rig.state, rig.drain, wanted, 3_600, sleep)
    task = asyncio.create_task(queues.follow(read))
    await waits.wait()
    await turns()  # until it waits for an order
    wanted.set()
    task.cancel()
    done, _ = await asyncio.wait([task], timeout=30)
    task.cancel()
    assert done == {task}
