"""Non-blocking persistence: an update is journalled and applied in one kernel call.

`enqueue_*` answers whether the journal accepted the update. The book changes either way: it must be
true. A refused update leaves the row UNRECORDED until a snapshot of it is accepted.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Final, Protocol

import numpy as np
import numpy.typing as npt

from ipc import book as b
from ipc.book_kernels import (
    NOT_LIVE,
    TOO_LARGE,
    record_delta,
    record_snapshot,
    record_trade,
    set_state,
)

__all__ = ["Books", "Journal", "Stamps", "WriteQueue", "Written"]

Words = npt.NDArray[np.int64]


class Books(Protocol):
    """Rows of `ipc.book`, in shared memory or not, one market each."""

    @property
    def live(self) -> Words:
        """[rows, words] the books as they stand."""

    @property
    def tick_rows(self) -> Words:
        """[rows, words] each row as of its last tick."""


class Journal(Protocol):
    """Where records go: `ipc.journal.EventSegments`, or memory."""

    @property
    def words(self) -> Words:
        """The segment in use, as the kernels write it."""

    @property
    def left(self) -> int:
        """Records that the segment in use has room for."""

    def room(self, records: int) -> bool:
        """Make room for so many more records; False: they will be refused."""


class Written(StrEnum):
    """What became of an update; only ACCEPTED is true.

    JOURNAL_FULL: in the book, not in the journal. All others: in neither.
    """

    ACCEPTED = "accepted"
    JOURNAL_FULL = "journal_full"
    NOT_LIVE = "not_live"
    OFF_GRID = "off_grid"
    NEGATIVE = "negative_size"
    TOO_LARGE = "too_large"

    def __bool__(self) -> bool:
        return self is Written.ACCEPTED


_STATUSES: Final = {
    0: Written.JOURNAL_FULL,
    NOT_LIVE: Written.NOT_LIVE,
    b.OFF_GRID: Written.OFF_GRID,
    b.NEGATIVE: Written.NEGATIVE,
    TOO_LARGE: Written.TOO_LARGE,
}


# Where and when a frame came from, as the kernels take it: seq, exch_ms (0 if the exchange did not
# say), recv_ns in market time, then frame_mono_ns and written_mono_ns of the monotonic clock.
Stamps = tuple[int, int, int, int, int]


class WriteQueue:
    """Books and journal of one run.

    Args:
        books: rows to apply updates to.
        journal: takes one record per delta and trade, and one per level and two more per snapshot.
        throttle_ns: market time between two ticks of a market.
    """

    def __init__(self, books: Books, journal: Journal, throttle_ns: int) -> None:
        self._books = books
        self._journal = journal
        self._throttle_ns = throttle_ns
        self.refused: Counter[Written] = Counter()
        self.accepted = 0  # records
        self._left = 0  # records that the segment in use has room for, at least

    def enqueue_delta(
        self, row: int, leg: b.LegCode, price_e4: int, delta_e2: int, stamps: Stamps
    ) -> Written:
        """Offer and apply a signed change of one level, at the price of its own leg."""
        return self._conclude(
            record_delta(
                self._books.live,
                self._books.tick_rows,
                *self._segment(1),
                row,
                (leg, price_e4, delta_e2),
                stamps,
                self._throttle_ns,
            ),
            1,
        )

    def enqueue_trade(
        self, row: int, taker_leg: b.LegCode, yes_price_e4: int, count_e2: int, stamps: Stamps
    ) -> Written:
        """Offer and note a public trade; no level changes."""
        return self._conclude(
            record_trade(
                self._books.live,
                self._books.tick_rows,
                *self._segment(1),
                row,
                (taker_leg, yes_price_e4, count_e2),
                stamps,
                self._throttle_ns,
            ),
            1,
        )

    def enqueue_snapshot(
        self,
        row: int,
        legs: npt.NDArray[np.uint8],
        prices_e4: npt.NDArray[np.int64],
        counts_e2: npt.NDArray[np.int64],
        stamps: Stamps,
    ) -> Written:
        """Offer and apply a whole book, one entry per level; the row is LIVE unless it misfits."""
        records = len(legs) + 2
        return self._conclude(
            record_snapshot(
                self._books.live,
                self._books.tick_rows,
                *self._segment(records),
                row,
                (legs, prices_e4, counts_e2),
                stamps,
                self._throttle_ns,
            ),
            records,
        )

    def make_stale(self, row: int) -> None:
        """Mark a LIVE row as out of date until its next snapshot; any other row stays as it is."""
        if self._books.live[row, b.STATE] == b.LIVE:
            set_state(self._books.live, row, b.STALE, 0)

    def _segment(self, records: int) -> tuple[Words, bool]:
        """The segment in use and whether it takes so many more; it is asked when in doubt only."""
        room = True
        if self._left < records:
            room = self._journal.room(records)
            self._left = self._journal.left
        return self._journal.words, room

    def _conclude(self, status: int, records: int) -> Written:
        if status > 0:
            self.accepted += records
            self._left -= records
            return Written.ACCEPTED
        written = _STATUSES[status]
        self.refused[written] += 1
        return written
