"""The shared-memory table of books: a ticker directory, the live rows, and their tick rows.

One writer (the collector) holds the file's lock as long as it runs. Readers map it read-only, never
wait, and treat BUSY as STALE. A new writer raises the generation and marks every row STALE before
anything else; only a fresh snapshot makes a book LIVE again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, TypedDict

import numpy as np
import numpy.typing as npt

from ipc import book as b
from ipc.clock import NS_PER_MS
from ipc.errors import KalshiActorError
from ipc.kernels import begin_repair, begin_write, end_write, read_row
from ipc.shared_file import LayoutError, SharedFile, WriterActiveError
from ipc.units import ONE_DOLLAR_E4, PriceGrid

__all__ = [
    "BookTable",
    "BookTableWriter",
    "LayoutError",
    "OrderbookSnapshot",
    "SharedOrderbookState",
    "TableFullError",
    "WriterActiveError",
]

MAGIC: Final = 0x4B414C424F4F4B53  # "KALBOOKS"
LAYOUT: Final = 1
ENTRY_WORDS: Final = 16  # seqlock word, market number, ticker in 112 bytes
_TICKER: Final = 2
_MAX_TICKER: Final = 8 * (ENTRY_WORDS - _TICKER)


class TableFullError(KalshiActorError, RuntimeError):
    """No row is free: `RL_BOOK_ROWS` markets are in the table."""


class _Areas:
    """The three areas of a table's body as arrays."""

    def __init__(self, file: SharedFile) -> None:
        rows, slots = (int(x) for x in file.words[4:6])
        words = b.row_words(slots)
        self.rows = rows
        self.slots = slots
        file.check_body(rows * (ENTRY_WORDS + 2 * words))
        split = rows * ENTRY_WORDS
        self.directory = file.body[:split].reshape(rows, ENTRY_WORDS)
        self.live = file.body[split : split + rows * words].reshape(rows, words)
        self.tick_rows = file.body[split + rows * words :].reshape(rows, words)


class BookTable:
    """A reader's view of the table; any number of processes may have one.

    Rows are addressed by number: `row_of` finds a market's. A row may be given to another market,
    so a caller that must be sure compares the `MARKET` word, or asks `SharedOrderbookState`
    instead. Not for use by several threads: reads share a buffer.
    """

    def __init__(self, file: SharedFile) -> None:
        self._file = file
        self._areas = _Areas(file)
        self._seen = 0
        self._rows: dict[str, int] = {}
        self._entry = np.zeros(ENTRY_WORDS, np.int64)

    @classmethod
    def attach(cls, path: Path) -> BookTable:
        """Map an existing table.

        Raises:
            FileNotFoundError: There is no table (yet).
            LayoutError: The file is of another version, or not a table.
        """
        return cls(SharedFile.attach(path, MAGIC, LAYOUT))

    @property
    def generation(self) -> int:
        """Number of the writer, raised by each new one; what was read under another is void."""
        return self._file.generation

    @property
    def row_words(self) -> int:
        """Words of one row: the length of the buffer that `read` needs."""
        return int(self._areas.live.shape[1])

    @property
    def rows(self) -> dict[str, int]:
        """Ticker -> row number, as the directory is now."""
        found = {}
        for row in range(self._areas.rows):
            if ticker := self.ticker_of(row):
                found[ticker] = row
        return found

    def ticker_of(self, row: int) -> str:
        """The market that a row holds, '' when it is free or being changed."""
        if not read_row(self._areas.directory[row], self._entry, ENTRY_WORDS):
            return ""
        return self._entry[_TICKER:].tobytes().rstrip(b"\0").decode()

    def row_of(self, ticker: str) -> int | None:
        """The row number of a market, None when it is not in the table.

        Remembers its answers, and looks again when the directory has changed.
        """
        row = self._rows.get(ticker)
        if row is None or self.generation != self._seen or self.ticker_of(row) != ticker:
            self._rows, self._seen = self.rows, self.generation
            row = self._rows.get(ticker)
        return row

    def read(self, row: int, out: b.Row) -> bool:
        """Copy a live row whole and consistent.

        Args:
            row: Row number.
            out: int64[row_words], overwritten.

        Returns:
            False when BUSY. What an earlier writer left is STALE in `out`, whatever it says of
            itself.
        """
        return self._copy(self._areas.live[row], out)

    def read_tick(self, row: int, out: b.Row) -> bool:
        """Copy the row as of its last tick; arguments and return value as of `read`."""
        return self._copy(self._areas.tick_rows[row], out)

    def _copy(self, source: b.Row, out: b.Row) -> bool:
        for _ in range(2):  # the grid may change between looking and copying
            words = b.HEADER + 2 * int(source[b.SLOTS])
            if not read_row(source, out, words):
                return False
            if b.HEADER + 2 * int(out[b.SLOTS]) <= words:
                if out[b.GENERATION] != self.generation:
                    out[b.STATE] = b.STALE
                return True
        return False

    def heartbeat_age_ns(self, mono_ns: int) -> int:
        """Age of the writer's last heartbeat in nanoseconds, as of `mono_ns` (CLOCK_MONOTONIC).

        A writer that is stopped or hangs keeps its lock but not this.
        """
        return self._file.heartbeat_age_ns(mono_ns)

    def writer_is_dead(self) -> bool:
        """Whether no process holds the writer's lock."""
        return self._file.writer_is_dead()

    def replaced(self) -> bool:
        """Whether another file has taken the path: attach again."""
        return self._file.replaced()

    def close(self) -> None:
        """Unmap the table; the object is unusable afterwards."""
        del self._areas
        self._file.close()


class OrderbookSnapshot(TypedDict):
    """One market's book at one moment; levels are (price in 1e-4 dollars, contracts in 1e-2).

    `yes_bids` and `no_bids` are at the price of their own leg; an ask is one dollar less the other
    leg's bid. Best levels come first. Only a live book that `is_recorded` may be traded on.

    Attributes:
        market_ticker: The market.
        sequence_number: The exchange's, of the last snapshot or delta.
        event_no: Number of the last event that the journal accepted.
        timestamp_ms: Market time of the last frame's receipt.
        state: `empty`, `live` or `stale`.
        is_recorded: Whether the journal has every change of it.
        yes_bids: Bids of YES.
        yes_asks: Asks of YES, from `no_bids`.
        no_bids: Bids of NO.
        no_asks: Asks of NO, from `yes_bids`.
    """

    market_ticker: str
    sequence_number: int
    event_no: int
    timestamp_ms: int
    state: str
    is_recorded: bool
    yes_bids: list[tuple[int, int]]
    yes_asks: list[tuple[int, int]]
    no_bids: list[tuple[int, int]]
    no_asks: list[tuple[int, int]]


class SharedOrderbookState:
    """The books in memory by ticker: the one source of truth while the stack runs.

    Args:
        table: An attached table; it stays the caller's to close.
    """

    def __init__(self, table: BookTable) -> None:
        self.table = table

    def get_snapshot(self, market_ticker: str) -> OrderbookSnapshot | None:
        """Take a consistent picture of a market's book.

        Args:
            market_ticker: The market.

        Returns:
            The book, whatever its state; None when the market is not in the table or the row was
            BUSY.
        """
        row = self.get_row(market_ticker)
        return None if row is None else _snapshot_of(market_ticker, row)

    def get_row(self, market_ticker: str) -> b.Row | None:
        """Copy a market's live book as its row, for kernels.

        Args:
            market_ticker: The market.

        Returns:
            int64[row_words] in the layout of `ipc.book`, or None when the market is not in the
            table, the row was BUSY, or it went to another market during the copy.
        """
        row = self.table.row_of(market_ticker)
        if row is None:
            return None
        out = np.zeros(self.table.row_words, np.int64)
        # The name is looked at again: the row may have gone to another market in between.
        read = self.table.read(row, out)
        return out if read and self.table.ticker_of(row) == market_ticker else None


def _snapshot_of(ticker: str, row: b.Row) -> OrderbookSnapshot:
    yes, no = (b.levels_of(row, leg)[::-1] for leg in (b.YES, b.NO))
    return OrderbookSnapshot(
        market_ticker=ticker,
        sequence_number=int(row[b.SEQ]),
        event_no=int(row[b.EVENT_NO]),
        timestamp_ms=int(row[b.RECV_NS]) // NS_PER_MS,
        state=b.BookState(int(row[b.STATE])).name.lower(),
        is_recorded=not row[b.FLAGS] & b.UNRECORDED,
        yes_bids=yes,
        yes_asks=[(ONE_DOLLAR_E4 - price_e4, count_e2) for price_e4, count_e2 in no],
        no_bids=no,
        no_asks=[(ONE_DOLLAR_E4 - price_e4, count_e2) for price_e4, count_e2 in yes],
    )


class BookTableWriter:
    """The collector's view: what the kernels of `ipc.book_kernels` write into.

    Attributes:
        live: int64[rows, row_words], the books as they are.
        tick_rows: The same shape, each row as of its last tick.
    """

    def __init__(self, file: SharedFile) -> None:
        self._file = file
        self._areas = _Areas(file)
        self.live: npt.NDArray[np.int64] = self._areas.live
        self.tick_rows: npt.NDArray[np.int64] = self._areas.tick_rows
        self._next_market = 1
        self._free = list(range(self._areas.rows - 1, -1, -1))
        self._take_over()

    @classmethod
    def create(cls, path: Path, rows: int = 256, slots: int = 1280) -> BookTableWriter:
        """Become the one writer of a table.

        Args:
            path: The file; kept when its layout fits, else made again.
            rows: Markets at once.
            slots: Prices a leg that a row has room for.

        Raises:
            WriterActiveError: Another process writes this table.
        """
        body = rows * (ENTRY_WORDS + 2 * b.row_words(slots))
        return cls(SharedFile.create(path, MAGIC, LAYOUT, (rows, slots), body))

    def _take_over(self) -> None:
        """Trust nothing that a dead writer left: no names, all rows STALE."""
        for entry in self._areas.directory:
            begin_repair(entry)
            entry[1:] = 0
            end_write(entry)
        self._void_all()
        self._file.raise_generation()

    def _void_all(self) -> None:
        for area in (self.live, self.tick_rows):
            for row in area:
                begin_repair(row)
                row[b.STATE] = b.STALE
                end_write(row)

    @property
    def path(self) -> Path:
        """Its place in the data folder."""
        return self._file.path

    @property
    def on_disk(self) -> bool:
        """Whether it was made now, on disk, because memory has no room for it."""
        return self._file.on_disk

    @property
    def generation(self) -> int:
        """Number of this writer."""
        return self._file.generation

    @property
    def slots(self) -> int:
        """Prices a leg that a row has room for."""
        return self._areas.slots

    def add_market(self, ticker: str, grid: PriceGrid, open_ms: int, close_ms: int) -> int:
        """Give a market an EMPTY row.

        Args:
            ticker: Its name, 1 to 112 bytes of UTF-8.
            grid: Its price grid.
            open_ms: When it opens, Unix milliseconds; 0 unknown.
            close_ms: When it closes; 0 unknown.

        Returns:
            The row number.

        Raises:
            TableFullError: No row is free.
            ValueError: The name is too long, or the grid has more prices than a row has room for.
        """
        name = ticker.encode()
        if not 0 < len(name) <= _MAX_TICKER:
            raise ValueError(f"ticker {ticker!r} has {len(name)} bytes, allowed 1 to {_MAX_TICKER}")
        if grid.size > self.slots:
            raise ValueError(
                f"{ticker}: a grid of {grid.size} prices needs RL_BOOK_SLOTS >= {grid.size}, "
                f"is {self.slots}"
            )
        if not self._free:
            raise TableFullError(
                f"{ticker}: all {self._areas.rows} rows of RL_BOOK_ROWS are in use"
            )
        row = self._free.pop()
        fresh = b.new_row(self.slots, grid)
        fresh[b.MARKET] = self._next_market
        fresh[b.GENERATION] = self.generation
        fresh[b.OPEN_MS], fresh[b.CLOSE_MS] = open_ms, close_ms
        for area in (self.live, self.tick_rows):
            begin_write(area[row])
            area[row, 1:] = fresh[1:]
            end_write(area[row])
        self._name(row, self._next_market, name)
        self._next_market += 1
        return row

    def move_times(self, row: int, open_ms: int, close_ms: int) -> None:
        """Write a market's new opening and closing time into both of its rows.

        Args:
            row: Row number.
            open_ms: When it opens, Unix milliseconds; 0 unknown.
            close_ms: When it closes; 0 unknown.
        """
        for area in (self.live, self.tick_rows):
            begin_write(area[row])
            area[row, b.OPEN_MS], area[row, b.CLOSE_MS] = open_ms, close_ms
            end_write(area[row])

    def remove_market(self, row: int) -> None:
        """Take a market out of the directory, its row STALE and CLOSED.

        The row is the last one to be used again.
        """
        self._name(row, 0, b"")
        for area in (self.live, self.tick_rows):
            begin_write(area[row])
            area[row, b.STATE] = b.STALE
            area[row, b.FLAGS] |= b.CLOSED
            end_write(area[row])
        self._free.insert(0, row)

    def _name(self, row: int, number: int, name: bytes) -> None:
        entry = self._areas.directory[row]
        begin_write(entry)
        entry[1] = number
        entry[_TICKER:] = np.frombuffer(name.ljust(_MAX_TICKER, b"\0"), np.int64)
        end_write(entry)

    def heartbeat(self, mono_ns: int) -> None:
        """Say that this writer is running; to be called at least once a second."""
        self._file.heartbeat(mono_ns)

    def close(self) -> None:
        """Mark everything STALE and release the lock."""
        self._void_all()
        del self.live, self.tick_rows, self._areas
        self._file.close()
