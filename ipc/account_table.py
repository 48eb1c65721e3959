"""The shared-memory table of accounts: per market its sub-account and open orders, and the whole.

Written by execution, read by inference and broadcaster. Same rules as the book table: one writer,
bounded reads, a new writer voids everything until it has reconciled with the exchange. A row is
used again after its market was removed; its name is under the seqlock with everything else, so
a reader that remembers the place sees another market's name and never another market's money.

    row = [version | account version, known, cash, position, ... | 8 open orders | ticker]

Money is 1e-6 dollars, counts 1e-2 contracts, prices 1e-4 dollars of the order's own leg, times
market time in nanoseconds. The words are named in this module (`CASH_E6`, `POSITION_E2`, ...).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from ipc.account_heartbeat import LAYOUT, MAGIC
from ipc.kernels import begin_repair, begin_write, end_write, read_row
from ipc.shared_file import SHAPE, SharedFile

__all__ = [
    "ACCOUNT_WORDS",
    "LAYOUT",
    "MAX_ORDERS",
    "UNKNOWN_AHEAD",
    "AccountRow",
    "AccountTable",
    "AccountTableWriter",
    "OpenOrder",
    "new_account",
    "put_orders",
    "row_of_words",
    "words_of",
]

AccountRow = npt.NDArray[np.int64]

LAYOUT_WITHOUT_QUEUE: Final = 1  # of earlier records: `ORDER_AHEAD_E2` holds nothing
MAX_ORDERS: Final = 8

# Words of a market's sub-account; word 0 is the seqlock's version.
ACCOUNT_VERSION: Final = 1  # of the whole account, rises with every change
KNOWN: Final = 2  # 1 once reconciled with the exchange; 0 means: do not trade
CASH_E6: Final = 3  # RL_ACTOR_MARKET_CASH plus the cash flows of its fills, fees included
POSITION_E2: Final = 4  # signed, YES positive
COST_BASIS_E6: Final = 5
REALIZED_E6: Final = 6
FEES_E6: Final = 7
N_ORDERS: Final = 8
TS_NS: Final = 9
FEE_CODE: Final = 10  # 1 + `FeeSchedule.code` of what the market charges now; 0: not known
TAKER_RATE_E6: Final = 11
MAKER_RATE_E6: Final = 12
ORDERS: Final = 16  # MAX_ORDERS x ORDER_WORDS, oldest first
ORDER_WORDS: Final = 6
ORDER_IS_BUY: Final = 0
ORDER_LEG: Final = 1  # 0 YES, 1 NO
ORDER_PRICE_E4: Final = 2  # of the leg
ORDER_REMAINING_E2: Final = 3
ORDER_CREATED_NS: Final = 4  # market time
ORDER_AHEAD_E2: Final = 5  # contracts that trade before it, as last reported
UNKNOWN_AHEAD: Final = -1
ACCOUNT_WORDS: Final = ORDERS + MAX_ORDERS * ORDER_WORDS

_NAME_WORDS: Final = 16
_MAX_TICKER: Final = 8 * _NAME_WORDS
_ENTRY_WORDS: Final = ACCOUNT_WORDS + _NAME_WORDS


class OpenOrder(msgspec.Struct, frozen=True):
    """An order that may still fill, priced on its own leg.

    Attributes:
        is_buy: Whether it opens (or nets) rather than reduces.
        leg: `YES` or `NO` of `ipc.units`.
        price_e4: Limit on the scale of the leg.
        remaining_e2: What is not filled yet.
        created_ns: Market time.
        ahead_e2: Contracts that trade before it, as last reported; `UNKNOWN_AHEAD` when not known.
    """

    is_buy: bool
    leg: int
    price_e4: int
    remaining_e2: int
    created_ns: int
    ahead_e2: int = UNKNOWN_AHEAD


def new_account(cash_e6: int) -> AccountRow:
    """Make a sub-account outside shared memory, known and flat.

    Args:
        cash_e6: Cash it begins with, micro-dollars.

    Returns:
        int64[ACCOUNT_WORDS].
    """
    row = np.zeros(ACCOUNT_WORDS, np.int64)
    row[KNOWN] = 1
    row[CASH_E6] = cash_e6
    return row


def put_orders(row: AccountRow, orders: list[OpenOrder]) -> None:
    """Write the open orders into a row; those that were there are gone.

    Args:
        row: The sub-account, changed in place.
        orders: Oldest first, at most `MAX_ORDERS`.

    Raises:
        ValueError: There are more.
    """
    if len(orders) > MAX_ORDERS:
        raise ValueError(f"{len(orders)} open orders, an account row has room for {MAX_ORDERS}")
    row[N_ORDERS] = len(orders)
    row[ORDERS:ACCOUNT_WORDS] = 0
    for i, o in enumerate(orders):
        at = ORDERS + i * ORDER_WORDS
        words = (o.is_buy, o.leg, o.price_e4, o.remaining_e2, o.created_ns, o.ahead_e2)
        row[at : at + ORDER_WORDS] = words


def words_of(row: AccountRow) -> tuple[int, ...]:
    """A row as its record in the journal holds it.

    The seqlock's word and the unused order slots at the end are left out.
    """
    end = ORDERS + int(row[N_ORDERS]) * ORDER_WORDS
    return tuple(row[ACCOUNT_VERSION:end].tolist())


def row_of_words(words: Sequence[int], layout: int = LAYOUT) -> AccountRow:
    """Rebuild the row that `words_of` was given.

    Args:
        words: As recorded.
        layout: Layout of the table that wrote them; layout 1 has no queue positions.

    Returns:
        int64[ACCOUNT_WORDS] with the seqlock's word at 0.

    Raises:
        ValueError: No program of this layout can read the record's.
    """
    if layout not in (LAYOUT_WITHOUT_QUEUE, LAYOUT):
        readable = f"{LAYOUT_WITHOUT_QUEUE} and {LAYOUT}"
        raise ValueError(f"account row of layout {layout}, this program reads {readable}")
    row = np.zeros(ACCOUNT_WORDS, np.int64)
    row[ACCOUNT_VERSION : ACCOUNT_VERSION + len(words)] = words
    if layout == LAYOUT_WITHOUT_QUEUE:
        for i in range(int(row[N_ORDERS])):
            row[ORDERS + i * ORDER_WORDS + ORDER_AHEAD_E2] = UNKNOWN_AHEAD
    return row


class AccountTable:
    """A reader's view of the table; inference and broadcaster have one each.

    Not for use by several threads: reads share a buffer.
    """

    def __init__(self, file: SharedFile) -> None:
        file.check_body(int(file.words[SHAPE]) * _ENTRY_WORDS)
        self._file = file
        self._rows = file.body.reshape(-1, _ENTRY_WORDS)
        self._buffer = np.zeros(_ENTRY_WORDS, np.int64)
        self._known: dict[str, int] = {}

    @classmethod
    def attach(cls, path: Path) -> AccountTable:
        """Map an existing table.

        Raises:
            FileNotFoundError: There is no table (yet).
            LayoutError: The file is of another version, or not a table.
        """
        return cls(SharedFile.attach(path, MAGIC, LAYOUT))

    def read(self, ticker: str, out: AccountRow) -> bool:
        """Copy a market's sub-account.

        Args:
            ticker: The market.
            out: int64[ACCOUNT_WORDS], overwritten.

        Returns:
            False when execution does not know the account, or the row was BUSY: do not trade.
        """
        row = self._known.get(ticker)
        if row is not None and self._copy(row, ticker, out):
            return True
        for i in range(len(self._rows)):
            if self._copy(i, ticker, out):
                self._known[ticker] = i
                return True
        return False

    def _copy(self, row: int, ticker: str, out: AccountRow) -> bool:
        if not read_row(self._rows[row], self._buffer, _ENTRY_WORDS):
            return False
        if _name_of(self._buffer) != ticker:
            return False
        out[:] = self._buffer[:ACCOUNT_WORDS]
        return bool(out[KNOWN])

    def tickers(self) -> list[str]:
        """List the markets that have a sub-account, known or not, in the order of their rows.

        A row that is BUSY is left out.
        """
        names = []
        for row in self._rows:
            if read_row(row, self._buffer, _ENTRY_WORDS) and (name := _name_of(self._buffer)):
                names.append(name)
        return names

    @property
    def generation(self) -> int:
        """Number of the writer, raised by each new one."""
        return self._file.generation

    def heartbeat_age_ns(self, mono_ns: int) -> int:
        """Age of execution's last heartbeat in nanoseconds, as of `mono_ns` (CLOCK_MONOTONIC)."""
        return self._file.heartbeat_age_ns(mono_ns)

    def replaced(self) -> bool:
        """Whether another file has taken the path: attach again."""
        return self._file.replaced()

    def close(self) -> None:
        """Unmap the table; the object is unusable afterwards."""
        del self._rows
        self._file.close()


class AccountTableWriter:
    """Execution's view; until a row is written nothing is known of its market.

    A new writer empties every row that an earlier one left and raises the generation.
    """

    def __init__(self, file: SharedFile) -> None:
        self._file = file
        self._rows = file.body.reshape(-1, _ENTRY_WORDS)
        self._index: dict[str, int] = {}
        self._free = list(range(len(self._rows) - 1, -1, -1))
        for row in self._rows:
            begin_repair(row)
            row[1:] = 0
            end_write(row)
        file.raise_generation()

    @classmethod
    def create(cls, path: Path, rows: int = 1024) -> AccountTableWriter:
        """Become the one writer of a table.

        Args:
            path: Its place in the data folder, of `ipc.shared_file.shared_path`.
            rows: Markets that it has room for.

        Raises:
            WriterActiveError: Another process writes this table.
            LayoutError: The file is not this user's alone, or there is no room for it.
        """
        return cls(SharedFile.create(path, MAGIC, LAYOUT, (rows,), rows * _ENTRY_WORDS))

    @property
    def on_disk(self) -> bool:
        """Whether it was made now, on disk, because memory has no room for it."""
        return self._file.on_disk

    def write(self, ticker: str, account: AccountRow) -> None:
        """Publish a market's sub-account under the seqlock.

        Args:
            ticker: The market; it gets a row with its first write.
            account: int64[ACCOUNT_WORDS]; word 0 is left out.

        Raises:
            ValueError: The table is full, or the name is empty or longer than 128 bytes.
        """
        name = ticker.encode()
        if not 0 < len(name) <= _MAX_TICKER:
            raise ValueError(f"ticker {ticker!r} has {len(name)} bytes, allowed 1 to {_MAX_TICKER}")
        if ticker not in self._index:
            if not self._free:
                raise ValueError(f"{ticker}: all {len(self._rows)} account rows are in use")
            self._index[ticker] = self._free.pop()
        row = self._rows[self._index[ticker]]
        begin_write(row)
        row[1:ACCOUNT_WORDS] = account[1:]
        row[ACCOUNT_WORDS:] = np.frombuffer(name.ljust(_MAX_TICKER, b"\0"), np.int64)
        end_write(row)

    def remove(self, ticker: str) -> None:
        """Take a market out of the table; its row is free for another.

        A name that is not in it is passed over.
        """
        at = self._index.pop(ticker, None)
        if at is None:
            return
        row = self._rows[at]
        begin_write(row)
        row[1:] = 0
        end_write(row)
        self._free.append(at)

    def forget_all(self) -> None:
        """Mark every account unknown: no market is traded until the next reconciliation."""
        for row in self._rows:
            begin_write(row)
            row[KNOWN] = 0
            end_write(row)

    def heartbeat(self, mono_ns: int) -> None:
        """Say that this writer is running."""
        self._file.heartbeat(mono_ns)

    def close(self) -> None:
        """Mark every account unknown and release the lock."""
        self.forget_all()
        del self._rows
        self._file.close()


def _name_of(entry: npt.NDArray[np.int64]) -> str:
    return entry[ACCOUNT_WORDS:].tobytes().rstrip(b"\0").decode()
