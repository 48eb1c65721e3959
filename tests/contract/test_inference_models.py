"""Inference follows the registry: models take over between two ticks, a shadow never sends."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from support.actor_rig import Rig, acting
from support.fake_collector import MARKET, MS, FakeCollector
from support.made_models import BUYS_YES, HOLDS, make_model
from support.model_builders import NOON_NS
from support.patience import PATIENCE

from ipc import account_table as a
from ipc import book as b
from ipc.journal import events_of, stream_folder
from ipc.messages import ActorAction, Environment
from ipc.units import LINEAR_CENT
from models.observation.builder import BUILDERS
from models.parity.rebuilding import ActorRun, LiveMarket, Report, rebuild
from models.policies.live_model import Active, Entry, active_path, load_entry, stamp_of
from models.policies.onnx import MODEL_FILE, OnnxPolicy, load_strategy, write_aside
from models.policies.registry import Registry
from models.simulation.tape import RecordedSession
from models.trading.actions import LimitOrderActionSpace
from models.trading.fees import MarketFees
from processes.inference import models
from processes.inference.service import COUNTS

FOLLOWS = {"RL_ACTOR_STRATEGY": "registry"}
STEP_MS = 250


class Market:
    """Ticks of one market, one throttle apart; every one is waited for."""

    def __init__(self, rig: Rig, collector: FakeCollector) -> None:
        self.rig = rig
        self.actions: list[ActorAction] = []
        self._collector = collector
        self._random = np.random.default_rng(3)

    async def tick(self, count: int = 1) -> None:
        """The next ticks; each has its decision before the next one is due."""
        for _ in range(count):
            at_ms = STEP_MS * (len(self.actions) + 1)
            cents = int(self._random.integers(30, 45))
            self._collector.delta(at_ms, b.YES, cents, int(self._random.integers(1, 90)))
            self._collector.flush()
            action = await self.rig.action()
            assert action.recv_ns == NOON_NS + at_ms * MS
            self.actions.append(action)

    async def until(self, holds: Callable[[], bool]) -> None:
        """Tick on until something has happened."""
        async with asyncio.timeout(PATIENCE):
            while not holds():
                await self.tick()

    @property
    def models(self) -> list[str]:
        """Who decided, without repetition."""
        names = [action.model for action in self.actions]
        return [n for n, before in zip(names, ["", *names], strict=False) if n != before]


class SlowLoad:
    """Models load only when they are told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.loading, self.loaded = threading.Event(), threading.Event()
        self.asked: list[str] = []
        monkeypatch.setattr(models, "load_entry", self._load)

    def _load(self, entry: Entry, data_dir: Path) -> OnnxPolicy:
        self.asked.append(entry.model_id)
        self.loading.set()
        assert self.loaded.wait(PATIENCE)
        return load_entry(entry, data_dir)


async def market_of(rig: Rig) -> Market:
    """A market whose first tick is the first of `Market`'s."""
    return Market(rig, await rig.start())


def shadows(rig: Rig) -> list[ActorAction]:
    return [d for d in rig.decisions() if d.shadow]


# Live


async def test_a_promoted_model_takes_over_without_a_missed_tick(tmp_path):
    first = make_model(tmp_path, "first", HOLDS)
    second = make_model(tmp_path, "second", BUYS_YES)
    registry = Registry(tmp_path)
    registry.promote("first")
    async with acting(tmp_path, RL_ACTOR_WARMUP_TICKS="3", **FOLLOWS) as rig:
        market = await market_of(rig)
        await market.tick(20)
        registry.promote("second")
        await market.until(lambda: market.models[-1] == "onnx:second")
        await market.tick(20)

        assert market.models == ["onnx:first", "onnx:second"]
        hashes = [action.model_hash for action in market.actions]
        switched = hashes.index(second.onnx_sha256[:16])
        assert set(hashes[:switched]) == {first.onnx_sha256[:16]}
        assert set(hashes[switched:]) == {second.onnx_sha256[:16]}
        assert {action.reason for action in market.actions[switched:]} == {"policy"}
        assert [tick.history for tick in rig.ticks()] == list(range(len(market.actions)))
        counters = rig.service.counters
        assert (counters["missed_ticks"], counters["model_switches"]) == (0, 1)
        assert counters["decisions"] == counters["ticks"] == len(market.actions)
        assert rig.log.has("model_switched", was="onnx:first", model="onnx:second")


async def test_ticks_are_decided_while_another_model_loads(tmp_path, monkeypatch):
    make_model(tmp_path, "first", BUYS_YES)
    async with acting(tmp_path, **FOLLOWS) as rig:
        slow = SlowLoad(monkeypatch)
        market = await market_of(rig)
        await market.tick()
        Registry(tmp_path).promote("first")
        await market.until(slow.loading.is_set)
        try:
            await market.tick(20)
            assert market.models == ["onnx:default"]
        finally:
            slow.loaded.set()
        await market.until(lambda: market.models[-1] == "onnx:first")
        assert rig.service.counters["missed_ticks"] == 0


async def test_a_rollback_is_followed_as_well(tmp_path):
    make_model(tmp_path, "first", BUYS_YES)
    registry = Registry(tmp_path)
    async with acting(tmp_path, **FOLLOWS) as rig:
        market = await market_of(rig)
        await market.tick()
        registry.promote("first")
        await market.until(lambda: market.models[-1] == "onnx:first")
        registry.rollback()
        await market.until(lambda: market.models[-1] == "onnx:default")
        assert market.models == ["onnx:default", "onnx:first", "onnx:default"]
        assert rig.service.counters["missed_ticks"] == 0


async def test_who_names_a_model_keeps_it_whatever_is_promoted(tmp_path):
    make_model(tmp_path, "first")
    async with acting(tmp_path, RL_ACTOR_STRATEGY="onnx:default") as rig:
        market = await market_of(rig)
        Registry(tmp_path).promote("first")
        await market.tick(20)
        assert market.models == ["onnx:default"]
        assert rig.service._models.follows is False


def spoilt_bytes(data_dir: Path) -> None:
    Registry(data_dir).promote("second")
    file = data_dir / "models" / "second" / MODEL_FILE
    file.write_bytes(file.read_bytes() + b"\0")


def other_bytes(data_dir: Path) -> None:
    write_aside(active_path(data_dir), Active(Entry("second", "0" * 64)))


def no_model(data_dir: Path) -> None:
    write_aside(active_path(data_dir), Active(Entry("absent", "0" * 64)))


def no_state(data_dir: Path) -> None:
    active_path(data_dir).unlink()


def half_a_state(data_dir: Path) -> None:
    active_path(data_dir).write_text('{"live": ')


def no_text(data_dir: Path) -> None:
    active_path(data_dir).write_bytes(b'{"live": {"model_id": "\xff"}}')


SPOILT = [spoilt_bytes, other_bytes, no_model, no_state, half_a_state, no_text]


@pytest.mark.parametrize("spoil", SPOILT)
async def test_what_cannot_run_leaves_the_old_model_in_its_place(tmp_path, spoil):
    make_model(tmp_path, "first", HOLDS)
    make_model(tmp_path, "second", BUYS_YES)
    Registry(tmp_path).promote("first")
    async with acting(tmp_path, **FOLLOWS) as rig:
        market = await market_of(rig)
        await market.tick()
        await rig.until(lambda _: rig.service._models._stamp is not None)
        spoil(tmp_path)  # at once: the service does not look in between
        await market.until(lambda: rig.service.counters["models_refused"] == 1)
        await market.tick(5)
        assert market.models == ["onnx:first"]
        assert rig.log.has("model_refused", live="onnx:first")

        active_path(tmp_path).unlink(missing_ok=True)
        make_model(tmp_path, "third", BUYS_YES)
        Registry(tmp_path).promote("third")
        await market.until(lambda: market.models[-1] == "onnx:third")
        assert market.models == ["onnx:first", "onnx:third"]
        assert rig.service.counters["missed_ticks"] == 0


async def test_what_was_put_right_takes_over_when_it_is_promoted_again(tmp_path):
    make_model(tmp_path, "first", BUYS_YES)
    file = tmp_path / "models" / "first" / MODEL_FILE
    registry = Registry(tmp_path)
    async with acting(tmp_path, **FOLLOWS) as rig:
        market = await market_of(rig)
        await market.tick()
        graph = file.read_bytes()
        registry.promote("first")
        file.unlink()  # at once: the service does not look in between
        await market.until(lambda: rig.service.counters["models_refused"] == 1)
        file.write_bytes(graph)
        registry.promote("first")
        await market.until(lambda: market.models[-1] == "onnx:first")


async def test_what_was_taken_back_while_it_loaded_never_decides(tmp_path, monkeypatch):
    make_model(tmp_path, "wrong", BUYS_YES)
    make_model(tmp_path, "dark", BUYS_YES)
    registry = Registry(tmp_path)
    async with acting(tmp_path, **FOLLOWS) as rig:
        slow = SlowLoad(monkeypatch)
        market = await market_of(rig)
        await market.tick()
        registry.promote("wrong")
        registry.shadow("dark")
        await market.until(slow.loading.is_set)
        registry.rollback()
        registry.shadow(None)
        slow.loaded.set()
        await market.until(lambda: rig.log.has("model_overtaken", model="onnx:wrong"))
        await market.until(lambda: rig.service._models._stamp == stamp_of(tmp_path))
        await market.tick(20)
        assert market.models == ["onnx:default"]
        assert slow.asked == ["wrong"], "what comes after it in the same state is old as well"
        counters = rig.service.counters
        assert (counters["model_switches"], counters["shadow_decisions"]) == (0, 0)


# Shadow


async def test_a_shadow_decides_on_the_same_and_never_sends(tmp_path):
    make_model(tmp_path, "holds", HOLDS)
    make_model(tmp_path, "buys", BUYS_YES)
    registry = Registry(tmp_path)
    registry.promote("holds")
    registry.shadow("buys")
    async with acting(tmp_path, **FOLLOWS) as rig:
        market = await market_of(rig)
        await market.until(lambda: rig.service.counters["shadow_decisions"] >= 20)
        assert market.models == ["onnx:holds"], "a shadow decides nothing"
        live = {d.event_no: d for d in rig.decisions() if not d.shadow}
        for decision in shadows(rig):
            beside = live[decision.event_no]
            assert decision.model == "onnx:buys"
            assert (decision.action_name, decision.reason) == ("BUY_YES_LIMIT", "policy")
            assert decision.intent_id is None
            assert decision.observation == beside.observation
            assert decision.account_version == beside.account_version
            assert decision.decided_mono_ns >= beside.decided_mono_ns
        assert rig.service.counters["intents"] == rig.service.counters["refused"] == 0

        registry.promote("buys")  # its first intent is the first that anybody sends
        await market.until(lambda: market.models[-1] == "onnx:buys")
        assert (await rig.intent()).event_no == market.actions[-1].event_no
        assert rig.log.has("shadow_ended", model="onnx:buys")
        told = len(shadows(rig))
        await market.tick(3)
        assert len(shadows(rig)) == told


async def test_an_actor_that_is_off_may_have_a_shadow(tmp_path):
    make_model(tmp_path, "buys", BUYS_YES)
    Registry(tmp_path).shadow("buys")
    async with acting(tmp_path, RL_ACTOR_ENABLED="false", **FOLLOWS) as rig:
        market = await market_of(rig)
        await market.until(lambda: rig.service.counters["shadow_decisions"] >= 5)
        assert {action.reason for action in market.actions} == {"disabled"}
        assert {d.reason for d in shadows(rig)} == {"policy"}
        assert rig.service.counters["intents"] == 0


async def test_faults_of_a_shadow_are_its_own_and_stay_counted(tmp_path):
    make_model(tmp_path, "wild", BUYS_YES)
    registry = Registry(tmp_path)
    registry.shadow("wild")
    async with acting(tmp_path, **FOLLOWS) as rig:
        market = await market_of(rig)
        await rig.until(lambda _: rig.service._models.shadow is not None)
        policy = rig.service._models.shadow.policy
        policy._session = None  # as ONNX Runtime fails: by an error of its own
        policy._binding = None
        await market.until(lambda: rig.service.counters["shadow_faults"] >= 3)
        assert {d.reason for d in shadows(rig)} == {"policy fault"}
        assert {action.reason for action in market.actions} <= {"policy", "policy hold", "masked"}
        registry.shadow(None)
        await market.until(lambda: rig.log.has("shadow_ended", model="onnx:wild"))
        counters = rig.service.counters
        assert (counters["shadow_faults"], counters["policy_faults"]) == (
            counters["shadow_decisions"],
            0,
        )


async def test_a_shadow_that_cannot_run_leaves_the_live_model_alone(tmp_path):
    make_model(tmp_path, "buys", BUYS_YES)
    registry = Registry(tmp_path)
    async with acting(tmp_path, **FOLLOWS) as rig:
        market = await market_of(rig)
        registry.shadow("buys")
        (tmp_path / "models" / "buys" / MODEL_FILE).unlink()
        await market.until(lambda: rig.service.counters["models_refused"] == 1)
        await market.tick(5)
        assert market.models == ["onnx:default"]
        assert shadows(rig) == []


# Recorded


def recorded(rig: Rig) -> LiveMarket:
    """What the journals of collector and inference hold of the session."""
    folder = stream_folder(rig.settings.data_dir, "collector", "c-1")
    session = RecordedSession(
        ticker=MARKET,
        events=np.concatenate(list(events_of(folder))),
        grid=LINEAR_CENT,
        open_ms=0,
        close_ms=0,
        yes_value_e4=None,
        environment=Environment.SIMULATED,
        fees=MarketFees(),
    )
    ticks = rig.ticks()
    life = ActorRun(
        np.array([tick.event_no for tick in ticks], np.int64),
        np.array([tick.history for tick in ticks], np.int64),
        rig.decisions(),
    )
    account = a.new_account(100_000_000)
    account[a.ACCOUNT_VERSION] = 7
    return LiveMarket(session, [life], {7: account})


@pytest.mark.parametrize("schema", BUILDERS)
async def test_a_session_of_two_models_and_a_shadow_is_rebuilt(tmp_path, schema):
    make_model(tmp_path, "first", HOLDS)
    make_model(tmp_path, "second", BUYS_YES, schema=schema)
    registry = Registry(tmp_path)
    registry.promote("first")
    async with acting(tmp_path, **FOLLOWS) as rig:
        market = await market_of(rig)
        await market.tick(20)
        registry.shadow("second")
        await market.until(lambda: rig.service.counters["shadow_decisions"] >= 10)
        registry.promote("second")
        await market.until(lambda: market.models[-1] == "onnx:second")
        registry.shadow("first")
        await market.until(lambda: len({d.model for d in shadows(rig)}) == 2)
        await market.tick(10)
        found = recorded(rig)
    names = ("onnx:first", "onnx:second")
    policies = [load_strategy(name, data_dir=tmp_path) for name in names]
    space = LimitOrderActionSpace("passive", 1_000)
    report = Report()
    rebuild(found, space, {p.model_hash: p for p in policies}, report)
    assert report.lines()[-1] == "0 differences", report.lines()
    assert report.decisions == report.recomputed == len(found.runs[0].decisions) > 60
    assert report.ticks == len(market.actions)


def test_what_is_counted_is_there_from_the_start():
    counted = {"shadow_decisions", "shadow_refused", "model_switches", "models_refused"}
    assert counted <= set(COUNTS)
