"""Is what was accepted in the database, or has it waited there for too long to be traded on?

The journals hold what the recorder has not stored yet, so a database that is away for a while costs
nothing. Beyond a bound of age and of number nothing is decided any more.
"""

from __future__ import annotations

from ipc.clock import NS_PER_MS
from ipc.messages import ProcessStats
from processes.runtime.log import Log

__all__ = ["PersistenceGate"]


class PersistenceGate:
    """What the recorder reports of its backlog, against two bounds.

    A recorder that reports nothing is taken for one that stores nothing since its last report, or
    since `now_ns` at the start.

    Args:
        max_age_ms: of the oldest record that is not in the database.
        max_events: book events that are not in the database.
        now_ns: of the monotonic clock.
        log: one line when the gate shuts, one when it opens.
    """

    def __init__(self, max_age_ms: int, max_events: int, now_ns: int, log: Log) -> None:
        self._max_age_ms = max_age_ms
        self._max_events = max_events
        self._heard_ns = now_ns
        self._behind_ms = self._behind = 0
        self._is_open = True
        self._log = log

    def on_stats(self, stats: ProcessStats, now_ns: int) -> None:
        """The recorder reported its counters."""
        self._heard_ns = now_ns
        self._behind = stats.counters.get("behind", 0)
        self._behind_ms = stats.counters.get("behind_ms", 0)

    def is_open(self, now_ns: int) -> bool:
        """Whether decisions may be taken now."""
        silent_ms = (now_ns - self._heard_ns) // NS_PER_MS
        age_ms = self._behind_ms + silent_ms
        is_open = age_ms <= self._max_age_ms and self._behind <= self._max_events
        if is_open != self._is_open:
            self._is_open = is_open
            found = {"behind": self._behind, "behind_ms": age_ms}
            if is_open:
                self._log("persisted_again", **found)
            else:
                self._log.error("not_persisted", **found)
        return is_open
