"""Rows and a journal segment in plain memory, to drive the fused kernels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from ipc import book as b
from ipc import event_journal as j
from ipc.book_kernels import record_delta, record_snapshot, record_trade, set_state
from ipc.journal import EVENT
from ipc.units import LINEAR_CENT, PriceGrid

__all__ = ["SECOND", "Stamps", "Stand", "arrays_of"]

SECOND = 1_000_000_000
Level = tuple[int, int, int]


class Stamps(NamedTuple):
    """What the kernels want to know of a frame."""

    seq: int = 1
    exch_ms: int = 2
    recv_ns: int = 100 * SECOND
    frame_mono_ns: int = 4
    written_mono_ns: int = 5


def arrays_of(levels: list[Level]) -> tuple[npt.NDArray[np.uint8], b.Row, b.Row]:
    """Levels as the kernels take them: sides, prices, counts."""
    return (
        np.array([s for s, _, _ in levels], np.uint8),
        np.array([p for _, p, _ in levels], np.int64),
        np.array([c for _, _, c in levels], np.int64),
    )


STAMPS = Stamps()


class Stand:
    """Some rows of one grid, a segment, and the kernels with what rarely changes filled in."""

    def __init__(
        self, grid: PriceGrid = LINEAR_CENT, rows: int = 2, capacity: int = 1_000, first: int = 1
    ) -> None:
        self.live = np.zeros((rows, b.row_words(grid.size)), np.int64)
        self.tick_rows = np.zeros_like(self.live)
        for row in self.live:
            b.set_grid(row, grid)
        self.words = np.zeros(j.HEADER_WORDS + j.RECORD_WORDS * capacity, np.int64)
        self.words[: j.COUNT] = (j.MAGIC, j.RECORD_WORDS, first, capacity)
        self.room = True
        self.throttle_ns = 0

    def delta(self, row: int, change: Level, stamps: Stamps = STAMPS) -> int:
        return record_delta(*self._where(row), change, tuple(stamps), self.throttle_ns)

    def trade(
        self, row: int, change: Level, stamps: Stamps = STAMPS, *, is_block: bool = False
    ) -> int:
        change = *change, is_block
        return record_trade(*self._where(row), change, tuple(stamps), self.throttle_ns)

    def snapshot(self, row: int, levels: list[Level], stamps: Stamps = STAMPS) -> int:
        arrays = arrays_of(levels)
        return record_snapshot(*self._where(row), arrays, tuple(stamps), self.throttle_ns)

    def set_state(self, row: int, state: int, flags: int = 0) -> None:
        set_state(self.live, row, state, flags)

    def _where(self, row: int) -> tuple[b.Row, b.Row, b.Row, bool, int]:
        return self.live, self.tick_rows, self.words, self.room, row

    @property
    def records(self) -> npt.NDArray[np.void]:
        """What the journal has accepted."""
        body = self.words[j.HEADER_WORDS :].view(EVENT)
        return body[: self.words[j.COUNT]]
