"""A row of the table as the book that clients see."""

from __future__ import annotations

import numpy as np
import pytest

from ipc import book as b
from ipc.units import PriceGrid, PriceRange
from processes.broadcaster.views import book_data, signature_of

TENTHS = PriceGrid([PriceRange(0, 10_000, 10)])


def row_of(yes: dict[int, int], no: dict[int, int], grid: PriceGrid = TENTHS) -> b.Row:
    row = b.new_row(1_280, grid)
    legs = [(0, *level) for level in yes.items()] + [(1, *level) for level in no.items()]
    columns = np.array(legs, np.int64).reshape(-1, 3).T
    assert b.apply_snapshot(row, columns[0].astype(np.uint8), columns[1], columns[2]) == 0
    row[b.STATE] = b.LIVE
    return row


def test_depth_keeps_the_best_of_each_side() -> None:
    row = row_of({4_600: 100, 4_700: 200, 4_650: 300}, {5_000: 400, 5_100: 500})
    data = book_data("T", row, 2, stale=False)
    assert data.yes == (("0.4700", "2.00"), ("0.4650", "3.00"))
    assert data.no == (("0.5100", "5.00"), ("0.5000", "4.00"))
    assert (data.yes_levels, data.yes_total) == (3, "6.00")


def test_depth_zero_is_the_whole_book() -> None:
    row = row_of(dict.fromkeys(range(1000, 2000, 10), 100), {})
    assert len(book_data("T", row, 0, stale=False).yes) == 100


def test_asks_are_a_dollar_less_the_other_legs_bid() -> None:
    """A real 80/82 market reads 80/82."""
    data = book_data("T", row_of({8_000: 100}, {1_800: 100}), 20, stale=False)
    assert (data.best_yes_bid, data.best_yes_ask) == ("0.8000", "0.8200")
    assert (data.best_no_bid, data.best_no_ask) == ("0.1800", "0.2000")
    assert (data.mid, data.spread) == ("0.8100", "0.0200")


def test_mid_between_two_units_has_a_fifth_decimal() -> None:
    fine = PriceGrid([PriceRange(0, 100, 1), PriceRange(100, 10_000, 100)])
    data = book_data("T", row_of({50: 100}, {9_900: 100}, fine), 20, stale=False)
    assert data.mid == "0.0075"
    odd = book_data("T", row_of({51: 100}, {9_900: 100}, fine), 20, stale=False)
    assert odd.mid == "0.00755"


@pytest.mark.parametrize("legs", [({}, {}), ({4_700: 1}, {}), ({}, {5_000: 1})])
def test_without_both_touches_there_is_no_mid(legs: tuple[dict[int, int], dict[int, int]]) -> None:
    data = book_data("T", row_of(*legs), 20, stale=False)
    assert data.mid is None
    assert data.spread is None


def test_times_never_set_are_unknown() -> None:
    data = book_data("T", row_of({}, {}), 20, stale=False)
    assert (data.recv_ms, data.exch_ms, data.close_ms, data.last_trade) == (None,) * 4


def test_last_trade() -> None:
    row = row_of({4_700: 100}, {})
    b.apply_trade(row, 4_750, 1_250, 0, 99)
    trade = book_data("T", row, 20, stale=False).last_trade
    assert trade is not None
    assert (trade.yes_price, trade.count, trade.ts_ms) == ("0.4750", "12.50", 99)


def test_a_silent_writer_makes_any_book_stale() -> None:
    row = row_of({4_700: 100}, {})
    assert book_data("T", row, 20, stale=False).state == "live"
    assert book_data("T", row, 20, stale=True).state == "stale"
    assert signature_of(row, stale=True) != signature_of(row, stale=False)


def test_flags_are_words() -> None:
    row = row_of({}, {})
    row[b.FLAGS] = b.CLOSED | b.UNRECORDED
    assert book_data("T", row, 20, stale=False).flags == ("unrecorded", "closed")


@pytest.mark.parametrize(
    "word", [b.MARKET, b.GENERATION, b.STATE, b.FLAGS, b.EVENT_NO, b.SEQ, b.RECV_NS]
)
def test_signature_changes_with_every_word_that_a_client_sees_move(word: int) -> None:
    row = row_of({4_700: 100}, {})
    before = signature_of(row, stale=False)
    assert signature_of(row.copy(), stale=False) == before
    row[word] += 1
    assert signature_of(row, stale=False) != before
