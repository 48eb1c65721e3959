"""Fills that come before their order, and the bounds of what is remembered."""

from __future__ import annotations

from support.orders import TICKER, fill, order

from ipc.messages import OrderStatus
from processes.execution.orders import CreateAccepted, OrderRefused, OrderStore


def test_a_fill_waits_for_its_order() -> None:
    store = OrderStore()
    store.add(order("i1"))
    assert store.trade(fill("t1", count_e2=400, order_id="e1")) is None
    told = store.apply("ka-i1-BY", CreateAccepted("e1", 400, 600, 1))
    assert told is not None
    assert (told.booked_e2, told.missing_e2) == (400, 0)


def test_a_fill_finds_its_order_by_name() -> None:
    store = OrderStore()
    store.add(order("i1"))
    told = store.trade(fill("t1", count_e2=400, client_order_id="ka-i1-BY"))
    assert told is not None
    assert told.booked_e2 == 400


def test_waiting_fills_are_bounded_and_counted() -> None:
    store = OrderStore(waiting=2)
    for i in range(3):
        store.trade(fill(f"t{i}", order_id=f"e{i}"))
    assert store.dropped_fills == 1


def test_ended_orders_are_forgotten_oldest_first() -> None:
    store = OrderStore(remember=2)
    for i in range(4):
        store.add(order(f"i{i}"))
        store.apply(f"ka-i{i}-BY", OrderRefused("no"))
    assert [f"ka-i{i}-BY" in store for i in range(4)] == [False, False, True, True]


def test_open_orders_stay_whatever_their_number() -> None:
    store = OrderStore(remember=1)
    for i in range(4):
        store.add(order(f"i{i}"))
    assert [o.intent_id for o in store.open_in(TICKER)] == ["i0", "i1", "i2", "i3"]
    assert all(o.status is OrderStatus.PENDING for o in store.open_orders())
