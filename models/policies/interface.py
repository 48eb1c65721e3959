"""What deciding means: the interface of every policy and baseline."""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from ipc.kernels import compiled
from models.observation.builder import Builder
from models.trading.actions import Mask

__all__ = ["Decisions", "Logits", "Observations", "Policy", "masked_argmax"]

Observations = npt.NDArray[np.float32]
Logits = npt.NDArray[np.float32]


class Decisions(NamedTuple):
    """One row per observation: action int64[n], logits float32[n, 5], value float32[n] or None."""

    actions: npt.NDArray[np.int64]
    logits: Logits
    values: npt.NDArray[np.float32] | None


class Policy(Protocol):
    """Anything that decides. `model` names it, `model_hash` tells two of the same name apart.

    `builder` makes the observations that it reads.
    """

    model: str
    model_hash: str
    builder: Builder

    def decide(self, observations: Observations, masks: Mask) -> Decisions:
        """float32[n, size] and bool[n, 5] -> decisions; never an action that its mask forbids."""
        ...


@compiled
def masked_argmax(logits: Logits, masks: Mask) -> npt.NDArray[np.int64]:
    """The best allowed action of each row, float[n, 5] and bool[n, 5]; the first of equals.

    A logit that is no number never wins; where nothing can, action 0 (HOLD) does.
    """
    chosen = np.zeros(len(logits), np.int64)
    for i in range(len(logits)):
        best = -np.inf
        for action in range(logits.shape[1]):
            if masks[i, action] and logits[i, action] > best:
                best, chosen[i] = logits[i, action], action
    return chosen
