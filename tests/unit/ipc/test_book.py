"""One book: levels, touch, asks and flow against dictionaries, on any grid."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.naive_book import NaiveBook, assert_book_equals, changes, grids

from ipc import book as b
from ipc.units import LINEAR_CENT, ONE_DOLLAR_E4, PriceGrid, PriceRange

Levels = list[tuple[int, int, int]]


def snapshot(row: b.Row, levels: Levels) -> int:
    sides = np.array([s for s, _, _ in levels], np.uint8)
    prices = np.array([p for _, p, _ in levels], np.int64)
    counts = np.array([c for _, _, c in levels], np.int64)
    return int(b.apply_snapshot(row, sides, prices, counts))


def unique(levels: Levels) -> Levels:
    return [(s, p, c) for (s, p), c in {(s, p): c for s, p, c in levels}.items()]


@given(data=st.data(), grid=grids())
def test_any_course_of_a_book_equals_the_naive_one(data: st.DataObject, grid: PriceGrid) -> None:
    row, naive = b.new_row(grid.size, grid), NaiveBook(grid)
    for _ in range(2):
        levels = unique(data.draw(changes(grid, most=12)))
        before = row.copy()
        status = snapshot(row, levels)
        assert (status == b.OK) == naive.snapshot(levels)
        assert status == b.OK or (row == before).all()
        assert_book_equals(row, naive)
        for side, price, change in data.draw(changes(grid)):
            before = row.copy()
            status = b.apply_delta(row, side, price, change)
            assert (status == b.OK) == naive.delta(side, price, change)
            assert status == b.OK or (row == before).all()
            assert_book_equals(row, naive)


@given(grid=grids(), price=st.integers(-10, 10_010))
def test_a_row_knows_its_grid(grid: PriceGrid, price: int) -> None:
    row = b.new_row(grid.size, grid)
    assert b.grid_of(row) == grid
    assert b.slot_of(row, price) == grid.index(price)
    assert [b.price_of(row, s) for s in range(grid.size)] == grid.prices.tolist()
    assert b.price_of(row, -1) == 0


def test_a_delta_is_a_signed_change() -> None:
    row = b.new_row(99, LINEAR_CENT)
    snapshot(row, [(0, 7000, 70_00), (1, 1000, 10_00)])
    b.apply_delta(row, b.YES, 7000, 5_00)
    b.apply_delta(row, b.NO, 1000, -3_00)
    assert b.levels_of(row, b.YES) == [(7000, 75_00)]
    assert b.levels_of(row, b.NO) == [(1000, 7_00)]
    b.apply_delta(row, b.NO, 1000, -7_00)
    assert b.levels_of(row, b.NO) == []
    assert b.best_bid(row, b.NO) == (0, 0)


def test_a_yes_ask_is_one_dollar_less_the_best_no_bid() -> None:
    """A real 80/82 market: 80 bid on YES, 18 bid on NO."""
    row = b.new_row(99, LINEAR_CENT)
    snapshot(row, [(0, 8000, 100), (0, 7900, 300), (1, 1800, 200), (1, 1700, 100)])
    assert b.best_bid(row, b.YES) == (8000, 100)
    assert ONE_DOLLAR_E4 - b.best_bid(row, b.NO)[0] == 8200
    assert row[b.LAST_MID2] == 8000 + 8200


def test_realised_variance_sums_squared_changes_of_the_mid() -> None:
    row = b.new_row(99, LINEAR_CENT)
    snapshot(row, [(0, 8000, 100), (1, 1800, 100)])
    b.apply_delta(row, b.YES, 8100, 100)
    assert (row[b.LAST_MID2], row[b.REALISED]) == (8100 + 8200, 100**2)
    b.apply_delta(row, b.NO, 1800, -100)  # no ask: the mid is unknown, nothing moves
    b.apply_delta(row, b.NO, 1500, 100)
    assert (row[b.LAST_MID2], row[b.REALISED]) == (8100 + 8500, 100**2 + 300**2)


@pytest.mark.parametrize(
    ("side", "price", "change", "flow"),
    [
        (0, 8000, 50, 50),  # more at the bid
        (0, 8000, -50, -50),
        (0, 8100, 30, 30),  # a better bid counts whole
        (0, 8000, -100, -100),  # the bid is gone
        (0, 7900, 40, 0),  # behind the touch
        (1, 1800, 50, -50),  # more at the ask
        (1, 1800, -200, 200),  # the ask is gone
        (1, 1700, 500, 0),
    ],
)
def test_order_flow_imbalance_at_the_touch(side: int, price: int, change: int, flow: int) -> None:
    row = b.new_row(99, LINEAR_CENT)
    snapshot(row, [(0, 8000, 100), (1, 1800, 200)])
    assert b.apply_delta(row, side, price, change) == b.OK
    assert row[b.OFI] == flow


def test_trades_move_no_level() -> None:
    row = b.new_row(99, LINEAR_CENT)
    snapshot(row, [(0, 8000, 100), (1, 1800, 200)])
    before = (b.levels_of(row, b.YES), b.levels_of(row, b.NO))
    b.apply_trade(row, 8200, 30, b.YES, 5)
    b.apply_trade(row, 8000, 70, b.NO, 6)
    assert row[b.TRADE_FLOW] == -40
    assert row[b.N_TRADES] == 2
    assert row[[b.LAST_TRADE_PRICE, b.LAST_TRADE_COUNT, b.LAST_TRADE_MS]].tolist() == [8000, 70, 6]
    assert before == (b.levels_of(row, b.YES), b.levels_of(row, b.NO))


def test_a_row_of_too_few_slots_is_refused() -> None:
    fine = PriceGrid([PriceRange(0, 10_000, 10)])
    with pytest.raises(ValueError, match="999 prices needs RL_BOOK_SLOTS >= 999, is 9"):
        b.new_row(980, fine)
    row = b.new_row(fine.size, fine)
    assert len(row) % 8 == 0
    assert b.apply_delta(row, b.NO, 9990, 1) == b.OK
    assert b.levels_of(row, b.NO) == [(9990, 1)]


@pytest.mark.parametrize(
    ("words", "due"),
    [
        ({}, True),
        ({b.STATE: b.EMPTY}, False),
        ({b.STATE: b.STALE}, False),
        ({b.FLAGS: b.UNRECORDED}, False),
        ({b.FLAGS: b.CLOSED}, False),
        ({b.FLAGS: b.WARMING}, True),
        ({b.LAST_TICK_NS: 1_000_000_000 - 250}, True),
        ({b.LAST_TICK_NS: 1_000_000_000 - 249}, False),
        ({b.LAST_TICK_NS: 1_000_000_000 + 249}, False),  # frames of two channels may cross
        ({b.LAST_TICK_NS: 1_000_000_000 + 250}, False),
        ({b.LAST_TICK_NS: 1_000_000_000 + b.RESTART_NS - 1}, False),
        ({b.LAST_TICK_NS: 1_000_000_000 + b.RESTART_NS}, True),  # the replay has started again
        ({b.CLOSE_MS: 1_000}, False),
        ({b.CLOSE_MS: 1_001}, True),
    ],
)
def test_the_tick_rule(words: dict[int, int], due: bool) -> None:
    row = b.new_row(99, LINEAR_CENT)
    row[b.STATE], row[b.RECV_NS] = b.LIVE, 1_000_000_000
    for word, value in words.items():
        row[word] = value
    assert b.tick_due(row, 250) is due
