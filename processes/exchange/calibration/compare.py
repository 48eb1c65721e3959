"""Samples of the synthetic flow, their statistics beside recordings, and the report of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from processes.exchange.calibration.statistics import figures, median_figures
from processes.exchange.calibration.tape import Tape, recorded_tapes, tapes_of
from processes.exchange.calibration.targets import ACTIVE_TARGETS, SLOW_TARGETS, Target
from processes.exchange.core.events import Event
from processes.exchange.core.order_entry import OrderEntry
from processes.exchange.core.venue import Venue
from processes.exchange.synthetic.flow import SyntheticFlow
from processes.exchange.synthetic.profiles import ACTIVE, SLOW, Profile

__all__ = [
    "BUSY_RATE",
    "PLANS",
    "Plan",
    "Sample",
    "lines",
    "measure",
    "missed",
    "read_recordings",
    "sample",
]

EPOCH_S: Final = 1_767_225_600  # of the first window, about
STRIDE_MS: Final = 250


class Sample(NamedTuple):
    """One window, as far as it was followed; `value` is what a market that settled paid."""

    tape: Tape
    value_e4: int | None


def sample(profile: Profile, seed: int, window: int, seconds: int, skip_s: int = 0) -> Sample:
    """Follow a window for a while, `skip_s` after its beginning; beyond its end it settles."""
    said: list[Event] = []
    begin_s = EPOCH_S // profile.window_s * profile.window_s
    now_ms = (begin_s + window * profile.window_s + skip_s) * 1000
    end_ms = now_ms + seconds * 1000
    venue = Venue([], lambda: now_ms, said.append)
    numbers = count(1)
    flow = SyntheticFlow(
        venue, OrderEntry(venue, lambda: str(next(numbers)), shadow=False), seed, [profile]
    )
    while now_ms < end_ms:
        flow.step(now_ms)
        now_ms += STRIDE_MS
    flow.step(end_ms)
    market = venue.by_number[0]
    return Sample(tapes_of(said)[market.ticker], market.value_e4)


Figures = Mapping[str, float]


def lines(
    targets: tuple[Target, ...], synthetic: Figures, recorded: Figures | None = None
) -> Iterator[str]:
    """A table; `recorded` is one more column, of recordings that were read just now."""
    heads = ["", "figure", "synthetic", "real", *(["recorded"] if recorded else []), "ratio", ""]
    yield f"| {' | '.join(heads)} |"
    yield "|" + " --- |" * len(heads)
    group = ""
    for target in targets:
        value = synthetic.get(target.name)
        cells = [target.group if target.group != group else "", target.name]
        cells += [_shown(value), _real(target)]
        if recorded:
            cells.append(_shown(recorded.get(target.name)))
        cells += _verdict(target, value)
        group = target.group
        yield f"| {' | '.join(cells)} |"


def missed(targets: tuple[Target, ...], synthetic: Figures) -> list[str]:
    """The names of figures that are not near."""
    return [t.name for t in targets if t.name not in synthetic or not t.is_near(synthetic[t.name])]


def _verdict(target: Target, value: float | None) -> list[str]:
    if value is None:
        return ["-", "MISS"]
    return [f"{target.ratio(value):.2f}", "ok" if target.is_near(value) else "MISS"]


def _real(target: Target) -> str:
    if target.low == target.high:
        return _shown(target.low)
    return f"{_shown(target.low)} to {_shown(target.high)}"


def _shown(value: float | None) -> str:
    if value is None:
        return "-"
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


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
