"""Which markets a policy learns from, is chosen by and is judged on: parts that follow in time.

A market belongs to the day in New York on which it begins, by the exchange's own time zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from ipc.errors import KalshiActorError
from models.observation.schema import ZONE
from models.simulation.tape import RecordedSession

__all__ = [
    "TEST",
    "TRAIN",
    "VALIDATION",
    "Split",
    "SplitError",
    "chosen",
    "moment_ns",
    "rolling_splits",
    "split_at",
    "split_by_days",
    "split_by_time",
]

TRAIN: Final = "train"
VALIDATION: Final = "validation"
TEST: Final = "test"
_NEW_YORK: Final = ZoneInfo(ZONE)
_NS: Final = 1_000_000_000

Sessions = tuple[RecordedSession, ...]


class SplitError(KalshiActorError, ValueError):
    """Sessions that cannot be split: how many there are, and how many it takes."""


class Split(msgspec.Struct, frozen=True):
    """Markets to learn from, later ones to choose by, still later ones to judge by (or none)."""

    train: Sessions
    validation: Sessions
    test: Sessions = ()

    @property
    def parts(self) -> dict[str, Sessions]:
        """The parts by name, in order."""
        return {TRAIN: self.train, VALIDATION: self.validation, TEST: self.test}

    @property
    def judged(self) -> Sessions:
        """What the trained policy is judged on: the test markets, else those of the validation."""
        return self.test or self.validation

    def as_names(self) -> dict[str, tuple[str, ...]]:
        """The tickers of each part, for the manifest."""
        return {name: tuple(s.ticker for s in part) for name, part in self.parts.items()}

    def describe(self) -> list[str]:
        """A line per part, and one where markets of two parts were open at the same time."""
        lines = [_line(name, part) for name, part in self.parts.items()]
        for (name, part), (later, after) in pairwise(self.parts.items()):
            end_ns = max(int(s.events["recv_ns"][-1]) for s in part) if part else 0
            early = sum(s.first_ns < end_ns for s in after)
            if early:
                lines.append(f"{early} markets of {later} began before the last of {name} ended")
        return lines


def _line(name: str, part: Sessions) -> str:
    if not part:
        return f"{name}: no markets"
    first, last = (_new_york(s) for s in (part[0], part[-1]))
    return (
        f"{name}: {len(part)} markets, {sum(len(s.events) for s in part)} events, "
        f"{part[0].ticker} to {part[-1].ticker}, begun {first:%Y-%m-%d %H:%M} to "
        f"{last:%Y-%m-%d %H:%M} New York time"
    )


def _new_york(session: RecordedSession) -> datetime:
    return datetime.fromtimestamp(session.first_ns // _NS, UTC).astimezone(_NEW_YORK)


def moment_ns(text: str) -> int:
    """`2026-08-08` or `2026-08-10T20:00[-04:00]`; without an offset, in New York. `ValueError`."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"{text!r} is no date; allowed: 2026-08-08, 2026-08-10T20:00, 2026-08-10T20:00-04:00"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_NEW_YORK)
    return int(moment.timestamp()) * _NS


def chosen(
    sessions: Sequence[RecordedSession],
    *,
    environment: str | None = None,
    since_ns: int | None = None,
    before_ns: int | None = None,
    mixed: bool = False,
) -> list[RecordedSession]:
    """Those of an environment that begin within a time; `ValueError` if none, or a mix of them."""
    found = [
        s
        for s in sessions
        if (environment is None or s.environment == environment)
        and (since_ns is None or s.first_ns >= since_ns)
        and (before_ns is None or s.first_ns < before_ns)
    ]
    if not found:
        raise ValueError(f"none of {len(sessions)} markets is of that environment and time")
    environments = sorted({str(s.environment) for s in found})
    if len(environments) > 1 and not mixed:
        raise ValueError(
            f"markets of {' and '.join(environments)} are not mixed; "
            "allowed: --environment for one of them, --mixed for all"
        )
    return found


def _ordered(sessions: Sequence[RecordedSession]) -> Sessions:
    if len(sessions) < 2:
        raise SplitError(f"{len(sessions)} markets cannot be split by time, it takes at least 2")
    return tuple(sorted(sessions, key=lambda s: (s.first_ns, s.ticker)))


def _cuts(weights: Sequence[int], shares: tuple[float, float]) -> tuple[int, int]:
    """Where to cut a row of blocks so that its parts come nearest to the shares of the weight."""
    ends = np.cumsum(weights)
    wanted = np.cumsum(shares) * ends[-1]
    first, second = (int(np.abs(ends - w).argmin()) + 1 for w in wanted)
    first = min(first, len(weights) - 1)
    return first, max(second, first + 1)


def split_by_time(
    sessions: Sequence[RecordedSession], share: float = 0.6, validation_share: float = 0.2
) -> Split:
    """By shares of the markets: the earlier to learn from, then to choose by, then to judge by."""
    ordered = _ordered(sessions)
    first, second = _cuts([1] * len(ordered), (share, validation_share))
    return Split(ordered[:first], ordered[first:second], ordered[second:])


def split_by_days(
    sessions: Sequence[RecordedSession], share: float = 0.6, validation_share: float = 0.2
) -> Split:
    """The same with whole days kept together; what is left for the test may be nothing."""
    days: dict[date, list[RecordedSession]] = {}
    for session in _ordered(sessions):
        days.setdefault(_new_york(session).date(), []).append(session)
    if len(days) < 2:
        raise SplitError(f"{len(sessions)} markets of one day cannot be split by days")
    blocks = list(days.values())
    first, second = _cuts([len(block) for block in blocks], (share, validation_share))
    parts = blocks[:first], blocks[first:second], blocks[second:]
    return Split(*(tuple(s for block in part for s in block) for part in parts))


def split_at(
    sessions: Sequence[RecordedSession], train_until_ns: int, validation_until_ns: int | None
) -> Split:
    """By moments: a market belongs to the part in which it begins; without the second, no test."""
    ordered = _ordered(sessions)
    end_ns = ordered[-1].first_ns + 1 if validation_until_ns is None else validation_until_ns
    train = tuple(s for s in ordered if s.first_ns < train_until_ns)
    validation = tuple(s for s in ordered if train_until_ns <= s.first_ns < end_ns)
    if not train or not validation:
        raise SplitError(
            f"these dates leave {len(train)} of {len(ordered)} markets for train and "
            f"{len(validation)} for validation, it takes at least 1 each"
        )
    return Split(train, validation, ordered[len(train) + len(validation) :])


def rolling_splits(split: Split, blocks: int) -> list[Split]:
    """The later markets in `blocks` that follow each other: learn from all before, judge on one.

    The block before the judged one chooses, so the first block is never judged on.
    """
    later = split.validation + split.test
    if not 2 <= blocks <= len(later):
        raise SplitError(
            f"{len(later)} markets after those of train make no {blocks} blocks; "
            f"allowed: 2 to {len(later)}"
        )
    pieces = [
        tuple(later[i] for i in part) for part in np.array_split(np.arange(len(later)), blocks)
    ]
    return [
        Split(sum(pieces[: n - 1], split.train), pieces[n - 1], pieces[n]) for n in range(1, blocks)
    ]
