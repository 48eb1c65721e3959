"""Train a policy on recorded markets.

    python -m models.train --recordings DIR --algorithm ppo --timesteps N --seed S --out DIR

Writes `model.zip`, `run.json` (everything the exporter puts into the manifest) and
`observations.npy`: observations of the judged markets, against which the export is checked; beside
them `checkpoints/` and `log/`. The folder holds what comes from recordings, so it is not for
publication; the exported model is. Exit code 0 when a policy was trained, 2 when it cannot be.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from ipc.clock import real_ns
from models.command_line import try_folder
from models.learning.options import check, parse, select, settings_of, split_of
from models.learning.training import model_run, train

__all__ = ["main"]


def _print(line: str) -> None:
    print(line, flush=True)


def main(argv: Sequence[str] | None = None) -> int:
    """Train and print the split and the evaluation; 2 for an invalid argument."""
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
        _print("\n".join([*split.describe(), *split.fee_lines()]))
        asked = {"rolling": options.rolling, "resume": options.resume}
        run = train(split, settings, options.out, **asked, say=_print)
        if options.session:
            note_runs(os.environ, options.session, [model_run(run, options.out, begun_ns)])
    except (ValueError, OSError) as error:
        print(f"train: {error}", file=sys.stderr)
        return 2
    for name, figure in run.evaluation.items():
        print(f"{name}: {figure:+.4f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
