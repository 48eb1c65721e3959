"""Rules behind the interface of a policy: what a learned one has to beat, and demonstrations."""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import Final

import numpy as np
import numpy.typing as npt

from models.actions import N_ACTIONS, Action, Mask
from models.decisions import Decisions, Policy, masked_argmax

__all__ = ["BASELINES", "Hold", "JoinBest", "RandomChoice"]

Observations = npt.NDArray[np.float32]


def _hash(model: str) -> str:
    return blake2b(model.encode(), digest_size=8).hexdigest()


class Hold:
    """Never trades."""

    model = "baseline:hold"
    model_hash = _hash(model)

    def decide(self, observations: Observations, masks: Mask) -> Decisions:
        """HOLD, always."""
        logits = np.zeros((len(observations), N_ACTIONS), np.float32)
        logits[:, Action.HOLD] = 1.0
        return Decisions(masked_argmax(logits, masks), logits, None)


class RandomChoice:
    """Uniform over the allowed actions; seeded. The logits are the draws that decided."""

    def __init__(self, seed: int) -> None:
        self.model = "baseline:random"
        self.model_hash = _hash(f"{self.model}:{seed}")
        self._random = np.random.Generator(np.random.PCG64(seed))

    def decide(self, observations: Observations, masks: Mask) -> Decisions:
        """One independent draw per action, the largest allowed one wins."""
        draws = self._random.random((len(observations), N_ACTIONS), np.float32)
        return Decisions(masked_argmax(draws, masks), draws, None)


class JoinBest:
    """Buys below an even price and closes what it holds, to be run with passive pricing.

    Flat: joins the bid of the cheaper outcome. Holding: offers it at its own touch.
    """

    model = "baseline:join_best"
    model_hash = _hash(model)

    def decide(self, observations: Observations, masks: Mask) -> Decisions:
        """Feature 6 is the YES mid; a sell is allowed only when there is something to sell."""
        logits = np.zeros((len(observations), N_ACTIONS), np.float32)
        cheap_yes = observations[:, 6] <= 0.5
        logits[:, Action.BUY_YES_LIMIT] = np.where(cheap_yes, 1.0, -1.0)
        logits[:, Action.BUY_NO_LIMIT] = np.where(cheap_yes, -1.0, 1.0)
        logits[:, [Action.SELL_YES_LIMIT, Action.SELL_NO_LIMIT]] = 2.0
        return Decisions(masked_argmax(logits, masks), logits, None)


BASELINES: Final[dict[str, Callable[[int], Policy]]] = {
    "hold": lambda _seed: Hold(),
    "join_best": lambda _seed: JoinBest(),
    "random": RandomChoice,
}
