"""Who trades with whom, at which price, in which order."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exchange_core import Core, ask, bid

from models.trading.fees import FeeRule, FeeSchedule
from processes.exchange.core.books import NO, YES
from processes.exchange.core.events import BookChanged, OrderFilled, TradePrinted
from processes.exchange.core.orders import (
    OrderState,
    OrderTimeInForce,
    SelfTradePrevention,
    UpdateReason,
)

IOC = OrderTimeInForce.IMMEDIATE_OR_CANCEL


def fills(core: Core) -> list[tuple[str, int, int, bool]]:
    """(order, YES price, count, whether taker) of every fill so far."""
    said = [e for e in core.said if isinstance(e, OrderFilled)]
    return [(e.order.order_id, e.yes_price_e4, e.count_e2, e.is_taker) for e in said]


class TestAgainstTheBook:
    def test_a_buyer_takes_the_best_offers_first(self):
        core = Core((NO, 4_800, 300), (NO, 4_700, 500), (NO, 4_000, 900))
        done = core.order_entry.create(core.accounts[0], bid(5_300, 1_000))
        assert [f[1:] for f in fills(core)] == [(5_200, 300, True), (5_300, 500, True)]
        assert (done.filled_e2, done.order.remaining_e2) == (800, 200)
        assert done.order.status is OrderState.RESTING

    def test_what_is_taken_stays_taken_until_the_recording_changes_the_level(self):
        core = Core((NO, 4_800, 300))
        core.order_entry.create(core.accounts[0], bid(5_200, 300, time_in_force=IOC))
        assert (
            core.order_entry.create(core.accounts[1], bid(5_200, 1, time_in_force=IOC)).filled_e2
            == 0
        )
        core.change(NO, 4_800, 100)
        assert core.order_entry.create(
            core.accounts[1], bid(5_200, 900, time_in_force=IOC)
        ).filled_e2 == (400)

    def test_the_published_book_is_the_recorded_one_whatever_we_do(self):
        core = Core((YES, 4_700, 300), (NO, 4_800, 300))
        before = core.market.book.levels()
        core.order_entry.create(core.accounts[0], bid(5_200, 500))
        core.order_entry.create(core.accounts[1], ask(5_500, 500))
        assert core.market.book.levels() == before
        assert not [e for e in core.said if isinstance(e, BookChanged | TradePrinted)]

    def test_in_a_synthetic_market_our_orders_are_in_the_book(self):
        core = Core((NO, 4_800, 300), shadow=False)
        core.order_entry.create(core.accounts[0], bid(5_200, 500))
        assert core.market.book.levels() == ((YES, 5_200, 200),)
        trades = [
            (e.yes_price_e4, e.count_e2, e.taker_leg)
            for e in core.said
            if isinstance(e, TradePrinted)
        ]
        assert trades == [(5_200, 300, YES)]


class TestQueue:
    def test_an_order_waits_behind_what_was_there(self):
        core = Core((YES, 4_700, 300))
        order = core.order_entry.create(core.accounts[0], bid(4_700, 100)).order
        core.trade(YES, 4_700, 250)
        assert order.filled_e2 == 0
        core.trade(YES, 4_700, 80)
        assert order.filled_e2 == 30

    def test_a_removal_seen_before_its_trade_counts_once(self):
        core = Core((YES, 4_700, 300))
        order = core.order_entry.create(core.accounts[0], bid(4_700, 100)).order
        core.change(YES, 4_700, -200, ts_ms=5)
        core.trade(YES, 4_700, 200, ts_ms=5)
        assert (order.filled_e2, order.ahead_e2) == (0, 100)
        core.trade(YES, 4_700, 120, ts_ms=6)
        core.change(YES, 4_700, -100, ts_ms=6)
        assert order.filled_e2 == 20

    def test_a_cancel_ahead_moves_us_up_only_when_the_level_is_shorter(self):
        core = Core((YES, 4_700, 300))
        order = core.order_entry.create(core.accounts[0], bid(4_700, 100)).order
        core.change(YES, 4_700, 500)
        core.change(YES, 4_700, -400)
        assert order.ahead_e2 == 300
        core.change(YES, 4_700, -300)
        assert order.ahead_e2 == 100

    def test_a_trade_at_a_worse_price_meets_us_first(self):
        core = Core((YES, 4_600, 900))
        order = core.order_entry.create(core.accounts[0], bid(4_700, 100)).order
        core.trade(YES, 4_600, 60)
        assert fills(core) == [(order.order_id, 4_700, 60, False)]

    def test_liquidity_across_us_fills_us_at_our_price(self):
        core = Core()
        order = core.order_entry.create(core.accounts[0], bid(4_700, 100)).order
        core.change(NO, 5_500, 40)
        assert fills(core) == [(order.order_id, 4_700, 40, False)]

    def test_two_orders_at_one_price_fill_in_order_of_time(self):
        core = Core((YES, 4_700, 50))
        first = core.order_entry.create(core.accounts[0], bid(4_700, 100)).order
        second = core.order_entry.create(core.accounts[1], bid(4_700, 100)).order
        core.trade(YES, 4_700, 170)
        assert (first.filled_e2, second.filled_e2) == (100, 20)

    def test_a_new_snapshot_never_puts_us_further_back(self):
        core = Core((YES, 4_700, 300))
        order = core.order_entry.create(core.accounts[0], bid(4_700, 100)).order
        core.venue.replace_book(core.market, ((YES, 4_700, 120),), 9)
        core.matcher.on_replaced(((YES, 4_700, 120),))
        assert order.ahead_e2 == 120


class TestAmongOurselves:
    @pytest.mark.parametrize("shadow", [True, False])
    def test_two_accounts_trade_at_the_makers_price(self, shadow):
        core = Core(shadow=shadow)
        maker = core.order_entry.create(core.accounts[0], ask(6_000, 100)).order
        taker = core.order_entry.create(core.accounts[1], bid(6_500, 150)).order
        assert fills(core) == [
            (maker.order_id, 6_000, 100, False),
            (taker.order_id, 6_000, 100, True),
        ]
        first, second = (a.position(core.market.ticker) for a in core.accounts)
        assert (first.count_e2, second.count_e2) == (-100, 100)

    def test_taker_at_cross_cancels_the_taker_and_leaves_the_maker(self):
        core = Core()
        maker = core.order_entry.create(core.accounts[0], ask(6_000, 100)).order
        done = core.order_entry.create(core.accounts[0], bid(6_000, 100))
        assert (done.filled_e2, done.order.remaining_e2) == (0, 0)
        assert done.order.reason is UpdateReason.SELF_TRADE_CANCEL
        assert maker.status is OrderState.RESTING

    def test_maker_cancels_the_resting_order_and_goes_on(self):
        core = Core((NO, 3_500, 70))
        maker = core.order_entry.create(core.accounts[0], ask(6_000, 100)).order
        asked = bid(6_500, 100, self_trade=SelfTradePrevention.MAKER)
        done = core.order_entry.create(core.accounts[0], asked)
        assert maker.status is OrderState.CANCELED
        assert (done.filled_e2, done.order.remaining_e2) == (70, 30)

    def test_flow_meets_anonymous_size_ahead_before_us(self):
        core = Core((YES, 4_700, 50), shadow=False)
        order = core.order_entry.create(core.accounts[0], bid(4_700, 100)).order
        assert core.matcher.take_anonymously(NO, 5_300, 80) == 0
        assert order.filled_e2 == 30
        assert core.market.book.levels() == ((YES, 4_700, 70),)


ACTIONS = st.lists(
    st.tuples(
        st.sampled_from(["bid", "ask", "trade", "change", "cancel"]),
        st.integers(0, 1),
        st.integers(30, 70).map(lambda c: c * 100),
        st.integers(1, 400),
    ),
    max_size=40,
)


@settings(max_examples=150, deadline=None)
@given(ACTIONS, st.booleans(), st.sampled_from([0, 10_000]))
def test_money_is_conserved_and_never_negative(actions, shadow, value):
    """Cash is what was started with plus what the other side paid; nobody owes anything."""
    fees = FeeSchedule.of(FeeRule.AUGUST_2026, "quadratic_with_maker_fees")
    core = Core((YES, 4_500, 300), (NO, 4_500, 300), shadow=shadow, fees=fees, cash_e6=3_000_000)
    for what, who, price, count in actions:
        _act(core, what, who, price, count, shadow=shadow)
        for account in core.accounts:
            assert account.cash_e6 >= 0
            assert account.available_e6 >= 0
    core.settle(value)
    for account in core.accounts:
        position = account.position(core.market.ticker)
        assert account.held_e6 == 0
        gained = position.realized_e6 - position.fees_e6
        assert account.cash_e6 == account.start_cash_e6 + gained


def _act(core: Core, what: str, who: int, price: int, count: int, *, shadow: bool) -> None:
    account = core.accounts[who]
    if what == "trade" and shadow:
        core.trade(who, price, count)
    elif what == "trade":
        core.matcher.take_anonymously(who, price, count)
    elif what == "change" and shadow:
        core.change(who, price, count if count % 2 else -core.market.book.count(who, price))
    elif what == "cancel":
        core.order_entry.cancel_all([account])
    elif what in ("bid", "ask"):
        asked = bid(price, count) if what == "bid" else ask(price, count)
        asked_cost = asked.leg_price_e4 * count
        if asked_cost < account.available_e6 // 2:
            core.order_entry.create(account, asked)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(st.integers(40, 60), st.integers(1, 90)), min_size=1, max_size=12))
def test_fills_follow_price_then_time(asked):
    core = Core(shadow=False)
    orders = [core.order_entry.create(core.accounts[0], bid(c * 100, n)).order for c, n in asked]
    total = sum(n for _, n in asked) // 2 + 1
    core.matcher.take_anonymously(NO, 9_900, total)
    best_first = sorted(orders, key=lambda o: (-o.yes_price_e4, o.rank))
    left = total
    for order in best_first:
        assert order.filled_e2 == min(order.initial_e2, left)
        left -= order.filled_e2
