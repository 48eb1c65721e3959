"""Which markets to learn from first: the busier or the calmer ones, by events a minute."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Final

from models.simulation.tape import RecordedSession

__all__ = ["LEAST_STAGES", "Curriculum", "activity", "markets_of_stage"]

# Up to that part of the training, that share of the markets; later all.
_STEPS: Final = ((1 / 4, 1 / 3), (1 / 2, 2 / 3))
LEAST_STAGES: Final = 4  # fewer would leave out a step
_MINUTE_NS: Final = 60_000_000_000


class Curriculum(StrEnum):
    """Where a training begins."""

    NONE = "none"  # all markets, always
    BUSY = "busy"
    CALM = "calm"


def activity(session: RecordedSession) -> float:
    """Changes of the book and executions a minute, from the first to the last that was recorded."""
    at_ns = session.events["recv_ns"]
    duration_ns = max(int(at_ns[-1]) - int(at_ns[0]), 1) if len(at_ns) else 1
    return len(at_ns) * _MINUTE_NS / duration_ns


def markets_of_stage(
    curriculum: Curriculum, sessions: Sequence[RecordedSession], stage: int, stages: int
) -> tuple[int, ...]:
    """Indices of the markets that a stage of the training draws from, in order.

    The first quarter of the stages draws from a third of the markets, the second from two thirds.
    """
    if curriculum is Curriculum.NONE:
        return tuple(range(len(sessions)))
    sign = -1 if curriculum is Curriculum.BUSY else 1
    ranked = sorted(range(len(sessions)), key=lambda i: (sign * activity(sessions[i]), i))
    share = next((s for until, s in _STEPS if stage < until * stages), 1.0)
    return tuple(sorted(ranked[: max(round(share * len(ranked)), 1)]))
