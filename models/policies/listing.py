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
    """A model; `not_beaten` names the baselines that keep it from being promoted."""

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


class UnreadableModel(msgspec.Struct, frozen=True):
    """A model that cannot be used, and why."""

    model_id: str
    error: str


class ActiveModels(msgspec.Struct, frozen=True):
    """Which model is live, which decides beside it, which a rollback brings back; and the past."""

    live: Entry
    shadow: Entry | None
    predecessor: Entry | None
    history: tuple[Change, ...]


def all_facts(registry: Registry) -> list[ListedModel | UnreadableModel]:
    """Every model."""
    active = registry.active()
    return [_listed(model_id, registry, active) for model_id in registry.ids()]


def facts(model_id: str | None, registry: Registry) -> ListedModel | UnreadableModel | ActiveModels:
    """One model, or which are in use without an id; `ModelError` for one that is not there."""
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
    )


def _active_models(active: Active) -> ActiveModels:
    return ActiveModels(
        live=active.live,
        shadow=active.shadow,
        predecessor=active.before[-1] if active.before else None,
        history=tuple(active.history),
    )


def as_json(found: object) -> str:
    """One line."""
    return msgspec.json.encode(found).decode()
