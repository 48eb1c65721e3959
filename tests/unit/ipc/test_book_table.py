"""The table of books: who is where, whose life it is, and what a reader may believe."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.kernel_stand import Stamps, arrays_of

from ipc import book as b
from ipc.book_kernels import record_snapshot
from ipc.book_table import (
    BookTable,
    BookTableWriter,
    LayoutError,
    SharedOrderbookState,
    TableFullError,
    WriterActiveError,
)
from ipc.event_journal import CAPACITY, FIRST, HEADER_WORDS, RECORD_WORDS
from ipc.kernels import begin_write
from ipc.units import LINEAR_CENT, PriceGrid, PriceRange

LEVELS = [(0, 8000, 100), (1, 1800, 200)]
FINE = PriceGrid([PriceRange(0, 10_000, 10)])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "books"


def create(path: Path, rows: int = 4, slots: int = 120) -> BookTableWriter:
    return BookTableWriter.create(path, rows=rows, slots=slots)


def make_live(writer: BookTableWriter, row: int, levels: list[tuple[int, int, int]]) -> None:
    words = np.zeros(HEADER_WORDS + 50 * RECORD_WORDS, np.int64)
    words[FIRST], words[CAPACITY] = 1, 50
    args = (writer.live, writer.tick_rows, words, True, row, arrays_of(levels), tuple(Stamps()), 0)
    assert record_snapshot(*args) > 0


def read(table: BookTable, row: int) -> b.Row:
    out = np.full(table.row_words, -1)
    assert table.read(row, out)
    return out


def test_a_market_is_found_by_its_name(path: Path) -> None:
    writer = create(path)
    a, c = writer.add_market("KXA-1", LINEAR_CENT, 10, 20), writer.add_market("KXC", FINE_99, 0, 0)
    table = BookTable.attach(path)
    assert table.rows == {"KXA-1": a, "KXC": c}
    assert (table.row_of("KXA-1"), table.row_of("KXB")) == (a, None)
    assert (table.ticker_of(c), table.ticker_of(3)) == ("KXC", "")
    row = read(table, a)
    assert row[[b.STATE, b.OPEN_MS, b.CLOSE_MS]].tolist() == [b.EMPTY, 10, 20]
    assert row[b.GENERATION] == table.generation == writer.generation == 1
    assert b.grid_of(row) == LINEAR_CENT
    assert b.grid_of(read(table, c)) == FINE_99


FINE_99 = PriceGrid([PriceRange(0, 500, 25), PriceRange(500, 10_000, 100)])


def test_a_reader_sees_the_book_and_the_tick(path: Path) -> None:
    writer = create(path)
    row = writer.add_market("KXA", LINEAR_CENT, 0, 0)
    make_live(writer, row, LEVELS)
    state = SharedOrderbookState(BookTable.attach(path))
    table = BookTable.attach(path)
    tick_row = np.zeros(table.row_words, np.int64)
    assert table.read_tick(row, tick_row)
    for copy in (state.get_row("KXA"), tick_row):
        assert copy is not None
        assert copy[b.STATE] == b.LIVE
        assert b.levels_of(copy, b.YES) == [(8000, 100)]
        assert b.levels_of(copy, b.NO) == [(1800, 200)]
    assert state.get_row("KXB") is None


def test_a_snapshot_of_one_market_has_asks_of_the_other_leg(path: Path) -> None:
    writer = create(path)
    row = writer.add_market("KXA", LINEAR_CENT, 0, 0)
    state = SharedOrderbookState(BookTable.attach(path))
    empty = state.get_snapshot("KXA")
    assert empty is not None
    assert (empty["state"], empty["yes_bids"], empty["no_asks"]) == ("empty", [], [])
    make_live(writer, row, LEVELS)
    book = state.get_snapshot("KXA")
    assert book is not None
    assert (book["market_ticker"], book["state"], book["is_recorded"]) == ("KXA", "live", True)
    assert book["yes_bids"] == [(8000, 100)]
    assert book["yes_asks"] == [(8200, 200)]
    assert book["no_bids"] == [(1800, 200)]
    assert book["no_asks"] == [(2000, 100)]
    assert book["event_no"] == int(writer.live[row][b.EVENT_NO]) > 0
    assert state.get_snapshot("KXB") is None


def test_a_busy_row_is_nothing(path: Path) -> None:
    writer = create(path)
    row = writer.add_market("KXA", LINEAR_CENT, 0, 0)
    table = BookTable.attach(path)
    begin_write(writer.live[row])
    assert not table.read(row, np.zeros(table.row_words, np.int64))
    assert SharedOrderbookState(table).get_row("KXA") is None
    assert table.read_tick(row, np.zeros(table.row_words, np.int64))


def test_a_removed_market_is_gone_and_nobody_trades_on_its_row(path: Path) -> None:
    writer = create(path)
    row = writer.add_market("KXA", LINEAR_CENT, 0, 0)
    make_live(writer, row, LEVELS)
    table = BookTable.attach(path)
    assert table.row_of("KXA") == row
    writer.remove_market(row)
    assert (table.row_of("KXA"), table.rows) == (None, {})
    tick = np.zeros(table.row_words, np.int64)
    assert table.read_tick(row, tick)
    for left in (read(table, row), tick):
        assert (left[b.STATE], left[b.FLAGS] & b.CLOSED) == (b.STALE, b.CLOSED)


def test_a_free_row_is_used_again_last_of_all_and_as_another_market(path: Path) -> None:
    writer = create(path, rows=3)
    first = writer.add_market("KXA", LINEAR_CENT, 0, 0)
    make_live(writer, first, LEVELS)
    table = BookTable.attach(path)
    number = read(table, first)[b.MARKET]
    writer.remove_market(first)
    rows = [writer.add_market(f"KX{i}", FINE_99, 0, 0) for i in range(3)]
    assert rows[2] == first
    assert len(set(rows)) == 3
    again = read(table, first)
    assert again[b.MARKET] != number
    assert (again[b.STATE], again[b.EVENT_NO], again[b.FLAGS]) == (b.EMPTY, 0, 0)
    assert b.levels_of(again, b.YES) == []
    assert table.row_of("KX2") == first
    assert table.row_of("KXA") is None


def test_a_row_that_changes_hands_while_it_is_read_is_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = create(path, rows=1)
    row = writer.add_market("KXA", LINEAR_CENT, 0, 0)
    table = BookTable.attach(path)
    whole = BookTable.read

    def change_hands(self: BookTable, at: int, out: b.Row) -> bool:
        writer.remove_market(row)
        writer.add_market("KXB", LINEAR_CENT, 0, 0)
        return whole(self, at, out)

    monkeypatch.setattr(BookTable, "read", change_hands)
    assert SharedOrderbookState(table).get_row("KXA") is None


@pytest.mark.parametrize(
    ("ticker", "grid", "message"),
    [
        ("", LINEAR_CENT, "has 0 bytes, allowed 1 to 112"),
        ("X" * 113, LINEAR_CENT, "has 113 bytes, allowed 1 to 112"),
        ("KXFINE", FINE, "KXFINE: a grid of 999 prices needs RL_BOOK_SLOTS >= 999, is 120"),
    ],
)
def test_a_market_that_does_not_fit_is_refused(
    path: Path, ticker: str, grid: PriceGrid, message: str
) -> None:
    writer = create(path, rows=1)
    with pytest.raises(ValueError, match=message):
        writer.add_market(ticker, grid, 0, 0)
    assert writer.add_market("X" * 112, LINEAR_CENT, 0, 0) == 0


def test_a_full_table_is_refused(path: Path) -> None:
    writer = create(path, rows=1)
    writer.add_market("KXA", LINEAR_CENT, 0, 0)
    with pytest.raises(TableFullError, match="KXB: all 1 rows of RL_BOOK_ROWS are in use"):
        writer.add_market("KXB", LINEAR_CENT, 0, 0)


def test_a_new_writer_voids_everything_before_it_lives(path: Path) -> None:
    first = create(path)
    row = first.add_market("KXA", LINEAR_CENT, 0, 0)
    make_live(first, row, LEVELS)
    table = BookTable.attach(path)
    begin_write(first.live[row])  # it dies in mid-write
    first._file.close()
    second = create(path)
    assert table.generation == 2
    assert table.rows == {}
    tick = np.zeros(table.row_words, np.int64)
    assert table.read_tick(row, tick)
    assert read(table, row)[b.STATE] == tick[b.STATE] == b.STALE
    assert (second.live[:, b.VERSION] % 2 == 0).all()
    assert second.add_market("KXB", LINEAR_CENT, 0, 0) in range(4)


def test_what_an_earlier_writer_left_is_stale_whatever_it_says(path: Path) -> None:
    """The moment between a new generation and its first market; or the file of another shape."""
    first = create(path)
    row = first.add_market("KXA", LINEAR_CENT, 0, 0)
    make_live(first, row, LEVELS)
    table = BookTable.attach(path)
    assert read(table, row)[b.STATE] == b.LIVE
    first._file.close()
    create(path, rows=5)
    assert table.replaced()
    assert read(table, row)[b.STATE] == b.STALE


def test_a_clean_end_leaves_nothing_live(path: Path) -> None:
    writer = create(path)
    row = writer.add_market("KXA", LINEAR_CENT, 0, 0)
    make_live(writer, row, LEVELS)
    table = BookTable.attach(path)
    writer.heartbeat(5)
    assert (table.heartbeat_age_ns(7), table.writer_is_dead()) == (2, False)
    writer.close()
    assert read(table, row)[b.STATE] == b.STALE
    assert table.writer_is_dead()
    table.close()


def test_two_writers_and_other_layouts_are_refused(path: Path) -> None:
    writer = create(path)
    with path.open("r+b") as file:
        file.seek(8)
        file.write((2).to_bytes(8, "little"))
    with pytest.raises(WriterActiveError):
        create(path)
    with pytest.raises(LayoutError, match="table layout 2"):
        BookTable.attach(path)
    writer.close()
    with pytest.raises(FileNotFoundError):
        BookTable.attach(path)
    assert create(path).generation == BookTable.attach(path).generation > 1
