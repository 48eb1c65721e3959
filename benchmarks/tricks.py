"""Two optimisations against their plain form: memory asked for ahead, and tanh by the logistic.

Each pair is measured in turns, round by round, and given as a ratio: above 1 the trick is faster.
The plain forms stand beside the tricks: `Simulation(..., ask_ahead=0)` in
`models.simulation.engine`, and `torch.nn.Tanh` for `models.learning.network.Tanh`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from typing import Final

import numpy as np

from benchmarks.figures import Figure
from benchmarks.training import ENVS, recorded_sessions
from ipc.clock import mono_ns
from models.simulation.dataset import Dataset, dataset_of
from models.simulation.engine import ASK_AHEAD, Simulation, SimulationRules
from models.simulation.tape import make_tape
from models.trading.actions import N_ACTIONS

__all__ = ["run"]

ROUNDS: Final = 40
STEPS: Final = 60  # of every environment in a round
BATCH: Final = 4_096  # of a PPO update
UNITS: Final = 64  # of a layer


def _ratio(plain: Callable[[], None], trick: Callable[[], None]) -> float:
    """How much longer the plain form takes, in the median round."""
    for call in (plain, trick):
        call()  # compiled, or read from its cache
    taken = np.zeros((2, ROUNDS))
    for round_no in range(ROUNDS):
        for which, call in enumerate((plain, trick)):
            begun = mono_ns()
            call()
            taken[which, round_no] = mono_ns() - begun
    return float(np.median(taken[0] / taken[1]))


def _stepping(dataset: Dataset, ask_ahead: int) -> Callable[[], None]:
    rules = SimulationRules(random_start=True)
    simulation = Simulation(dataset, rules, ENVS, range(ENVS), ask_ahead=ask_ahead)
    simulation.reset()
    actions = np.random.default_rng(1).integers(0, N_ACTIONS, (STEPS, ENVS))

    def steps() -> None:
        for step in range(STEPS):
            simulation.step(actions[step], restart=True)

    return steps


def _learning(activation: Callable[[], object]) -> Callable[[], None]:
    """Forward and backward through two layers' activations, as in an update."""
    import torch

    torch.set_num_threads(1)
    module: Callable[..., torch.Tensor] = activation()  # type: ignore[assignment]
    inputs = torch.randn(BATCH, UNITS, generator=torch.Generator().manual_seed(1))

    def update() -> None:
        given = inputs.clone().requires_grad_()
        module(module(given)).sum().backward()

    return update


def _figures(dataset: Dataset) -> Sequence[tuple[str, float]]:
    import torch

    from models.learning.network import Tanh

    asked = _ratio(_stepping(dataset, 0), _stepping(dataset, ASK_AHEAD))
    tanh = _ratio(_learning(torch.nn.Tanh), _learning(Tanh))
    return (f"{ENVS} environments, memory asked ahead", asked), ("tanh by the logistic", tanh)


def run() -> list[Figure]:
    """The plain form's time over the trick's."""
    with ExitStack() as stack:
        dataset = dataset_of([make_tape(s) for s in recorded_sessions(stack)])
        return [Figure(name, value, "plain / trick") for name, value in _figures(dataset)]
