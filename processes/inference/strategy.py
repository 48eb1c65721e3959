"""The strategy and the markets it trades, as configured; what cannot run stops here."""

from __future__ import annotations

from typing import Final

from models.policies.interface import Policy
from models.policies.live_model import load_entry, read_active
from models.policies.onnx import Manifest, ModelError, OnnxPolicy, load_strategy
from models.trading.actions import LimitOrderActionSpace, MarketChoice
from processes.runtime.config import ActorSettings, ConfigError, Settings

__all__ = ["REGISTRY", "choice_of", "differences", "strategy_of"]

REGISTRY: Final = "registry"  # the strategy that follows `models.registry`


def strategy_of(settings: Settings) -> Policy:
    """The policy of `RL_ACTOR_STRATEGY`; `ConfigError` says why it must not run."""
    actor = settings.actor
    try:
        LimitOrderActionSpace(actor.pricing, actor.contract_size_e2)
        if actor.strategy == REGISTRY:
            return load_entry(read_active(settings.data_dir).live, settings.data_dir)
        return load_strategy(actor.strategy, seed=actor.seed, data_dir=settings.data_dir)
    except ModelError as error:
        raise ConfigError(f"{_chosen_by(settings)}: {error}") from None
    except ValueError as error:
        raise ConfigError(f"{_chosen_by(settings)}: {error}, {REGISTRY}") from None


def _chosen_by(settings: Settings) -> str:
    """The variable that named the policy, with its value."""
    model = settings.environ.get("RL_ACTOR_MODEL_ID", "").strip()
    if model and not settings.environ.get("RL_ACTOR_STRATEGY", "").strip():
        return f"RL_ACTOR_MODEL_ID={model!r}"
    return f"RL_ACTOR_STRATEGY={settings.actor.strategy!r}"


def choice_of(actor: ActorSettings) -> MarketChoice:
    """The markets of `RL_ACTOR_TARGET_MARKET_MODE`."""
    try:
        return MarketChoice(actor.target_market_mode, actor.target_markets)
    except ValueError as error:
        raise ConfigError(
            f"RL_ACTOR_MARKET_TICKERS is empty, and so is RL_MARKET_TICKERS: {error}"
        ) from None


def differences(policy: Policy, actor: ActorSettings) -> dict[str, str]:
    """Where the settings are not what the policy was trained with.

    A reason to warn, not to refuse: such a policy still reads and means the same, it only meets
    another world (smaller orders, say, which is what a careful start wants). What would make it
    misread, the schemas of observation and actions, is refused when it is loaded.
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
        name: f"{ours}, trained with {theirs}"
        for name, (ours, theirs) in pairs.items()
        if ours != theirs
    }
