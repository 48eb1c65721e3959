"""One row of the shared table under a hammer: no torn read, and no writer's end stalls a reader."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.hammer import GRIDS, ROW, Count, Reader, Writer
from support.hammer_kernels import whole
from support.stack import eventually

from ipc import book as b
from ipc.book_table import BookTable

pytestmark = pytest.mark.slow

READERS = 2
FEWEST = 1_000  # reads of every reader, however slow the machine is
SHORT_S, LONG_S = 2.0, 20.0  # how long is hammered, not how long anything may take
MOMENT = 200  # reads of this process, at most, between two ends of a writer

each_grid = pytest.mark.parametrize(
    "grid", ["cent", *(pytest.param(g, marks=pytest.mark.slow) for g in GRIDS if g != "cent")]
)


class Rig:
    """A table, the writer of the moment, and readers that never stop reading."""

    def __init__(
        self, folder: Path, clean: ExitStack, grid: str, *, checked: bool = True, book_in: int = 64
    ) -> None:
        self.path = folder / "books"
        self._clean = clean
        self._grid = grid
        self._book_in = book_in
        self._lives = 0
        self.writer = self.next_writer()
        self.readers = [
            Reader(self.path, folder / f"counts-{n}", checked=checked) for n in range(READERS)
        ]
        for reader in self.readers:
            clean.callback(reader.end)
            reader.ready()
        self.table = BookTable.attach(self.path)
        self.row = np.zeros(self.table.row_words, np.int64)

    def next_writer(self) -> Writer:
        """Another life; it has taken over what the last one left, and does not write yet."""
        self._lives += 1
        self.writer = Writer(self.path, self._grid, self._lives, self._book_in)
        self._clean.callback(self.writer.end)
        self.writer.ready()
        return self.writer

    @property
    def midway(self) -> bool:
        """Whether the row's writer is, or was when it ended, between the two halves of a write."""
        return bool(self.table._areas.live[ROW, b.VERSION] & 1)

    def total(self, what: Count) -> int:
        return sum(reader.count(what) for reader in self.readers)

    def all_read_on(self, what: Count = Count.READS, more: int = 100) -> None:
        """Wait until every reader has come back so many times more."""
        before = [reader.count(what) for reader in self.readers]
        eventually(
            lambda: all(
                reader.count(what) >= old + more
                for reader, old in zip(self.readers, before, strict=True)
            ),
            f"{more} more {what.name} of every reader",
        )

    def hammer(self, seconds: float) -> None:
        self.writer.go()
        self.all_read_on(Count.LIVE, FEWEST)
        time.sleep(seconds)
        self.finish()

    def finish(self) -> None:
        self.writer.end()
        for reader in self.readers:
            reader.finish()
        for reader in self.readers:
            print({what.name.lower(): reader.count(what) for what in list(Count)[1:]})

    def read_some(self, chance: np.random.Generator) -> None:
        """The random moment: some reads of this process, each whole when it says so."""
        for _ in range(chance.integers(1, MOMENT)):
            self.read_checked()

    def read_checked(self) -> int | None:
        """The state of a copy, None for BUSY."""
        if not self.table.read(ROW, self.row):
            return None
        state = int(self.row[b.STATE])
        assert state != b.LIVE or whole(self.row, False)
        return state


@contextmanager
def rig(folder: Path, grid: str, **how: Any) -> Iterator[Rig]:
    with ExitStack() as clean:
        yield Rig(folder, clean, grid, **how)


def assert_nothing_torn(folder: Path, grid: str, seconds: float) -> None:
    with rig(folder, grid) as hammered:
        hammered.hammer(seconds)
        assert hammered.total(Count.TORN) == 0
        assert min(reader.count(Count.LIVE) for reader in hammered.readers) >= FEWEST


@each_grid
def test_no_read_is_torn(tmp_path: Path, grid: str) -> None:
    assert_nothing_torn(tmp_path, grid, SHORT_S)


@pytest.mark.slow
@each_grid
def test_no_read_is_torn_in_a_long_time(tmp_path: Path, grid: str) -> None:
    assert_nothing_torn(tmp_path, grid, LONG_S)


@each_grid
def test_without_the_version_check_the_same_hammer_tears(tmp_path: Path, grid: str) -> None:
    with rig(tmp_path, grid, checked=False) as hammered:
        hammered.writer.go()
        eventually(lambda: hammered.total(Count.TORN), "a torn read")
        hammered.finish()


def stop_at_random(hammered: Rig, chance: np.random.Generator, *, in_mid_write: bool) -> bool:
    """SIGSTOP -> whether the writer stands in mid-write; tries again until it does if it must."""
    while True:
        hammered.read_some(chance)
        hammered.writer.stop()
        if hammered.midway or not in_mid_write:
            return hammered.midway
        hammered.writer.go_on()


def stop_and_go_on(hammered: Rig, chance: np.random.Generator, *, in_mid_write: bool) -> bool:
    """A writer that stands still for a while -> whether it stood in mid-write."""
    table = hammered.table
    midway = stop_at_random(hammered, chance, in_mid_write=in_mid_write)
    beat = table.heartbeat_age_ns(0)
    for _ in range(5):
        assert hammered.read_checked() == (None if midway else b.LIVE)
        assert not table.writer_is_dead()
    hammered.all_read_on(Count.BUSY if midway else Count.LIVE)
    assert table.heartbeat_age_ns(0) == beat  # this is how a stopped writer shows
    hammered.writer.go_on()
    eventually(lambda: table.heartbeat_age_ns(0) != beat, "the writer moves")
    hammered.all_read_on(Count.LIVE)
    return midway


def kill_at_random(hammered: Rig, chance: np.random.Generator, *, in_mid_write: bool) -> None:
    """SIGKILL; in mid-write where it must be."""
    if in_mid_write:
        stop_at_random(hammered, chance, in_mid_write=True)
    else:
        hammered.read_some(chance)
    hammered.writer.end()


def kill_and_repair(hammered: Rig, chance: np.random.Generator, *, in_mid_write: bool) -> bool:
    """A writer's death and the next one's life -> whether the row was left half written."""
    table, generation = hammered.table, hammered.table.generation
    kill_at_random(hammered, chance, in_mid_write=in_mid_write)
    midway = hammered.midway
    assert hammered.read_checked() == (None if midway else b.LIVE)
    assert table.writer_is_dead()
    hammered.all_read_on(Count.BUSY if midway else Count.LIVE)
    hammered.next_writer()
    assert not table.writer_is_dead()
    assert table.generation == generation + 1
    assert hammered.read_checked() == b.STALE
    assert table.rows == {}
    hammered.all_read_on(Count.STALE)
    hammered.writer.go()
    eventually(lambda: hammered.read_checked() == b.LIVE, "a fresh snapshot")
    hammered.all_read_on(Count.LIVE)
    return midway


def assert_no_end_stalls_a_reader(folder: Path, stops: int, kills: int) -> None:
    chance = np.random.default_rng(31)
    with rig(folder, "decicent", book_in=1) as hammered:
        hammered.writer.go()
        hammered.all_read_on(Count.LIVE)
        stopped = [stop_and_go_on(hammered, chance, in_mid_write=bool(n % 2)) for n in range(stops)]
        killed = [kill_and_repair(hammered, chance, in_mid_write=bool(n % 2)) for n in range(kills)]
        hammered.finish()
        print(f"in mid-write: {sum(stopped)} of {stops} stops, {sum(killed)} of {kills} kills")
        assert hammered.total(Count.TORN) == 0


def test_a_writer_stopped_or_killed_in_mid_write_stalls_no_reader(tmp_path: Path) -> None:
    assert_no_end_stalls_a_reader(tmp_path, stops=10, kills=4)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_writers_stopped_and_killed_for_a_long_time_stall_no_reader(tmp_path: Path) -> None:
    assert_no_end_stalls_a_reader(tmp_path, stops=200, kills=60)
