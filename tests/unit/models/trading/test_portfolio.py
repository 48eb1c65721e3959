"""The accounting: money is conserved to the micro-dollar, whatever is traded in whatever order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ipc import account_table as a
from ipc.messages import BookSide
from models.trading.portfolio import (
    ASK,
    BID,
    Portfolio,
    apply_fill,
    cash_flow_e6,
    liquidation_value_e6,
)

START_E6 = 100_000_000
PRICES = st.integers(1, 9_999)
COUNTS = st.integers(1, 100_000)
FILLS = st.lists(
    st.tuples(st.sampled_from(list(BookSide)), PRICES, COUNTS, st.integers(0, 50_000)), max_size=25
)


def traded(fills: list[tuple[BookSide, int, int, int]]) -> Portfolio:
    portfolio = Portfolio(START_E6)
    for fill in fills:
        portfolio.fill(*fill)
    return portfolio


def test_a_position_opens_at_its_legs_price() -> None:
    yes, no = Portfolio(START_E6), Portfolio(START_E6)
    yes.fill(BookSide.BID, 4_700, 1_000, 17_500)
    no.fill(BookSide.ASK, 4_700, 1_000, 17_500)
    assert (yes.position_e2, yes.cost_basis_e6, yes.fees_e6) == (1_000, 4_700_000, 17_500)
    assert (no.position_e2, no.cost_basis_e6, no.fees_e6) == (-1_000, 5_300_000, 17_500)
    assert yes.cash_e6 == START_E6 - 4_700_000 - 17_500
    assert no.cash_e6 == START_E6 - 5_300_000 - 17_500


def test_a_pair_pays_its_dollar() -> None:
    portfolio = Portfolio(START_E6)
    portfolio.fill(BookSide.BID, 4_700, 1_000, 0)  # buys YES at 0.47
    portfolio.fill(BookSide.ASK, 4_500, 1_000, 0)  # buys NO at 0.55: ten pairs for 10.20
    assert portfolio.position_e2 == portfolio.cost_basis_e6 == 0
    assert portfolio.realized_e6 == -200_000
    assert portfolio.cash_e6 == START_E6 - 200_000


def test_a_flip_closes_first_and_opens_the_rest_at_its_own_cost() -> None:
    portfolio = Portfolio(START_E6)
    portfolio.fill(BookSide.BID, 4_000, 300, 0)
    portfolio.fill(BookSide.ASK, 6_000, 1_000, 0)
    assert portfolio.position_e2 == -700
    assert portfolio.cost_basis_e6 == 700 * 4_000
    assert portfolio.realized_e6 == 300 * 2_000


def test_a_partial_close_takes_its_share_of_the_basis() -> None:
    portfolio = Portfolio(START_E6)
    portfolio.fill(BookSide.BID, 4_000, 300, 0)
    portfolio.fill(BookSide.BID, 5_000, 100, 0)
    portfolio.fill(BookSide.ASK, 6_000, 100, 0)
    assert portfolio.cost_basis_e6 == 1_700_000 - 425_000
    assert portfolio.realized_e6 == 600_000 - 425_000


def test_settlement() -> None:
    for side, value, payout in (
        (BookSide.BID, 10_000, 5_000_000),
        (BookSide.BID, 0, 0),
        (BookSide.ASK, 0, 5_000_000),
        (BookSide.ASK, 2_500, 3_750_000),
    ):
        portfolio = traded([(side, 5_000, 500, 0)])
        assert portfolio.settle(value) == payout
        assert portfolio.cash_e6 == START_E6 - 2_500_000 + payout
        assert portfolio.realized_e6 == payout - 2_500_000
        assert portfolio.position_e2 == portfolio.cost_basis_e6 == 0


@given(FILLS)
def test_cash_is_start_and_realized_less_fees_and_basis(
    fills: list[tuple[BookSide, int, int, int]],
) -> None:
    p = traded(fills)
    assert p.cash_e6 == START_E6 + p.realized_e6 - p.fees_e6 - p.cost_basis_e6
    assert p.position_e2 == sum(c if s is BookSide.BID else -c for s, _, c, _ in fills)
    assert p.fees_e6 == sum(f for *_, f in fills)
    assert p.cost_basis_e6 >= 0
    assert (p.position_e2 == 0) <= (p.cost_basis_e6 == 0)


@given(FILLS, st.integers(0, 10_000))
def test_cash_and_settlement_are_conserved(
    fills: list[tuple[BookSide, int, int, int]], value_e4: int
) -> None:
    """At the end everything is what YES bought and sold would have paid, pair by pair."""
    portfolio = traded(fills)
    portfolio.settle(value_e4)
    worth = sum((value_e4 - p) * (c if s is BookSide.BID else -c) - f for s, p, c, f in fills)
    assert portfolio.cash_e6 == START_E6 + worth


@given(st.integers(-50_000, 50_000), st.sampled_from([BID, ASK]), PRICES, COUNTS)
def test_the_cash_flow_of_a_fill_is_what_the_fill_books(
    position_e2: int, side: int, price_e4: int, count_e2: int
) -> None:
    account = a.new_account(0)
    account[a.POSITION_E2] = position_e2
    flow = cash_flow_e6(position_e2, side, price_e4, count_e2)
    apply_fill(account, side, price_e4, count_e2, 77)
    assert account[a.CASH_E6] == flow - 77


@given(FILLS, PRICES)
def test_a_round_trip_at_one_price_earns_nothing(
    fills: list[tuple[BookSide, int, int, int]], price_e4: int
) -> None:
    """Whatever is held: out and in again at the same price leaves cash and position alone."""
    portfolio = traded(fills)
    before = (portfolio.cash_e6, portfolio.position_e2)
    portfolio.fill(BookSide.BID, price_e4, 500, 0)
    portfolio.fill(BookSide.ASK, price_e4, 500, 0)
    assert (portfolio.cash_e6, portfolio.position_e2) == before


def test_liquidation_value() -> None:
    account = a.new_account(50_000_000)
    assert liquidation_value_e6(account, 4_500, 5_200, 0) == 50_000_000
    account[a.POSITION_E2] = 1_000
    assert liquidation_value_e6(account, 4_500, 5_200, 17_500) == 50_000_000 + 4_500_000 - 17_500
    account[a.POSITION_E2] = -1_000
    assert liquidation_value_e6(account, 4_500, 5_200, 0) == 50_000_000 + 5_200_000
    assert liquidation_value_e6(account, 4_500, 0, 0) == 50_000_000
