"""The two shared tables: attached when they are there, and again when they were replaced."""

from __future__ import annotations

from pathlib import Path
from typing import Final, Protocol, TypeVar

import numpy as np

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import AccountTable
from ipc.book_table import BookTable
from ipc.clock import NS_PER_S, mono_ns
from ipc.messages import Trigger
from ipc.shared_file import shared_path
from processes.inference.gates import Gate, closed_gate, tick_fits
from processes.runtime.log import Log

__all__ = ["HEARTBEAT_LIMIT_NS", "Accounts", "Books", "Life"]

HEARTBEAT_LIMIT_NS: Final = 2 * NS_PER_S  # writers beat every 50 ms; beyond this they stand still

Life = tuple[int, int]  # (how often attached, generation): another life voids what was read


class _Table(Protocol):
    @property
    def generation(self) -> int: ...

    def replaced(self) -> bool: ...

    def close(self) -> None: ...


Table = TypeVar("Table", AccountTable, BookTable)


class _Attached:
    """What both tables share: how often attached, and one log line a change."""

    def __init__(self, data_dir: Path, name: str, log: Log) -> None:
        self._path = shared_path(data_dir, name)
        self._name = name
        self._log = log
        self._attached = 0
        self._said_waiting = False

    def _refresh(self, table: Table | None, kind: type[Table]) -> Table | None:
        """The table that the path holds now, None while there is none; `LayoutError` as it is."""
        if table is not None:
            if not table.replaced():
                return table
            table.close()
        try:
            found = kind.attach(self._path)
        except FileNotFoundError:
            if not self._said_waiting:
                self._log("waiting", table=self._name)
            self._said_waiting = True
            return None
        self._said_waiting = False
        self._attached += 1
        self._log("attached", table=self._name, generation=found.generation)
        return found


class Books(_Attached):
    """The collector's rows, as one decision reads them."""

    def __init__(self, data_dir: Path, log: Log) -> None:
        super().__init__(data_dir, "books", log)
        self._table: BookTable | None = None
        self._live = np.zeros(0, np.int64)

    def refresh(self) -> Life | None:
        """Attach what is there -> its life, None while there is no table."""
        before = self._table
        self._table = self._refresh(before, BookTable)
        if self._table is None:
            return None
        if self._table is not before:
            self._live = np.zeros(self._table.row_words, np.int64)
            self._table.read(0, self._live)  # loads the kernel now, not at the first tick
        return self._attached, self._table.generation

    @property
    def row_words(self) -> int:
        """Words of a row, 0 while there is no table."""
        return len(self._live)

    def tickers(self) -> list[str]:
        """The markets of the directory."""
        return list(self._table.rows) if self._table else []

    def read_tick(self, trigger: Trigger, out: b.Row) -> Gate | None:
        """Copy the announced tick row into `out`; the gate that shut when it cannot be had."""
        table = self._table
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
        table = self._table
        if table is None or table.replaced() or table.writer_is_dead():
            return Gate.WRITER_DEAD
        stopped = table.heartbeat_age_ns(mono_ns()) > HEARTBEAT_LIMIT_NS
        return Gate.WRITER_STOPPED if stopped else None

    def row_gate(self, row: int, frozen: b.Row) -> Gate | None:
        """The gate of one market, by its row of now."""
        if self._table is None or not self._table.read(row, self._live):
            return Gate.BUSY
        return closed_gate(frozen, self._live)

    def close(self) -> None:
        """Unmap."""
        if self._table is not None:
            self._table.close()


class Accounts(_Attached):
    """Execution's sub-accounts; unknown while execution is not there, stands or has not said."""

    def __init__(self, data_dir: Path, log: Log) -> None:
        super().__init__(data_dir, "accounts", log)
        self._table: AccountTable | None = None

    def refresh(self) -> None:
        """Attach what is there."""
        self._table = self._refresh(self._table, AccountTable)

    def fresh(self) -> bool:
        """Whether execution moves."""
        table = self._table
        return table is not None and table.heartbeat_age_ns(mono_ns()) <= HEARTBEAT_LIMIT_NS

    def read(self, ticker: str, out: a.AccountRow) -> bool:
        """Copy a market's sub-account; False when unknown."""
        return self._table is not None and self._table.read(ticker, out)

    def close(self) -> None:
        """Unmap."""
        if self._table is not None:
            self._table.close()
