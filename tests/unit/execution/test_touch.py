"""Execution reads the touch from the collector's own table, and believes only what is LIVE."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from support.actor_rig import remove_tables
from support.logged import Logged

from ipc import book as b
from ipc.book_table import BookTable, BookTableWriter
from ipc.clock import NS_PER_S, mono_ns
from ipc.shared_file import shared_path
from ipc.units import LINEAR_CENT
from processes.execution.touch import BookTouches, Touch

TICKER = "KXTEST-1"


@contextmanager
def table_of(data_dir: Path) -> Iterator[tuple[BookTableWriter, int]]:
    """A table whose collector runs, and the row of a LIVE book: 40 bid for YES, 50 for NO."""
    with remove_tables(data_dir):
        writer = BookTableWriter.create(shared_path(data_dir, "books"), 4, 100)
        row = writer.add_market(TICKER, LINEAR_CENT, 0, 0)
        b.apply_delta(writer.live[row], b.YES, 4_000, 100)
        b.apply_delta(writer.live[row], b.NO, 5_000, 100)
        writer.live[row, b.STATE] = b.LIVE
        writer.heartbeat(mono_ns())
        try:
            yield writer, row
        finally:
            writer.close()


@pytest.fixture
def touches(tmp_path: Path) -> Iterator[BookTouches]:
    found = BookTouches(tmp_path, Logged())
    yield found
    found.close()


def seen(touches: BookTouches, writer: BookTableWriter, ticker: str = TICKER) -> Touch | None:
    """The touch, right after a heartbeat: however slow this machine is, the writer lives."""
    writer.heartbeat(mono_ns())
    return touches.touch(ticker)


def test_the_touch_is_the_best_bid_of_each_leg(tmp_path: Path, touches: BookTouches) -> None:
    with table_of(tmp_path) as (writer, row):
        assert seen(touches, writer) == Touch(4_000, 5_000, 0)
        b.apply_delta(writer.live[row], b.YES, 4_300, 100)
        b.apply_delta(writer.live[row], b.NO, 5_000, -100)
        writer.live[row, [b.EXCH_MS, b.RECV_NS]] = 1_000, 1_250 * 1_000_000
        assert seen(touches, writer) == Touch(4_300, 0, 250)


def test_only_a_live_book_of_a_living_writer_has_a_touch(
    tmp_path: Path, touches: BookTouches
) -> None:
    assert touches.touch(TICKER) is None  # no table yet
    with table_of(tmp_path) as (writer, row):
        live = writer.live[row]
        assert seen(touches, writer, "KXTEST-2") is None
        for word, bad, good in [
            (b.STATE, b.STALE, b.LIVE),
            (b.STATE, b.EMPTY, b.LIVE),
            (b.FLAGS, b.UNRECORDED, 0),
            (b.FLAGS, b.CLOSED, 0),
            (b.GENERATION, writer.generation + 1, writer.generation),
            (b.VERSION, live[b.VERSION] + 1, live[b.VERSION]),  # being written
        ]:
            live[word] = bad
            assert seen(touches, writer) is None, (word, bad)
            live[word] = good
            assert seen(touches, writer) is not None
        writer.heartbeat(mono_ns() - 3 * NS_PER_S)
        assert touches.touch(TICKER) is None
        writer.heartbeat(mono_ns() + 3_600 * NS_PER_S)
        assert touches.touch(TICKER) is not None
        writer.remove_market(row)
        assert touches.touch(TICKER) is None
    assert touches.touch(TICKER) is None  # its writer has gone


def test_a_new_collector_s_table_is_found(tmp_path: Path, touches: BookTouches) -> None:
    with table_of(tmp_path) as (writer, _):
        assert seen(touches, writer) is not None
    with table_of(tmp_path) as (writer, _):
        assert seen(touches, writer) is not None


def test_a_table_of_another_version_is_none_and_said_once(tmp_path: Path) -> None:
    log = Logged()
    touches = BookTouches(tmp_path, log)
    with remove_tables(tmp_path):
        path = shared_path(tmp_path, "books")
        path.parent.mkdir(mode=0o700, exist_ok=True)
        path.write_bytes(b"x" * 4_096)
        path.chmod(0o600)
        assert [touches.touch(TICKER) for _ in range(2)] == [None, None]
    assert log.actions().count("table_refused") == 1


def test_a_writer_that_died_a_moment_ago_is_not_believed(
    tmp_path: Path, touches: BookTouches
) -> None:
    with table_of(tmp_path) as (writer, _):
        assert seen(touches, writer) is not None
        fcntl.flock(writer._file._fd, fcntl.LOCK_UN)  # as the kernel does; the heartbeat is young
        assert touches.touch(TICKER) is None


def test_a_row_that_goes_to_another_market_while_it_is_read_is_not_taken(
    tmp_path: Path, touches: BookTouches, monkeypatch: pytest.MonkeyPatch
) -> None:
    with table_of(tmp_path) as (writer, _):
        assert seen(touches, writer) is not None
        read = BookTable.read

        def read_just_before(table: BookTable, row: int, out: b.Row) -> bool:
            is_read = read(table, row, out)
            writer.remove_market(row)
            others = (writer.add_market(f"KXTEST-{n}", LINEAR_CENT, 0, 0) for n in range(2, 6))
            assert row in others  # it is given to one of them
            return is_read

        monkeypatch.setattr(BookTable, "read", read_just_before)
        assert touches.touch(TICKER) is None
