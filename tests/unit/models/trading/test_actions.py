"""LimitOrderActionSpace: prices on the grid, masks, caps, and never an order without a quote."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.model_builders import book

from ipc import account_table as a
from ipc import book as b
from ipc.messages import BookSide, Leg
from ipc.units import ASK, BID, ONE_DOLLAR_E4, PriceGrid, PriceRange
from models.trading.actions import (
    ACTION_SCHEMA_HASH,
    Action,
    LimitOrderActionSpace,
    Pricing,
    affordable_e2,
    order_count_e2,
)
from models.trading.fees import NO_FEES, FeeRule, FeeSchedule, trade_fee_e6
from models.trading.portfolio import apply_fill, cash_flow_e6

BUY_YES, SELL_YES = Action.BUY_YES_LIMIT, Action.SELL_YES_LIMIT
BUY_NO, SELL_NO = Action.BUY_NO_LIMIT, Action.SELL_NO_LIMIT
TAPERED = PriceGrid(
    [PriceRange(0, 1_000, 10), PriceRange(1_000, 9_000, 100), PriceRange(9_000, 10_000, 10)]
)
ROW = book({45: 100}, {52: 50})  # 45 / 48


def account(cash: float = 100.0, position: float = 0.0) -> a.AccountRow:
    row = a.new_account(round(cash * 1e6))
    row[a.POSITION_E2] = round(100 * position)
    return row


def holding(action: Action) -> a.AccountRow:
    return account(position={SELL_YES: 50, SELL_NO: -50}.get(action, 0))


@pytest.mark.parametrize(
    ("pricing", "cents"),
    [
        (Pricing.AGGRESSIVE, {BUY_YES: 48, SELL_YES: 45, BUY_NO: 45, SELL_NO: 48}),
        (Pricing.PASSIVE, {BUY_YES: 45, SELL_YES: 48, BUY_NO: 48, SELL_NO: 45}),
        (Pricing.MID, {BUY_YES: 46, SELL_YES: 47, BUY_NO: 47, SELL_NO: 46}),
    ],
)
def test_where_the_limit_stands(pricing: Pricing, cents: dict[Action, int]) -> None:
    space = LimitOrderActionSpace(pricing)
    for action, price in cents.items():
        order = space.order_for(action, ROW, holding(action))
        assert order is not None
        assert order.yes_price_e4 == 100 * price
        yes_leg = action in (BUY_YES, SELL_YES)
        assert order.leg is (Leg.YES if yes_leg else Leg.NO)
        assert order.price_e4 == (100 * price if yes_leg else 10_000 - 100 * price)
        assert order.is_buy is (action in (BUY_YES, BUY_NO))
        assert order.book_side is (BookSide.BID if action in (BUY_YES, SELL_NO) else BookSide.ASK)
        assert order.count_e2 == 1_000


def test_hold_is_no_order() -> None:
    assert LimitOrderActionSpace().order_for(Action.HOLD, ROW, account()) is None


@pytest.mark.parametrize("action", [BUY_YES, SELL_YES, BUY_NO, SELL_NO])
def test_no_quote_no_order(action: Action) -> None:
    bid_side = action in (BUY_YES, SELL_NO)
    for pricing in Pricing:
        space = LimitOrderActionSpace(pricing)
        for row, has_bid in ((book({45: 1}, {}), True), (book({}, {52: 1}), False)):
            needs_bid = (pricing is Pricing.PASSIVE) == bid_side
            expected = pricing is not Pricing.MID and needs_bid == has_bid
            order = space.order_for(action, row, holding(action))
            assert (order is not None) is expected, (pricing, has_bid)
            assert space.mask(row, holding(action))[action] == expected
        assert space.order_for(action, book({}, {}), holding(action)) is None


def test_mid_rounds_to_the_passive_side_of_the_grid() -> None:
    space = LimitOrderActionSpace(Pricing.MID)
    row = book({8.9: 10}, {88: 10}, TAPERED)  # 8.9 / 12: the mid 10.45 lies on whole cents
    buy, sell = space.order_for(BUY_YES, row, account()), space.order_for(BUY_NO, row, account())
    assert buy is not None
    assert sell is not None
    assert (buy.yes_price_e4, sell.yes_price_e4) == (1_000, 1_100)
    row = book({9.3: 10}, {90.4: 10}, TAPERED)  # 9.3 / 9.6: 9.45 lies on tenths
    buy, sell = space.order_for(BUY_YES, row, account()), space.order_for(BUY_NO, row, account())
    assert buy is not None
    assert sell is not None
    assert (buy.yes_price_e4, sell.yes_price_e4) == (940, 950)


def test_no_price_at_zero_or_one() -> None:
    space = LimitOrderActionSpace(Pricing.MID)
    coarse = PriceGrid([PriceRange(0, 10_000, 5_000)])
    row = b.new_row(8, coarse)
    b.apply_snapshot(row, np.array([0, 1], np.uint8), np.array([5_000] * 2), np.array([100] * 2))
    assert space.order_for(BUY_YES, row, account()) is not None
    fine = b.new_row(1_280, TAPERED)
    sides, prices = np.array([0, 1], np.uint8), np.array([10, 9_980])
    b.apply_snapshot(fine, sides, prices, np.array([100] * 2))  # 0.1 / 0.2 cents
    assert space.order_for(BUY_YES, fine, account()).yes_price_e4 == 10  # type: ignore[union-attr]
    assert space.order_for(BUY_NO, fine, account()).yes_price_e4 == 20  # type: ignore[union-attr]


def test_sells_only_reduce_what_is_held() -> None:
    space = LimitOrderActionSpace(Pricing.AGGRESSIVE)
    assert space.mask(ROW, account()).tolist() == [True, True, False, True, False]
    assert space.mask(ROW, account(position=3.5)).tolist() == [True, True, True, True, False]
    assert space.mask(ROW, account(position=-3.5)).tolist() == [True, True, False, True, True]
    for action, position in ((SELL_YES, 3.5), (SELL_NO, -3.5)):
        order = space.order_for(action, ROW, account(position=position))
        assert order is not None
        assert order.count_e2 == 350


def test_buys_are_capped_by_cash_with_the_fee_in_whole_contracts() -> None:
    space = LimitOrderActionSpace(Pricing.AGGRESSIVE, fees=FeeSchedule())
    for cash, contracts in ((1.9899, 4), (1.9898, 3)):  # 4 cost 1.92 and a fee of 0.0699
        order = space.order_for(BUY_YES, ROW, account(cash=cash))
        assert order is not None
        assert order.count_e2 == 100 * contracts
    assert not space.mask(ROW, account(cash=0.4))[BUY_YES]


def test_a_buy_that_nets_needs_no_cash() -> None:
    space = LimitOrderActionSpace(Pricing.AGGRESSIVE)
    order = space.order_for(BUY_NO, ROW, account(cash=0.0, position=10))
    assert order is not None
    assert order.count_e2 == 1_000


@given(
    st.integers(0, 20_000_000),
    st.integers(-3_000, 3_000),
    st.sampled_from([BUY_YES, SELL_YES, BUY_NO, SELL_NO]),
    st.integers(1, 9_999),
    st.integers(1, 50),
    st.sampled_from(list(FeeRule)),
)
def test_no_action_makes_cash_negative_or_sells_what_is_not_held(
    cash_e6: int, position_e2: int, action: Action, price_e4: int, contracts: int, rule: FeeRule
) -> None:
    row = a.new_account(cash_e6)
    row[a.POSITION_E2] = position_e2
    count = order_count_e2(row, int(action), price_e4, 100 * contracts, int(rule), 70_000)
    assert 0 <= count <= 100 * contracts
    if action in (BUY_YES, BUY_NO):
        side = BID if action is BUY_YES else ASK
        if count:
            fee = trade_fee_e6(int(rule), 70_000, price_e4, count, side == BID)
            apply_fill(row, side, price_e4, count, fee)
            assert row[a.CASH_E6] >= 0
    else:
        assert count <= max(position_e2 if action is SELL_YES else -position_e2, 0)


@given(st.integers(0, 20_000_000), st.integers(1, 9_999), st.integers(1, 50))
def test_affordable_is_the_most_that_cash_pays_for(
    cash_e6: int, price_e4: int, contracts: int
) -> None:
    row, rule = a.new_account(cash_e6), int(FeeRule.OCTOBER_2026)
    count = affordable_e2(row, BID, price_e4, 100 * contracts, 100, rule, 70_000)

    def left(count_e2: int) -> int:
        fee = trade_fee_e6(rule, 70_000, price_e4, count_e2, True)
        return int(cash_e6 + cash_flow_e6(0, BID, price_e4, count_e2) - fee)

    assert left(count) >= 0
    assert count == 100 * contracts or left(count + 100) < 0


@given(st.integers(2, 98), st.integers(1, 97), st.sampled_from(list(Pricing)))
def test_mask_and_order_say_the_same(bid: int, width: int, pricing: Pricing) -> None:
    ask = min(bid + width, 99)
    row = book({bid: 10}, {100 - ask: 10})
    space = LimitOrderActionSpace(pricing, fees=NO_FEES)
    for acct in (account(), account(position=5), account(position=-5), account(cash=0.0)):
        mask = space.mask(row, acct)
        for action in list(Action)[1:]:
            order = space.order_for(action, row, acct)
            assert (order is not None) == mask[action]
            if order is not None:
                assert 0 < order.yes_price_e4 < ONE_DOLLAR_E4
                assert 100 * bid <= order.yes_price_e4 <= 100 * ask


def test_settings_that_mean_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown pricing 'market'; allowed: aggressive"):
        LimitOrderActionSpace("market")
    for size in (0, 50, 150):
        with pytest.raises(ValueError, match="not a number of whole contracts"):
            LimitOrderActionSpace(contract_size_e2=size)
    with pytest.raises(ValueError, match="9 is not a valid Action"):
        LimitOrderActionSpace().order_for(9, ROW, account())


def test_the_schema_is_the_contract() -> None:
    assert [action.name for action in Action] == [
        "HOLD", "BUY_YES_LIMIT", "SELL_YES_LIMIT", "BUY_NO_LIMIT", "SELL_NO_LIMIT",
    ]  # fmt: skip
    assert ACTION_SCHEMA_HASH == "f026eee6a95572ba24676e9c1f0d8ee9"
