"""Integers only: text in, text out, and the grids that prices live on."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.naive_book import grids

from ipc import units as u
from ipc.units import LINEAR_CENT, PriceGrid, PriceRange

PAIRS = (
    (u.parse_price, u.format_price, 4),
    (u.parse_count, u.format_count, 2),
    (u.parse_money, u.format_money, 6),
)
FINE_ENDS = [(0, 1000, 10), (1000, 9000, 100), (9000, 10000, 10)]


@pytest.mark.parametrize(("parse", "show", "places"), PAIRS)
@given(value=st.integers(-(10**15), 10**15))
def test_what_is_shown_is_parsed_back(parse: Any, show: Any, places: int, value: int) -> None:
    text = show(value)
    assert parse(text) == value
    assert Decimal(text) == Decimal(value).scaleb(-places)
    assert parse(text + "00") == value  # more zeros are the same amount


@pytest.mark.parametrize(
    "text",
    [
        "",
        "-",
        ".5",
        "+1",
        "1e-2",
        "0x1",
        "1,000",
        " 1",
        "1 ",
        "nan",
        "inf",
        "1.2.3",
        "--1",
        "٣",
        "-.5",
    ],
)
def test_what_is_no_plain_decimal_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match=r"price .* is not a decimal number"):
        u.parse_price(text)


def test_too_many_decimals_are_refused_not_rounded() -> None:
    with pytest.raises(ValueError, match=r"price '0\.47001' has more than 4 decimals"):
        u.parse_price("0.47001")
    assert u.parse_price("0.470000") == 4700


@pytest.mark.parametrize("value", [0.47, 1, None, b"0.47", Decimal("0.47")])
def test_only_text_is_parsed(value: Any) -> None:
    with pytest.raises((TypeError, AttributeError)):
        u.parse_price(value)


@pytest.mark.parametrize("show", [u.format_price, u.format_count, u.format_money])
def test_a_float_is_never_shown_as_an_amount(show: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        show(0.5)


def test_units_multiply_exactly() -> None:
    assert u.parse_money("1") == u.PRICE_SCALE * u.COUNT_SCALE
    cost = u.parse_price("0.4700") * u.parse_count("10.00")
    assert u.format_money(cost) == "4.700000"


@given(grid=grids())
def test_slots_and_prices_of_a_grid_are_one_to_one(grid: PriceGrid) -> None:
    prices = grid.prices.tolist()
    assert [grid.index(p) for p in prices] == list(range(grid.size))
    assert [grid.price(s) for s in range(grid.size)] == prices
    assert prices == sorted(set(prices))
    assert prices[0] > 0
    assert prices[-1] < u.ONE_DOLLAR_E4
    assert PriceGrid.from_wire(grid.to_wire()) == grid
    assert hash(PriceGrid.from_wire(grid.to_wire())) == hash(grid)


@given(grid=grids(), price=st.integers(-100, 10_100))
def test_floor_and_ceil_are_the_neighbours_on_the_grid(grid: PriceGrid, price: int) -> None:
    prices = grid.prices.tolist()
    below, above = [p for p in prices if p <= price], [p for p in prices if p >= price]
    assert grid.floor(price) == (below[-1] if below else prices[0])
    assert grid.ceil(price) == (above[0] if above else prices[-1])
    assert grid.index(price) == (prices.index(price) if price in prices else -1)


def test_the_grids_in_use() -> None:
    assert LINEAR_CENT.prices.tolist() == list(range(100, 10_000, 100))
    fine = PriceGrid(PriceRange(*r) for r in FINE_ENDS)
    assert fine.size == 99 + 81 + 99
    assert (fine.index(1000), fine.price(99), fine.price(100)) == (99, 1000, 1100)
    assert not fine.prices.flags.writeable


@pytest.mark.parametrize(
    ("ranges", "message"),
    [
        ([], "has 0 ranges, allowed 1 to 8"),
        ([(100 * i, 100 * i + 100, 100) for i in range(9)], "has 9 ranges"),
        ([(0, 5000, 100), (6000, 10000, 100)], "not a gapless grid"),
        ([(0, 10000, 0)], "not a gapless grid"),
        ([(0, 10000, 300)], "not a gapless grid"),
        ([(0, 5000, -100)], "not a gapless grid"),
        ([(100, 10000, 100)], "not a gapless grid"),
        ([(0, 10100, 100)], "not a gapless grid"),
        ([(0, 5000, 100)], "ends at 0.5000"),
        ([(0, 10000, 10000)], "no price between 0 and 1"),
    ],
)
def test_a_grid_that_cannot_be_is_refused(ranges: list[Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PriceGrid(PriceRange(*r) for r in ranges)
