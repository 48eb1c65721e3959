"""The strategy as configured: the live model, its shadow, and how others take their places.

What cannot run is refused at the start. With `RL_ACTOR_STRATEGY=registry` the registry's state is
read ten times a second. What it names is loaded and warmed in a thread and takes over between two
batches: no tick waits for it. What cannot run then is counted and logged, and the old one stays.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from ipc.messages import ActorModels
from models.observation.builder import BUILDERS
from models.policies.interface import Policy
from models.policies.live_model import Entry, Stamp, load_entry, read_active, stamp_of
from models.policies.onnx import Manifest, ModelError, OnnxPolicy, load_strategy
from models.policies.python_policy import StrategyError
from models.trading.actions import LimitOrderActionSpace, MarketChoice, TargetMarketMode
from models.trading.market_choice import HotRules, OnSwitch
from processes.inference.decide import Decider, TickHistories
from processes.inference.hot_markets import HotChoice
from processes.runtime.config import ActorSettings, ConfigError, Settings
from processes.runtime.log import Log

__all__ = ["REGISTRY", "ModelRoles", "choice_of", "differences", "strategy_of"]

REGISTRY: Final = "registry"  # the strategy that follows `models.registry`
POLL_S: Final = 0.1  # between reads of the registry's state


def strategy_of(settings: Settings) -> Policy:
    """Load the policy that `RL_ACTOR_STRATEGY` names; with `registry`, the live model.

    Raises:
        ConfigError: It cannot run; the message says why and what is allowed.
    """
    actor = settings.actor
    try:
        LimitOrderActionSpace(actor.pricing, actor.contract_size_e2)
        if actor.strategy == REGISTRY:
            return load_entry(read_active(settings.data_dir).live, settings.data_dir)
        return load_strategy(actor.strategy, seed=actor.seed, data_dir=settings.data_dir)
    except (ModelError, StrategyError) as error:
        raise ConfigError(f"{_chosen_by(settings)}: {error}") from None
    except ValueError as error:
        raise ConfigError(f"{_chosen_by(settings)}: {error}, {REGISTRY}") from None


def _chosen_by(settings: Settings) -> str:
    """The variable that named the policy, with its value."""
    model = settings.environ.get("RL_ACTOR_MODEL_ID", "").strip()
    if model and not settings.environ.get("RL_ACTOR_STRATEGY", "").strip():
        return f"RL_ACTOR_MODEL_ID={model!r}"
    return f"RL_ACTOR_STRATEGY={settings.actor.strategy!r}"


def choice_of(actor: ActorSettings) -> MarketChoice | HotChoice:
    """The markets of `RL_ACTOR_TARGET_MARKET_MODE`.

    Raises:
        ConfigError: the mode needs tickers that are not set.
    """
    if actor.target_market_mode == TargetMarketMode.HOT:
        rules = HotRules(
            markets=actor.hot_markets,
            dwell_ms=actor.hot_dwell_ms,
            close_ms=actor.hot_close_ms,
            max_spread_e4=actor.hot_max_spread_e4,
        )
        return HotChoice(rules, OnSwitch(actor.on_switch))
    try:
        return MarketChoice(actor.target_market_mode, actor.target_markets)
    except ValueError as error:
        raise ConfigError(
            f"RL_ACTOR_MARKET_TICKERS is empty, and so is RL_MARKET_TICKERS: {error}"
        ) from None


def differences(policy: Policy, actor: ActorSettings) -> dict[str, str]:
    """Where the settings are not what the policy was trained with.

    A reason to warn, not to refuse: such a policy still reads and means the same, only its
    surroundings differ (smaller orders, say, which is what a careful start wants). What would make
    it misread, the schemas of observation and actions, is refused when it is loaded.

    Returns:
        Variable -> both values, for people; empty for a baseline.
    """
    if not isinstance(policy, OnnxPolicy):
        return {}
    return _differences(policy.manifest, actor)


def _differences(manifest: Manifest, actor: ActorSettings) -> dict[str, str]:
    pairs = {
        "RL_ACTOR_PRICING": (actor.pricing, manifest.pricing),
        "RL_ACTOR_CONTRACT_SIZE": (actor.contract_size_e2 // 100, manifest.contract_size_e2 // 100),
        "RL_ACTOR_MARKET_CASH": (actor.market_cash_e6, manifest.market_cash_e6),
        "RL_ACTOR_TICK_THROTTLE_MS": (actor.throttle_ms, manifest.throttle_ms),
    }
    return {
        name: f"{setting}, trained with {trained}"
        for name, (setting, trained) in pairs.items()
        if setting != trained
    }


class ModelRoles:
    """`live` decides; `shadow`, where there is one, answers the same requests and sends nothing.

    Args:
        settings: Strategy, warm-up, pricing and size of the actor; the data folder.
        policy: The live model at the start (see `strategy_of`).
        counts: `model_switches` and `models_refused` are counted there.
        log: Gets a line at each change.

    Attributes:
        follows: Whether the registry is followed.
        histories: In every schema that a model may ask for.
        live: Decides.
        shadow: Decides beside it, None without one.

    Raises:
        ConfigError: The policy cannot answer.
    """

    def __init__(self, settings: Settings, policy: Policy, counts: Counter[str], log: Log) -> None:
        self._settings = settings
        self._counts = counts
        self._log = log
        self._stamp: Stamp | None = None
        self._past_faults = 0
        self._past_shadow_faults = 0
        self.follows = settings.actor.strategy == REGISTRY
        self.histories = TickHistories(BUILDERS.values() if self.follows else (policy.builder,))
        self.live = self._decider(policy, enabled=settings.actor.enabled)
        self.shadow: Decider | None = None

    @property
    def faults(self) -> int:
        """Ticks on which a live model gave no usable answer, over all models."""
        return self._past_faults + self.live.faults

    @property
    def shadow_faults(self) -> int:
        """As `faults`, of every shadow."""
        return self._past_shadow_faults + (0 if self.shadow is None else self.shadow.faults)

    @property
    def roles(self) -> ActorModels:
        """Name and hash of the model that decides now, and of its shadow."""
        live = self.live.policy
        shadow = None if self.shadow is None else self.shadow.policy
        return ActorModels(
            live=live.model,
            live_hash=live.model_hash,
            shadow=None if shadow is None else shadow.model,
            shadow_hash=None if shadow is None else shadow.model_hash,
        )

    async def follow(self) -> None:
        """For ever: when the registry's state changes, load its models and let them take over."""
        while True:
            stamp = stamp_of(self._settings.data_dir)
            if stamp != self._stamp:
                self._stamp = stamp
                await self._take_over()
            await asyncio.sleep(POLL_S)

    async def _take_over(self) -> None:
        """A role whose model fails stays as it is until the next change of the registry."""
        try:
            if self._stamp is None:
                raise ModelError("registry: its state is gone")
            active = read_active(self._settings.data_dir)
        except ModelError as error:
            self._refuse(error)
            return
        await self._switch_live(active.live)
        if not self._is_overtaken():
            await self._switch_shadow(active.shadow)

    def _is_overtaken(self) -> bool:
        """Whether another command came meanwhile: what it took back must not decide even once."""
        return stamp_of(self._settings.data_dir) != self._stamp

    async def _switch_live(self, entry: Entry) -> None:
        if _is(entry, self.live):
            return
        decider = await self._loaded(entry, enabled=self._settings.actor.enabled)
        if decider is None:
            return
        was, self.live = self.live, decider
        self._past_faults += was.faults
        self._counts["model_switches"] += 1
        self._report(
            "model_switched", decider, was=was.policy.model, was_hash=was.policy.model_hash
        )

    async def _switch_shadow(self, entry: Entry | None) -> None:
        if self.shadow is not None and (entry is None or not _is(entry, self.shadow)):
            self._log("shadow_ended", model=self.shadow.policy.model)
            self._past_shadow_faults += self.shadow.faults
            self.shadow = None
        if entry is None or self.shadow is not None:
            return
        # Also beside an actor that is off: what it decides moves no money.
        self.shadow = await self._loaded(entry, enabled=True)
        if self.shadow is not None:
            self._report("shadow_started", self.shadow)

    def _report(self, action: str, decider: Decider, **facts: object) -> None:
        policy = decider.policy
        self._log(action, model=policy.model, model_hash=policy.model_hash, **facts)
        for name, how in differences(policy, self._settings.actor).items():
            self._log.warning("settings_differ_from_training", **{name: how})

    async def _loaded(self, entry: Entry, *, enabled: bool) -> Decider | None:
        """A model that has already answered once, None where it cannot or is wanted no longer."""
        try:
            decider = await asyncio.to_thread(self._load, entry, enabled)
        except Exception as error:  # noqa: BLE001  whatever it is, the old model goes on
            self._refuse(error)
            return None
        if self._is_overtaken():
            self._log.warning("model_overtaken", model=decider.policy.model)
            return None
        return decider

    def _load(self, entry: Entry, enabled: bool) -> Decider:
        """Away from the loop: touches nothing that a decision uses."""
        return self._decider(load_entry(entry, self._settings.data_dir), enabled=enabled)

    def _decider(self, policy: Policy, *, enabled: bool) -> Decider:
        actor = self._settings.actor
        decider = Decider(
            policy,
            self.histories,
            enabled=enabled,
            warmup_ticks=actor.warmup_ticks,
            pricing=actor.pricing,
            contract_size_e2=actor.contract_size_e2,
            log=self._log,
        )
        decider.warm()
        return decider

    def _refuse(self, error: Exception) -> None:
        self._counts["models_refused"] += 1
        self._log.warning("model_refused", error=error, live=self.live.policy.model)


def _is(entry: Entry, decider: Decider) -> bool:
    """Whether these are the same bytes under the same name."""
    policy = decider.policy
    return (policy.model, policy.model_hash) == (
        f"onnx:{entry.model_id}",
        entry.onnx_sha256[: len(policy.model_hash)],
    )
