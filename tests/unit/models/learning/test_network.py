"""The network while it learns is stable-baselines3's own, made cheaper."""

from __future__ import annotations

from typing import Any

import gymnasium
import numpy as np
import pytest

from models.trading.actions import N_ACTIONS

pytestmark = pytest.mark.train

torch = pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")

SIZE = 12


def policies() -> tuple[Any, Any]:
    """Theirs and ours with the same weights, far enough from uniform to tell actions apart."""
    from stable_baselines3.common.policies import ActorCriticPolicy

    from models.learning.network import LearnerPolicy, Tanh

    spaces = gymnasium.spaces.Box(-2.0, 2.0, (SIZE,)), gymnasium.spaces.Discrete(N_ACTIONS)
    made = []
    for policy, activation in ((ActorCriticPolicy, torch.nn.Tanh), (LearnerPolicy, Tanh)):
        torch.manual_seed(1)
        made.append(policy(*spaces, lambda _: 3e-4, net_arch=[64, 64], activation_fn=activation))
        with torch.no_grad():
            made[-1].action_net.weight.mul_(100)
    return made[0], made[1]


def observations(n: int = 4_000) -> Any:
    return torch.from_numpy(np.random.default_rng(1).uniform(-2, 2, (n, SIZE)).astype(np.float32))


def test_tanh_and_its_gradient_are_those_of_torch() -> None:
    from models.learning.network import Tanh

    values = torch.cat([torch.linspace(-30, 30, 6_001), torch.linspace(-1e-3, 1e-3, 101)])
    ours, theirs = (values.clone().requires_grad_() for _ in range(2))
    out, expected = Tanh()(ours), torch.tanh(theirs)
    assert (out - expected).abs().max() < 3e-7
    out.sum().backward()
    expected.sum().backward()
    assert (ours.grad - theirs.grad).abs().max() < 1e-6


def test_values_probabilities_entropy_and_gradients_are_theirs() -> None:
    seen, told = observations(), []
    actions = torch.arange(len(seen)) % N_ACTIONS
    for policy in policies():
        values, logs, entropy = policy.evaluate_actions(seen, actions)
        (values.flatten() * logs + entropy).mean().backward()
        gradients = [p.grad for p in policy.parameters()]
        told.append([values, logs, entropy, *gradients])
    assert len(told[0]) == 3 + 12
    for theirs, ours in zip(*told, strict=True):
        assert theirs.shape == ours.shape
        torch.testing.assert_close(ours, theirs, atol=2e-5, rtol=2e-4)


@pytest.mark.parametrize("deterministic", [True, False])
def test_the_same_seed_draws_their_actions(deterministic: bool) -> None:
    seen, told = observations(), []
    for policy in policies():
        torch.manual_seed(7)
        with torch.no_grad():
            told.append(policy(seen, deterministic=deterministic))
    (theirs, their_values, their_logs), (ours, values, logs) = told
    assert len(set(ours.tolist())) == N_ACTIONS
    same = theirs == ours  # a draw at the very edge of two actions may fall either way
    assert same.float().mean() > 0.999
    torch.testing.assert_close(values, their_values, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(logs[same], their_logs[same], atol=1e-5, rtol=1e-4)
