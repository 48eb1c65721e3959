"""A learned actor-critic as one torch module: observations to logits and value.

Needs torch; nothing on the live path imports this. `Tanh` computes the same function as
`torch.nn.Tanh`, by way of the logistic function, in a third of the time on a CPU; the two are
compared in `benchmarks/tricks.py`.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from stable_baselines3.common.policies import ActorCriticPolicy
from stable_baselines3.common.torch_layers import BaseFeaturesExtractor

from models.observation.builder import Builder
from models.policies.interface import Decisions, Observations
from models.trading.actions import Mask, masked_argmax

__all__ = ["ActorCritic", "LearnerPolicy", "NetworkPolicy", "Normaliser", "Tanh"]

LEAST_DEVIATION: Final = 1e-3  # of a feature; one that does not move is only centred
MOST_DEVIATIONS: Final = 10.0


class Normaliser(BaseFeaturesExtractor):
    """First layer of a network: observations in deviations from their mean, clipped to 10.

    Mean and deviation are measured on the training markets before anything is learned and stay
    fixed, part of the saved policy and of the exported graph.

    Args:
        space: Observation space.
        mean: float32[size].
        deviation: float32[size]; a feature that does not move is only centred.
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


def _tanh(inputs: torch.Tensor) -> torch.Tensor:
    return (inputs * 2).sigmoid_().mul_(2).sub_(1)


class _Tanh(torch.autograd.Function):
    """tanh by way of the logistic function."""

    @staticmethod
    def forward(context: Any, inputs: torch.Tensor) -> torch.Tensor:
        """tanh(x) = 2 / (1 + exp(-2 x)) - 1."""
        out = _tanh(inputs)
        context.save_for_backward(out)
        return out

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        """Gradient from the output, as torch's own tanh does it."""
        (out,) = context.saved_tensors
        return torch.ops.aten.tanh_backward(gradient, out)


class Tanh(torch.nn.Module):
    """tanh by way of the logistic function, faster on a CPU than torch's own."""

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """float32, any shape; an exported graph names the function itself."""
        if torch.onnx.is_in_onnx_export():
            return torch.tanh(inputs)
        return _Tanh.apply(inputs) if inputs.requires_grad else _tanh(inputs)


class LearnerPolicy(ActorCriticPolicy):
    """The network while it learns: log-probabilities directly from the logits.

    Draws and gradients are those of stable-baselines3's own categorical distribution, without the
    softmax over rows of five and the checks that it makes at every call.
    """

    def _log_probabilities(self, obs: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Observations -> log-probabilities [n, actions], value [n, 1]."""
        actor, critic = self.mlp_extractor(self.extract_features(obs))
        logits = self.action_net(actor)
        return logits - logits.logsumexp(dim=1, keepdim=True), self.value_net(critic)

    def forward(
        self, obs: torch.Tensor, deterministic: bool = False
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Observations -> actions [n], value [n, 1], log-probability of each action [n]."""
        logs, values = self._log_probabilities(obs)
        if deterministic:
            actions = logs.argmax(dim=1)
        else:
            actions = torch.multinomial(logs.exp(), 1).squeeze(1)
        return actions, values, _of_actions(logs, actions)

    def evaluate_actions(
        self, obs: torch.Tensor, actions: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Observations, actions -> value [n, 1], log-probability of each action, entropy [n]."""
        logs, values = self._log_probabilities(obs)
        return values, _of_actions(logs, actions), -(logs.exp() * logs).sum(dim=1)


def _of_actions(logs: torch.Tensor, actions: torch.Tensor) -> torch.Tensor:
    return logs.gather(1, actions.long().unsqueeze(1)).squeeze(1)


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
        """Greedy over the allowed actions; see `Policy.decide`."""
        with torch.no_grad():
            logits, value = self._network(torch.from_numpy(np.ascontiguousarray(observations)))
        actions = masked_argmax(logits.numpy(), masks)
        return Decisions(actions, logits.numpy(), value.numpy()[:, 0])
