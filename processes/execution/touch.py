"""The best prices of a book as execution sees them: read from the collector's table, never written.

A book that is not LIVE, that the journal lacks a change of, whose market is closed, or whose writer
is dead or stopped has no touch: what it shows may be anything.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from ipc import book as b
from ipc.book_table import BookTable
from ipc.clock import NS_PER_S, mono_ns
from ipc.shared_file import AttachedTable, LayoutError
from processes.runtime.log import Log

__all__ = ["BookTouches", "Touch"]

WRITER_LIMIT_NS: Final = 2 * NS_PER_S  # the collector beats every 50 ms; beyond this it is stopped


class Touch(NamedTuple):
    """The best bids of both legs of a LIVE book.

    Attributes:
        yes_bid_e4: 1e-4 dollars; 0 without a bid.
        no_bid_e4: On the NO scale; 0 without a bid.
        age_ms: How old the newest frame was when the collector received it.
    """

    yes_bid_e4: int
    no_bid_e4: int
    age_ms: int = 0


class BookTouches(AttachedTable[BookTable]):
    """The touches of the collector's books.

    Args:
        data_dir: Folder of the stack.
        log: Gets a line when there is no table, and when one is attached.
    """

    def __init__(self, data_dir: Path, log: Log) -> None:
        super().__init__(data_dir, "books", BookTable.attach, log)
        self._row = np.zeros(0, np.int64)
        self._refused = False  # the file is no table of this version, and that was logged

    def touch(self, ticker: str) -> Touch | None:
        """The touch of a market now.

        Args:
            ticker: The market.

        Returns:
            None when it is not known: no table, no such market, a writer that is gone, a book that
            is not LIVE, or a row that is being written.
        """
        table = self._attached()
        if table is None or table.heartbeat_age_ns(mono_ns()) > WRITER_LIMIT_NS:
            return None
        row = table.row_of(ticker)
        if row is None or table.writer_is_dead():
            return None
        if len(self._row) != table.row_words:
            self._row = np.zeros(table.row_words, np.int64)
        # The name is looked at again: the row may have gone to another market in between.
        if not table.read(row, self._row) or table.ticker_of(row) != ticker:
            return None
        return _touch_of(self._row)

    def _attached(self) -> BookTable | None:
        """The table; one of another version is as none, and is logged once."""
        try:
            table = self.refresh()
        except LayoutError as error:
            if not self._refused:
                self._log("table_refused", table=self._name, error=error)
            self._refused = True
            return None
        self._refused = False
        return table


def _touch_of(row: b.Row) -> Touch | None:
    if row[b.STATE] != b.LIVE or row[b.FLAGS] & (b.UNRECORDED | b.CLOSED):
        return None
    yes, no = (b.price_of(row, int(row[best])) for best in (b.BEST_YES, b.BEST_NO))
    return Touch(yes, no, int(b.data_age_ms(row)))
