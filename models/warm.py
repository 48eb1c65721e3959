"""Compile and cache every kernel of the live path, with the argument types that it meets live.

Nothing else may compile while the stack runs: a compilation takes seconds, and an actor that waits
for one misses its ticks. The kernels are reached through the very classes that the processes use,
because the type of an argument includes whether its memory may be written.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numba.core.dispatcher import Dispatcher

from ipc import account_table as a
from ipc import book as b
from ipc import book_kernels as k
from ipc.account_table import AccountTable, AccountTableWriter
from ipc.book_table import BookTable, BookTableWriter
from ipc.journal import EventSegments
from ipc.messages import BookSide
from ipc.units import LINEAR_CENT
from models.observation.builder import LiveObservationAdapter
from models.trading.actions import N_ACTIONS, Action, LimitOrderActionSpace, Pricing, masked_argmax
from models.trading.fees import FLAT, NEWEST_RULE, FeeRule, FeeSchedule, OrderFees
from models.trading.portfolio import Portfolio

__all__ = ["compile_kernels", "kernels"]

TICKER = "WARM"


def kernels() -> Iterator[tuple[str, Any]]:
    """(module.name, kernel) of every kernel of `ipc` and `models` that is imported now."""
    for name, module in sorted(sys.modules.items()):
        if name.partition(".")[0] in ("ipc", "models"):
            for kernel in vars(module).values():
                if isinstance(kernel, Dispatcher) and kernel.__module__ == name:
                    yield f"{name}.{kernel.py_func.__name__}", kernel


def _levels() -> tuple[Any, Any, Any]:
    """A snapshot as it comes from the wire: u8, int64, int64."""
    sides = np.array([b.YES, b.YES, b.NO, b.NO], np.uint8)
    prices = np.array([4_400, 4_500, 5_100, 5_200], np.int64)
    return sides, prices, np.array([10_000, 20_000, 5_000, 3_000], np.int64)


def _record(folder: Path, books: BookTableWriter, row: int) -> None:
    """The collector's calls: journal, live row, tick row."""
    segments = EventSegments(folder / "events", capacity=16)
    words, stamps, change = segments.words, (1, 2, 3, 4, 5), (b.YES, 4_500, 100)
    k.record_snapshot(books.live, books.tick_rows, words, True, row, _levels(), stamps, 0)
    k.record_delta(books.live, books.tick_rows, words, True, row, change, stamps, 0)
    trade = (*change, False)
    k.record_trade(books.live, books.tick_rows, words, True, row, trade, stamps, 0)
    segments.close()


def _book(folder: Path) -> b.Row:
    """The book table's writer and reader -> a copy of a tick row."""
    writer = BookTableWriter.create(folder / "books", rows=2, slots=LINEAR_CENT.size)
    reader = BookTable.attach(folder / "books")
    row = writer.add_market(TICKER, LINEAR_CENT, 0, 0)
    _record(folder, writer, row)
    copy = np.zeros(reader.row_words, np.int64)
    reader.read(row, copy)
    reader.read_tick(row, copy)
    k.set_state(writer.live, row, b.STALE, 0)
    reader.close()
    writer.close()
    return copy


def _account(folder: Path) -> a.AccountRow:
    """The account table's writer and reader, and the accounting -> a copy of a sub-account."""
    portfolio = Portfolio(100_000_000)
    portfolio.fill(BookSide.BID, 4_500, 1_000, 17_500)
    writer = AccountTableWriter.create(folder / "accounts", rows=2)
    writer.write(TICKER, portfolio.row)
    reader = AccountTable.attach(folder / "accounts")
    copy = a.new_account(0)
    reader.read(TICKER, copy)
    reader.close()
    writer.close()
    portfolio.settle(10_000)
    return copy


def _decide(row: b.Row, account: a.AccountRow) -> None:
    """Inference's calls on what it has copied from the tables."""
    adapter = LiveObservationAdapter()
    adapter.tick(TICKER, row)
    adapter.observe(TICKER, row, account)
    space = LimitOrderActionSpace(Pricing.AGGRESSIVE)
    space.mask(row, account)
    for action in Action:
        space.order_for(action, row, account)
    masked_argmax(np.zeros((1, N_ACTIONS), np.float32), np.ones((1, N_ACTIONS), np.bool_))


def _plain_book() -> None:
    """A book outside shared memory, and what is read from one: local exchange, dashboard, tools."""
    row = b.new_row(LINEAR_CENT.size, LINEAR_CENT)
    b.apply_snapshot(row, *_levels())
    b.apply_delta(row, b.YES, 4_500, 100)
    b.apply_trade(row, 4_500, 100, b.YES, 1)
    b.best_bid(row, b.YES)
    b.levels_of(row, b.YES)
    b.slot_of(row, 4_500)


def _fees() -> None:
    for schedule in (*map(FeeSchedule, FeeRule), FeeSchedule.of(NEWEST_RULE, FLAT)):
        OrderFees(schedule).charge(4_500, 100, is_buy=True, is_taker=True)
        schedule.fee_e6(4_500, 100, is_buy=True, is_taker=True)


def compile_kernels() -> int:
    """Run every kernel of the live path once.

    Needs no stack: tables and journals are made in a temporary folder. The first run compiles,
    later ones read the cache.

    Returns:
        How many kernels are ready.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _decide(_book(folder), _account(folder))
    _plain_book()
    _fees()
    return sum(1 for _, kernel in kernels() if kernel.signatures)
