"""The shared tables as seen from here: attached when there are any, anew when they are replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from ipc import account_table as a
from ipc.account_table import AccountTable
from ipc.book_table import BookTable, SharedOrderbookState
from ipc.clock import NS_PER_S
from ipc.messages import ActorPosition
from processes.broadcaster.books import Signature, book_data, signature_of
from processes.broadcaster.wire import OrderbookData
from processes.runtime.log import Log
from processes.runtime.tables import AttachedTable

__all__ = ["WRITER_SILENT_NS", "Accounts", "Books", "BooksRead"]

WRITER_SILENT_NS: Final = 5 * NS_PER_S  # a writer's heartbeat older than this is no heartbeat


class BooksRead:
    """What one look at the table brought: books that changed, and all tickers that it holds."""

    def __init__(self) -> None:
        self.changed: list[OrderbookData] = []
        self.tickers: set[str] = set()
        self.busy = 0


class Books(AttachedTable[BookTable]):
    """The books that changed since the last look. Throttles by how often it is asked.

    The last update of a burst is never lost: the row, not a message, is what is read.
    """

    def __init__(self, data_dir: Path, depth: int, log: Log) -> None:
        super().__init__(data_dir, "books", BookTable.attach, log)
        self._depth = depth
        self._seen: dict[str, Signature] = {}

    def read(self, mono_ns: int) -> BooksRead | None:
        """Look at every row; None while there is no table."""
        table = self.refresh()
        if table is None:
            return None
        stale = table.heartbeat_age_ns(mono_ns) > WRITER_SILENT_NS
        state, found = SharedOrderbookState(table), BooksRead()
        for ticker in table.rows:
            found.tickers.add(ticker)
            row = state.get_row(ticker)
            if row is None:
                found.busy += 1
                continue
            signature = signature_of(row, stale=stale)
            if self._seen.get(ticker) != signature:
                self._seen[ticker] = signature
                found.changed.append(book_data(ticker, row, self._depth, stale=stale))
        self._seen = {t: s for t, s in self._seen.items() if t in found.tickers}
        return found


class Accounts(AttachedTable[AccountTable]):
    """The sub-accounts, for a start in the middle of things: messages bring only what changes."""

    def __init__(self, data_dir: Path, log: Log) -> None:
        super().__init__(data_dir, "accounts", AccountTable.attach, log)
        self._row = np.zeros(a.ACCOUNT_WORDS, np.int64)

    def read(self) -> list[ActorPosition]:
        """Every sub-account that execution vouches for."""
        table = self.refresh()
        if table is None:
            return []
        return [self._position(t) for t in table.tickers() if table.read(t, self._row)]

    def generation(self) -> int:
        """Changes with every life of execution; 0 without a table."""
        table = self.refresh()
        return 0 if table is None else table.generation

    def _position(self, ticker: str) -> ActorPosition:
        row = self._row
        return ActorPosition(
            market_ticker=ticker,
            position_e2=int(row[a.POSITION_E2]),
            cost_basis_e6=int(row[a.COST_BASIS_E6]),
            cash_e6=int(row[a.CASH_E6]),
            realized_e6=int(row[a.REALIZED_E6]),
            fees_e6=int(row[a.FEES_E6]),
            open_orders=int(row[a.N_ORDERS]),
            account_version=int(row[a.ACCOUNT_VERSION]),
            ts_ns=int(row[a.TS_NS]),
        )
