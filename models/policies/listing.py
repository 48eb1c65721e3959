"""Models as facts for programs: what `models.registry list --json` and `show --json` print.

Counts are contracts and money is dollars, as text, so that no digit is lost.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ipc.units import format_count, format_money
from models.policies.live_model import Active, Change, Entry
from models.policies.onnx import ModelError, Override
from models.policies.registry import Registry, role_of, shortfalls

__all__ = ["ActiveModels", "ListedModel", "UnreadableModel", "all_facts", "as_json", "facts"]


class ListedModel(msgspec.Struct, frozen=True):
    """A model that can be read; most of it from its manifest.

    Attributes:
        model_id: Its name.
        role: `live`, `shadow`, `predecessor`, or None when it is not used.
        onnx_sha256: Hash of the graph.
        observation_schema: Name of the schema that it reads.
        algorithm: `ppo` or `a2c`.
        timesteps: Steps it learned for.
        seed: Of the training.
        revision: Of the code that exported it.
        environments: Where its markets were recorded.
        pricing: Where its orders' limits are placed.
        contract_size: Contracts of an order before caps, as text.
        market_cash: Dollars of a market's sub-account, as text.
        throttle_ms: Least time between two ticks.
        not_beaten: The baselines that keep it from being promoted, each with the reason.
        override: Why it became live nevertheless.
        evaluation: Figures on the judged markets, dollars per market unless the name says
            otherwise.
    """

    model_id: str
    role: str | None
    onnx_sha256: str
    observation_schema: str
    algorithm: str
    timesteps: int
    seed: int
    revision: str
    environments: tuple[str, ...]
    pricing: str
    contract_size: str
    market_cash: str
    throttle_ms: int
    not_beaten: tuple[str, ...]
    override: Override | None
    evaluation: Mapping[str, float]
    fees_assumed: int | None = None  # markets; None: its manifest does not say


class UnreadableModel(msgspec.Struct, frozen=True):
    """A model that cannot be used, and why."""

    model_id: str
    error: str


class ActiveModels(msgspec.Struct, frozen=True):
    """Which models are in use, and how that came about.

    Attributes:
        live: Decides and sends.
        shadow: Decides beside it and never sends; None without one.
        predecessor: What a rollback brings back; None without one.
        history: Every command of the registry so far, the oldest first.
    """

    live: Entry
    shadow: Entry | None
    predecessor: Entry | None
    history: tuple[Change, ...]


def all_facts(registry: Registry) -> list[ListedModel | UnreadableModel]:
    """Describe every model of a data folder, the shipped one first.

    Raises:
        ModelError: `active.json` cannot be read. A model that cannot be read is in the list.
    """
    active = registry.active()
    return [_listed(model_id, registry, active) for model_id in registry.ids()]


def facts(model_id: str | None, registry: Registry) -> ListedModel | UnreadableModel | ActiveModels:
    """Describe one model, or which are in use.

    Args:
        model_id: The model; None asks for what is in use.
        registry: Of the data folder.

    Raises:
        ModelError: The model is not there, or `active.json` cannot be read.
    """
    active = registry.active()
    if model_id is None:
        return _active_models(active)
    registry.manifest(model_id)
    return _listed(model_id, registry, active)


def _listed(model_id: str, registry: Registry, active: Active) -> ListedModel | UnreadableModel:
    try:
        manifest = registry.manifest(model_id)
    except ModelError as error:
        return UnreadableModel(model_id, str(error))
    role = role_of(Entry(model_id, manifest.onnx_sha256), active)
    return ListedModel(
        model_id=manifest.model_id,
        role=role or None,
        onnx_sha256=manifest.onnx_sha256,
        observation_schema=manifest.observation_schema,
        algorithm=manifest.algorithm,
        timesteps=manifest.timesteps,
        seed=manifest.seed,
        revision=manifest.revision,
        environments=tuple(manifest.environments),
        pricing=str(manifest.pricing),
        contract_size=format_count(manifest.contract_size_e2),
        market_cash=format_money(manifest.market_cash_e6),
        throttle_ms=manifest.throttle_ms,
        not_beaten=shortfalls(manifest),
        override=manifest.override,
        evaluation=manifest.evaluation,
        fees_assumed=manifest.fees_assumed,
    )


def _active_models(active: Active) -> ActiveModels:
    return ActiveModels(
        live=active.live,
        shadow=active.shadow,
        predecessor=active.before[-1] if active.before else None,
        history=tuple(active.history),
    )


def as_json(found: object) -> str:
    """One line of JSON."""
    return msgspec.json.encode(found).decode()
