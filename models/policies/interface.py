"""What a policy is: observations and masks in, decisions out.

Everything that decides has this interface: exported models, baselines, a network while it is
trained, rules under research. Inference, evaluation and parity know no other.
"""

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
    """What a policy decides, one row per observation.

    Attributes:
        actions: int64[n], values of `models.trading.actions.Action`.
        logits: float32[n, 5], the preference for each action before the mask; recorded, so that
            parity can rebuild the choice.
        values: float32[n], the policy's estimate of what follows; None when it has none.
    """

    actions: npt.NDArray[np.int64]
    logits: Logits
    values: npt.NDArray[np.float32] | None


class Policy(Protocol):
    """Anything that decides.

    Attributes:
        model: Its name, such as `onnx:default` or `baseline:hold`; recorded with every decision.
        model_hash: Tells two policies of the same name apart; recorded too.
        builder: Makes the observations that it reads.
    """

    model: str
    model_hash: str
    builder: Builder

    def decide(self, observations: Observations, masks: Mask) -> Decisions:
        """Decide for a batch of markets.

        Args:
            observations: float32[n, builder.size], one row per market, each by `builder`.
            masks: bool[n, 5], the allowed actions of each; HOLD is always allowed.

        Returns:
            One row per observation, never an action that its mask forbids. A policy may keep state
            between calls only if its logits are enough to rebuild its actions.
        """
        ...


@compiled
def masked_argmax(logits: Logits, masks: Mask) -> npt.NDArray[np.int64]:
    """The best allowed action of each row.

    Args:
        logits: float32[n, 5].
        masks: bool[n, 5].

    Returns:
        int64[n]: the first of equals. A logit that is not a number never wins; where none can,
        action 0 (HOLD) does.
    """
    chosen = np.zeros(len(logits), np.int64)
    for i in range(len(logits)):
        best = -np.inf
        for action in range(logits.shape[1]):
            if masks[i, action] and logits[i, action] > best:
                best, chosen[i] = logits[i, action], action
    return chosen
