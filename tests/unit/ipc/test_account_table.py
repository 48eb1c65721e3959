"""The table of accounts: known or not, never half."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ipc import account_table as a
from ipc.account_table import AccountTable, AccountTableWriter, OpenOrder
from ipc.kernels import begin_write
from ipc.shared_file import LayoutError, WriterActiveError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts"


def account(cash_e6: int, version: int = 1) -> a.AccountRow:
    row = a.new_account(cash_e6)
    row[a.ACCOUNT_VERSION] = version
    return row


def read(table: AccountTable, ticker: str) -> a.AccountRow | None:
    out = np.zeros(a.ACCOUNT_WORDS, np.int64)
    return out if table.read(ticker, out) else None


def test_what_execution_writes_inference_reads(path: Path) -> None:
    writer = AccountTableWriter.create(path, rows=3)
    table = AccountTable.attach(path)
    row = account(100_000_000, version=7)
    row[a.POSITION_E2] = -500
    orders = [OpenOrder(True, 1, 4700, 300, 99), OpenOrder(False, 0, 9900, 1, 100, 12_300)]
    a.put_orders(row, orders)
    writer.write("KXA", row)
    writer.write("KXB", account(5))
    copy = read(table, "KXA")
    assert copy is not None
    assert (copy[1:] == row[1:]).all()
    assert copy[a.N_ORDERS] == 2
    words = copy[a.ORDERS : a.ORDERS + 2 * a.ORDER_WORDS].reshape(2, -1).tolist()
    assert words == [[1, 1, 4700, 300, 99, a.UNKNOWN_AHEAD], [0, 0, 9900, 1, 100, 12_300]]
    assert table.tickers() == ["KXA", "KXB"]
    assert read(table, "KXC") is None


def test_a_table_of_another_layout_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as earlier:
        earlier.setattr(a, "LAYOUT", a.LAYOUT_WITHOUT_QUEUE)
        AccountTableWriter.create(path, rows=3)
    with pytest.raises(LayoutError, match="layout 1"):
        AccountTable.attach(path)


def test_orders_that_are_gone_leave_nothing_behind() -> None:
    row = account(1)
    a.put_orders(row, [OpenOrder(True, 1, 4700, 300, 99)] * a.MAX_ORDERS)
    a.put_orders(row, [])
    assert not row[a.ORDERS :].any()
    with pytest.raises(ValueError, match="9 open orders, an account row has room for 8"):
        a.put_orders(row, [OpenOrder(True, 1, 4700, 300, 99)] * 9)


def test_what_is_unknown_or_busy_is_not_read(path: Path) -> None:
    writer = AccountTableWriter.create(path, rows=2)
    table = AccountTable.attach(path)
    unknown = account(5)
    unknown[a.KNOWN] = 0
    writer.write("KXA", unknown)
    assert read(table, "KXA") is None
    writer.write("KXA", account(6))
    assert read(table, "KXA") is not None
    writer.forget_all()
    assert read(table, "KXA") is None
    writer.write("KXA", account(7))
    begin_write(writer._rows[0])
    assert read(table, "KXA") is None


@pytest.mark.parametrize("ticker", ["", "X" * 129])
def test_a_name_that_does_not_fit_changes_nothing(path: Path, ticker: str) -> None:
    writer = AccountTableWriter.create(path, rows=1)
    with pytest.raises(ValueError, match="allowed 1 to 128"):
        writer.write(ticker, account(5))
    writer.write("X" * 128, account(6))
    assert AccountTable.attach(path).tickers() == ["X" * 128]


def test_a_full_table_is_refused(path: Path) -> None:
    writer = AccountTableWriter.create(path, rows=1)
    writer.write("KXA", account(5))
    with pytest.raises(ValueError, match="KXB: all 1 account rows are in use"):
        writer.write("KXB", account(5))
    writer.write("KXA", account(6))


def test_a_removed_market_leaves_its_row_to_another(path: Path) -> None:
    writer = AccountTableWriter.create(path, rows=2)
    table = AccountTable.attach(path)
    writer.write("KXA", account(5))
    writer.write("KXB", account(6))
    assert read(table, "KXA") is not None  # the reader remembers the place
    writer.remove("KXA")
    writer.remove("KXNEVER")
    assert (read(table, "KXA"), table.tickers()) == (None, ["KXB"])
    writer.write("KXC", account(7))
    copy = read(table, "KXC")
    assert copy is not None
    assert copy[a.CASH_E6] == 7
    assert read(table, "KXA") is None
    with pytest.raises(ValueError, match="KXA: all 2 account rows are in use"):
        writer.write("KXA", account(8))


def test_a_new_writer_knows_nothing_until_it_has_reconciled(path: Path) -> None:
    first = AccountTableWriter.create(path, rows=2)
    first.write("KXA", account(5))
    first.write("KXB", account(6))
    table = AccountTable.attach(path)
    assert read(table, "KXB") is not None
    with pytest.raises(WriterActiveError):
        AccountTableWriter.create(path, rows=2)
    begin_write(first._rows[1])  # it dies in mid-write
    first._file.close()
    second = AccountTableWriter.create(path, rows=2)
    assert table.generation == 2
    assert (read(table, "KXA"), read(table, "KXB"), table.tickers()) == (None, None, [])
    second.write("KXB", account(9))  # in another row than before
    copy = read(table, "KXB")
    assert copy is not None
    assert copy[a.CASH_E6] == 9
    second.heartbeat(3)
    assert table.heartbeat_age_ns(10) == 7
    second.close()
    assert read(table, "KXB") is None
    assert not table.replaced()
    table.close()
