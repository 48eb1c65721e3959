"""From a shadow's decision to a client of `/rl/ws`, over the real sockets of both processes."""

from __future__ import annotations

import asyncio
from contextlib import closing

from support.actor_rig import Rig, acting
from support.broadcaster import broadcasting
from support.fake_collector import MARKET, FakeCollector
from support.made_models import BUYS_YES, HOLDS, make_model
from support.patience import PATIENCE
from support.ws_client import WsClient, connected

from ipc import book as b
from ipc.messages import ActorAction, ActorModels, ShadowActions
from ipc.sockets import Subscriber
from models.policies.registry import Registry
from processes.inference import service
from processes.inference.decide import BATCH

FOLLOWS = {"RL_ACTOR_STRATEGY": "registry"}
STEP_MS = 250


async def tick(rig: Rig, collector: FakeCollector, number: int) -> int:
    """One more tick; returns its event number once the live model has decided on it."""
    collector.delta(STEP_MS * number, b.YES, 30 + number % 15, number)
    collector.flush()
    return (await rig.action()).event_no


def two_models(data_dir, shadow: str | None) -> Registry:
    make_model(data_dir, "holds", HOLDS)
    make_model(data_dir, "buys", BUYS_YES)
    registry = Registry(data_dir)
    registry.promote("holds")
    if shadow is not None:
        registry.shadow(shadow)
    return registry


async def shadowed(client: WsClient, rig: Rig, collector: FakeCollector) -> int:
    """Tick until a shadow is heard of; the number of ticks."""
    for number in range(1, 200):
        event_no = await tick(rig, collector, number)
        if rig.service.counters["shadow_decisions"]:
            data = await client.until("actor_shadow", lambda d, e=event_no: d["event_no"] == e)
            assert data["live_action_name"] == "HOLD"
            return number
    raise AssertionError("no shadow decided")


async def test_who_listens_gets_who_decides_and_what_the_shadow_did(tmp_path):
    registry = two_models(tmp_path, "buys")
    async with (
        acting(tmp_path, **FOLLOWS) as rig,
        broadcasting(tmp_path) as (_, address),
        connected(address) as client,
    ):
        models = await client.until("actor_models", lambda d: d["shadow"] is not None)
        assert (models["live"], models["shadow"]) == ("onnx:holds", "onnx:buys")
        collector = await rig.start()
        ticks = await shadowed(client, rig, collector)
        event_no = await tick(rig, collector, ticks + 1)
        live = await client.until("actor_action", lambda d: d["event_no"] == event_no)
        data = await client.until("actor_shadow")
        assert (data["ticker"], data["event_no"]) == (MARKET, event_no)
        assert (data["action_name"], data["model"]) == ("BUY_YES_LIMIT", "onnx:buys")
        assert data["model_hash"] == models["shadow_hash"]
        assert (data["live_action_name"], data["live_model"]) == ("HOLD", "onnx:holds")
        assert data["live_model_hash"] == live["model_hash"] == models["live_hash"]
        assert data["agrees"] is False
        assert len(data["logits"]) == 5

        async with connected(address) as late:
            again = await late.until("actor_shadow")
            kinds = [message["type"] for message in late.seen]
            assert kinds.index("actor_models") < kinds.index("actor_shadow")
            assert again == data
        registry.shadow(None)
        models = await client.until("actor_models", lambda d: d["shadow"] is None)
        assert models["shadow_hash"] is None
        async with connected(address) as late:
            await late.until("stats", lambda d: d["process"] == "broadcaster")
            assert "actor_shadow" not in [message["type"] for message in late.seen]


async def test_without_a_shadow_nothing_is_said_of_one(tmp_path):
    two_models(tmp_path, None)
    async with (
        acting(tmp_path, **FOLLOWS) as rig,
        broadcasting(tmp_path) as (_, address),
        connected(address) as client,
    ):
        models = await client.until("actor_models")
        assert (models["live"], models["shadow"], models["shadow_hash"]) == (
            "onnx:holds", None, None,
        )  # fmt: skip
        collector = await rig.start()
        for number in range(1, 11):
            event_no = await tick(rig, collector, number)
        await client.until("actor_action", lambda d: d["event_no"] == event_no)
        await client.until("actor_models")  # behind all that inference said so far
        assert "actor_shadow" not in [message["type"] for message in client.seen]


async def test_what_a_shadow_did_is_published_after_the_live_decisions_on_the_same(tmp_path):
    two_models(tmp_path, "buys")
    tickers = [f"KX-{n}" for n in range(5)]
    async with acting(tmp_path, **FOLLOWS) as rig:
        where = (rig.settings.data_dir, rig.settings.environ)
        with closing(Subscriber(rig.context, ["inference"], *where)) as heard:
            await rig.until(lambda _: rig.service._models.shadow is not None)
            while not isinstance((await heard.recv())[1], ActorModels):
                pass
            (await rig.start(*tickers)).flush()
            decided: set[tuple[str, int]] = set()
            told: list[ActorAction] = []
            while len(told) < len(tickers):
                match (await heard.recv())[1]:
                    case ActorAction() as live:
                        assert not live.shadow
                        decided.add((live.market_ticker, live.event_no))
                    case ShadowActions(actions=actions):
                        assert {(d.market_ticker, d.event_no) for d in actions} <= decided
                        told += actions
            assert told == [d for d in rig.decisions() if d.shadow]


async def test_another_shadow_is_published_at_once(tmp_path, monkeypatch):
    monkeypatch.setattr(service, "STATS_WATCHES", 1_000_000)  # nothing is said because it is time
    registry = two_models(tmp_path, None)
    async with acting(tmp_path, **FOLLOWS) as rig:
        where = (rig.settings.data_dir, rig.settings.environ)
        with closing(Subscriber(rig.context, ["inference"], *where, ["models"])) as heard:
            for shadow in ("buys", None, "buys"):
                registry.shadow(shadow)
                wanted = shadow and f"onnx:{shadow}"
                async with asyncio.timeout(PATIENCE):
                    while (await heard.recv())[1].shadow != wanted:
                        pass


async def test_a_shadow_waits_until_every_market_due_has_its_live_decision(tmp_path):
    two_models(tmp_path, "buys")
    tickers = [f"KX-{n}" for n in range(BATCH + 6)]
    async with acting(tmp_path, **FOLLOWS) as rig:
        await rig.until(lambda _: rig.service._models.shadow is not None)
        (await rig.start(*tickers)).close()
        collector = rig.collect(*tickers, uid="c-2")
        for n, ticker in enumerate(tickers):
            collector.snapshot(0, ticker, yes={30: n + 1})
        collector.flush()  # all wait for the session's name, however their triggers arrive
        await rig.follow("c-2")
        await rig.counted("shadow_decisions", len(tickers))
        decisions = rig.decisions()
        assert [d.shadow for d in decisions] == [False] * len(tickers) + [True] * len(tickers)
        live, shadow = decisions[: len(tickers)], decisions[len(tickers) :]
        assert [d.market_ticker for d in shadow] == tickers
        for name in ("event_no", "observation", "account_version", "mask"):
            assert [getattr(d, name) for d in shadow] == [getattr(d, name) for d in live]
