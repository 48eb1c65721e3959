"""MarketAgnosticKalshiEnv: gymnasium over one market of one recorded session at a time.

One environment for scripts and checks; training steps many at once with
`models.simulation.vec_env.BatchedVecEnv`. Both are `models.simulation.engine.Simulation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt

from ipc import account_table as a
from models.simulation.dataset import Dataset, dataset_of
from models.simulation.engine import Simulation, SimulationRules
from models.simulation.tape import Tape
from models.trading.actions import N_ACTIONS

__all__ = ["MarketAgnosticKalshiEnv", "action_space", "observation_space"]

Info = dict[str, Any]


def observation_space(size: int) -> gymnasium.spaces.Box:
    """Box of float32[size]; every float of every schema is clipped to [-2, 2]."""
    return gymnasium.spaces.Box(-2.0, 2.0, (size,), np.float32)


def action_space() -> gymnasium.spaces.Discrete:
    """HOLD and the four limit orders."""
    return gymnasium.spaces.Discrete(N_ACTIONS)


class MarketAgnosticKalshiEnv(gymnasium.Env[npt.NDArray[np.float32], np.int64]):
    """A gymnasium environment; an episode is one market, from its first decision to its settlement.

    The observation is float32[size] within [-2, 2], by the dataset's builder. Actions are those of
    `models.trading.actions.Action`; one that `action_masks` forbids means HOLD. The reward is the
    change of the account's liquidation value in dollars, fees included, so that the rewards of an
    episode sum to its net profit or loss.

    `reset(options={"market": i})` chooses the market; otherwise the seed does. The info of `reset`
    and `step` holds `market`, `cash_e6`, `position_e2` and `fees_e6`.

    Args:
        tapes: The markets, or a dataset of them.
        rules: What is the same for every market; default: `SimulationRules()`.

    Raises:
        ValueError: No market is long enough.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 (gymnasium's own declaration)

    def __init__(
        self, tapes: Sequence[Tape] | Dataset, rules: SimulationRules | None = None
    ) -> None:
        dataset = tapes if isinstance(tapes, Dataset) else dataset_of(tapes)
        self.observation_space = observation_space(dataset.size)
        self.action_space = action_space()
        self._simulation = Simulation(dataset, rules or SimulationRules(), 1, [0])

    def reset(
        self, *, seed: int | None = None, options: Info | None = None
    ) -> tuple[npt.NDArray[np.float32], Info]:
        """Begin an episode with a flat account.

        Args:
            seed: Of the choice of markets, starts and latencies; None lets the stream of numbers go
                on.
            options: `{"market": i}` for the dataset's i-th market; None draws one.

        Returns:
            (float32[size], info).
        """
        super().reset(seed=seed)
        if seed is not None:
            self._simulation.seed([seed])
        market = (options or {}).get("market")
        observations = self._simulation.reset(None if market is None else [market])
        return observations[0].copy(), self._info()

    def step(
        self, action: np.int64 | int
    ) -> tuple[npt.NDArray[np.float32], float, bool, bool, Info]:
        """Step by one tick.

        The order arrives after its latency, and the events up to the next tick pass.

        Args:
            action: A value of `Action`.

        Returns:
            (float32[size], reward in dollars, whether the market is over, False, info). Episodes
            are never truncated. After the end, call `reset`.
        """
        simulation = self._simulation
        simulation.step(np.array([action], np.int64), restart=False)
        reward = float(simulation.changes_e6[0]) / 1e6
        done = bool(simulation.dones[0])
        return simulation.observations[0].copy(), reward, done, False, self._info()

    def action_masks(self) -> npt.NDArray[np.bool_]:
        """Allowed actions now, bool[5]."""
        mask: npt.NDArray[np.bool_] = self._simulation.masks()[0]
        return mask

    def _info(self) -> Info:
        account = self._simulation.accounts[0]
        return {
            "market": int(self._simulation.markets[0]),
            "cash_e6": int(account[a.CASH_E6]),
            "position_e2": int(account[a.POSITION_E2]),
            "fees_e6": int(account[a.FEES_E6]),
        }
