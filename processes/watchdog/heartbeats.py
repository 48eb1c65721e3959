"""When to act: execution's heartbeat, judged by what this process itself has seen. No I/O.

A heartbeat is old when it has not changed for three seconds of watching. Its age by the clock does
not count: where this process, or the whole machine, stood still for a minute, execution's heartbeat
is a minute old at the next look, and execution may be about to go on.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

from ipc.account_heartbeat import ENDED
from ipc.clock import NS_PER_MS, NS_PER_S

__all__ = ["SILENT_NS", "START_NS", "HeartbeatWatch", "WatchState"]

SILENT_NS: Final = 3 * NS_PER_S  # of watching, without a heartbeat
START_NS: Final = 30 * NS_PER_S  # of watching, without a table: execution may be starting
MOST_STEP_NS: Final = 500 * NS_PER_MS  # what one look adds to that at most


class WatchState(StrEnum):
    """What is to be done.

    Attributes:
        WAITING: Nothing: execution was not there yet, and no order can be.
        BEATING: Nothing: it runs.
        SILENT: Nothing yet: its heartbeat has not changed for a moment.
        STOPPED: Act: it is dead, stopped or hangs.
        PROVEN: Nothing: it is so still, and none of our orders rests.
        ENDED: Nothing: it ended in order, without an open order.
    """

    WAITING = "waiting"
    BEATING = "beating"
    SILENT = "silent"
    STOPPED = "stopped"
    PROVEN = "proven"
    ENDED = "ended"


class HeartbeatWatch:
    """Heartbeats in, state out.

    Attributes:
        state: As of the last look.
        has_beaten: Whether a heartbeat has changed while this process watched, and goes on.
    """

    def __init__(self) -> None:
        self.state = WatchState.WAITING
        self.has_beaten = False
        self._beat: int | None = None
        self._still_ns = 0  # of watching, since the heartbeat changed
        self._looked_ns: int | None = None
        self._is_proven = False

    def look(self, beat: int | None, mono_ns: int, *, may_rest: bool) -> WatchState:
        """Take the heartbeat of now.

        Args:
            beat: Its word in the table, None where there is no table that can be read.
            mono_ns: Now, CLOCK_MONOTONIC.
            may_rest: Whether orders of an execution that was never seen may rest.
        """
        before_ns, self._looked_ns = self._looked_ns, mono_ns
        step_ns = 0 if before_ns is None else min(max(mono_ns - before_ns, 0), MOST_STEP_NS)
        if beat is not None and beat != self._beat:
            self.has_beaten = self._beat is not None
            self._beat, self._still_ns, self._is_proven = beat, 0, False
        else:
            self._still_ns += step_ns
        self.state = self._judged(beat, may_rest=may_rest)
        self.has_beaten &= self.state in (WatchState.BEATING, WatchState.SILENT)
        return self.state

    def _judged(self, beat: int | None, *, may_rest: bool) -> WatchState:
        if self._beat == ENDED:
            return WatchState.ENDED
        if self._beat is None and not may_rest:
            self._still_ns = 0
            return WatchState.WAITING
        if self._still_ns == 0 and beat is not None and self.has_beaten:
            return WatchState.BEATING
        if self._still_ns < (START_NS if self._beat is None else SILENT_NS):
            return WatchState.SILENT
        return WatchState.PROVEN if self._is_proven else WatchState.STOPPED

    def on_proven(self) -> None:
        """None of our orders rests: nothing more to do until a heartbeat comes and goes again."""
        self._is_proven = True
