"""The two shared tables: attached when they are there, and again when they were replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import AccountTable
from ipc.book_table import BookTable
from ipc.clock import NS_PER_S, mono_ns
from ipc.messages import Trigger
from processes.inference.gates import Gate, closed_gate, tick_fits
from processes.runtime.log import Log
from processes.runtime.tables import AttachedTable

__all__ = ["HEARTBEAT_LIMIT_NS", "Accounts", "Books", "Life"]

HEARTBEAT_LIMIT_NS: Final = 2 * NS_PER_S  # writers beat every 50 ms; beyond this they stand still

Life = tuple[int, int]  # (how often attached, generation): another life voids what was read


class Books(AttachedTable[BookTable]):
    """The collector's rows, as one decision reads them."""

    def __init__(self, data_dir: Path, log: Log) -> None:
        super().__init__(data_dir, "books", BookTable.attach, log)
        self._live = np.zeros(0, np.int64)

    def life(self) -> Life | None:
        """Attach what is there -> its life, None while there is no table."""
        before = self.table
        table = self.refresh()
        if table is None:
            return None
        if table is not before:
            self._live = np.zeros(table.row_words, np.int64)
            table.read(0, self._live)  # loads the kernel now, not at the first tick
        return self.attached, table.generation

    @property
    def row_words(self) -> int:
        """Words of a row, 0 while there is no table."""
        return len(self._live)

    def tickers(self) -> list[str]:
        """The markets of the directory."""
        return list(self.table.rows) if self.table else []

    def read_tick(self, trigger: Trigger, out: b.Row) -> Gate | None:
        """Copy the announced tick row into `out`; the gate that shut when it cannot be had."""
        table = self.table
        if table is None or trigger.generation != table.generation:
            return Gate.OTHER_LIFE
        if not table.read_tick(trigger.row, out):
            return Gate.BUSY
        # Only now: a row that went to another market while it was copied shows here.
        if table.ticker_of(trigger.row) != trigger.market_ticker:
            return Gate.OTHER_MARKET
        return None if tick_fits(out, trigger) else Gate.STALE

    def writer_gate(self) -> Gate | None:
        """Whether the collector is dead (its lock is free) or stands still."""
        table = self.table
        if table is None or table.replaced() or table.writer_is_dead():
            return Gate.WRITER_DEAD
        stopped = table.heartbeat_age_ns(mono_ns()) > HEARTBEAT_LIMIT_NS
        return Gate.WRITER_STOPPED if stopped else None

    def row_gate(self, row: int, frozen: b.Row) -> Gate | None:
        """The gate of one market, by its row of now."""
        if self.table is None or not self.table.read(row, self._live):
            return Gate.BUSY
        return closed_gate(frozen, self._live)


class Accounts(AttachedTable[AccountTable]):
    """Execution's sub-accounts; unknown while execution is not there, stands or has not said."""

    def __init__(self, data_dir: Path, log: Log) -> None:
        super().__init__(data_dir, "accounts", AccountTable.attach, log)

    def fresh(self) -> bool:
        """Whether execution moves."""
        table = self.table
        return table is not None and table.heartbeat_age_ns(mono_ns()) <= HEARTBEAT_LIMIT_NS

    def read(self, ticker: str, out: a.AccountRow) -> bool:
        """Copy a market's sub-account; False when unknown."""
        return self.table is not None and self.table.read(ticker, out)
