"""Trainings of the same markets compared, and how often the best of them is luck.

    python -m models.research.tries RUN RUN ... --recordings DIR

Each RUN is a folder that `models.train` wrote. Prints a line per training, the best on validation
first: the settings in which they differ, and what it made minus holding on the markets that chose
and on those that judge, in net dollars per market with a 95 % bootstrap over markets. Of the latter
also the median and the best market: a mean that one market makes is no edge.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import numpy as np

from models.command_line import Parser
from models.evaluation.comparison import best_by_chance, compare
from models.evaluation.outcomes import Datasets, PolicyOutcome
from models.learning.settings import MODEL, RUN, TrainingRun, TrainingSettings
from models.policies.baselines import Hold
from models.policies.onnx import TEST, VALIDATION
from models.simulation.tape import RecordedSession

__all__ = ["Try", "main", "play", "report"]

PARTS: Final = (VALIDATION, TEST)


class Try(NamedTuple):
    """One training, and the outcomes of its policy and of holding on each part.

    Attributes:
        name: Of the run's folder.
        settings: What was asked for.
        trained: By part, `validation` and `test`.
        idle: Of `baseline:hold`, likewise.
    """

    name: str
    settings: TrainingSettings
    trained: dict[str, PolicyOutcome]
    idle: dict[str, PolicyOutcome]


def _runs(folders: Sequence[Path]) -> list[TrainingRun]:
    """What was trained; `ValueError` unless all were split alike, with markets to judge on."""
    from models.learning.learner_file import read_run

    runs = [read_run(f / RUN) for f in folders]
    for folder, run in zip(folders, runs, strict=True):
        if run.split != runs[0].split:
            raise ValueError(f"{folders[0]} and {folder} were not trained on the same split")
        if not run.split.get(TEST):
            raise ValueError(f"{folder} left no markets to judge on")
    return runs


def play(folders: Sequence[Path], sessions: Iterable[RecordedSession]) -> list[Try]:
    """Play each training's policy on its validation and judged markets.

    Greedily, with the pricing, throttle, size and cash that it was trained with.

    Args:
        folders: That `models.train` wrote.
        sessions: The markets; those of no training are left out.

    Raises:
        ValueError: The trainings were not split alike, left no markets to judge on, or a market is
            not among the sessions.
        LearnerFileError: A file of a training cannot be used.
    """
    from models.learning.learner_file import load_policy

    known = {s.ticker: s for s in sessions}
    places: dict[tuple[str, int], tuple[Datasets, PolicyOutcome]] = {}
    tries = []
    for folder, run in zip(folders, _runs(folders), strict=True):
        settings = run.settings
        policy = load_policy(folder / MODEL, settings)
        rules = settings.rules(random_start=False)
        done = Try(folder.name, settings, {}, {})
        for part in PARTS:
            lacking = [t for t in run.split[part] if t not in known]
            if lacking:
                raise ValueError(f"market {lacking[0]} of {folder} is not among the recordings")
            key = part, settings.throttle_ms
            if key not in places:
                datasets = Datasets([known[t] for t in run.split[part]], settings.throttle_ms)
                places[key] = datasets, datasets.run(Hold(), rules)
            datasets, done.idle[part] = places[key]
            done.trained[part] = datasets.run(policy, rules)
        tries.append(done)
    return tries


def _differing(tries: Sequence[Try]) -> list[dict[str, str]]:
    """Of each, the settings that are not the same in all."""
    settings = [{k: str(v) for k, v in msgspec.to_builtins(t.settings).items()} for t in tries]
    names = [k for k in settings[0] if len({s[k] for s in settings}) > 1]
    return [{k: s[k] for k in names} for s in settings]


def report(tries: Sequence[Try]) -> list[str]:
    """Compare tries in lines for people: one each, the best on validation first.

    The last two lines say what chance makes of the best, on validation and on the test.
    """
    lines = []
    for done, settings in zip(tries, _differing(tries), strict=True):
        made = {part: compare(done.trained[part], done.idle[part]) for part in PARTS}
        shown = " ".join(f"{k}={v}" for k, v in settings.items())
        parts = ", ".join(f"{part} {difference}" for part, difference in made.items())
        judged = done.trained[TEST]
        shape = (
            f"median {np.median(judged.net_e6) / 1e6:+.2f}, best {max(judged.net_e6) / 1e6:+.2f}"
        )
        hold = f"holds {judged.action_shares['HOLD']:.0%}"
        lines.append((-made[VALIDATION].mean, f"{done.name}: {shown}: {parts} ({shape}), {hold}"))
    found = [line for _, line in sorted(lines)]
    for part in PARTS:
        nets = np.array([t.trained[part].net_e6 for t in tries]) / 1e6
        found.append(
            f"{part}: the best of {len(tries)} tries without any edge looks as good as the best "
            f"here, in standard errors, in {best_by_chance(nets):.0%} of cases"
        )
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Print the report; 2 for an invalid argument."""
    from processes.adapters.kalshi.recordings.sessions import load_sessions

    parser = Parser(prog="python -m models.research.tries", description="Compare tries.")
    parser.add_argument("runs", type=Path, nargs="+", help="folders that models.train wrote")
    parser.add_argument(
        "--recordings", type=Path, action="append", required=True, help="file or folder; repeat"
    )
    options = parser.parse_args(argv)
    try:
        sessions = [market for path in options.recordings for market in load_sessions(path)]
        print("\n".join(report(play(options.runs, sessions))))
    except (ValueError, OSError) as error:
        print(f"tries: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
