"""Non-blocking persistence: an update is journalled and applied in one kernel call.

`enqueue_*` answers whether the journal accepted the update. The shared book changes either way: it
must be true. A refused update leaves the row UNRECORDED until a snapshot of it is accepted; from
the first refusal to that snapshot the session has a hole, marked at both ends.
"""

from __future__ import annotations

from collections import Counter
from enum import StrEnum
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from ipc import book as b
from ipc.book_kernels import NOT_LIVE, TOO_LARGE, record_delta, record_snapshot, record_trade
from ipc.book_table import BookTableWriter
from ipc.clock import mono_ns
from ipc.journal import EventSegments

__all__ = ["Refusal", "Stamps", "WriteQueue"]


class Refusal(StrEnum):
    """Why an update did not become an accepted record."""

    JOURNAL_FULL = "journal_full"
    NOT_LIVE = "not_live"
    OFF_GRID = "off_grid"
    NEGATIVE = "negative_size"
    TOO_LARGE = "too_large"


_REASONS: Final = {
    0: Refusal.JOURNAL_FULL,
    NOT_LIVE: Refusal.NOT_LIVE,
    b.OFF_GRID: Refusal.OFF_GRID,
    b.NEGATIVE: Refusal.NEGATIVE,
    TOO_LARGE: Refusal.TOO_LARGE,
}


class Stamps(msgspec.Struct, frozen=True, gc=False):
    """Where and when a frame came from; `exch_ms` 0 when the exchange did not say."""

    seq: int
    exch_ms: int
    recv_ns: int
    frame_mono_ns: int


class WriteQueue:
    """Journal and table of one collector run."""

    def __init__(self, table: BookTableWriter, segments: EventSegments, throttle_ns: int) -> None:
        self._table = table
        self._segments = segments
        self._throttle_ns = throttle_ns
        self.refused: Counter[Refusal] = Counter()
        self.accepted = 0
        self._left = 0  # records that the segment in use has room for, at least
        self.last_refusal: Refusal | None = None  # of the last update that was not accepted

    def enqueue_delta(
        self, row: int, side: int, price_e4: int, delta_e2: int, stamps: Stamps
    ) -> bool:
        """Offer and apply a signed change of one level; True when accepted."""
        return self._settle(
            record_delta(
                self._table.live,
                self._table.tick_rows,
                *self._segment(1),
                row,
                (side, price_e4, delta_e2),
                self._stamped(stamps),
                self._throttle_ns,
            ),
            1,
        )

    def enqueue_trade(
        self, row: int, taker_side: int, yes_price_e4: int, count_e2: int, stamps: Stamps
    ) -> bool:
        """Offer and note a public trade; True when accepted."""
        return self._settle(
            record_trade(
                self._table.live,
                self._table.tick_rows,
                *self._segment(1),
                row,
                (taker_side, yes_price_e4, count_e2),
                self._stamped(stamps),
                self._throttle_ns,
            ),
            1,
        )

    def enqueue_snapshot(
        self,
        row: int,
        sides: npt.NDArray[np.uint8],
        prices_e4: npt.NDArray[np.int64],
        counts_e2: npt.NDArray[np.int64],
        stamps: Stamps,
    ) -> bool:
        """Offer and apply a whole book; only an accepted one heals a hole."""
        records = len(sides) + 2
        return self._settle(
            record_snapshot(
                self._table.live,
                self._table.tick_rows,
                *self._segment(records),
                row,
                (sides, prices_e4, counts_e2),
                self._stamped(stamps),
                self._throttle_ns,
            ),
            records,
        )

    def _segment(self, records: int) -> tuple[npt.NDArray[np.int64], bool]:
        """The segment in use and whether it takes so many more; it is asked when in doubt only."""
        room = True
        if self._left < records:
            room = self._segments.room(records)
            self._left = self._segments.left
        return self._segments.words, room

    @staticmethod
    def _stamped(stamps: Stamps) -> tuple[int, int, int, int, int]:
        return stamps.seq, stamps.exch_ms, stamps.recv_ns, stamps.frame_mono_ns, mono_ns()

    def _settle(self, result: int, records: int) -> bool:
        if result > 0:
            self.accepted += records
            self._left -= records
            return True
        reason = _REASONS[result]
        self.refused[reason] += 1
        self.last_refusal = reason
        return False
