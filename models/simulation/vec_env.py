"""The batched environment as stable-baselines3 wants it; one kernel call steps all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv

from models.simulation.dataset import Dataset
from models.simulation.engine import Simulation, SimulationRules
from models.simulation.environment import action_space, observation_space
from models.simulation.rewards import Reward, Rewards

__all__ = ["BatchedVecEnv"]


class BatchedVecEnv(VecEnv):
    """`n` markets at once, as stable-baselines3 wants them.

    One that ends shows its last observation in `terminal_observation` and starts again in another
    market. Episodes are never truncated. Masks come from `env_method("action_masks")`; a learner
    that ignores them only finds that a forbidden action holds.

    Args:
        dataset: The markets.
        rules: What is the same for every market.
        n: How many environments.
        seed: Of the first environment; each next one has the next number.
        reward: What a step is worth.
        risk_aversion: Per dollar, of the reward `risk`.

    Attributes:
        simulation: The batch behind it.
    """

    render_mode = None

    def __init__(
        self,
        dataset: Dataset,
        rules: SimulationRules,
        n: int,
        seed: int,
        reward: Reward = Reward.LIQUIDATION,
        risk_aversion: float = 0.0,
    ) -> None:
        super().__init__(n, observation_space(dataset.size), action_space())
        self.simulation = Simulation(dataset, rules, n, range(seed, seed + n))
        self._rewards = Rewards(reward, risk_aversion, self.simulation)
        self._actions = np.zeros(n, np.int64)
        self._values = np.zeros(n)
        self._lengths = np.zeros(n, np.int64)

    def reset(self) -> np.ndarray:
        """First observations, float32[n, size]; later ends restart by themselves."""
        self._values[:] = 0.0
        self._lengths[:] = 0
        observations = self.simulation.reset().copy()
        self._rewards.begin()
        return observations

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = np.asarray(actions, np.int64)

    def step_wait(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[dict[str, Any]]]:
        """Step every environment by one tick.

        Returns:
            (observations float32[n, size], rewards float32[n] in dollars, dones bool[n], infos). An
            ended episode's info holds its last observation, the sum of its rewards `r` and its
            length `l` in ticks; the row of observations is the first of the next market.
        """
        simulation = self.simulation
        simulation.step(self._actions, restart=True)
        rewards = self._rewards.after_step()
        self._values += rewards
        self._lengths += 1
        infos: list[dict[str, Any]] = [{} for _ in range(self.num_envs)]
        for i in np.flatnonzero(simulation.dones):
            infos[i] = {
                "terminal_observation": simulation.last_observations[i].copy(),
                "TimeLimit.truncated": False,
                "episode": {"r": float(self._values[i]), "l": int(self._lengths[i]), "t": 0.0},
            }
            self._values[i] = self._lengths[i] = 0
        return simulation.observations.copy(), rewards, simulation.dones.copy(), infos

    def close(self) -> None:
        """Nothing to close."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute of the batch, once per environment asked for."""
        return [getattr(self, attr_name)] * len(self._chosen(indices))

    def set_attr(self, attr_name: str, _value: Any, _indices: Any = None) -> None:
        """Refused: environments share their rules."""
        raise AttributeError(f"{attr_name} of a batch cannot be set")

    def env_method(
        self, method_name: str, *_args: Any, indices: Any = None, **_kwargs: Any
    ) -> list[Any]:
        """Call `action_masks` of each environment asked for; there is no other method.

        Returns:
            bool[5] of each.

        Raises:
            AttributeError: Another method was asked for.
        """
        if method_name != "action_masks":
            raise AttributeError(f"a batch has no method {method_name}")
        masks = self.simulation.masks()
        return [masks[i] for i in self._chosen(indices)]

    def env_is_wrapped(self, _wrapper_class: type, indices: Any = None) -> list[bool]:
        """Never wrapped one by one."""
        return [False] * len(self._chosen(indices))

    def _chosen(self, indices: Any) -> Sequence[int]:
        return list(self._get_indices(indices))
