"""What a training run is asked for, and what it hands to the exporter."""

from __future__ import annotations

from enum import StrEnum
from math import ceil
from typing import Final

import msgspec

from models.learning.splits import LEAST_STAGES, Curriculum
from models.observation.builder import OBSERVATION_V1
from models.simulation.engine import SimulationRules
from models.simulation.rewards import Reward
from models.trading.actions import Pricing

__all__ = ["MODEL", "OBSERVATIONS", "RUN", "ChooseBy", "Number", "TrainingRun", "TrainingSettings"]

MODEL: Final = "model.zip"
RUN: Final = "run.json"
OBSERVATIONS: Final = "observations.npy"
_PPO_STEPS: Final = 128  # of every environment in a rollout
_A2C_STEPS: Final = 16
_BATCHES: Final = 8  # of a PPO rollout

Number = str | int | float | bool | None


class ChooseBy(StrEnum):
    """What makes a stage the best of a training, in dollars per validation market."""

    MEAN = "mean"  # net
    LOW = "low"  # the lower end of its 95 % interval: what is not luck with a few of the markets


class TrainingSettings(msgspec.Struct, frozen=True):
    """What a run is asked for; the defaults are those of the shipped model.

    Attributes:
        algorithm: `ppo` or `a2c`.
        schema: Observation schema.
        timesteps: Steps of all environments together.
        seed: Of everything that draws.
        n_envs: Environments stepped at once.
        throttle_ms: Least market time between two ticks.
        pricing: Where an order's limit is placed.
        gamma: Discount per step.
        entropy: Weight of the entropy in the loss.
        contract_size_e2: Size of an order before caps.
        market_cash_e6: Cash that each market begins with.
        stages: After each there is a checkpoint, and the validation markets are played.
        patience: Stages without a better validation after which to stop; 0: never, keep the last.
        curriculum: Which markets to learn from first.
        normalise: Whether the network begins with a normalisation of its inputs.
        reward: What a step is worth.
        risk_aversion: Per dollar, of the reward `risk`.
        choose_by: What makes a stage the best.
    """

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
    stages: int = 10  # after each: a checkpoint, and the validation markets are played
    patience: int = 0  # stages without a better validation until it stops; 0: the last one counts
    curriculum: Curriculum = Curriculum.NONE
    normalise: bool = False
    reward: Reward = Reward.LIQUIDATION
    risk_aversion: float = 0.1  # per dollar, of the reward `risk`
    choose_by: ChooseBy = ChooseBy.MEAN

    @property
    def rollout(self) -> int:
        """Steps between two updates of the policy."""
        return self.n_envs * (_A2C_STEPS if self.algorithm == "a2c" else _PPO_STEPS)

    def stage_ends(self) -> tuple[int, ...]:
        """Timesteps at which each stage ends: whole rollouts, in stages as equal as possible.

        Raises:
            ValueError: Fewer stages than the curriculum needs.
        """
        rollouts = ceil(self.timesteps / self.rollout)
        stages = min(self.stages, rollouts)
        if self.curriculum is not Curriculum.NONE and stages < LEAST_STAGES:
            raise ValueError(
                f"a curriculum takes {LEAST_STAGES} stages; {self.timesteps} timesteps, "
                f"{self.rollout} between two updates, make {stages}"
            )
        return tuple(self.rollout * (rollouts * n // stages) for n in range(1, stages + 1))

    def hyper_parameters(self) -> dict[str, Number]:
        """The learner's keyword arguments."""
        common: dict[str, Number] = {
            "gamma": self.gamma,
            "gae_lambda": 0.95,
            "ent_coef": self.entropy,
        }
        if self.algorithm == "a2c":
            return common | {"n_steps": _A2C_STEPS, "learning_rate": 7e-4}
        return common | {
            "n_steps": _PPO_STEPS,
            "batch_size": self.rollout // _BATCHES,
            "n_epochs": 4,
            "learning_rate": 3e-4,
        }

    def network(self) -> dict[str, Number]:
        """What else the manifest says about how the model was trained."""
        network: dict[str, Number] = {
            "net_arch": "64-64",
            "normalised": self.normalise,
            "curriculum": str(self.curriculum),
            "patience": self.patience,
            "choose_by": str(self.choose_by),
            "reward": str(self.reward),
        }
        if self.reward is Reward.RISK:
            network["risk_aversion"] = self.risk_aversion
        return network

    def rules(self, *, random_start: bool) -> SimulationRules:
        """The simulation's share of the settings."""
        return SimulationRules(
            pricing=self.pricing,
            contract_size_e2=self.contract_size_e2,
            market_cash_e6=self.market_cash_e6,
            random_start=random_start,
        )


class TrainingRun(msgspec.Struct, frozen=True):
    """What was done, for the manifest; `run.json` in the folder of the run."""

    settings: TrainingSettings
    hyper_parameters: dict[str, Number]
    environments: tuple[str, ...]
    split: dict[str, tuple[str, ...]]
    evaluation: dict[str, float]
    libraries: dict[str, str]
    fees_assumed: int | None = None  # markets of the split; None in a run of before
