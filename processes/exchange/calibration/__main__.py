"""`python -m processes.exchange.calibration`: the synthetic flow's statistics beside real ones."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

from models.command_line import SEEDS, Parser, whole
from processes.adapters.kalshi.recordings import RecordingError
from processes.exchange.calibration.compare import (
    BUSY_RATE,
    PLANS,
    Plan,
    lines,
    measure,
    missed,
    read_recordings,
)


def _print(plan: Plan, seed: int, seconds: int | None, recorded: dict[str, float]) -> None:
    follow_s = seconds or plan.seconds
    synthetic = measure(plan, seed, follow_s)
    print(f"## {plan.profile.name}: seed {seed}, {plan.windows} windows, {follow_s} s of each\n")
    print("\n".join(lines(plan.targets, synthetic, recorded)))
    misses = missed(plan.targets, synthetic)
    print(f"\n{len(misses)} of {len(plan.targets)} beyond a factor of 1.5: {misses or 'none'}\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Measure and print; 2 for recordings that cannot be read."""
    parser = Parser(prog="python -m processes.exchange.calibration", description=__doc__)
    parser.add_argument(
        "--recordings", type=Path, metavar="FOLDER", help="measure these by the same code, too"
    )
    parser.add_argument("--seconds", type=whole(1, 86_400), metavar="N", help="of each window")
    parser.add_argument("--seed", type=whole(*SEEDS), default=1, metavar="S")
    options = parser.parse_args(argv)
    try:
        busy, slow = read_recordings(options.recordings) if options.recordings else ({}, {})
    except RecordingError as error:
        print(f"calibration: --recordings {error}", file=sys.stderr)
        return 2
    for plan in PLANS:
        recorded = busy if plan.rate >= BUSY_RATE else slow
        _print(plan, options.seed, options.seconds, recorded)
    return 0


if __name__ == "__main__":
    sys.exit(main())
