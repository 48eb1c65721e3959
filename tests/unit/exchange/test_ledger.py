"""Money: netting, cost basis, holds, settlement; no cent appears or vanishes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from processes.exchange.core.books import NO, YES
from processes.exchange.core.ledger import LedgerPosition, TradingAccount, hold_e6

PRICES = st.integers(1, 99).map(lambda cents: cents * 100)
COUNTS = st.integers(1, 5_000)


def test_buying_the_other_leg_pays_a_dollar_a_pair():
    position = LedgerPosition()
    assert position.buy(YES, 4_000, 1_000, 0, 1) == -4_000_000
    assert position.buy(NO, 5_000, 1_000, 0, 2) == 5_000_000
    assert (position.count_e2, position.cost_e6, position.realized_e6) == (0, 0, 1_000_000)


def test_a_flip_opens_at_its_own_cost():
    position = LedgerPosition()
    position.buy(NO, 3_000, 500, 0, 1)
    position.buy(YES, 6_000, 800, 0, 2)
    assert (position.count_e2, position.cost_e6) == (300, 300 * 6_000)
    assert position.realized_e6 == 500 * (4_000 - 3_000)


def test_settlement_pays_the_winning_leg_only():
    account = TradingAccount("u", 10_000_000)
    account.collateral(0).cash_e6 += account.position("T").buy(NO, 3_000, 500, 0, 1)
    done = account.settle("T", "E", "no", 0, 2)
    assert done is not None
    assert done.revenue_e6 == 5_000_000
    assert account.cash_e6 == 10_000_000 - 1_500_000 + 5_000_000
    assert account.settle("T", "E", "no", 0, 3) is None


def test_a_hold_counts_what_nets():
    assert hold_e6(0, [(4_000, 100), (5_000, 100)]) == 900_000
    assert hold_e6(100, [(4_000, 100), (5_000, 100)]) == 0
    assert hold_e6(50, [(9_000, 100)]) == 400_000


@given(st.lists(st.tuples(st.sampled_from([YES, NO]), PRICES, COUNTS), max_size=30), PRICES)
def test_cash_is_always_start_plus_realized_less_fees_less_cost(buys, value):
    account, fee = TradingAccount("u", 0), 17
    position = account.position("T")
    for leg, price, count in buys:
        account.collateral(0).cash_e6 += position.buy(leg, price, count, fee, 1)
        assert account.cash_e6 == position.realized_e6 - position.fees_e6 - position.cost_e6
    account.settle("T", "E", "scalar", value, 2)
    assert position.cost_e6 == position.count_e2 == 0
    assert account.cash_e6 == position.realized_e6 - position.fees_e6


@given(
    st.integers(0, 3_000),
    st.lists(st.tuples(PRICES, COUNTS), max_size=6),
    st.lists(st.tuples(PRICES, COUNTS), max_size=6),
    st.randoms(use_true_random=False),
)
def test_a_hold_covers_every_order_of_fills(held, bids, asks, random):
    """Whatever fills, in whatever order: what is spent never exceeds what was held."""
    position = LedgerPosition()
    position.count_e2, position.cost_e6 = -held, held * 5_000
    held_e6 = hold_e6(position.held_e2(NO), bids) + hold_e6(position.held_e2(YES), asks)
    orders = [(YES, *o) for o in bids] + [(NO, *o) for o in asks]
    random.shuffle(orders)
    cash = held_e6
    for leg, price, count in orders[: random.randint(0, len(orders))]:
        cash += position.buy(leg, price, count, 0, 1)
        assert cash >= 0
