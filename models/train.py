"""Train a policy on recorded markets.

    python -m models.train --recordings DIR --algorithm ppo --timesteps N --seed S --out DIR

Writes `model.zip`, `run.json` (everything the exporter puts into the manifest) and
`observations.npy`: observations of the judged markets, against which the export is checked; beside
them `checkpoints/` and `log/`. The folder holds what comes from recordings, so it is not for
publication; the exported model is.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from ipc.clock import real_ns
from models.command_line import try_folder
from models.evaluate import Worlds
from models.learning.options import check, parse, select, settings_of, split_of
from models.learning.settings import MODEL, OBSERVATIONS, RUN, Run, Settings
from models.learning.splits import Split, rolling_splits
from models.observation.builder import builder_of
from models.policies.provenance import ModelRun, revision

__all__ = [
    "OBSERVATIONS",
    "RUN",
    "Run",
    "Settings",
    "main",
    "train",
]

Say = Callable[[str], None]


def _libraries() -> dict[str, str]:
    from importlib.metadata import version

    names = ("gymnasium", "numba", "numpy", "stable-baselines3", "torch")
    return {name: version(name) for name in names}


def train(
    split: Split,
    settings: Settings,
    out: Path,
    *,
    rolling: int = 0,
    resume: bool = False,
    say: Say = lambda _: None,
) -> Run:
    """Learn on the earlier markets, judge on the later ones, write the three files to `out`."""
    from models.learning.learner import policy_of, sample
    from models.learning.trial import figures, rolling_trials, trial

    if rolling:
        rolling_splits(split, rolling)  # says now what it could not do later
    if settings.patience and not split.test:
        say("no test markets: the validation that chooses judges too, and flatters")
    done = trial(split, settings, out, resume=resume, say=say)
    evaluation = figures([done])
    evaluation["validation_net_dollars_per_market"] = done.validated.mean_dollars
    learned = Worlds(split.train, settings.throttle_ms).run(
        policy_of(done.learner, settings), settings.rules(random_start=False)
    )
    evaluation["train_net_dollars_per_market"] = learned.mean_dollars
    if rolling:
        place = out / "rolling"
        trials = rolling_trials(split, settings, rolling, place, resume=resume, say=say)
        evaluation |= {f"rolling_{name}": value for name, value in figures(trials).items()}
    environments = {str(s.environment) for part in split.parts.values() for s in part}
    run = Run(
        settings=msgspec.structs.replace(settings, timesteps=int(done.learner.num_timesteps)),
        hyper_parameters=settings.hyper_parameters() | settings.network(),
        environments=tuple(sorted(environments)),
        split=split.as_names(),
        evaluation=evaluation,
        libraries=_libraries(),
    )
    judged = Worlds(split.judged, settings.throttle_ms).of(builder_of(settings.schema))
    done.learner.save(out / MODEL)
    np.save(out / OBSERVATIONS, sample(judged, settings))
    (out / RUN).write_bytes(msgspec.json.format(msgspec.json.encode(run)) + b"\n")
    return run


def _run(run: Run, out: Path, begun_ns: int) -> ModelRun:
    """The note that a model was made."""
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


def _print(line: str) -> None:
    print(line, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Train and print the split and the evaluation; 2 when an argument means nothing."""
    from processes.adapters.kalshi.recordings.sessions import load_sessions
    from processes.adapters.postgres.archives import load_archive
    from processes.adapters.postgres.stored_markets import load_stored, note_runs

    try:
        options, begun_ns = parse(argv), real_ns()
        check(options)
        try_folder("--out", options.out)
        settings = settings_of(options)
        skip = options.skip_damaged
        sessions = [s for p in options.recordings for s in load_sessions(p, skip_damaged=skip)]
        sessions += [s for path in options.archive for s in load_archive(path)]
        if options.session:
            sessions += load_stored(os.environ, options.session, options.environment)
        split = split_of(options, select(options, sessions))
        _print("\n".join(split.describe()))
        asked = {"rolling": options.rolling, "resume": options.resume}
        run = train(split, settings, options.out, **asked, say=_print)
        if options.session:
            note_runs(os.environ, options.session, [_run(run, options.out, begun_ns)])
    except (ValueError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    for name, figure in run.evaluation.items():
        print(f"{name}: {figure:+.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
