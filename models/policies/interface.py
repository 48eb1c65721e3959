"""What a policy is: observations and masks in, decisions out.

Everything that decides has this interface: exported models, baselines, a network while it is
trained, rules under research. Inference, evaluation and parity know no other.

To add one, write a class with the three attributes and `decide` of `Policy` and name it in
`models.policies.baselines.BASELINES`; `RL_ACTOR_STRATEGY=baseline:<name>` then runs it.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import numpy as np
import numpy.typing as npt

from models.observation.builder import Builder
from models.trading.actions import Mask

__all__ = ["Decisions", "Logits", "Observations", "Policy"]

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

    It sees observations and nothing else: no clock, no account, no order. What it may remember
    between calls is limited, see `decide`; what it decides is recorded and rebuilt by parity.

    Attributes:
        model: Its name, such as `onnx:default` or `baseline:hold`; recorded with every decision.
        model_hash: Tells two policies of the same name apart; recorded too. 16 hex digits.
        builder: Makes the observations that it reads.
    """

    model: str
    model_hash: str
    builder: Builder

    def decide(self, observations: Observations, masks: Mask) -> Decisions:
        """Decide for a batch of markets.

        Called on the path of a tick, for as many markets as ticked together; one at a time and many
        at once must give the same answers.

        Args:
            observations: float32[n, builder.size], one row per market, each by `builder`, every
                float within [-2, 2] and none of them NaN. Not to be changed, nor kept after the
                call.
            masks: bool[n, 5], the allowed actions of each; HOLD is always allowed.

        Returns:
            One row per observation, never an action that its mask forbids. A policy may keep state
            between calls only if its logits are enough to rebuild its actions.
        """
        ...
