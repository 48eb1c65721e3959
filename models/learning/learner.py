"""Learning in stages: after each one a checkpoint, and the validation markets are played.

Every stage begins with its own seed and fresh environments, so that a training which continues
after a checkpoint ends with the same weights as one that was never cut off.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final, Self

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger, make_output_format

from ipc.clock import mono_ns
from models.learning.checkpoints import Checkpoints, State
from models.learning.learner_file import ALGORITHMS, load_learner, network_of
from models.learning.network import LearnerPolicy, NetworkPolicy
from models.learning.settings import ChooseBy, TrainingSettings
from models.learning.splits import markets_of_stage
from models.observation.builder import builder_of
from models.policies.interface import Observations, Policy
from models.simulation.dataset import Dataset, dataset_of
from models.simulation.engine import Simulation
from models.simulation.tape import RecordedSession, Tape, make_tape
from models.simulation.vec_env import BatchedVecEnv

__all__ = ["ALGORITHMS", "begun", "learn", "policy_of", "sample"]

CHECKPOINTS: Final = "checkpoints"
LOG: Final = "log"
VALIDATION_KEYS: Final = {
    ChooseBy.MEAN: "validation/net_dollars_per_market",
    ChooseBy.LOW: "validation/low95_dollars_per_market",
}
SAMPLE: Final = 4_096  # observations
BAR: Final = 30  # characters

Say = Callable[[str], None]
Judge = Callable[[Policy], float]


def begun(folder: Path) -> bool:
    """Whether a folder holds a training to continue."""
    return Checkpoints(folder / CHECKPOINTS).begun


def policy_of(model: Any, settings: TrainingSettings) -> NetworkPolicy:
    """The policy that a learner has arrived at."""
    return NetworkPolicy(model.policy, "trained", builder_of(settings.schema))


def sample(dataset: Dataset, settings: TrainingSettings) -> Observations:
    """Observations of recorded markets, from anywhere in them, under random actions.

    Returns:
        float32[`SAMPLE`, size].
    """
    n, seed = 64, settings.seed
    simulation = Simulation(dataset, settings.rules(random_start=True), n, range(seed, seed + n))
    random = np.random.Generator(np.random.PCG64(seed))
    simulation.reset()
    blocks = []
    for _ in range(SAMPLE // n):
        simulation.step(random.integers(0, 5, n), restart=True)
        blocks.append(simulation.observations.copy())
    return np.concatenate(blocks)


class _StageDatasets:
    """The training markets of each stage, each market walked once."""

    def __init__(self, sessions: Sequence[RecordedSession], settings: TrainingSettings) -> None:
        builder = builder_of(settings.schema)
        self._sessions, self._settings = sessions, settings
        self._stages = len(settings.stage_ends())
        self._tapes: list[Tape] = [make_tape(s, settings.throttle_ms, builder) for s in sessions]
        self._known: tuple[tuple[int, ...], Dataset] | None = None

    def of(self, stage: int) -> Dataset:
        """The markets that a stage draws from."""
        curriculum = self._settings.curriculum
        markets = markets_of_stage(curriculum, self._sessions, stage, self._stages)
        if self._known is None or self._known[0] != markets:
            self._known = markets, dataset_of([self._tapes[i] for i in markets])
        return self._known[1]


class _Progress(BaseCallback):
    """A progress bar on a terminal: how far, how fast, how validation went."""

    def __init__(self, total: int, begun: int) -> None:
        super().__init__()
        self._total, self._begun, self._start_ns = total, begun, mono_ns()
        self.note = ""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        if not sys.stderr.isatty():
            return
        share = min(self.num_timesteps / self._total, 1.0)
        bar = "#" * round(BAR * share)
        sys.stderr.write(f"\r[{bar:.<{BAR}}] {share:4.0%} {self.pace()}{self.note}\x1b[K")
        sys.stderr.flush()

    def pace(self) -> str:
        """Timesteps, and how many a second since this process began."""
        seconds = max(mono_ns() - self._start_ns, 1) / 1e9
        rate = (self.num_timesteps - self._begun) / seconds
        return f"{self.num_timesteps:,} of {self._total:,} steps, {rate:,.0f} steps/s"

    def clear(self) -> None:
        """Clear the bar's line."""
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")


class _Log:
    """Where a training reports: a line a stage, the bar, CSV, TensorBoard where installed.

    A resumed run writes its files beside those of the earlier part.
    """

    def __init__(self, folder: Path, settings: TrainingSettings, begun: int, say: Say) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        suffix = f"-{begun}" if begun else ""
        formats = ["csv", "tensorboard"] if find_spec("tensorboard") else ["csv"]
        outputs = [make_output_format(f, str(folder), suffix) for f in formats]
        self.logger = Logger(str(folder), outputs)
        self.progress = _Progress(settings.stage_ends()[-1], begun)
        self._stages, self._say = len(settings.stage_ends()), say
        self._choose_by = settings.choose_by

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.logger.close()

    def report(self, state: State) -> None:
        """Report a stage that has ended."""
        value = state.validations[-1]
        self.logger.record(VALIDATION_KEYS[self._choose_by], value)
        self.logger.dump(self.progress.num_timesteps)
        self.progress.note = f", validation {value:+.2f}"
        self.progress.clear()
        self._say(
            f"stage {len(state.validations)} of {self._stages}: {self.progress.pace()}, "
            f"validation {value:+.4f} dollars per market ({self._choose_by})"
        )


def _seed_of(settings: TrainingSettings, stage: int) -> int:
    return (settings.seed + stage * 1_000_003) % 2**31


def _network(dataset: Dataset, settings: TrainingSettings) -> dict[str, Any]:
    """How the policy's network is made."""
    if not settings.normalise:
        return network_of(settings)
    seen = sample(dataset, settings)
    return network_of(settings, seen.mean(axis=0), seen.std(axis=0))


def _new(settings: TrainingSettings, datasets: _StageDatasets, env: BatchedVecEnv) -> Any:
    """A learner that has not learned anything yet."""
    return ALGORITHMS[settings.algorithm](
        LearnerPolicy,
        env,
        seed=settings.seed,
        device="cpu",
        policy_kwargs=_network(datasets.of(len(settings.stage_ends()) - 1), settings),
        **settings.hyper_parameters(),
    )


def _env(settings: TrainingSettings, datasets: _StageDatasets, stage: int) -> BatchedVecEnv:
    rules = settings.rules(random_start=True)
    return BatchedVecEnv(
        datasets.of(stage),
        rules,
        settings.n_envs,
        _seed_of(settings, stage),
        settings.reward,
        settings.risk_aversion,
    )


def learn(
    sessions: Sequence[RecordedSession],
    state: State,
    judge: Judge,
    folder: Path,
    *,
    resume: bool = False,
    say: Say = lambda _: None,
) -> tuple[Any, State]:
    """Learn on the markets.

    Args:
        sessions: The training markets.
        state: Settings and markets.
        judge: Scores a policy on the validation markets; higher is better.
        folder: Of the run: checkpoints and logs.
        resume: Whether to continue after the last checkpoint.
        say: Gets a line for people now and then.

    Returns:
        (the learner of the stage that is kept, how validation went).

    Raises:
        CheckpointError: Nothing to resume, or it was begun otherwise.
    """
    torch.set_num_threads(1)  # small batches: a second thread only waits
    settings, checkpoints = state.settings, Checkpoints(folder / CHECKPOINTS)
    state = (checkpoints.resume if resume else checkpoints.begin)(state)
    stage, stages = len(state.validations), len(settings.stage_ends())
    algorithm = None
    if stage:
        algorithm = _after(stage - 1, settings, checkpoints)
        say(f"going on after stage {stage}, {algorithm.num_timesteps:,} steps")
    if stage < stages and not state.stopped:
        with _Log(folder / LOG, settings, algorithm.num_timesteps if algorithm else 0, say) as log:
            state = _stages(sessions, state, algorithm, judge, checkpoints, log)
    if len(state.validations) < stages:
        say(f"stopped: no better validation for {settings.patience} stages")
    say(f"kept: stage {state.kept + 1} of {stages}")
    return _after(state.kept, settings, checkpoints), state


def _after(stage: int, settings: TrainingSettings, checkpoints: Checkpoints) -> Any:
    """The learner as it was after a stage."""
    return load_learner(checkpoints.path(stage), settings, settings.stage_ends()[stage])


def _stages(
    sessions: Sequence[RecordedSession],
    state: State,
    algorithm: Any,
    judge: Judge,
    checkpoints: Checkpoints,
    log: _Log,
) -> State:
    """Learn the stages that are left, until validation says stop."""
    settings = state.settings
    datasets, ends = _StageDatasets(sessions, settings), settings.stage_ends()
    for stage in range(len(state.validations), len(ends)):
        env = _env(settings, datasets, stage)
        algorithm = algorithm or _new(settings, datasets, env)  # which seeds the first stage
        algorithm.set_env(env)
        algorithm.set_logger(log.logger)
        if stage:
            algorithm.set_random_seed(_seed_of(settings, stage))
        left = ends[stage] - algorithm.num_timesteps
        algorithm.learn(left, callback=log.progress, log_interval=1, reset_num_timesteps=False)
        algorithm.save(checkpoints.path(stage))
        state = state.after(judge(policy_of(algorithm, settings)))
        checkpoints.save(state)
        log.report(state)
        if state.stopped:
            break
    return state
