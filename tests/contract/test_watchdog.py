"""The watchdog between the local exchange and a table whose writer is dead, all of it real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from support.actor_rig import remove_tables
from support.between import Between, standing_between
from support.exchange import Exchange
from support.execution_world import World, idle_exchange
from support.logged import Logged
from support.orders import TICKER

from ipc.account_heartbeat import ENDED
from ipc.account_table import AccountTableWriter
from ipc.clock import mono_ns
from ipc.messages import Environment, ProcessStats
from ipc.shared_file import shared_path
from ipc.sockets import Subscriber
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.stop.group_file import GroupList, OwnGroup, save_groups
from processes.adapters.kalshi.stop.watchdog_record import load_fired
from processes.runtime.config import load_settings
from processes.watchdog import heartbeats
from processes.watchdog.service import Watchdog

GROUPS = "/portfolio/order_groups"
SILENT_NS = 300_000_000  # in place of three seconds


@pytest.fixture(scope="module")
def exchange(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exchange]:
    """One for all: each test leaves no order."""
    folder = tmp_path_factory.mktemp("w")
    with remove_tables(folder), idle_exchange(folder) as running:
        yield running


class Guarded(World):
    """A watchdog in this process, and execution's place taken by the test."""

    log: Logged
    watchdog: Watchdog

    def make_group(self) -> str:
        """A group, as execution would make and note it."""
        reply = self.exchange.call("POST", f"{GROUPS}/create", {"contracts_limit": 1_000})
        group_id: str = reply.json()["order_group_id"]
        group = OwnGroup(group_id, 0, Environment.SIMULATED, None)
        save_groups(self.data_dir, GroupList((group,)))
        return group_id

    def rest(self, name: str, group_id: str = "") -> int:
        """An order that rests, of ours when the name says so -> the exchange's answer."""
        body = {
            "ticker": TICKER,
            "client_order_id": self.own_name(name),
            "side": "bid",
            "count": "1.00",
            "price": "0.0100",
            "time_in_force": "good_till_canceled",
            "self_trade_prevention_type": "taker_at_cross",
        }
        if group_id:
            body["order_group_id"] = group_id
        return self.exchange.call("POST", "/portfolio/events/orders", body).status_code

    async def beats(self, writer: AccountTableWriter, looks: int = 5) -> None:
        for _ in range(looks):
            writer.heartbeat(mono_ns())
            await asyncio.sleep(0.1)


@asynccontextmanager
async def guarded(exchange: Exchange, tmp_path: Path) -> AsyncIterator[Guarded]:
    """Credentials are the exchange's; everything else is in a folder of this test."""
    (tmp_path / "exchange").symlink_to(exchange.data_dir / "exchange")
    settings = load_settings({"RL_DATA_DIR": str(tmp_path)})
    with remove_tables(tmp_path):
        async with standing_between(exchange.url) as between:
            world = Guarded(tmp_path, exchange, between)
            world.log = Logged()
            target = target_of(between)
            world.watchdog = Watchdog(settings, target, 1, world.log)
            stop = asyncio.Event()
            running = asyncio.create_task(world.watchdog.run(stop))
            try:
                yield world
            finally:
                stop.set()
                await running
                world.close()


def target_of(between: Between) -> KalshiTarget:
    socket = between.url.replace("http", "ws")
    rest, stream = f"{between.url}/trade-api/v2", f"{socket}/trade-api/ws/v2"
    return KalshiTarget(Environment.SIMULATED, rest, stream)


async def test_when_the_heartbeat_stops_nothing_of_ours_rests(
    exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its group takes no more orders, others' orders stay, and a return and end is seen again."""
    monkeypatch.setattr(heartbeats, "SILENT_NS", SILENT_NS)
    async with guarded(exchange, tmp_path) as world:
        group_id = world.make_group()
        writer = AccountTableWriter.create(shared_path(tmp_path, "accounts"))
        await world.beats(writer)
        assert world.rest("ka-w1-BY", group_id) == 201
        assert world.rest("ka-w2-BY") == 201  # of another group, or of none
        assert world.rest("by-hand") == 201
        assert not world.log.has("execution_silent")

        await world.until(lambda: world.log.has("nothing_rests"), "the proof")
        assert world.resting() == []
        assert world.resting("by-hand") == ["by-hand"]
        assert world.rest("ka-w3-BY", group_id) == 400  # triggered
        record = load_fired(tmp_path)
        assert (record.incident, record.is_over, record.is_proven) == (1, True, True)
        assert record.groups == (group_id,)

        await world.beats(writer)  # it has come
        assert world.rest("ka-w4-BY") == 201
        await world.until(lambda: load_fired(tmp_path).incident == 2, "and gone")
        await world.until(lambda: load_fired(tmp_path).is_proven, "the proof")
        assert world.resting() == []
        assert load_fired(tmp_path).number > record.number
        writer.close()


async def test_an_exchange_that_does_not_answer_is_asked_until_it_does(
    exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(heartbeats, "SILENT_NS", SILENT_NS)
    monkeypatch.setattr("processes.watchdog.service.ROUND_S", 0.5)
    async with guarded(exchange, tmp_path) as world:
        writer = AccountTableWriter.create(shared_path(tmp_path, "accounts"))
        await world.beats(writer)
        assert world.rest("ka-x1-BY") == 201
        with world.between.delaying("GET"):
            await world.until(lambda: world.log.has("not_verified"), "it says so")
            assert world.resting() == ["ka-x1-BY"]
        monkeypatch.setattr("processes.watchdog.service.ROUND_S", 8.0)
        await world.until(lambda: world.log.has("nothing_rests"), "the proof")
        assert world.resting() == []
        writer.close()


async def test_an_end_in_order_asks_the_exchange_for_nothing(
    exchange: Exchange, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It reports itself, and whether it sees the heartbeat."""
    monkeypatch.setattr(heartbeats, "SILENT_NS", SILENT_NS)
    async with guarded(exchange, tmp_path) as world:
        heard = Subscriber(world.context, ["watchdog"], tmp_path, {}, ["stats"])
        watching: list[int] = []

        async def note() -> None:
            while True:
                stats = (await heard.recv())[1]
                assert isinstance(stats, ProcessStats)
                watching.append(stats.counters["watching"])

        noting = asyncio.create_task(note())
        try:
            writer = AccountTableWriter.create(shared_path(tmp_path, "accounts"))
            while 1 not in watching:
                await world.beats(writer, 1)
            writer.heartbeat(ENDED)
            writer.close()
            seen = len(watching)
            await world.until(lambda: len(watching) > seen + 3, "reports go on")
            assert watching[-1] == 0
            assert world.between.passed == []
            assert not world.log.has("execution_silent")
        finally:
            noting.cancel()
            heard.close()
