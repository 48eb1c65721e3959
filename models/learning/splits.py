"""Which markets a policy learns from, is chosen by and is judged on, and in which order.

The parts follow each other in time. A market belongs to the day in New York on which it begins: the
exchange's own time zone. A curriculum begins with the busier or the calmer markets of the training
part, by events a minute.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from enum import StrEnum
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

import msgspec
import numpy as np

from ipc.clock import NS_PER_S
from ipc.errors import KalshiActorError
from models.observation.schema import ZONE
from models.policies.onnx import TEST, TRAIN, VALIDATION
from models.simulation.tape import RecordedSession
from models.trading.market_fees import fees_note

__all__ = [
    "LEAST_STAGES",
    "Curriculum",
    "Split",
    "SplitError",
    "activity",
    "chosen",
    "markets_of_stage",
    "moment_ns",
    "rolling_splits",
    "split_at",
    "split_by_days",
    "split_by_time",
]

_NEW_YORK: Final = ZoneInfo(ZONE)

Sessions = tuple[RecordedSession, ...]
# Up to that part of the training, that share of the markets; later all.
_STEPS: Final = ((1 / 4, 1 / 3), (1 / 2, 2 / 3))
LEAST_STAGES: Final = 4  # fewer would leave out a step
_MINUTE_NS: Final = 60_000_000_000


class SplitError(KalshiActorError, ValueError):
    """Sessions that cannot be split: how many there are, and how many are needed."""


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
        """A line per part, and one for markets of two parts that were open at the same time."""
        lines = [_line(name, part) for name, part in self.parts.items()]
        for (name, part), (later, after) in pairwise(self.parts.items()):
            end_ns = max(int(s.events["recv_ns"][-1]) for s in part) if part else 0
            early = sum(s.first_ns < end_ns for s in after)
            if early:
                lines.append(f"{early} markets of {later} began before the last of {name} ended")
        return lines

    def fee_lines(self) -> list[str]:
        """One line when the fees of any market had to be assumed, else none."""
        note = fees_note([s.fees for part in self.parts.values() for s in part])
        return [note] if note else []


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
    return datetime.fromtimestamp(session.first_ns // NS_PER_S, UTC).astimezone(_NEW_YORK)


def moment_ns(text: str) -> int:
    """Parse a date or time, in New York if no offset is given, to nanoseconds since the Unix epoch.

    Args:
        text: Such as `2026-08-08`, `2026-08-10T20:00` or `2026-08-10T20:00-04:00`.

    Raises:
        ValueError: Not a date.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(
            f"invalid date {text!r}; allowed: 2026-08-08, 2026-08-10T20:00, 2026-08-10T20:00-04:00"
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=_NEW_YORK)
    return int(moment.timestamp()) * NS_PER_S


def chosen(
    sessions: Sequence[RecordedSession],
    *,
    environment: str | None = None,
    since_ns: int | None = None,
    before_ns: int | None = None,
    mixed: bool = False,
) -> list[RecordedSession]:
    """The sessions of an environment that begin within a time.

    Args:
        sessions: Recorded markets.
        environment: Only markets of this one; None for any.
        since_ns: Only markets that begin then or later.
        before_ns: Only markets that begin earlier.
        mixed: Whether several environments at once are allowed.

    Raises:
        ValueError: None is left, or they are of several environments.
    """
    found = [
        s
        for s in sessions
        if (environment is None or s.environment == environment)
        and (since_ns is None or s.first_ns >= since_ns)
        and (before_ns is None or s.first_ns < before_ns)
    ]
    if not found:
        raise ValueError(f"none of {len(sessions)} markets is of this environment and time")
    environments = sorted({str(s.environment) for s in found})
    if len(environments) > 1 and not mixed:
        raise ValueError(
            f"markets of {' and '.join(environments)} are not mixed; "
            "allowed: --environment for one of them, --mixed for all"
        )
    return found


def _ordered(sessions: Sequence[RecordedSession]) -> Sessions:
    if len(sessions) < 2:
        raise SplitError(f"{len(sessions)} markets cannot be split by time; at least 2 are needed")
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
    """Split by shares of the markets: the earliest to learn from, the latest to judge by.

    Raises:
        SplitError: Fewer than 2 markets.
    """
    ordered = _ordered(sessions)
    first, second = _cuts([1] * len(ordered), (share, validation_share))
    return Split(ordered[:first], ordered[first:second], ordered[second:])


def split_by_days(
    sessions: Sequence[RecordedSession], share: float = 0.6, validation_share: float = 0.2
) -> Split:
    """The same with whole days kept together; the test may then be empty.

    Raises:
        SplitError: All markets are of one day.
    """
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
    """Split at moments: a market belongs to the part in which it begins.

    Args:
        sessions: Recorded markets.
        train_until_ns: Where the validation begins.
        validation_until_ns: Where the test begins; None for no test.

    Raises:
        SplitError: A part would be empty.
    """
    ordered = _ordered(sessions)
    end_ns = ordered[-1].first_ns + 1 if validation_until_ns is None else validation_until_ns
    train = tuple(s for s in ordered if s.first_ns < train_until_ns)
    validation = tuple(s for s in ordered if train_until_ns <= s.first_ns < end_ns)
    if not train or not validation:
        raise SplitError(
            f"these dates leave {len(train)} of {len(ordered)} markets for train and "
            f"{len(validation)} for validation; each needs at least 1"
        )
    return Split(train, validation, ordered[len(train) + len(validation) :])


def rolling_splits(split: Split, blocks: int) -> list[Split]:
    """The later markets in `blocks` that follow each other: learn from all before, judge on one.

    The block before the judged one chooses, so the first block is never judged on.

    Raises:
        SplitError: There are fewer later markets than blocks.
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


class Curriculum(StrEnum):
    """Which markets a training begins with."""

    NONE = "none"  # all markets, always
    BUSY = "busy"
    CALM = "calm"


def activity(session: RecordedSession) -> float:
    """Changes of the book and executions a minute, from the first recorded event to the last."""
    at_ns = session.events["recv_ns"]
    duration_ns = max(int(at_ns[-1]) - int(at_ns[0]), 1) if len(at_ns) else 1
    return len(at_ns) * _MINUTE_NS / duration_ns


def markets_of_stage(
    curriculum: Curriculum, sessions: Sequence[RecordedSession], stage: int, stages: int
) -> tuple[int, ...]:
    """The markets that a stage of the training draws from.

    The first quarter of the stages draws from a third of the markets, the second from two thirds.

    Returns:
        Their indices in `sessions`, ascending.
    """
    if curriculum is Curriculum.NONE:
        return tuple(range(len(sessions)))
    sign = -1 if curriculum is Curriculum.BUSY else 1
    ranked = sorted(range(len(sessions)), key=lambda i: (sign * activity(sessions[i]), i))
    share = next((s for until, s in _STEPS if stage < until * stages), 1.0)
    return tuple(sorted(ranked[: max(round(share * len(ranked)), 1)]))
