"""A training: a policy learned on one split, judged on its last part, and the files it leaves.

torch is imported only once something is learned, so that arguments are checked without it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np

from ipc.clock import real_ns
from models.evaluation.comparison import compare
from models.evaluation.outcomes import Datasets, PolicyOutcome
from models.learning.checkpoints import State
from models.learning.settings import (
    MODEL,
    OBSERVATIONS,
    RUN,
    ChooseBy,
    TrainingRun,
    TrainingSettings,
)
from models.learning.splits import Split, rolling_splits
from models.observation.builder import builder_of
from models.policies.baselines import BASELINES, Hold
from models.policies.interface import Policy
from models.policies.onnx import ModelRun, revision

__all__ = ["Trial", "figures", "model_run", "rolling_trials", "train", "trial"]

Say = Callable[[str], None]


class Trial(NamedTuple):
    """One policy that was learned, and its result and every baseline's on the judged markets.

    Attributes:
        learner: Of stable-baselines3.
        state: How validation went.
        validated: Its outcome on the markets that chose.
        trained: Its outcome on the judged markets.
        baselines: Their outcomes on the judged markets, by name.
    """

    learner: Any
    state: State
    validated: PolicyOutcome  # on the markets that chose
    trained: PolicyOutcome
    baselines: dict[str, PolicyOutcome]


def trial(
    split: Split,
    settings: TrainingSettings,
    folder: Path,
    *,
    resume: bool = False,
    say: Say = lambda _: None,
) -> Trial:
    """Learn on the earlier markets, choose by the next, judge on the last.

    Args:
        split: The markets.
        settings: What is asked for.
        folder: Of the run: checkpoints and logs.
        resume: Whether to continue after the last checkpoint.
        say: Gets a line for people now and then.
    """
    from models.learning.learner import learn, policy_of

    rules = settings.rules(random_start=False)
    validation = Datasets(split.validation, settings.throttle_ms)
    idle = validation.run(Hold(), rules)

    def judge(policy: Policy) -> float:
        made = validation.run(policy, rules)
        by_low = settings.choose_by is ChooseBy.LOW
        return compare(made, idle).low if by_low else made.mean_dollars

    asked = State(settings, split.as_names())
    learner, state = learn(split.train, asked, judge, folder, resume=resume, say=say)
    judged = Datasets(split.judged, settings.throttle_ms) if split.test else validation
    others = {name: judged.run(make(0), rules) for name, make in BASELINES.items()}
    trained = policy_of(learner, settings)
    validated = validation.run(trained, rules)
    ended = judged.run(trained, rules) if split.test else validated
    return Trial(learner, state, validated, ended, others)


def rolling_trials(
    split: Split,
    settings: TrainingSettings,
    blocks: int,
    folder: Path,
    *,
    resume: bool = False,
    say: Say = lambda _: None,
) -> list[Trial]:
    """A policy of its own for every block after the first, each taught by all markets before it."""
    from models.learning.learner import begun

    trials = []
    for number, part in enumerate(rolling_splits(split, blocks), 2):
        say("\n".join([f"block {number} of {blocks}", *part.describe()]))
        place = folder / f"block-{number}"
        trials.append(trial(part, settings, place, resume=resume and begun(place), say=say))
    return trials


def _joined(outcomes: Sequence[PolicyOutcome]) -> PolicyOutcome:
    """Outcomes of one kind of policy over different markets.

    Fills and actions are those of the first.
    """
    return msgspec.structs.replace(
        outcomes[0],
        net_e6=tuple(v for o in outcomes for v in o.net_e6),
        fees_e6=tuple(v for o in outcomes for v in o.fees_e6),
        filled_e2=tuple(v for o in outcomes for v in o.filled_e2),
    )


def figures(trials: Sequence[Trial]) -> dict[str, float]:
    """Net dollars per judged market: the policy's, the baselines', and the paired differences.

    The keys are those of `Manifest.evaluation`; several trials count as one over all their markets.
    """
    trained = _joined([t.trained for t in trials])
    decisions = sum(t.trained.decisions for t in trials)
    held = sum(t.trained.action_shares["HOLD"] * t.trained.decisions for t in trials)
    found = {"markets": float(len(trained.net_e6)), "net_dollars_per_market": trained.mean_dollars}
    found["contracts_per_market"] = sum(trained.filled_e2) / 100 / len(trained.net_e6)
    found["hold_share"] = held / decisions
    for name in trials[0].baselines:
        other = _joined([t.baselines[name] for t in trials])
        mean, low, high = compare(trained, other)
        found[f"{name}_net_dollars_per_market"] = other.mean_dollars
        found[f"minus_{name}_mean"] = mean
        found[f"minus_{name}_low95"] = low
        found[f"minus_{name}_high95"] = high
    return found


def _libraries() -> dict[str, str]:
    names = ("gymnasium", "numba", "numpy", "stable-baselines3", "torch")
    return {name: version(name) for name in names}


def train(
    split: Split,
    settings: TrainingSettings,
    out: Path,
    *,
    rolling: int = 0,
    resume: bool = False,
    say: Say = lambda _: None,
) -> TrainingRun:
    """Learn, judge, and write the three files of a run.

    Args:
        split: The markets.
        settings: What is asked for.
        out: Folder of the run.
        rolling: Blocks of the later markets that are judged one by one, too; 0 for none.
        resume: Whether to continue after the last checkpoint.
        say: Gets a line for people now and then.

    Returns:
        What was done, as in `run.json`.

    Raises:
        SplitError: Not enough markets.
        CheckpointError: Nothing to resume, or it was begun otherwise.
    """
    from models.learning.learner import policy_of, sample

    if rolling:
        rolling_splits(split, rolling)  # says now what it could not do later
    if settings.patience and not split.test:
        say("no test markets: the validation that chooses judges too, and flatters")
    done = trial(split, settings, out, resume=resume, say=say)
    evaluation = figures([done])
    evaluation["validation_net_dollars_per_market"] = done.validated.mean_dollars
    learned = Datasets(split.train, settings.throttle_ms).run(
        policy_of(done.learner, settings), settings.rules(random_start=False)
    )
    evaluation["train_net_dollars_per_market"] = learned.mean_dollars
    if rolling:
        place = out / "rolling"
        trials = rolling_trials(split, settings, rolling, place, resume=resume, say=say)
        evaluation |= {f"rolling_{name}": value for name, value in figures(trials).items()}
    environments = {str(s.environment) for part in split.parts.values() for s in part}
    run = TrainingRun(
        settings=msgspec.structs.replace(settings, timesteps=int(done.learner.num_timesteps)),
        hyper_parameters=settings.hyper_parameters() | settings.network(),
        environments=tuple(sorted(environments)),
        split=split.as_names(),
        evaluation=evaluation,
        libraries=_libraries(),
        fees_assumed=sum(bool(s.fees.assumption) for part in split.parts.values() for s in part),
    )
    judged = Datasets(split.judged, settings.throttle_ms).of(builder_of(settings.schema))
    done.learner.save(out / MODEL)
    np.save(out / OBSERVATIONS, sample(judged, settings))
    (out / RUN).write_bytes(msgspec.json.format(msgspec.json.encode(run)) + b"\n")
    return run


def model_run(run: TrainingRun, out: Path, begun_ns: int) -> ModelRun:
    """The record that a model was trained, for the database."""
    return ModelRun(
        kind="train",
        model_id=out.name,
        model_hash=hashlib.sha256((out / MODEL).read_bytes()).hexdigest()[:16],
        code_version=revision(),
        config=msgspec.to_builtins(run.settings) | {"split": run.split},
        metrics=run.evaluation,
        started_ns=begun_ns,
        ended_ns=real_ns(),
    )
