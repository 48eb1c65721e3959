"""What training needs besides the learner: the split by time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from models.sessions import RecordedSession

__all__ = ["TRAIN", "VALIDATION", "Split", "SplitError", "split_by_time"]

TRAIN: Final = "train"
VALIDATION: Final = "validation"


class SplitError(ValueError):
    """Sessions that cannot be split: how many there are, and how many it takes."""


class Split(msgspec.Struct, frozen=True):
    """Markets before, and markets after; no market of one begins before the other ends."""

    train: tuple[RecordedSession, ...]
    validation: tuple[RecordedSession, ...]

    def as_names(self) -> dict[str, tuple[str, ...]]:
        """The tickers of each part, for the manifest."""
        return {
            TRAIN: tuple(s.ticker for s in self.train),
            VALIDATION: tuple(s.ticker for s in self.validation),
        }

    def describe(self) -> list[str]:
        """A line per part."""
        parts = ((TRAIN, self.train), (VALIDATION, self.validation))
        return [
            f"{name}: {len(part)} markets, {sum(len(s.events) for s in part)} events, "
            f"{part[0].ticker} to {part[-1].ticker}"
            for name, part in parts
        ]


def split_by_time(sessions: Sequence[RecordedSession], share: float = 0.6) -> Split:
    """The earlier `share` of the markets to learn from, the later ones to judge by."""
    if len(sessions) < 2:
        raise SplitError(f"{len(sessions)} markets cannot be split by time, it takes at least 2")
    ordered = sorted(sessions, key=lambda s: (s.first_ns, s.ticker))
    cut = min(max(round(share * len(ordered)), 1), len(ordered) - 1)
    return Split(tuple(ordered[:cut]), tuple(ordered[cut:]))
