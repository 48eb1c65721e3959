"""What a step is worth to a learner: the rewards of training.

They need not be what the step earned. Evaluation never uses them: the net profit and loss of a
policy is that of its account, whatever it was trained on.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from ipc import account_table as a
from ipc import book as b
from ipc.units import ONE_DOLLAR_E4
from models.simulation.engine import Simulation

__all__ = ["Reward", "Rewards"]

Words = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

_UNITS: Final = 2e6  # of 1/100 contracts times half a 1/10000 dollar: in a dollar


class Reward(StrEnum):
    """What a step is worth, in dollars; a market's last step includes what it paid.

    Attributes:
        LIQUIDATION: Change of the value at the touch, less the fee of closing.
        MID: Change of the value at the mid.
        RISK: The change at the mid, less half the risk aversion times the variance that the
            position was exposed to.
    """

    LIQUIDATION = "liquidation"  # change of the value at the touch, less the fee of closing
    MID = "mid"  # change of the value at the mid
    RISK = "risk"  # the same, less half the risk aversion times the variance it was exposed to


class Rewards:
    """The rewards of a batch of environments, step by step.

    The variance of a step is the position it began with, squared, times the mid's squared moves
    until the next tick; that of a market's last step is the square of what the step earned, the
    settlement included.

    Call `begin` after the simulation's reset and `after_step` after each of its steps.

    Args:
        reward: What a step is worth.
        risk_aversion: Per dollar, of the reward `risk`.
        simulation: The batch; its own `changes_e6` are not touched.
    """

    def __init__(self, reward: Reward, risk_aversion: float, simulation: Simulation) -> None:
        self._reward, self._risk_aversion = reward, risk_aversion
        self._simulation = simulation
        self.begin()

    def begin(self) -> None:
        """Note where a step begins; to be called after a reset of the simulation."""
        simulation = self._simulation
        self._values_e6 = simulation.values_e6.copy()
        self._mid_values_e6 = self._at_mid()
        self._positions_e2 = simulation.accounts[:, a.POSITION_E2].copy()
        self._realised = self._row_words(b.REALISED)

    def after_step(self) -> Floats:
        """What the step just taken was worth; begins the next one.

        Returns:
            float32[n], dollars.
        """
        simulation = self._simulation
        if self._reward is Reward.LIQUIDATION:
            return (simulation.changes_e6 / 1e6).astype(np.float32)
        ended_e6 = self._values_e6 + simulation.changes_e6
        now_e6 = np.where(simulation.dones, ended_e6, self._at_mid())
        made = (now_e6 - self._mid_values_e6) / 1e6
        if self._reward is Reward.RISK:
            made -= self._risk_aversion / 2 * self._variance(made)
        self.begin()
        return made.astype(np.float32)

    def _variance(self, made: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Squared dollars."""
        moved = (self._row_words(b.REALISED) - self._realised) / _UNITS**2
        return np.where(self._simulation.dones, made**2, moved * self._positions_e2**2.0)

    def _row_words(self, word: int) -> Words:
        """A word of the row that each environment is at."""
        words: Words = self._simulation.dataset.rows[self._simulation.ticks, word]
        return words

    def _at_mid(self) -> Words:
        """Cash plus the position at the last known mid (0.50 if never known), micro-dollars."""
        accounts, mid2 = self._simulation.accounts, self._row_words(b.LAST_MID2)
        yes_mid2 = np.where(mid2 > 0, mid2, ONE_DOLLAR_E4)
        position_e2 = accounts[:, a.POSITION_E2]
        leg_mid2 = np.where(position_e2 >= 0, yes_mid2, 2 * ONE_DOLLAR_E4 - yes_mid2)
        values: Words = accounts[:, a.CASH_E6] + np.abs(position_e2) * leg_mid2 // 2
        return values
