"""One market in a shared table with its journal, as the collector holds it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from ipc import book as b
from ipc.book_kernels import record_delta, record_snapshot
from ipc.book_table import BookTable, BookTableWriter
from ipc.journal import EventSegments
from ipc.shared_file import remove_tables, shared_path
from ipc.units import PriceGrid

__all__ = ["MARKET_NS", "TICKER", "OneMarket", "one_market"]

TICKER: Final = "KXBENCH-26"
MARKET_NS: Final = 1_786_000_000_000_000_000  # market time of the first event
STEP_NS: Final = 10_000_000  # market time between two events
THROTTLE_NS: Final = 250_000_000
CAPACITY: Final = 1_000_000  # records of one segment: no roll while anything is timed
_PRICES: Final = tuple(range(4_000, 5_000, 100))


class OneMarket:
    """A LIVE book and the calls that change it; the same events in every run."""

    def __init__(self, table: BookTableWriter, segments: EventSegments, grid: PriceGrid) -> None:
        self._table = table
        self._segments = segments
        self.row = table.add_market(TICKER, grid, 0, 0)
        self._numbers = itertools.count(1)
        self._changes = itertools.cycle(
            [(side, price, delta) for delta in (100, -100) for price in _PRICES for side in (0, 1)]
        )
        self._snapshot()
        if self.delta() <= 0:
            raise RuntimeError("the journal refused")

    def _stamps(self) -> tuple[int, int, int, int, int]:
        number = next(self._numbers)
        recv_ns = MARKET_NS + STEP_NS * number
        return number, recv_ns // 1_000_000, recv_ns, number, number

    def _snapshot(self) -> None:
        sides = np.repeat(np.array([b.YES, b.NO], np.uint8), len(_PRICES))
        prices = np.array(_PRICES + _PRICES, np.int64)
        levels = sides, prices, np.full(len(prices), 10_000, np.int64)
        record_snapshot(*self._where(True), levels, self._stamps(), THROTTLE_NS)

    def _where(self, room: bool) -> tuple[b.Row, b.Row, b.Row, bool, int]:
        table = self._table
        return table.live, table.tick_rows, self._segments.words, room, self.row

    def delta(self) -> Any:
        """Journal and apply one delta -> its event number."""
        where = self._where(self._segments.room(1))
        return record_delta(*where, next(self._changes), self._stamps(), THROTTLE_NS)

    def refused_delta(self) -> Any:
        """The same with a journal that is full."""
        return record_delta(*self._where(False), next(self._changes), self._stamps(), THROTTLE_NS)


@contextmanager
def one_market(folder: Path, grid: PriceGrid) -> Iterator[tuple[OneMarket, BookTable]]:
    """The market and a reader's view of its table."""
    path = shared_path(folder, "books")
    writer = BookTableWriter.create(path, rows=2)
    segments = EventSegments(folder / "journal", capacity=CAPACITY)
    market, reader = OneMarket(writer, segments, grid), BookTable.attach(path)
    try:
        yield market, reader
    finally:
        reader.close()
        segments.close()
        writer.close()
        remove_tables(folder)
