"""Order entry: what is refused and how, amend, decrease, cancel, expiry, close."""

from __future__ import annotations

from itertools import count

import msgspec
import pytest
from support.exchange_core import START_MS, TICKER, Core, ask, bid

from models.trading.fees import FeeSchedule
from processes.exchange.core.books import NO, YES
from processes.exchange.core.events import OrderFilled, TradePrinted
from processes.exchange.core.orders import (
    AccountOrder,
    Amendment,
    NewOrder,
    OrderState,
    OrderTimeInForce,
    UpdateReason,
)
from processes.exchange.core.rejections import Rejection

IOC, FOK = OrderTimeInForce.IMMEDIATE_OR_CANCEL, OrderTimeInForce.FILL_OR_KILL


def refused(core: Core, asked: NewOrder) -> tuple[int, str, str]:
    """(status, code, details) of the refusal; nothing may have been created."""
    orders = len(core.order_entry.orders)
    with pytest.raises(Rejection) as refusal:
        core.order_entry.create(core.accounts[0], asked)
    assert len(core.order_entry.orders) == orders
    return refusal.value.status, refusal.value.code, refusal.value.error.get("details", "")


def amendment(order: AccountOrder, price_e4: int, count_e2: int, **more: object) -> Amendment:
    """An amend of a bid."""
    return Amendment(TICKER, order.leg, price_e4, count_e2, **more)


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (bid(4_750, 100), (400, "invalid_price", "")),
        (bid(10_000, 100), (400, "invalid_price", "")),
        (bid(4_700, 0), (400, "invalid_order_size", "")),
        (bid(4_700, 100, ticker="KXNONE"), (404, "market_not_found", "")),
        (bid(5_200, 100, post_only=True), (400, "invalid_order", "post only cross")),
        (bid(9_900, 200_000), (400, "insufficient_balance", "")),
        (
            bid(5_200, 400, time_in_force=FOK),
            (409, "fill_or_kill_insufficient_resting_volume", ""),
        ),
        (
            bid(4_700, 1, expiration_s=START_MS // 1000),
            (400, "invalid_order", "Expiration timestamp must be in the future"),
        ),
        (
            bid(4_700, 1, time_in_force=IOC, expiration_s=START_MS // 1000 + 9),
            (400, "invalid_order", "Cannot specify both immediate_or_cancel and expiration_ts"),
        ),
        (
            bid(4_700, 1, reduce_only=True),
            (400, "invalid_order", "reduce_only requires immediate_or_cancel"),
        ),
    ],
)
def test_what_is_refused(asked, answer):
    assert refused(Core((NO, 4_800, 300)), asked) == answer


def test_a_client_order_id_is_never_free_again():
    core = Core()
    asked = bid(4_700, 100)
    core.order_entry.cancel(
        core.accounts[0], core.order_entry.create(core.accounts[0], asked).order.order_id
    )
    assert refused(core, asked)[:2] == (409, "order_already_exists")
    core.order_entry.create(core.accounts[1], asked)


def test_resting_orders_hold_money_and_a_cancel_gives_it_back():
    core = Core(cash_e6=1_000_000)
    account = core.accounts[0]
    order = core.order_entry.create(account, bid(6_000, 100)).order
    assert (account.cash_e6, account.available_e6) == (1_000_000, 400_000)
    assert refused(core, bid(5_000, 100))[1] == "insufficient_balance"
    core.order_entry.cancel(account, order.order_id)
    assert account.available_e6 == 1_000_000


def test_a_sale_of_what_is_held_needs_no_money():
    core = Core((NO, 4_000, 100), cash_e6=600_000, fees=FeeSchedule(taker_rate_e6=0))
    account = core.accounts[0]
    core.order_entry.create(account, bid(6_000, 100))
    assert account.available_e6 == 0
    order = core.order_entry.create(account, ask(7_000, 100)).order
    assert (order.status, account.held_e6) == (OrderState.RESTING, 0)


def test_reduce_only_is_capped_at_the_position():
    core = Core((NO, 4_000, 100), (YES, 5_500, 900))
    account = core.accounts[0]
    core.order_entry.create(account, bid(6_000, 60, time_in_force=IOC))
    asked = ask(5_500, 500, time_in_force=IOC, reduce_only=True)
    assert core.order_entry.create(account, asked).filled_e2 == 60
    with pytest.raises(Rejection):
        core.order_entry.create(
            account, msgspec.structs.replace(asked, client_order_id="x", count_e2=0)
        )


def test_ioc_leaves_nothing_resting():
    core = Core((NO, 4_800, 300))
    done = core.order_entry.create(core.accounts[0], bid(5_200, 500, time_in_force=IOC))
    assert (done.filled_e2, done.order.remaining_e2) == (300, 0)
    assert core.order_entry.live_orders() == []


def test_a_smaller_order_keeps_its_place_and_a_larger_one_loses_it():
    core = Core((YES, 4_700, 100))
    account, other = core.accounts
    order = core.order_entry.create(account, bid(4_700, 300)).order
    core.order_entry.create(other, bid(4_700, 300))
    core.order_entry.amend(account, order.order_id, amendment(order, 4_700, 200))
    assert (order.remaining_e2, core.matcher.resting[YES][0]) == (200, order)
    core.order_entry.amend(account, order.order_id, amendment(order, 4_700, 250))
    assert core.matcher.resting[YES][1] is order


def test_an_amend_counts_what_is_filled():
    core = Core()
    account = core.accounts[0]
    order = core.order_entry.create(account, bid(4_700, 300)).order
    core.trade(YES, 4_700, 100)
    core.order_entry.amend(account, order.order_id, amendment(order, 4_800, 250))
    assert (order.leg_price_e4, order.remaining_e2, order.filled_e2) == (4_800, 150, 100)
    core.order_entry.amend(account, order.order_id, amendment(order, 4_800, 100))
    assert order.status is OrderState.CANCELED


def test_an_amend_can_cross():
    core = Core((NO, 4_800, 300))
    account = core.accounts[0]
    order = core.order_entry.create(account, bid(4_700, 100)).order
    done = core.order_entry.amend(account, order.order_id, amendment(order, 5_200, 100))
    assert (done.filled_e2, order.status) == (100, OrderState.EXECUTED)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"ticker": "KXOTHER"}, "order_ticker_mismatch"),
        ({"leg": NO}, "order_side_mismatch"),
        ({"client_order_id": "another"}, "order_id_and_client_order_id_mismatch"),
        ({"leg_price_e4": 4_750}, "invalid_price"),
        ({"count_e2": 0}, "invalid_order_size"),
        ({"count_e2": 10**8}, "insufficient_balance"),
        ({"expiration_s": 1, "keeps_expiry": False}, "invalid_order"),
    ],
)
def test_amends_that_are_refused_change_nothing(change, code):
    core = Core()
    account = core.accounts[0]
    order = core.order_entry.create(account, bid(4_700, 100)).order
    asked = msgspec.structs.replace(amendment(order, 4_800, 100), **change)
    with pytest.raises(Rejection) as refusal:
        core.order_entry.amend(account, order.order_id, asked)
    assert refusal.value.code == code
    assert (order.leg_price_e4, order.remaining_e2) == (4_700, 100)


def test_decrease_shrinks_in_place_and_to_nothing_cancels():
    core = Core()
    account = core.accounts[0]
    order = core.order_entry.create(account, bid(4_700, 300)).order
    core.order_entry.decrease(account, order.order_id, 100)
    assert (order.remaining_e2, account.held_e6) == (100, 470_000)
    core.order_entry.decrease(account, order.order_id, 0)
    assert (order.status, account.held_e6) == (OrderState.CANCELED, 0)


def test_done_and_foreign_orders_are_not_found():
    core = Core()
    order = core.order_entry.create(core.accounts[0], bid(4_700, 300)).order
    for account, order_id in ((core.accounts[1], order.order_id), (core.accounts[0], "none")):
        with pytest.raises(Rejection) as refusal:
            core.order_entry.cancel(account, order_id)
        assert (refusal.value.status, refusal.value.code) == (404, "not_found")
    core.order_entry.cancel(core.accounts[0], order.order_id)
    with pytest.raises(Rejection):
        core.order_entry.cancel(core.accounts[0], order.order_id)


def test_orders_expire_by_market_time_and_an_amend_moves_the_expiry():
    core = Core()
    account, soon_s = core.accounts[0], START_MS // 1000 + 10
    early = core.order_entry.create(account, bid(4_700, 100, expiration_s=soon_s)).order
    moved = core.order_entry.create(account, bid(4_700, 100, expiration_s=soon_s)).order
    later = amendment(moved, 4_700, 100, expiration_s=soon_s + 10, keeps_expiry=False)
    core.order_entry.amend(account, moved.order_id, later)
    core.order_entry.expire(soon_s * 1000 - 1)
    assert early.status is OrderState.RESTING
    core.order_entry.expire(soon_s * 1000)
    assert (early.status, early.reason) == (OrderState.CANCELED, UpdateReason.EXPIRY_CANCEL)
    assert moved.status is OrderState.RESTING
    core.order_entry.expire(soon_s * 1000 + 10_000)
    assert moved.status is OrderState.CANCELED


def test_a_close_cancels_and_then_refuses_everything():
    core = Core()
    account = core.accounts[0]
    order = core.order_entry.create(account, bid(4_700, 100)).order
    core.settle(0)
    assert (order.reason, account.held_e6) == (UpdateReason.CLOSE_CANCEL, 0)
    assert refused(core, bid(4_700, 100))[:2] == (400, "market_inactive")


def test_cancel_all_takes_only_ones_own():
    core = Core()
    core.order_entry.create(core.accounts[0], bid(4_700, 100))
    core.order_entry.create(core.accounts[0], ask(5_700, 100))
    kept = core.order_entry.create(core.accounts[1], bid(4_700, 100)).order
    assert core.order_entry.cancel_all([core.accounts[0]]) == 2
    assert core.order_entry.live_orders() == [kept]


def test_a_trade_and_its_fills_are_of_one_moment():
    core = Core(shadow=False)
    moments = count(START_MS)
    core.venue._clock_ms = lambda: next(moments)  # no two looks at the clock are alike
    core.order_entry.create(core.accounts[0], bid(5_000, 100))
    core.order_entry.create(core.accounts[1], ask(5_000, 100))
    told = [e for e in core.said if isinstance(e, TradePrinted | OrderFilled)]
    assert [type(e) for e in told] == [TradePrinted, OrderFilled, OrderFilled]
    assert len({(e.trade_id, e.ts_ms) for e in told}) == 1
