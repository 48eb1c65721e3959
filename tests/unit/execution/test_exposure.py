"""Money at risk of one market and of sums: never less than what filling everything can cost."""

from __future__ import annotations

from itertools import chain, combinations, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ipc.messages import BookSide
from ipc.units import ONE_DOLLAR_E4
from models.trading.fees import NO_FEES, FeeBound
from models.trading.portfolio import Portfolio
from processes.execution.exposure import (
    TOTAL,
    ExposureBook,
    MarketRisk,
    RestingOrder,
    RiskScope,
    ScopeKind,
    event_of,
    market_risk,
)

FREE = FeeBound((NO_FEES,))
BID, ASK = BookSide.BID, BookSide.ASK


def bid(cents: int, contracts: int) -> RestingOrder:
    return RestingOrder(BID, 100 * cents, 100 * contracts)


def ask(cents: int, contracts: int) -> RestingOrder:
    return RestingOrder(ASK, 100 * cents, 100 * contracts)


@pytest.mark.parametrize(
    ("position", "cost", "orders", "risk"),
    [
        (0, 0, [], (0, 0, 0)),
        (10, 4, [], (10, 4, 4)),
        (-10, 6, [], (10, 6, 6)),
        (0, 0, [bid(40, 10)], (10, 4, 4)),
        (0, 0, [ask(40, 10)], (10, 6, 6)),
        (0, 0, [bid(40, 10), ask(60, 10)], (10, 8, 4)),  # of a pair only one side can lose
        (0, 0, [bid(40, 10), ask(60, 5)], (10, 6, 4)),
        (10, 4, [bid(50, 10)], (20, 9, 9)),
        (10, 4, [ask(50, 10)], (10, 4, 4)),  # a sale of what is held opens nothing
        (10, 4, [ask(50, 15)], (10, 6.5, 6.5)),  # the rest of it does
        (10, 4, [ask(50, 10), ask(10, 5)], (10, 8.5, 8.5)),  # the dearest are those that open
        (-10, 6, [bid(90, 15)], (10, 10.5, 10.5)),
    ],
)
def test_figures_of_one_market(
    position: int, cost: float, orders: list[RestingOrder], risk: tuple[float, float, float]
) -> None:
    found = market_risk(100 * position, int(cost * 10**6), orders, FREE)
    contracts, exposure, worst = risk
    assert found == (100 * contracts, exposure * 10**6, worst * 10**6)


def test_the_worst_fee_is_at_risk_too() -> None:
    free, charged = (market_risk(0, 0, [bid(50, 100)], fees) for fees in (FREE, FeeBound()))
    assert charged.exposure_e6 - free.exposure_e6 == 1_750_000
    assert charged.worst_e6 - free.worst_e6 == 1_750_000


def test_contracts_that_are_not_explained_may_have_cost_a_dollar_each() -> None:
    assert market_risk(100, 400_000, [], FREE, 200) == (300, 2_400_000, 2_400_000)


order = st.builds(
    RestingOrder,
    st.sampled_from([BID, ASK]),
    st.integers(1, 99).map(lambda cents: 100 * cents),
    st.integers(1, 20).map(lambda contracts: 100 * contracts),
)


def held(position_e2: int, price_e4: int) -> Portfolio:
    portfolio = Portfolio(0)
    if position_e2:
        portfolio.fill(BID if position_e2 > 0 else ASK, price_e4, abs(position_e2), 0)
    return portfolio


def lost_e6(portfolio: Portfolio, fills: tuple[RestingOrder, ...]) -> int:
    """What is lost at the worse outcome, beyond what was lost before, when these fill in turn."""
    value_e6 = portfolio.cash_e6 + portfolio.cost_basis_e6
    worst_e6 = 0
    for yes_value_e4 in (0, ONE_DOLLAR_E4):
        after = Portfolio(0)
        after.row[:] = portfolio.row
        for each in fills:
            after.fill(each.book_side, each.yes_price_e4, each.count_e2, 0)
        after.settle(yes_value_e4)
        worst_e6 = max(worst_e6, value_e6 - after.cash_e6)
    return worst_e6


@settings(max_examples=40, deadline=None)
@given(st.integers(-20, 20), st.integers(1, 99), st.lists(order, max_size=3))
def test_nothing_that_fills_loses_more_than_the_worst_case(
    contracts: int, cents: int, orders: list[RestingOrder]
) -> None:
    """An oracle of its own: every subset in every order, at both outcomes."""
    portfolio = held(100 * contracts, 100 * cents)
    risk = market_risk(portfolio.position_e2, portfolio.cost_basis_e6, orders, FREE)
    subsets = chain.from_iterable(combinations(orders, n) for n in range(len(orders) + 1))
    for fills in chain.from_iterable(permutations(subset) for subset in subsets):
        assert lost_e6(portfolio, fills) <= risk.worst_e6 <= risk.exposure_e6


@given(st.integers(-20, 20), st.integers(1, 99), st.lists(order, min_size=1, max_size=4), st.data())
def test_no_figure_rises_when_an_order_fills_at_its_limit(
    contracts: int, cents: int, orders: list[RestingOrder], data: st.DataObject
) -> None:
    portfolio = held(100 * contracts, 100 * cents)
    before = market_risk(portfolio.position_e2, portfolio.cost_basis_e6, orders, FREE)
    filled = orders[data.draw(st.integers(0, len(orders) - 1))]
    count_e2 = data.draw(st.integers(1, filled.count_e2))
    portfolio.fill(filled.book_side, filled.yes_price_e4, count_e2, 0)
    left = [o for o in orders if o is not filled]
    if count_e2 < filled.count_e2:
        left.append(filled._replace(count_e2=filled.count_e2 - count_e2))
    after = market_risk(portfolio.position_e2, portfolio.cost_basis_e6, left, FREE)
    for now, then in zip(after, before, strict=True):
        assert now <= then


# Sums


def risk(number: int) -> MarketRisk:
    return MarketRisk(number, 10 * number, 5 * number)


def test_sums_follow_their_markets() -> None:
    book = ExposureBook()
    book.put("KX-A-1", "KX-A", risk(1))
    book.put("KX-A-2", "KX-A", risk(2))
    book.put("KX-B-1", "KX-B", risk(4))
    book.put("OTHER-1", "OTHER", risk(8))
    event, series = RiskScope(ScopeKind.EVENT, "KX-A"), RiskScope(ScopeKind.SERIES, "KX")
    assert [book.of(s) for s in (event, series, TOTAL)] == [risk(3), risk(7), risk(15)]
    book.put("KX-A-1", "KX-B", risk(16))  # another figure, and another event
    assert [book.of(s) for s in (event, series, TOTAL)] == [risk(2), risk(22), risk(30)]
    for ticker in ("KX-A-1", "KX-A-2", "KX-B-1", "OTHER-1", "not there"):
        book.remove(ticker)
    assert (list(book.sums()), book.tickers()) == ([], set())


def test_what_a_market_would_change_is_seen_without_changing_it() -> None:
    book = ExposureBook()
    book.put("KX-A-1", "KX-A", risk(1))
    book.put("KX-A-2", "KX-A", risk(2))
    sums = book.with_market("KX-A-1", "KX-A", risk(10))
    assert sums[TOTAL] == sums[RiskScope(ScopeKind.EVENT, "KX-A")] == risk(12)
    assert sums[RiskScope(ScopeKind.MARKET, "KX-A-1")] == risk(10)
    moved = book.with_market("KX-A-1", "KX-B", risk(10))
    assert moved[RiskScope(ScopeKind.EVENT, "KX-B")] == risk(10)
    assert book.of(TOTAL) == risk(3)


def test_an_event_that_is_not_known_is_read_from_the_ticker() -> None:
    assert event_of("KXBTC-26DEC01-T100") == "KXBTC-26DEC01"
    assert event_of("PLAIN") == "PLAIN"
