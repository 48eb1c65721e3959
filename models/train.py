"""Train a policy on recorded markets.

    python -m models.train --recordings DIR --algorithm ppo --timesteps N --seed S --out DIR

Writes `model.zip`, `run.json` (everything the exporter puts into the manifest) and
`observations.npy`: observations of the validation markets, against which the export is checked. The
folder holds what comes from recordings, so it is not for publication; the exported model is.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from models.actions import Pricing
from models.baselines import BASELINES
from models.decisions import Policy
from models.evaluate import Worlds, compare, run_policy
from models.observation import BUILDERS, OBSERVATION_V1, builder_of
from models.simulation import Rules, Simulation
from models.training import Split, split_by_time
from models.world import World

__all__ = [
    "OBSERVATIONS",
    "RUN",
    "Run",
    "Settings",
    "main",
    "train",
]

MODEL: Final = "model.zip"
RUN: Final = "run.json"
OBSERVATIONS: Final = "observations.npy"
SAMPLE: Final = 4_096
Number = str | int | float | bool | None


class Settings(msgspec.Struct, frozen=True):
    """What a run is asked for."""

    algorithm: str = "ppo"
    schema: str = OBSERVATION_V1.name
    timesteps: int = 3_000_000
    seed: int = 1
    n_envs: int = 256
    throttle_ms: int = 250
    pricing: Pricing = Pricing.PASSIVE
    gamma: float = 0.999
    entropy: float = 0.05  # less, and it has learned to hold before it has seen anything else
    contract_size_e2: int = 1_000
    market_cash_e6: int = 100_000_000

    def hyper_parameters(self) -> dict[str, Number]:
        """The learner's keyword arguments."""
        common: dict[str, Number] = {
            "gamma": self.gamma,
            "gae_lambda": 0.95,
            "ent_coef": self.entropy,
        }
        if self.algorithm == "a2c":
            return common | {"n_steps": 16, "learning_rate": 7e-4}
        return common | {"n_steps": 128, "batch_size": 4_096, "n_epochs": 4, "learning_rate": 3e-4}

    def rules(self, *, random_start: bool) -> Rules:
        """The simulation's share."""
        return Rules(
            pricing=self.pricing,
            contract_size_e2=self.contract_size_e2,
            market_cash_e6=self.market_cash_e6,
            random_start=random_start,
        )


class Run(msgspec.Struct, frozen=True):
    """What was done, for the manifest."""

    settings: Settings
    hyper_parameters: dict[str, Number]
    environments: tuple[str, ...]
    split: dict[str, tuple[str, ...]]
    evaluation: dict[str, float]
    libraries: dict[str, str]


def _evaluation(worlds: Worlds, rules: Rules, policy: Policy) -> dict[str, float]:
    """Net dollars per validation market: the policy's, the baselines', the paired differences."""
    ours = run_policy(worlds.of(policy.builder), rules, policy)
    figures = {"markets": float(len(ours.net_e6)), "net_dollars_per_market": ours.mean_dollars}
    figures["contracts_per_market"] = sum(ours.filled_e2) / 100 / len(ours.net_e6)
    figures["hold_share"] = ours.action_shares["HOLD"]
    for name, make in BASELINES.items():
        baseline = make(0)
        other = run_policy(worlds.of(baseline.builder), rules, baseline)
        mean, low, high = compare(ours, other)
        figures[f"{name}_net_dollars_per_market"] = other.mean_dollars
        figures[f"minus_{name}_mean"] = mean
        figures[f"minus_{name}_low95"] = low
        figures[f"minus_{name}_high95"] = high
    return figures


def _sample(world: World, rules: Rules, seed: int) -> npt.NDArray[np.float32]:
    """Observations of recorded markets under random actions: what the export is checked on."""
    n = 64
    spread = msgspec.structs.replace(rules, random_start=True)
    simulation = Simulation(world, spread, n, range(seed, seed + n))
    random = np.random.Generator(np.random.PCG64(seed))
    simulation.reset()
    blocks = []
    for _ in range(SAMPLE // n):
        simulation.step(random.integers(0, 5, n), restart=True)
        blocks.append(simulation.observations.copy())
    return np.concatenate(blocks)


def _learn(world: World, settings: Settings, progress: bool) -> Any:
    import stable_baselines3 as sb3
    import torch

    from models.vec_env import BatchedVecEnv

    torch.set_num_threads(1)  # small batches: a second thread only waits
    algorithms: dict[str, Any] = {"ppo": sb3.PPO, "a2c": sb3.A2C}
    rules = settings.rules(random_start=True)
    env = BatchedVecEnv(world, rules, settings.n_envs, settings.seed)
    model = algorithms[settings.algorithm](
        "MlpPolicy",
        env,
        seed=settings.seed,
        device="cpu",
        verbose=int(progress),
        policy_kwargs={"net_arch": [64, 64]},
        **settings.hyper_parameters(),
    )
    model.learn(settings.timesteps, log_interval=10)
    return model


def _libraries() -> dict[str, str]:
    from importlib.metadata import version

    names = ("gymnasium", "numba", "numpy", "stable-baselines3", "torch")
    return {name: version(name) for name in names}


def train(split: Split, settings: Settings, out: Path, *, progress: bool = False) -> Run:
    """Learn on the earlier markets, judge on the later ones, write the three files to `out`."""
    from models.network import NetworkPolicy

    builder = builder_of(settings.schema)
    learned = Worlds(split.train, settings.throttle_ms).of(builder)
    validation = Worlds(split.validation, settings.throttle_ms)
    model = _learn(learned, settings, progress)
    policy = NetworkPolicy(model.policy, "trained", builder)
    rules = settings.rules(random_start=False)
    seen = run_policy(learned, rules, policy).mean_dollars
    environments = {s.environment.value for s in (*split.train, *split.validation)}
    run = Run(
        settings=msgspec.structs.replace(settings, timesteps=int(model.num_timesteps)),
        hyper_parameters=settings.hyper_parameters() | {"net_arch": "64-64"},
        environments=tuple(sorted(environments)),
        split=split.as_names(),
        evaluation=_evaluation(validation, rules, policy) | {"train_net_dollars_per_market": seen},
        libraries=_libraries(),
    )
    out.mkdir(parents=True, exist_ok=True)
    model.save(out / MODEL)
    np.save(out / OBSERVATIONS, _sample(validation.of(builder), rules, settings.seed))
    (out / RUN).write_bytes(msgspec.json.format(msgspec.json.encode(run)) + b"\n")
    return run


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    default = Settings()
    parser = argparse.ArgumentParser(prog="python -m models.train", description="Train a policy.")
    parser.add_argument("--recordings", type=Path, required=True, help="file or folder")
    parser.add_argument("--schema", choices=list(BUILDERS), default=default.schema)
    parser.add_argument("--algorithm", choices=["ppo", "a2c"], default="ppo")
    parser.add_argument("--timesteps", type=int, default=default.timesteps)
    parser.add_argument("--seed", type=int, default=default.seed)
    parser.add_argument("--gamma", type=float, default=default.gamma)
    parser.add_argument("--entropy", type=float, default=default.entropy)
    parser.add_argument("--pricing", choices=list(Pricing), default=default.pricing)
    parser.add_argument("--throttle-ms", type=int, default=default.throttle_ms)
    parser.add_argument("--train-share", type=float, default=0.6, help="of the markets, by time")
    parser.add_argument("--out", type=Path, required=True)
    return parser.parse_args(argv)


def _check(options: argparse.Namespace) -> None:
    """`ValueError` names the argument, its value and what is allowed."""
    bounds = (
        ("--timesteps", options.timesteps, options.timesteps > 0, "above 0"),
        ("--throttle-ms", options.throttle_ms, options.throttle_ms >= 0, "0 or more"),
        ("--gamma", options.gamma, 0 < options.gamma <= 1, "above 0, up to 1"),
        ("--entropy", options.entropy, options.entropy >= 0, "0 or more"),
        ("--train-share", options.train_share, 0 < options.train_share < 1, "between 0 and 1"),
    )
    for name, value, fits, allowed in bounds:
        if not fits:
            raise ValueError(f"{name} {value} means nothing; allowed: {allowed}")


def main(argv: Sequence[str] | None = None) -> int:
    """Train and print the split and the evaluation; 2 when an argument means nothing."""
    from processes.adapters.kalshi.recorded_sessions import load_sessions

    options = _arguments(argv)
    settings = Settings(
        algorithm=options.algorithm,
        schema=options.schema,
        timesteps=options.timesteps,
        seed=options.seed,
        gamma=options.gamma,
        entropy=options.entropy,
        throttle_ms=options.throttle_ms,
        pricing=Pricing(options.pricing),
    )
    try:
        _check(options)
        split = split_by_time(load_sessions(options.recordings), options.train_share)
        print("\n".join(split.describe()))
        run = train(split, settings, options.out, progress=True)
    except (ValueError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    for name, figure in run.evaluation.items():
        print(f"{name}: {figure:+.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
