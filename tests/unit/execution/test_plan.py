"""The order plan: what is done for an intent where an order of ours is open, and why."""

from __future__ import annotations

from typing import Any

import pytest
from support.orders import intent, order

from ipc.messages import Leg, OrderStatus
from processes.execution.order_facts import PendingAmend
from processes.execution.order_plan import (
    Amend,
    Cancel,
    Keep,
    Plan,
    Replace,
    Room,
    Wait,
    Why,
    plan,
)
from processes.execution.orders import TrackedOrder

EXPIRY_MS = 60_000
FITS = Room(lambda _order: None, lambda _orders: None)
TIGHT = Room(lambda _order: "not_enough_cash", lambda _orders: "total_exposure: 11, limit 10")


def resting(name: str = "old", **fields: object) -> TrackedOrder:
    standard = {"status": OrderStatus.RESTING, "order_id": "e1", "expire_ms": EXPIRY_MS}
    return order(name, **{**standard, **fields})


def planned(*orders: TrackedOrder, now_ms: int = 0, room: Room = FITS, **wanted: object) -> Plan:
    return plan(intent(**wanted), orders, now_ms, EXPIRY_MS, room)


def test_what_already_rests_is_kept() -> None:
    assert planned(resting()) == Keep(resting())


def test_a_stranger_beside_it_is_left_alone() -> None:
    assert planned(resting("theirs", intent_id=None), resting()) == Keep(resting())


def test_what_is_left_of_an_order_is_kept_and_too_much_of_it_is_amended_in_its_place() -> None:
    old = resting(reported_e2=400)
    assert planned(old) == Keep(old), "less rests than is wanted: more would lose its place"
    assert planned(old, count_e2=600) == Keep(old)
    assert planned(old, count_e2=599, room=TIGHT) == Amend(old, Why.SMALLER, 4_000, 999)


def test_what_will_soon_expire_is_renewed() -> None:
    old = resting()
    assert planned(old, now_ms=30_000) == Keep(old)
    renewal = Amend(old, Why.EXPIRY, 4_000, 1_000)
    assert planned(old, now_ms=30_001) == renewal
    assert renewal.is_renewal


@pytest.mark.parametrize("is_buy", [True, False])
def test_another_price_is_one_amend_of_what_is_filled_and_what_is_wanted(is_buy: bool) -> None:
    old = resting(is_buy=is_buy, reported_e2=400)
    wanted = planned(old, is_buy=is_buy, yes_price_e4=4_100, count_e2=700)
    assert wanted == Amend(old, Why.PRICE, 4_100, 1_100)
    assert not wanted.is_renewal


def test_an_amend_that_does_not_fit_is_a_cancel_that_says_why() -> None:
    assert planned(resting(), yes_price_e4=4_100, room=TIGHT) == Cancel(
        (resting(),), "not_enough_cash"
    )


@pytest.mark.parametrize(
    "old",
    [
        resting(is_buy=False, yes_price_e4=4_100),  # an offer above the bid
        resting(is_buy=False, leg=Leg.NO),  # the same bid of the book, another action
        resting(leg=Leg.NO, yes_price_e4=4_001),
    ],
)
def test_another_action_replaces_at_once_where_both_fit(old: TrackedOrder) -> None:
    assert planned(old) == Replace((old,), Why.OTHER_ACTION)
    assert planned(old, room=TIGHT) == Cancel((old,), "total_exposure: 11, limit 10")


@pytest.mark.parametrize("price_e4", [3_900, 4_000])
def test_what_could_trade_with_our_own_order_waits_until_that_is_gone(price_e4: int) -> None:
    ask = resting(is_buy=False, yes_price_e4=price_e4)
    assert planned(ask) == Cancel((ask,), Why.OWN_TRADE)
    bid = resting(yes_price_e4=4_000)
    assert planned(bid, leg=Leg.NO, yes_price_e4=price_e4) == Cancel((bid,), Why.OWN_TRADE)


def test_two_are_both_canceled() -> None:
    two = (resting("a"), resting("b"))
    assert planned(*two) == Cancel(two, Why.SEVERAL)


AMEND = PendingAmend(number=1, intent_id="i0", yes_price_e4=4_100, total_e2=1_000, expire_ms=1)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"status": OrderStatus.PENDING}, "intent"),
        ({"status": OrderStatus.PENDING, "sent_mono_ns": 1}, "sent"),
        ({"status": OrderStatus.UNKNOWN}, "unknown"),
        ({"amend": AMEND}, "amending"),
        ({"canceling": True}, "cancel_pending"),
        ({"reported_e2": 1_000}, "filled"),
    ],
)
def test_what_is_on_its_way_is_awaited(fields: dict[str, Any], why: str) -> None:
    for more in ((), (resting("beside"),)):
        if why != "filled" or not more:
            assert planned(resting(**fields), *more) == Wait(why)
