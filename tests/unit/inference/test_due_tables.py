from __future__ import annotations

import numpy as np
import pytest
from support.actor_rig import remove_tables
from support.logged import Logged

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import AccountTableWriter, new_account
from ipc.book_table import BookTableWriter
from ipc.clock import mono_ns
from ipc.kernels import begin_write, end_write
from ipc.messages import Trigger, UpdateType
from ipc.shared_file import LayoutError, shared_path
from ipc.units import LINEAR_CENT
from processes.inference.due import HEARTBEAT_LIMIT_NS, AccountRows, BookRows, Gate


@pytest.fixture
def data_dir(tmp_path):
    with remove_tables(tmp_path):
        yield tmp_path


def make_books(data_dir, rows=4, slots=1280) -> BookTableWriter:
    table = BookTableWriter.create(shared_path(data_dir, "books"), rows, slots)
    table.heartbeat(mono_ns())
    return table


def ticked(table: BookTableWriter, ticker: str = "A") -> Trigger:
    """A market that ticked at its event 3, and the trigger that says so."""
    row = table.add_market(ticker, LINEAR_CENT, 0, 0)
    for area in (table.live, table.tick_rows):
        area[row, b.STATE] = b.LIVE
        area[row, b.EVENT_NO] = area[row, b.TICK_EVENT_NO] = 3
    return Trigger(
        market_ticker=ticker,
        row=row,
        generation=table.generation,
        update_type=UpdateType.SNAPSHOT,
        sequence_number=1,
        event_no=3,
        tick_event_no=3,
        recv_ns=0,
        frame_mono_ns=0,
        written_mono_ns=0,
    )


def buffer(books: BookRows) -> b.Row:
    return np.zeros(books.row_words, np.int64)


def test_waits_for_the_table_and_says_so_once(data_dir):
    log = Logged()
    books = BookRows(data_dir, log)
    assert books.epoch() is None
    assert books.epoch() is None
    assert books.writer_gate() is Gate.WRITER_DEAD
    table = make_books(data_dir)
    assert books.epoch() == (1, 1)
    assert books.epoch() == (1, 1)
    assert log.actions() == ["table_waiting", "table_attached"]
    books.close()
    table.close()


def test_another_writer_is_another_epoch(data_dir):
    books = BookRows(data_dir, Logged())
    table = make_books(data_dir)
    first = books.epoch()
    table.close()
    table = make_books(data_dir)
    assert books.epoch() == (1, 2) != first
    table.close()
    table = make_books(data_dir, rows=8)  # another shape is another file
    assert books.epoch() == (2, table.generation)
    books.close()
    table.close()


def test_a_table_of_another_layout_is_refused(data_dir):
    path = shared_path(data_dir, "books")
    table = make_books(data_dir)
    table._file.words[1] = 99
    with pytest.raises(LayoutError, match="layout 99"):
        BookRows(data_dir, Logged()).refresh()
    table.close()
    assert path.exists()


def test_an_announced_tick_is_read(data_dir):
    books, table = BookRows(data_dir, Logged()), make_books(data_dir)
    trigger = ticked(table)
    books.epoch()
    out = buffer(books)
    assert books.read_tick(trigger, out) is None
    assert out[b.TICK_EVENT_NO] == 3
    assert books.tickers() == ["A"]
    books.close()
    table.close()


def test_a_row_that_cannot_be_had_says_why(data_dir):
    books, table = BookRows(data_dir, Logged()), make_books(data_dir)
    trigger = ticked(table)
    books.epoch()
    out = buffer(books)
    begin_write(table.tick_rows[trigger.row])  # a writer that stopped in mid-write
    assert books.read_tick(trigger, out) is Gate.BUSY
    end_write(table.tick_rows[trigger.row])
    table.tick_rows[trigger.row, b.STATE] = b.STALE
    assert books.read_tick(trigger, out) is Gate.STALE
    table.tick_rows[trigger.row, b.STATE] = b.LIVE
    table.remove_market(trigger.row)
    assert books.read_tick(trigger, out) is Gate.OTHER_MARKET
    table.close()
    table = make_books(data_dir)
    assert books.read_tick(trigger, out) is Gate.OTHER_INCARNATION
    books.close()
    table.close()


def test_the_live_row_is_looked_at_once_more(data_dir):
    books, table = BookRows(data_dir, Logged()), make_books(data_dir)
    trigger = ticked(table)
    books.epoch()
    out = buffer(books)
    assert books.read_tick(trigger, out) is None
    assert books.row_gate(trigger.row, out) is None
    table.live[trigger.row, b.STATE] = b.STALE
    assert books.row_gate(trigger.row, out) is Gate.STALE
    begin_write(table.live[trigger.row])
    assert books.row_gate(trigger.row, out) is Gate.BUSY
    end_write(table.live[trigger.row])
    books.close()
    table.close()


def test_a_writer_that_stands_and_one_that_is_gone(data_dir):
    books, table = BookRows(data_dir, Logged()), make_books(data_dir)
    books.epoch()
    assert books.writer_gate() is None
    table.heartbeat(mono_ns() - HEARTBEAT_LIMIT_NS - 1)
    assert books.writer_gate() is Gate.WRITER_STOPPED
    table.heartbeat(mono_ns())
    assert books.writer_gate() is None
    table.close()
    assert books.writer_gate() is Gate.WRITER_DEAD
    books.close()


def test_an_account_is_known_while_execution_moves(data_dir):
    log = Logged()
    accounts = AccountRows(data_dir, log)
    out = np.zeros(a.ACCOUNT_WORDS, np.int64)
    accounts.refresh()
    assert not accounts.fresh()
    assert not accounts.read("A", out)
    table = AccountTableWriter.create(shared_path(data_dir, "accounts"))
    table.heartbeat(mono_ns())
    table.write("A", new_account(5))
    accounts.refresh()
    assert accounts.fresh()
    assert accounts.read("A", out)
    assert out[a.CASH_E6] == 5
    assert not accounts.read("B", out)
    table.forget_all()
    assert not accounts.read("A", out)
    table.heartbeat(mono_ns() - HEARTBEAT_LIMIT_NS - 1)
    assert not accounts.fresh()
    assert log.actions() == ["table_waiting", "table_attached"]
    accounts.close()
    table.close()
