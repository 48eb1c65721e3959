"""Steps of learning: the batched environment, and a whole training with its validation.

On the gold markets where real recordings lie beside the repository, else on as many made ones. CPU
time is that of all threads of this process, so that other work on the machine counts for little.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from benchmarks.figures import Figure
from ipc.clock import mono_ns
from models.learning.settings import TrainingSettings
from models.learning.splits import split_by_time
from models.learning.training import train
from models.simulation.dataset import Dataset, dataset_of
from models.simulation.engine import SimulationRules
from models.simulation.tape import RecordedSession, make_tape
from models.trading.actions import N_ACTIONS
from processes.adapters.kalshi.recordings.sessions import load_sessions
from tests.support.made_recording import START_MS, write_recording
from tests.support.recordings import recordings_folder

__all__ = ["ENVS", "recorded_sessions", "run"]

GOLD: Final = "gold15m-2026-08"
MADE: Final = 26  # markets
MADE_S: Final = 900  # of market time each
ENVS: Final = 256
STEPS: Final = 300  # of every environment in a batch; the median batch counts
BATCHES: Final = 9
TIMESTEPS: Final = 622_592
STAGES: Final = 3

Actions = npt.NDArray[np.int64]


def recorded_sessions(stack: ExitStack) -> Sequence[RecordedSession]:
    """The gold markets, or made ones whose files go with `stack`."""
    folder, _ = recordings_folder()
    if folder is not None and (folder / GOLD).is_dir():
        return load_sessions(folder / GOLD)
    made = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    for n in range(MADE):
        start_ms = START_MS + n * MADE_S * 1_000
        write_recording(made, seconds=MADE_S, seed=n, ticker=f"KXMADE-{n}", start_ms=start_ms)
    return load_sessions(made)


def _stepped(name: str, dataset: Dataset, actions: Actions) -> Figure:
    """Environment steps a second of CPU time."""
    from models.simulation.vec_env import BatchedVecEnv  # and with it torch

    env = BatchedVecEnv(dataset, SimulationRules(random_start=True), ENVS, 1)
    env.reset()
    env.step(actions[0])  # compiled, or read from its cache
    rates = []
    for _ in range(BATCHES):
        begun = time.process_time_ns()
        for step in range(STEPS):
            env.step(actions[step % len(actions)])
        rates.append(STEPS * ENVS * 1e9 / (time.process_time_ns() - begun))
    return Figure(f"{ENVS} environments, {name}", float(np.median(rates)), "steps/cpu-s")


def _trained(sessions: Sequence[RecordedSession]) -> list[Figure]:
    """A whole training: learning, validation after every stage, judging, writing."""
    settings = TrainingSettings(timesteps=TIMESTEPS, stages=STAGES)
    split = split_by_time(sessions)
    with tempfile.TemporaryDirectory() as out:
        cpu_ns, begun = time.process_time_ns(), mono_ns()
        run = train(split, settings, Path(out))
        wall_s, cpu_s = (mono_ns() - begun) / 1e9, (time.process_time_ns() - cpu_ns) / 1e9
    steps, name = run.settings.timesteps, f"PPO, {TIMESTEPS:,} steps and all around them"
    return [Figure(name, steps / wall_s, "steps/s"), Figure(name, steps / cpu_s, "steps/cpu-s")]


def run() -> list[Figure]:
    """Environment, training."""
    with ExitStack() as stack:
        sessions = recorded_sessions(stack)
        dataset = dataset_of([make_tape(session) for session in sessions])
        random = np.random.default_rng(1).integers(0, N_ACTIONS, (64, ENVS))
        return [
            _stepped("every action HOLD", dataset, np.zeros_like(random)),
            _stepped("random actions", dataset, random),
            *_trained(sessions),
        ]
