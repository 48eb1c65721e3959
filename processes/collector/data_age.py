"""How old data is when it arrives, and whether more arrives than is read.

`DataAge` counts; it is fed with each frame's delay and looked at once a second. The offset of this
machine's clock that it settles on is put into every row of the table of books, where the gate on
old data finds it, and noted in the session, where a replay finds it.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import numpy as np

from ipc import book as b
from ipc.book_table import BookTableWriter
from ipc.clock import NS_PER_MS, NS_PER_S, Clock, mono_ns
from ipc.messages import MarkKind
from processes.adapters.kalshi.auth.clock_offset import ClockOffset
from processes.adapters.kalshi.feed.session import SessionJournal
from processes.adapters.kalshi.stream.socket import Backlog
from processes.runtime.log import Log

__all__ = ["DataAge"]

LOOK_NS: Final = NS_PER_S
SECONDS: Final = 60  # that a percentile is of
SAMPLES: Final = 1_000  # of a second, evenly taken
STEP_MS: Final = 20  # a change of the offset that counts
GROWING: Final = 3  # looks in a row with more waiting than before, for an alarm
LATE_MS: Final = 250  # age of the oldest that waits; less is no backlog


class DataAge:
    """Delays of the last minute, the clock's offset, and the backlog.

    Args:
        offset: learns of frames here, of REST replies elsewhere.
        table: whose rows carry the offset.
        session: notes each change of the offset.
        clock: market time; a replay's frames carry their own time of receipt, so it has no offset.
        log: one line a minute, and one when a backlog begins or ends.
    """

    def __init__(
        self,
        offset: ClockOffset,
        table: BookTableWriter,
        session: SessionJournal,
        clock: Clock,
        log: Log,
    ) -> None:
        self.delays: list[int] = []  # milliseconds, of frames since the last look
        self._offset = offset
        self._table = table
        self._session = session
        self._clock = clock
        self._log = log
        self._minute: deque[np.ndarray] = deque(maxlen=SECONDS)
        self._looks = 0
        self._looked_ns = 0
        self._used_ms: int | None = None  # None: none was noted yet
        self._backlog = Backlog()
        self._grown = 0  # looks in a row
        self._is_growing = False
        self._figures: dict[str, int] = {}

    def look(self, backlog: Backlog) -> None:
        """Once a second: what has arrived since, and what waits in the socket."""
        now_ns = mono_ns()
        if now_ns - self._looked_ns < LOOK_NS:
            return
        self._looked_ns = now_ns
        self._looks += 1
        self._take_delays()
        self._correct()
        self._watch(backlog)
        self._summarise()
        if self._looks % SECONDS == 0 and self._figures:
            self._log("data_age", **self._figures)

    def _take_delays(self) -> None:
        delays, self.delays = self.delays, []
        step = len(delays) // SAMPLES + 1
        if delays and not self._clock.replaying:
            self._offset.on_frame(0, min(delays))
        self._minute.append(np.array(delays[::step], np.int64))

    def _correct(self) -> None:
        """Use another offset once it has changed by enough; rows that are new get it, too."""
        wanted = 0 if self._clock.replaying else self._offset.offset_ms
        if wanted is not None and (self._used_ms is None or abs(wanted - self._used_ms) >= STEP_MS):
            self._used_ms = wanted
            self._session.mark(MarkKind.CLOCK, None, self._clock.now_ns(), str(wanted))
        self._table.live[:, b.CLOCK_OFFSET_MS] = self._used_ms or 0

    def _watch(self, backlog: Backlog) -> None:
        """An alarm while more waits at each look than at the one before; over when little waits."""
        late = backlog.age_ns >= LATE_MS * NS_PER_MS
        grows = late and backlog.total_bytes > self._backlog.total_bytes
        self._grown = self._grown + 1 if grows else 0
        self._backlog = backlog
        if not self._is_growing and self._grown >= GROWING:
            self._is_growing = True
            facts = {"frames": backlog.frames, "bytes": backlog.total_bytes}
            age_ms = backlog.age_ns // NS_PER_MS
            self._log.warning("data_backlog_grows", **facts, age_ms=age_ms)
        elif self._is_growing and not late:
            self._is_growing = False
            self._log("data_backlog_over")

    def _summarise(self) -> None:
        delays = np.concatenate(self._minute) if self._minute else np.zeros(0, np.int64)
        self._figures = {}
        if len(delays):
            p50, p99 = np.percentile(delays, (50, 99)) + (self._used_ms or 0)
            most = int(delays.max()) + (self._used_ms or 0)
            self._figures = {
                "data_age_p50_ms": max(round(p50), 0),
                "data_age_p99_ms": max(round(p99), 0),
                "data_age_max_ms": max(most, 0),
            }

    def counters(self) -> dict[str, int]:
        """The figures of the last minute, and what waits; what is not known is left out."""
        found = dict(self._figures)
        found["backlog_frames"] = self._backlog.frames
        found["backlog_bytes"] = self._backlog.total_bytes
        found["backlog_age_ms"] = self._backlog.age_ns // NS_PER_MS
        found["backlog_growing"] = int(self._is_growing)
        if (off_ms := self._offset.off_ms) is not None:
            found["clock_offset_ms"] = off_ms
        return found
