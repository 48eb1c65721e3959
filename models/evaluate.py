"""How policies and baselines do on recorded markets: net P&L per market, fees and settlement in.

    python -m models.evaluate --recordings DIR --policy onnx:default --policy baseline:random
    python -m models.evaluate --archive SESSION.parquet --policy var/models/mine --report FOLDER
    python -m models.evaluate --session 1 --session 2 --json FIGURES.json

A policy is `onnx:<id>`, `baseline:<name>`, `python:<module>.<class>` (docs/strategies.md) or a
folder with a manifest; the first is the one that is judged. Without `--policy`: the default model
and every baseline. Markets that a model learned from are left out unless `--all` says otherwise;
pricing, sizes and throttle are the first model's own.
Every pair is compared market by market; the interval is a bootstrap over markets.

Where it is not known what a market paid, what is held at its end counts at the last known touch,
less the fee of closing it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ipc.clock import real_ns
from ipc.messages import Environment
from ipc.places import default_data_dir
from models.command_line import SEEDS, Parser, try_file, try_folder, whole
from models.evaluation.judging import judge, model_runs, write
from models.evaluation.report import terminal_lines
from models.simulation.data_age import MAX_DATA_AGE_MS, NO_LIMIT_MS
from models.simulation.tape import RecordedSession
from models.trading.actions import Pricing

__all__ = ["main"]


def _age(text: str) -> int:
    """Milliseconds, or `off`."""
    return NO_LIMIT_MS if text == "off" else whole(1, 3_600_000)(text)


def _arguments(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = Parser(
        prog="python -m models.evaluate", description="Judge policies on recorded markets."
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--recordings", type=Path, action="append", help="file or folder; repeat")
    source.add_argument(
        "--archive", type=Path, action="append", help="an archived session (Parquet); repeat"
    )
    source.add_argument(
        "--session",
        action="append",
        help="id or uid of a stored session, `latest` or `all`; repeat",
    )
    parser.add_argument(
        "--policy",
        action="append",
        help="onnx:<id>, baseline:<name>, python:<module>.<class>, or a model's folder; repeat",
    )
    parser.add_argument(
        "--skip-damaged", action="store_true", help="leave out recordings that cannot be read"
    )
    parser.add_argument(
        "--all", action="store_true", help="judge on markets that were learned from, too"
    )
    parser.add_argument("--pricing", choices=list(Pricing), help="default: the first model's")
    parser.add_argument(
        "--throttle-ms", type=whole(0, 3_600_000), help="default: the first model's"
    )
    parser.add_argument(
        "--max-data-age-ms",
        type=_age,
        default=MAX_DATA_AGE_MS,
        help="nothing is ordered on data that was older when it was received, or off "
        "(default: %(default)s, as RL_MAX_DATA_AGE_MS)",
    )
    parser.add_argument("--seed", type=whole(*SEEDS), default=0)
    parser.add_argument("--environment", choices=list(Environment), help="only markets of this one")
    parser.add_argument(
        "--data-dir",
        type=Path,
        default=Path(os.environ.get("RL_DATA_DIR") or default_data_dir()),
        help="the data folder of the stack (default: RL_DATA_DIR)",
    )
    parser.add_argument("--json", type=Path, help="write the figures here too")
    parser.add_argument("--report", type=Path, help="folder for report.md and report.html")
    return parser.parse_args(argv)


def _of_environment(
    sessions: Sequence[RecordedSession], environment: str | None
) -> list[RecordedSession]:
    """Those recorded in one environment; `ValueError` when there are none."""
    found = [s for s in sessions if environment in (None, s.environment)]
    if environment is not None and not found:
        raise ValueError(f"--environment {environment}: none of {len(sessions)} markets is of it")
    return found


def _try_outputs(options: argparse.Namespace) -> None:
    """`ValueError` for a file or folder that could not be written at the end of the work."""
    if options.json:
        try_file("--json", options.json)
    if options.report:
        try_folder("--report", options.report)


def main(argv: Sequence[str] | None = None) -> int:
    """Print the verdict and a line per policy and per pair; 2 for an invalid argument."""
    from processes.adapters.kalshi.recordings.sessions import load_sessions
    from processes.adapters.postgres.archives import load_archive
    from processes.adapters.postgres.stored_markets import load_stored, note_runs

    options, begun_ns = _arguments(argv), real_ns()
    environ = {**os.environ, "RL_DATA_DIR": str(options.data_dir)}
    try:
        _try_outputs(options)
        if options.session:
            sessions = load_stored(environ, options.session, options.environment, mixed=False)
        elif options.archive:
            sessions = [market for path in options.archive for market in load_archive(path)]
        else:
            sessions = [
                market
                for path in options.recordings
                for market in load_sessions(path, skip_damaged=options.skip_damaged)
            ]
        sessions = _of_environment(sessions, options.environment)
        outcomes, setting = judge(options, sessions)
        print(
            "\n".join(terminal_lines(outcomes, setting)), flush=True
        )  # first: writing may still fail
        write(options, outcomes, setting)
        if options.session:
            note_runs(environ, options.session, model_runs(outcomes, setting, begun_ns))
    except (ValueError, OSError) as error:
        print(f"evaluate: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
