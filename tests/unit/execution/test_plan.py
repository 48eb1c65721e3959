"""What is done for an intent: never two orders of ours in one market."""

from __future__ import annotations

import pytest
from support.orders import intent, order

from ipc.messages import Leg, OrderStatus
from processes.execution.manager import Cancel, Create, Keep, Renew, Wait, plan
from processes.execution.orders import TrackedOrder

EXPIRY_MS = 60_000


def resting(name: str = "old", **fields: object) -> TrackedOrder:
    standard = {"status": OrderStatus.RESTING, "order_id": "e1", "expire_ms": EXPIRY_MS}
    return order(name, **{**standard, **fields})


def test_nothing_open_creates() -> None:
    assert plan(intent(), (), (), 0, EXPIRY_MS) == Create()


def test_a_stranger_is_left_alone() -> None:
    assert plan(intent(), (resting(intent_id=None),), (), 0, EXPIRY_MS) == Create()


def test_what_already_rests_is_kept() -> None:
    old = resting()
    assert plan(intent(), (old,), (), 0, EXPIRY_MS) == Keep(old)


def test_what_is_left_of_an_order_is_kept() -> None:
    old = resting(reported_e2=400)
    assert plan(intent(), (old,), (), 0, EXPIRY_MS) == Keep(old)
    assert plan(intent(count_e2=600), (old,), (), 0, EXPIRY_MS) == Keep(old)
    assert plan(intent(count_e2=599), (old,), (), 0, EXPIRY_MS) == Cancel((old,))


def test_what_will_soon_expire_is_renewed() -> None:
    old = resting()
    assert plan(intent(), (old,), (), 30_000, EXPIRY_MS) == Keep(old)
    assert plan(intent(), (old,), (), 30_001, EXPIRY_MS) == Renew(old)


@pytest.mark.parametrize(
    "other",
    [
        resting(yes_price_e4=4_100),
        resting(is_buy=False, leg=Leg.NO),  # the same bid of the book, another action
        resting(leg=Leg.NO),
        resting(initial_e2=1_001),  # more than is wanted
    ],
)
def test_anything_else_is_canceled_first(other: TrackedOrder) -> None:
    assert plan(intent(), (other,), (), 0, EXPIRY_MS) == Cancel((other,))


def test_two_are_both_canceled() -> None:
    two = (resting("a"), resting("b"))
    assert plan(intent(), two, (), 0, EXPIRY_MS) == Cancel(two)


@pytest.mark.parametrize("status", [OrderStatus.PENDING, OrderStatus.UNKNOWN])
def test_what_is_on_its_way_is_awaited(status: OrderStatus) -> None:
    assert plan(intent(), (resting(status=status),), (), 0, EXPIRY_MS) == Wait()


def test_an_order_that_is_being_canceled_is_not_kept() -> None:
    old = resting()
    assert plan(intent(), (old,), {old.client_order_id}, 0, EXPIRY_MS) == Wait()
