"""What must hold before a row may be evaluated, and again before anything is decided on it."""

from __future__ import annotations

from enum import StrEnum

from ipc import book as b
from ipc.clock import NS_PER_MS
from ipc.messages import Trigger

__all__ = ["Gate", "closed_gate", "tick_fits"]


class Gate(StrEnum):
    """Why nothing is decided on a tick."""

    BUSY = "busy"
    WRITER_DEAD = "writer_dead"
    WRITER_STOPPED = "writer_stopped"
    OTHER_MARKET = "other_market"
    EMPTY = "empty"
    STALE = "stale"
    UNRECORDED = "unrecorded"
    OTHER_LIFE = "other_life"
    CLOSED = "closed"


def tick_fits(frozen: b.Row, trigger: Trigger) -> bool:
    """Whether a frozen row holds the announced tick of the announced market, or a newer one."""
    tick_event_no = int(frozen[b.TICK_EVENT_NO])
    return (
        frozen[b.STATE] == b.LIVE
        and frozen[b.GENERATION] == trigger.generation
        and frozen[b.EVENT_NO] == tick_event_no
        and tick_event_no >= trigger.tick_event_no
    )


def closed_gate(frozen: b.Row, live: b.Row) -> Gate | None:
    """The gate that forbids a decision on `frozen`, by the market's row of now; None: go on.

    A book that was STALE in between lives another life: its older ticks decide nothing.
    """
    flags = int(live[b.FLAGS])
    close_ms = int(frozen[b.CLOSE_MS])
    checks = (
        (live[b.MARKET] != frozen[b.MARKET], Gate.OTHER_MARKET),
        (live[b.GENERATION] != frozen[b.GENERATION], Gate.OTHER_MARKET),
        (live[b.STATE] == b.EMPTY, Gate.EMPTY),
        (live[b.STATE] != b.LIVE, Gate.STALE),
        (bool(flags & b.UNRECORDED), Gate.UNRECORDED),
        (live[b.LIVE_EVENT_NO] != frozen[b.LIVE_EVENT_NO], Gate.OTHER_LIFE),
        (bool(flags & b.CLOSED), Gate.CLOSED),
        (0 < close_ms <= int(live[b.RECV_NS]) // NS_PER_MS, Gate.CLOSED),
    )
    return next((gate for shut, gate in checks if shut), None)
