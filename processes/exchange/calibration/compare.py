"""What is compared with what: windows of each kind of market, and recordings of the same kind."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import msgspec

from processes.exchange.calibration.sample import sample
from processes.exchange.calibration.statistics import figures, median_figures
from processes.exchange.calibration.tape import recorded_tapes
from processes.exchange.calibration.targets import ACTIVE_TARGETS, SLOW_TARGETS, Target
from processes.exchange.synthetic.profiles import ACTIVE, SLOW, Profile

__all__ = ["BUSY_RATE", "PLANS", "Plan", "measure", "read_recordings"]

BUSY_RATE: Final = 10.0  # changes a second, from which on a market is an active one
LEAST_MARKS: Final = 500  # of a recording, less says nothing


class Plan(msgspec.Struct, frozen=True):
    """How one kind of market is measured; `rate` is about how busy it is."""

    profile: Profile
    targets: tuple[Target, ...]
    windows: int
    seconds: int
    skip_s: int
    rate: float


PLANS: Final = (
    Plan(ACTIVE, ACTIVE_TARGETS, windows=30, seconds=900, skip_s=0, rate=55.0),
    Plan(SLOW, SLOW_TARGETS, windows=24, seconds=7_200, skip_s=86_400, rate=0.4),
)


def measure(plan: Plan, seed: int, seconds: int) -> dict[str, float]:
    """The median window's figures."""
    tapes = (
        sample(plan.profile, seed, window, seconds, plan.skip_s).tape
        for window in range(plan.windows)
    )
    return median_figures([figures(tape) for tape in tapes])


def read_recordings(path: Path) -> tuple[dict[str, float], dict[str, float]]:
    """The median recorded market's figures: of the active ones, and of the others."""
    busy: list[dict[str, float]] = []
    slow: list[dict[str, float]] = []
    for _, tape in recorded_tapes(path):
        found = figures(tape) if len(tape) >= LEAST_MARKS else {}
        if found:
            (busy if found["rate mean"] >= BUSY_RATE else slow).append(found)
    return median_figures(busy), median_figures(slow)
