"""Execution is killed, and then the watchdog too, with orders resting: how soon none rests.

The programs themselves, without supervisord, which would start them again; the exchange runs at the
speed of real time, because an order's expiry is market time.
"""

from __future__ import annotations

import signal
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.actor_rig import remove_tables
from support.between import standing_between
from support.exchange import running_exchange
from support.execution_process import ProcessWorld
from support.orders import intent

from ipc.messages import OrderStatus, ProcessStats
from ipc.sockets import Subscriber
from processes.adapters.kalshi.stop.watchdog_record import load_fired

pytestmark = [pytest.mark.timeout(300)]

STOPPED_S = 10.0  # from the kill on, with a watchdog
EXPIRY_S = 8  # RL_ORDER_EXPIRY_S of the last life
LOADED_S = 5.0  # for a machine that does much else


@asynccontextmanager
async def killed_world(data_dir: Path) -> AsyncIterator[ProcessWorld]:
    """A synthetic market, and programs that are started one by one."""
    shape = {"RL_EXCHANGE_TIER": "unmetered", "RL_EXCHANGE_MARKETS": "1"}
    with remove_tables(data_dir), running_exchange(data_dir, **shape) as exchange:
        async with standing_between(exchange.url) as between:
            world = ProcessWorld(data_dir, exchange, between)
            try:
                yield world
            finally:
                if world.process is not None:
                    await world.end(signal.SIGKILL)
                world.close()


async def rests(world: ProcessWorld, name: str) -> None:
    """An order that nobody will fill."""
    (market,) = world.exchange.get("/markets", status="open")["markets"]
    ticker = market["ticker"]
    await world.known(ticker)
    await world.push(intent(name, market_ticker=ticker, yes_price_e4=100))
    await world.order(intent_id=name, status=OrderStatus.RESTING)
    assert len(world.resting()) == 1


async def watching(world: ProcessWorld) -> None:
    """Until the watchdog sees execution's heartbeat."""
    heard = Subscriber(world.context, ["watchdog"], world.data_dir, {}, ["stats"])
    while True:
        stats = (await heard.recv())[1]
        if isinstance(stats, ProcessStats) and stats.counters["watching"]:
            break
    heard.close()


async def none_rests(world: ProcessWorld, since_s: float) -> float:
    """Seconds since then until the exchange has none of our orders."""
    world.check_alive = lambda: None
    await world.until(lambda: not world.resting(), "none of our orders rests")
    return time.monotonic() - since_s


async def killed(process: Process) -> None:
    process.send_signal(signal.SIGKILL)
    await process.communicate()


async def test_no_order_outlives_execution_nor_both(tmp_path: Path) -> None:
    async with killed_world(tmp_path) as world:
        watchdog = await world.spawn("watchdog")
        try:
            await world.start()
            await rests(world, "i1")
            await watching(world)
            killed_s = time.monotonic()
            await world.end(signal.SIGKILL)
            took_s = await none_rests(world, killed_s)
            print(f"\nexecution killed: none rests after {took_s:.1f} s")
            assert took_s < STOPPED_S
            await world.until(lambda: load_fired(tmp_path).is_proven, "it is verified")

            world.settings = {"RL_ORDER_EXPIRY_S": str(EXPIRY_S)}
            await world.start()  # it resets what the watchdog triggered
            world.listen()
            await rests(world, "i2")
        finally:
            await killed(watchdog)
        killed_s = time.monotonic()
        await world.end(signal.SIGKILL)
        took_s = await none_rests(world, killed_s)
        print(f"both killed: none rests after {took_s:.1f} s, expiry {EXPIRY_S} s")
        assert took_s < EXPIRY_S + LOADED_S
