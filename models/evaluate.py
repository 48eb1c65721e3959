"""How policies and baselines do on recorded markets: net P&L per market, fees and settlement in.

    python -m models.evaluate --recordings DIR --policy onnx:default --policy baseline:random

Without `--policy`: the default model and every baseline. Markets that a model learned from are left
out unless `--all` says otherwise; pricing, sizes and throttle are the first model's own. Every pair
is compared market by market; the interval is a bootstrap over markets.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from ipc import account_table as a
from models.actions import Action, Pricing
from models.baselines import BASELINES
from models.decisions import Policy
from models.fills import FILLED_E2, MAKER_FILLS, TAKER_FILLS
from models.observation import Builder
from models.policy import OnnxPolicy, load_strategy
from models.sessions import RecordedSession, make_tape
from models.simulation import Rules, Simulation
from models.training import TRAIN
from models.world import World, world_of

__all__ = ["Outcome", "Worlds", "compare", "main", "run_policy"]

RESAMPLES: Final = 10_000
THROTTLE_MS: Final = 250


class Worlds:
    """The same recorded markets by every schema that a policy reads, each walked once."""

    def __init__(self, sessions: Sequence[RecordedSession], throttle_ms: int) -> None:
        self._sessions = sessions
        self._throttle_ms = throttle_ms
        self._known: dict[str, World] = {}

    def of(self, builder: Builder) -> World:
        """Their world as this builder sees it."""
        name = builder.schema.name
        if name not in self._known:
            tapes = [make_tape(s, self._throttle_ms, builder) for s in self._sessions]
            self._known[name] = world_of(tapes)
        return self._known[name]


class Outcome(msgspec.Struct, frozen=True):
    """One policy over every market of a world."""

    policy: str
    net_e6: tuple[int, ...]  # per market, settlement in
    fees_e6: tuple[int, ...]
    filled_e2: tuple[int, ...]
    taker_fills: int
    maker_fills: int
    decisions: int
    action_shares: dict[str, float]

    @property
    def mean_dollars(self) -> float:
        """Net P&L per market."""
        return sum(self.net_e6) / len(self.net_e6) / 1e6


def run_policy(world: World, rules: Rules, policy: Policy, seed: int = 0) -> Outcome:
    """Play every market once, greedily, from its first decision to its end."""
    n = len(world.yes_value_e4)
    fixed = msgspec.structs.replace(rules, random_start=False)
    simulation = Simulation(world, fixed, n, range(seed, seed + n))
    simulation.reset(range(n))
    alive = np.ones(n, np.bool_)
    accounts, orders = simulation.accounts.copy(), simulation.orders.copy()
    values_e6 = simulation.values_e6.copy()
    counts = np.zeros(len(Action), np.int64)
    while alive.any():
        actions = policy.decide(simulation.observations, simulation.masks()).actions
        counts += np.bincount(actions[alive], minlength=len(Action))
        simulation.step(actions, restart=False)
        over = alive & simulation.dones
        accounts[over], orders[over] = simulation.accounts[over], simulation.orders[over]
        values_e6[over] = simulation.values_e6[over]
        alive &= ~simulation.dones
    return Outcome(
        policy=policy.model,
        net_e6=_ints(values_e6 - rules.market_cash_e6),
        fees_e6=_ints(accounts[:, a.FEES_E6]),
        filled_e2=_ints(orders[:, FILLED_E2]),
        taker_fills=int(orders[:, TAKER_FILLS].sum()),
        maker_fills=int(orders[:, MAKER_FILLS].sum()),
        decisions=int(counts.sum()),
        action_shares={x.name: float(counts[x] / counts.sum()) for x in Action},
    )


def _ints(values: npt.NDArray[np.int64]) -> tuple[int, ...]:
    return tuple(int(v) for v in values)


def compare(policy: Outcome, other: Outcome, seed: int = 0) -> tuple[float, float, float]:
    """(mean, low, high) of the paired difference per market in dollars, 95 % bootstrap."""
    differences = (np.array(policy.net_e6) - np.array(other.net_e6)) / 1e6
    random = np.random.Generator(np.random.PCG64(seed))
    picks = random.integers(0, len(differences), (RESAMPLES, len(differences)))
    low, high = np.quantile(differences[picks].mean(axis=1), [0.025, 0.975])
    return float(differences.mean()), float(low), float(high)


def _report(outcomes: Sequence[Outcome]) -> dict[str, Any]:
    pairs = [
        {"policy": p.policy, "minus": o.policy, "mean_low_high_dollars": compare(p, o)}
        for i, p in enumerate(outcomes)
        for o in outcomes[i + 1 :]
    ]
    return {"outcomes": [msgspec.to_builtins(o) for o in outcomes], "pairs": pairs}


def _verdict(first: Outcome, others: Sequence[Outcome]) -> str:
    """Whether the first policy beats every other one, by the lower end of the interval."""
    short = [o.policy for o in others if compare(first, o)[1] <= 0]
    if short:
        return f"{first.policy} does not beat {', '.join(short)} after fees"
    return f"{first.policy} beats {', '.join(o.policy for o in others)} after fees"


def _lines(outcomes: Sequence[Outcome]) -> list[str]:
    lines = [_verdict(outcomes[0], outcomes[1:])] if len(outcomes) > 1 else []
    for o in outcomes:
        shares = ", ".join(f"{name} {share:.1%}" for name, share in o.action_shares.items())
        lines.append(
            f"{o.policy}: net {o.mean_dollars:+.4f} dollars per market over {len(o.net_e6)}, "
            f"fees {sum(o.fees_e6) / 1e6:.2f}, {sum(o.filled_e2) / 100:.2f} contracts in "
            f"{o.taker_fills} taker and {o.maker_fills} maker fills; {shares}"
        )
    for i, p in enumerate(outcomes):
        for o in outcomes[i + 1 :]:
            mean, low, high = compare(p, o)
            lines.append(f"{p.policy} - {o.policy}: {mean:+.4f} [{low:+.4f}, {high:+.4f}]")
    return lines


def _held_out(
    sessions: Sequence[RecordedSession], policies: Sequence[Policy]
) -> list[RecordedSession]:
    """The markets that no model among the policies learned from; `ValueError` when none is left."""
    learned = {t for p in policies if isinstance(p, OnnxPolicy) for t in p.manifest.split[TRAIN]}
    held_out = [s for s in sessions if s.ticker not in learned]
    if not held_out:
        raise ValueError(f"all {len(sessions)} markets were learned from; --all judges on them too")
    return held_out


def _rules(policies: Sequence[Policy]) -> tuple[Rules, int]:
    """Rules and throttle in milliseconds that the first model was trained with, else defaults."""
    for policy in policies:
        if isinstance(policy, OnnxPolicy):
            m = policy.manifest
            rules = Rules(
                pricing=m.pricing,
                contract_size_e2=m.contract_size_e2,
                market_cash_e6=m.market_cash_e6,
            )
            return rules, m.throttle_ms
    return Rules(), THROTTLE_MS


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m models.evaluate", description="Judge policies on recorded markets."
    )
    parser.add_argument("--recordings", type=Path, required=True, help="file or folder")
    parser.add_argument("--policy", action="append", help="onnx:<id>, baseline:<name>; repeat")
    parser.add_argument("--all", action="store_true", help="markets that were learned from too")
    parser.add_argument("--pricing", choices=list(Pricing), help="default: the first model's")
    parser.add_argument("--throttle-ms", type=int, help="default: the first model's")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--data-dir", type=Path, default=Path("var"))
    parser.add_argument("--json", type=Path, help="write the figures here too")
    return parser.parse_args(argv)


def _judge(options: argparse.Namespace, sessions: Sequence[RecordedSession]) -> list[Outcome]:
    names = options.policy or ["onnx:default", *(f"baseline:{name}" for name in BASELINES)]
    policies = [load_strategy(n, seed=options.seed, data_dir=options.data_dir) for n in names]
    chosen = sessions if options.all else _held_out(sessions, policies)
    rules, throttle_ms = _rules(policies)
    if options.pricing:
        rules = msgspec.structs.replace(rules, pricing=Pricing(options.pricing))
    if options.throttle_ms is not None:
        throttle_ms = options.throttle_ms
    worlds = Worlds(chosen, throttle_ms)
    return [run_policy(worlds.of(p.builder), rules, p, options.seed) for p in policies]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the verdict and a line per policy and per pair; 2 when an argument means nothing."""
    from processes.adapters.kalshi.recorded_sessions import load_sessions

    options = _arguments(argv)
    try:
        outcomes = _judge(options, load_sessions(options.recordings))
    except (ValueError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    print("\n".join(_lines(outcomes)))
    if options.json:
        options.json.write_text(json.dumps(_report(outcomes), indent=2) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
