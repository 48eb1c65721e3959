"""The shared-memory table of books: a ticker directory, the live rows, and their tick copies.

One writer (the collector) holds the file's lock for life. Readers map it read-only, never wait, and
treat BUSY as STALE. A new writer raises the generation and marks every row STALE before anything
else; only a fresh snapshot makes a book LIVE again.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ipc import book as b
from ipc.errors import KalshiActorError
from ipc.seqlock import begin_repair, begin_write, end_write, read_row
from ipc.shared_file import LayoutError, SharedFile, WriterActiveError
from ipc.units import PriceGrid

__all__ = [
    "BookTable",
    "BookTableWriter",
    "LayoutError",
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
    """No row is free."""


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
        self.frozen = file.body[split + rows * words :].reshape(rows, words)


class BookTable:
    """A reader's view."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file
        self._areas = _Areas(file)
        self._seen = 0
        self._rows: dict[str, int] = {}
        self._entry = np.zeros(ENTRY_WORDS, np.int64)

    @classmethod
    def attach(cls, path: Path) -> BookTable:
        """Map an existing table; `FileNotFoundError` or `LayoutError` when there is none to map."""
        return cls(SharedFile.attach(path, MAGIC, LAYOUT))

    @property
    def generation(self) -> int:
        """Changes with every new writer; what was read before is void."""
        return self._file.generation

    @property
    def row_words(self) -> int:
        """Words of one row: the size of the buffer `read` wants."""
        return int(self._areas.live.shape[1])

    @property
    def rows(self) -> dict[str, int]:
        """Ticker -> row, as the directory stands now."""
        found = {}
        for row in range(self._areas.rows):
            if ticker := self.ticker_of(row):
                found[ticker] = row
        return found

    def ticker_of(self, row: int) -> str:
        """The market a row holds, '' when free or being changed."""
        if not read_row(self._areas.directory[row], self._entry, ENTRY_WORDS):
            return ""
        return self._entry[_TICKER:].tobytes().rstrip(b"\0").decode()

    def row_of(self, ticker: str) -> int | None:
        """The row of a market; remembers, and looks again when the directory changed."""
        row = self._rows.get(ticker)
        if row is None or self.generation != self._seen or self.ticker_of(row) != ticker:
            self._rows, self._seen = self.rows, self.generation
            row = self._rows.get(ticker)
        return row

    def read(self, row: int, out: b.Row) -> bool:
        """Copy a live row whole and consistent into `out`; False when BUSY.

        What an earlier writer left is STALE, whatever it says of itself.
        """
        return self._copy(self._areas.live[row], out)

    def read_tick(self, row: int, out: b.Row) -> bool:
        """Copy the row as of its last tick mark; False when BUSY."""
        return self._copy(self._areas.frozen[row], out)

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
        """Age of the writer's heartbeat: a stopped writer keeps its lock but not this."""
        return self._file.heartbeat_age_ns(mono_ns)

    def writer_is_dead(self) -> bool:
        """Whether the writer's lock is free."""
        return self._file.writer_is_dead()

    def replaced(self) -> bool:
        """Whether to attach anew: the path holds another file."""
        return self._file.replaced()

    def close(self) -> None:
        """Unmap."""
        del self._areas
        self._file.close()


class SharedOrderbookState:
    """The authoritative books in memory, by ticker."""

    def __init__(self, table: BookTable) -> None:
        self.table = table

    def get_snapshot(self, market_ticker: str) -> b.Row | None:
        """A consistent copy of a market's live row; None when unknown or BUSY."""
        return self._get(market_ticker, tick=False)

    def get_tick(self, market_ticker: str) -> b.Row | None:
        """A consistent copy of the row as of its last tick mark; None when unknown or BUSY."""
        return self._get(market_ticker, tick=True)

    def _get(self, market_ticker: str, *, tick: bool) -> b.Row | None:
        row = self.table.row_of(market_ticker)
        if row is None:
            return None
        out = np.zeros(self.table.row_words, np.int64)
        read = self.table.read_tick if tick else self.table.read
        # The name is looked at again: the row may have gone to another market in between.
        return out if read(row, out) and self.table.ticker_of(row) == market_ticker else None


class BookTableWriter:
    """The collector's view: `live` and `frozen` are what the kernels write into."""

    def __init__(self, file: SharedFile) -> None:
        self._file = file
        self._areas = _Areas(file)
        self.live: npt.NDArray[np.int64] = self._areas.live
        self.frozen: npt.NDArray[np.int64] = self._areas.frozen
        self._next_market = 1
        self._free = list(range(self._areas.rows - 1, -1, -1))
        self._take_over()

    @classmethod
    def create(cls, path: Path, rows: int = 256, slots: int = 1280) -> BookTableWriter:
        """Become the one writer; see `SharedFile.create` for what is refused."""
        body = rows * (ENTRY_WORDS + 2 * b.row_words(slots))
        return cls(SharedFile.create(path, MAGIC, LAYOUT, (rows, slots), body))

    def _take_over(self) -> None:
        """Never trust what a dead writer left: no names, all STALE, and only then a new life."""
        for entry in self._areas.directory:
            begin_repair(entry)
            entry[1:] = 0
            end_write(entry)
        self._void_all()
        self._file.raise_generation()

    def _void_all(self) -> None:
        for area in (self.live, self.frozen):
            for row in area:
                begin_repair(row)
                row[b.STATE] = b.STALE
                end_write(row)

    @property
    def on_disk(self) -> bool:
        """Whether it was made now, on disk, because memory has no room for it."""
        return self._file.on_disk

    @property
    def generation(self) -> int:
        """This writer's generation."""
        return self._file.generation

    @property
    def slots(self) -> int:
        """Prices a leg that a row has room for."""
        return self._areas.slots

    def add_market(self, ticker: str, grid: PriceGrid, open_ms: int, close_ms: int) -> int:
        """Give a market an EMPTY row; `TableFullError`, or `ValueError` for grid or name."""
        name = ticker.encode()
        if not 0 < len(name) <= _MAX_TICKER:
            raise ValueError(f"ticker {ticker!r} has {len(name)} bytes, allowed 1 to {_MAX_TICKER}")
        if grid.size > self.slots:
            raise ValueError(
                f"{ticker}: a grid of {grid.size} prices needs RL_BOOK_LEVELS >= {grid.size}, "
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
        for area in (self.live, self.frozen):
            begin_write(area[row])
            area[row, 1:] = fresh[1:]
            end_write(area[row])
        self._name(row, self._next_market, name)
        self._next_market += 1
        return row

    def move_times(self, row: int, open_ms: int, close_ms: int) -> None:
        """The market opens or closes at another time than was said."""
        for area in (self.live, self.frozen):
            begin_write(area[row])
            area[row, b.OPEN_MS], area[row, b.CLOSE_MS] = open_ms, close_ms
            end_write(area[row])

    def remove_market(self, row: int) -> None:
        """Take a market out of the directory; its row is used again last of all."""
        self._name(row, 0, b"")
        for area in (self.live, self.frozen):
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
        """Say that this writer moves."""
        self._file.heartbeat(mono_ns)

    def close(self) -> None:
        """Mark everything STALE and drop the lock."""
        self._void_all()
        del self.live, self.frozen, self._areas
        self._file.close()
