"""Is what was accepted in the database, or has it waited there for too long to be traded on?

The journals hold what the recorder has not stored yet, so a database that is away for a while costs
nothing. Beyond a bound of age and of size nothing is decided (inference) or opened (execution).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NoReturn

import msgspec

from ipc.clock import MS_PER_S, NS_PER_MS, mono_ns
from ipc.event_journal import EVENT
from ipc.messages import ProcessStats
from ipc.sockets import Subscriber
from processes.runtime.log import Log

__all__ = ["EVENTS", "JOURNAL_BYTES", "BacklogSize", "PersistenceGate"]

Counters = Mapping[str, int]


class BacklogSize(msgspec.Struct, frozen=True):
    """How the size of what is not stored is measured.

    Attributes:
        unit: Of the figure.
        of: The figure, from the recorder's counters.
    """

    unit: str
    of: Callable[[Counters], int]


def _events(counters: Counters) -> int:
    return counters.get("behind", 0)


def _journal_bytes(counters: Counters) -> int:
    return counters.get("behind_bytes", 0) + EVENT.itemsize * _events(counters)


EVENTS: Final = BacklogSize("events", _events)
JOURNAL_BYTES: Final = BacklogSize("bytes", _journal_bytes)


class PersistenceGate:
    """What the recorder reports of its backlog, against two bounds.

    A recorder that reports nothing is taken for one that stores nothing since its last report, or
    since `now_ns` at the start.

    Args:
        max_age_ms: Of the oldest record that is not in the database.
        max_size: Of all that is not in the database, in the unit of `size`.
        now_ns: Of the monotonic clock.
        log: Gets one line when the gate shuts, one when it opens.
        size: What is measured.
        unheard_counts: Whether a recorder that has never reported shuts the gate, too.
    """

    def __init__(
        self,
        max_age_ms: int,
        max_size: int,
        now_ns: int,
        log: Log,
        size: BacklogSize = EVENTS,
        *,
        unheard_counts: bool = True,
    ) -> None:
        self._max_age_ms = max_age_ms
        self._max_size = max_size
        self._unit = size
        self._heard_ns: int | None = now_ns if unheard_counts else None
        self._counters: Counters = {}
        self._is_open = True
        self._log = log

    async def follow(self, recorder: Subscriber) -> NoReturn:
        """Take the recorder's reports, for as long as this process runs."""
        while True:
            _, message = await recorder.recv()
            if isinstance(message, ProcessStats):
                self.on_stats(message, mono_ns())

    def on_stats(self, stats: ProcessStats, now_ns: int) -> None:
        """The recorder reported its counters."""
        self._heard_ns = now_ns
        self._counters = stats.counters

    def is_open(self, now_ns: int) -> bool:
        """Whether what happens now is likely to be stored in time."""
        return not self.reason(now_ns)

    def reason(self, now_ns: int) -> str:
        """Which bound is passed, with both figures; "" while none is."""
        age_ms, size = self._age_ms(now_ns), self._unit.of(self._counters)
        found = ""
        if age_ms > self._max_age_ms:
            bound_s = self._max_age_ms // MS_PER_S
            found = f"the oldest record waits for {age_ms // MS_PER_S} s, allowed {bound_s}"
        elif size > self._max_size:
            found = f"{size} {self._unit.unit} wait for the database, allowed {self._max_size}"
        self._report(found, age_ms)
        return found

    def _age_ms(self, now_ns: int) -> int:
        """Of the oldest record that is not stored; it grows while the recorder is silent."""
        if self._heard_ns is None:
            return 0
        silent_ms = (now_ns - self._heard_ns) // NS_PER_MS
        return self._counters.get("behind_ms", 0) + silent_ms

    def _report(self, reason: str, age_ms: int) -> None:
        """One line per change."""
        if bool(reason) != self._is_open:
            return
        self._is_open = not reason
        names = ("behind", "behind_bytes")
        figures = {name: self._counters[name] for name in names if name in self._counters}
        if reason:
            self._log.error("not_persisted", **figures, behind_ms=age_ms, error=reason)
        else:
            self._log("persisted_again", **figures, behind_ms=age_ms)
