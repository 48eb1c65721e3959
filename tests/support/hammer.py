"""Processes that hammer one row of a shared table: a writer to be killed, readers that count.

`python -m support.hammer write <table> <grid> <seed> <book_in>` says `ready` once it has taken the
table over, and writes from the line `go` on for as long as it lives. `... read <table> <counts>
<checked>` reads until its STOP word is set.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from support.hammer_kernels import fresh_levels, hammer, read_without_check, whole
from support.patience import PATIENCE

from ipc import book as b
from ipc import book_table, kernels
from ipc.book_table import BookTable, BookTableWriter
from ipc.clock import mono_ns
from ipc.event_journal import CAPACITY, COUNT, FIRST, HEADER_WORDS, RECORD_WORDS
from ipc.units import LINEAR_CENT, ONE_DOLLAR_E4, PriceGrid, PriceRange
from processes.runtime.run import die_with_parent

__all__ = ["GRIDS", "Count", "Reader", "Writer"]

ROOT = Path(__file__).resolve().parents[2]
GRIDS = {"cent": LINEAR_CENT, "decicent": PriceGrid([PriceRange(0, ONE_DOLLAR_E4, 10)])}
TICKER, ROW, ROWS, SLOTS = "KXHAMMER", 0, 2, 1_280
LEVELS = 20  # a leg of a whole book
WRITES = 1_000  # of one call of the kernel
PAUSES = 8  # spins between two writes: readers of the finest grid get their turn


class Count(IntEnum):
    """Words of a reader's file; all but STOP are its own."""

    STOP = 0
    READS = 1
    LIVE = 2  # copies of a live book, whole or torn
    TORN = 3
    STALE = 4
    BUSY = 5
    ROUNDS = 6  # of 256 tries each that were in vain
    LONGEST_NS = 7


class _Child:
    """A process of this module."""

    def __init__(self, *arguments: object) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "support.hammer", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": f"{ROOT}:{ROOT / 'tests'}"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> None:
        """Wait until it says so."""
        assert self.process.stdout is not None
        assert self.process.stdout.readline() == "ready\n"

    def end(self) -> None:
        """Leave nothing behind."""
        self.process.kill()
        self.process.communicate(timeout=PATIENCE)


class Writer(_Child):
    """One life of the table's writer; `book_in` 1: it rewrites the whole book all the time."""

    def __init__(self, table: Path, grid: str, seed: int, book_in: int = 64) -> None:
        super().__init__("write", table, grid, seed, book_in)

    def go(self) -> None:
        """From now on it writes."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()

    def stop(self) -> None:
        """SIGSTOP; wherever it is, there it stays."""
        self.process.send_signal(signal.SIGSTOP)
        os.waitid(os.P_PID, self.process.pid, os.WSTOPPED | os.WNOWAIT)

    def go_on(self) -> None:
        """SIGCONT."""
        self.process.send_signal(signal.SIGCONT)


class Reader(_Child):
    """A reader of live row and tick row in turn; what it counted lies in a shared file."""

    def __init__(self, table: Path, counts: Path, *, checked: bool = True) -> None:
        counts.write_bytes(bytes(8 * len(Count)))
        self.counts = np.memmap(counts, np.int64, "r+")
        super().__init__("read", table, counts, int(checked))

    def count(self, what: Count) -> int:
        return int(self.counts[what])

    def finish(self) -> None:
        """Let it end by itself."""
        self.counts[Count.STOP] = 1
        self.process.communicate(timeout=PATIENCE)
        assert self.process.returncode == 0


def _words() -> Any:
    words = np.zeros(HEADER_WORDS + RECORD_WORDS * 64 * WRITES, np.int64)
    words[FIRST], words[CAPACITY] = 1, 64 * WRITES
    return words


def _write(path: Path, grid: str, seed: int, book_in: int) -> None:
    table, words = BookTableWriter.create(path, ROWS, SLOTS), _words()
    levels = fresh_levels(b.new_row(SLOTS, GRIDS[grid]), LEVELS)
    where = table.live, table.tick_rows, words, ROW, levels
    hammer(*where, seed, 0, 0, 1)  # compiles
    print("ready", flush=True)
    assert sys.stdin.readline() == "go\n"
    assert table.add_market(TICKER, GRIDS[grid], 0, 0) == ROW
    chance = hammer(*where, seed, 1, 0, 1)  # the book is live
    while chance >= 0:
        table.heartbeat(mono_ns())
        words[FIRST] += words[COUNT]  # as a recorder that is never late
        words[COUNT] = 0
        chance = hammer(*where, chance, WRITES, PAUSES, book_in)
    raise AssertionError("a write was refused")


class _Tries:
    """`kernels.read_row`, counting the reads whose first round was in vain."""

    def __init__(self, counts: Any) -> None:
        self._counts = counts

    def __call__(self, row: b.Row, out: b.Row, words: int) -> bool:
        if kernels.try_read(row, out, words):
            return True
        self._counts[Count.ROUNDS] += 1
        return kernels.read_row(row, out, words)


def _read(path: Path, counts_file: Path, checked: bool) -> None:
    counts: Any = np.memmap(counts_file, np.int64, "r+")
    table = BookTable.attach(path)
    out = np.zeros(table.row_words, np.int64)
    if checked:
        book_table.read_row = _Tries(counts)
    else:
        book_table.read_row = read_without_check
    for tick in (False, True):  # compiles
        table.read_tick(ROW, out) if tick else table.read(ROW, out)
        whole(out, tick)
    counts[Count.ROUNDS] = 0
    print("ready", flush=True)
    tick = False
    while not counts[Count.STOP]:
        begun = mono_ns()
        copied = table.read_tick(ROW, out) if tick else table.read(ROW, out)
        counts[Count.LONGEST_NS] = max(counts[Count.LONGEST_NS], mono_ns() - begun)
        _note(counts, copied, out, tick)
        tick = not tick


def _note(counts: Any, copied: bool, out: b.Row, tick: bool) -> None:
    counts[Count.READS] += 1
    if not copied:
        counts[Count.BUSY] += 1
    elif out[b.STATE] != b.LIVE:
        counts[Count.STALE] += 1
    else:
        counts[Count.LIVE] += 1
        counts[Count.TORN] += not whole(out, tick)


def main(role: str, table: str, *more: str) -> None:
    """Be a writer or a reader."""
    die_with_parent(signal.SIGKILL)
    if role == "write":
        grid, seed, book_in = more
        _write(Path(table), grid, int(seed), int(book_in))
    else:
        counts, checked = more
        _read(Path(table), Path(counts), bool(int(checked)))


if __name__ == "__main__":
    main(*sys.argv[1:])
