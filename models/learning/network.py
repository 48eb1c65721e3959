"""A learned actor-critic as one torch module: observations to logits and value.

Needs torch; nothing on the live path imports this.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from models.actions import Mask
from models.decisions import Decisions, Observations, masked_argmax
from models.observation import Builder

__all__ = ["ActorCritic", "NetworkPolicy", "Normaliser"]

LEAST_DEVIATION: Final = 1e-3  # of a feature; one that stands still is only centred
MOST_DEVIATIONS: Final = 10.0


class Normaliser(BaseFeaturesExtractor):
    """First layer of a network: observations in deviations from their mean, within 10.

    Both are measured on the training markets before anything is learned and stay as they are, part
    of the saved policy and of the exported graph.
    """

    mean: torch.Tensor
    scale: torch.Tensor

    def __init__(
        self, space: Any, mean: npt.NDArray[np.float32], deviation: npt.NDArray[np.float32]
    ) -> None:
        super().__init__(space, len(mean))
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("scale", 1 / torch.tensor(deviation).clamp(min=LEAST_DEVIATION))

    def forward(self, observations: torch.Tensor) -> torch.Tensor:
        """float32[n, size] -> float32[n, size]."""
        moved = (observations - self.mean) * self.scale
        return moved.clamp(-MOST_DEVIATIONS, MOST_DEVIATIONS)


class ActorCritic(torch.nn.Module):
    """What is exported; masks and the choice of the action stay outside."""

    def __init__(self, policy: Any) -> None:
        super().__init__()
        self.policy = policy

    def forward(self, obs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """float32[n, size] -> logits [n, 5], value [n, 1]."""
        features = self.policy.extract_features(obs)
        actor, critic = self.policy.mlp_extractor(features)
        return self.policy.action_net(actor), self.policy.value_net(critic)


class NetworkPolicy:
    """The learner's own network behind the interface of a policy."""

    model_hash = "untracked"

    def __init__(self, policy: Any, model: str, builder: Builder) -> None:
        self.model = model
        self.builder = builder
        self._network = ActorCritic(policy).eval()

    def decide(self, observations: Observations, masks: Mask) -> Decisions:
        """Greedy over the allowed actions."""
        with torch.no_grad():
            logits, value = self._network(torch.from_numpy(np.ascontiguousarray(observations)))
        actions = masked_argmax(logits.numpy(), masks)
        return Decisions(actions, logits.numpy(), value.numpy()[:, 0])
