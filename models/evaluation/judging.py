"""Policies judged on recorded markets: which markets, under which rules, with which result."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from ipc.clock import real_ns
from models.evaluation.outcomes import Datasets, PolicyOutcome
from models.evaluation.report import FEES, figures, write_report
from models.policies.baselines import BASELINES
from models.policies.interface import Policy
from models.policies.onnx import (
    TEST,
    TRAIN,
    VALIDATION,
    ModelRun,
    OnnxPolicy,
    load_strategy,
    revision,
)
from models.policies.python_policy import FORM
from models.simulation.data_age import NO_LIMIT_MS
from models.simulation.engine import SimulationRules
from models.simulation.tape import RecordedSession
from models.trading.actions import Pricing
from models.trading.market_fees import fees_note

__all__ = ["judge", "load_policy", "model_runs", "write"]

THROTTLE_MS: Final = 250


def load_policy(name: str, *, seed: int = 0, data_dir: Path) -> Policy:
    """Load a policy that is to be judged.

    Args:
        name: `onnx:<id>`, `baseline:<name>`, `python:<module>.<class>`, or a folder that holds a
            model.
        seed: Of a baseline that draws.
        data_dir: Folder of the stack, below which models lie.

    Raises:
        ValueError: Unknown name; says what is allowed.
        ModelError: The model is not there or must not run.
    """
    if Path(name).is_dir():
        return OnnxPolicy(Path(name))
    if name.partition(":")[0] in ("onnx", "baseline", "python"):
        return load_strategy(name, seed=seed, data_dir=data_dir)
    baselines = (f"baseline:{b}" for b in BASELINES)
    allowed = ", ".join(["onnx:<id>", "a model's folder", FORM, *baselines])
    raise ValueError(f"unknown policy {name!r}; allowed: {allowed}")


def _learned_from(policies: Sequence[Policy]) -> set[str]:
    """Markets that any of the models learned from, or was chosen by when others judge."""
    learned: set[str] = set()
    for policy in policies:
        if isinstance(policy, OnnxPolicy):
            split = policy.manifest.split
            learned |= {*split[TRAIN], *(split.get(VALIDATION, ()) if split.get(TEST) else ())}
    return learned


def _held_out(sessions: Sequence[RecordedSession], learned: set[str]) -> list[RecordedSession]:
    """The markets that no model learned from; `ValueError` when none is left."""
    held_out = [s for s in sessions if s.ticker not in learned]
    if not held_out:
        raise ValueError(
            f"the models learned from all {len(sessions)} markets; --all judges them on these too"
        )
    return held_out


def _rules(policies: Sequence[Policy]) -> tuple[SimulationRules, int]:
    """Rules and throttle (ms) that the first model was trained with, else the defaults."""
    for policy in policies:
        if isinstance(policy, OnnxPolicy):
            m = policy.manifest
            rules = SimulationRules(
                pricing=m.pricing,
                contract_size_e2=m.contract_size_e2,
                market_cash_e6=m.market_cash_e6,
            )
            return rules, m.throttle_ms
    return SimulationRules(), THROTTLE_MS


def _setting(
    sessions: Sequence[RecordedSession],
    learned: set[str],
    rules: SimulationRules,
    throttle_ms: int,
    seed: int,
) -> dict[str, str]:
    """What the figures depend on besides the policies, for the reader of a report."""
    judged = {s.ticker for s in sessions}
    no_result = sum(s.yes_value_e4 is None for s in sessions)
    latencies = [ns / 1e6 for ns in rules.latencies_ns]
    return {
        "markets": f"{len(sessions)}, of them {no_result} without a known result",
        "markets that a model learned from": str(len(judged & learned)),
        FEES: fees_note([s.fees for s in sessions]) or "as the exchange said",
        "environments": ", ".join(sorted({s.environment.value for s in sessions})),
        "pricing": rules.pricing.value,
        "contracts of an order": f"{rules.contract_size_e2 / 100:g}",
        "cash of a market": f"{rules.market_cash_e6 / 1e6:g} dollars",
        "time between ticks": f"{throttle_ms} ms",
        "oldest data that is ordered on": _age_text(rules.max_data_age_ms),
        "latency": f"{min(latencies):g} to {max(latencies):g} ms",
        "seed": str(seed),
    }


def _age_text(age_ms: int) -> str:
    return "any" if age_ms == NO_LIMIT_MS else f"{age_ms} ms"


def judge(
    options: argparse.Namespace, sessions: Sequence[RecordedSession]
) -> tuple[list[PolicyOutcome], dict[str, str]]:
    """Play policies over recorded markets.

    Args:
        options: Of the command `models.evaluate`.
        sessions: The markets.

    Returns:
        (outcomes in the order of the policies, what they depend on).

    Raises:
        ValueError: Unknown policy, or no market that no model learned from.
    """
    names = options.policy or ["onnx:default", *(f"baseline:{name}" for name in BASELINES)]
    policies = [load_policy(n, seed=options.seed, data_dir=options.data_dir) for n in names]
    learned = _learned_from(policies)
    chosen = sessions if options.all else _held_out(sessions, learned)
    rules, throttle_ms = _rules(policies)
    rules = msgspec.structs.replace(rules, max_data_age_ms=options.max_data_age_ms)
    if options.pricing:
        rules = msgspec.structs.replace(rules, pricing=Pricing(options.pricing))
    if options.throttle_ms is not None:
        throttle_ms = options.throttle_ms
    datasets = Datasets(chosen, throttle_ms)
    outcomes = [datasets.run(p, rules, options.seed) for p in policies]
    judged = [s for s in chosen if s.ticker in datasets.tickers]
    return outcomes, _setting(judged, learned, rules, throttle_ms, options.seed)


def write(
    options: argparse.Namespace, outcomes: Sequence[PolicyOutcome], setting: dict[str, str]
) -> None:
    """Write the figures and the report where the options ask for them."""
    if options.json:
        options.json.write_text(json.dumps(figures(outcomes, setting), indent=2) + "\n")
    if options.report:
        write_report(options.report, outcomes, setting)


def model_runs(
    outcomes: Sequence[PolicyOutcome], setting: dict[str, str], begun_ns: int
) -> list[ModelRun]:
    """One record for each model that was judged, for the database."""
    code = revision()
    return [
        ModelRun(
            kind="evaluate",
            model_id=o.policy,
            model_hash=o.model_hash,
            code_version=code,
            config=setting,
            metrics=msgspec.to_builtins(o),
            started_ns=begun_ns,
            ended_ns=real_ns(),
        )
        for o in outcomes
    ]
