"""What may not get into the database: nothing is opened, what would open is canceled."""

from __future__ import annotations

from support.order_manager import ManagerRig
from support.orders import TICKER, fill, intent

from ipc.messages import ActorOrder, OrderStatus
from processes.execution.orders import CancelOrder, CreateAccepted, SendOrder

WHY = "the oldest record waits for 121 s, allowed 120"


def rests(rig: ManagerRig, name: str, *, is_buy: bool, yes_price_e4: int) -> None:
    """An order that the exchange has taken."""
    rig.manager.on_intent(intent(name, is_buy=is_buy, yes_price_e4=yes_price_e4), rig.mono_ns)
    (sent,) = rig.requests(SendOrder)
    accepted = CreateAccepted(f"e-{name}", 0, sent.order.initial_e2, rig.mono_ns)
    rig.state.on_fact(sent.order.client_order_id, accepted)
    rig.drain()


def holding() -> ManagerRig:
    """An account with a position of ten contracts."""
    rig = ManagerRig()
    rig.known()
    rig.state.on_fill(fill("t0"))
    rig.drain()
    return rig


def test_a_purchase_is_refused_with_the_figures_and_a_sale_is_sent() -> None:
    rig = holding()
    rig.state.unrecorded = WHY
    rig.manager.on_intent(intent("buy"), rig.mono_ns)
    assert rig.requests(SendOrder) == []
    assert rig.told(ActorOrder)[-1].reason == f"not_recorded: {WHY}"
    assert rig.state.counters["refused_not_recorded"] == 1
    rig.manager.on_intent(intent("sell", is_buy=False), rig.mono_ns)
    assert [request.order.intent_id for request in rig.requests(SendOrder)] == ["sell"]


def test_a_resting_purchase_is_canceled_until_it_is_gone() -> None:
    rig = holding()
    rests(rig, "buy", is_buy=True, yes_price_e4=3_000)
    rig.manager.tick()
    assert rig.requests(CancelOrder) == []
    rig.state.unrecorded = WHY
    rig.manager.tick()
    (request,) = rig.requests(CancelOrder)
    assert request.order.intent_id == "buy"
    rig.manager.tick()
    assert rig.requests(CancelOrder) == [], "one at a time"
    rig.state.release(request.order.client_order_id)  # it failed
    rig.manager.tick()
    assert len(rig.requests(CancelOrder)) == 1


def test_a_resting_sale_stays() -> None:
    rig = holding()
    rests(rig, "sell", is_buy=False, yes_price_e4=6_000)
    rig.state.unrecorded = WHY
    rig.manager.tick()
    assert rig.requests(CancelOrder) == []


def test_it_goes_on_by_itself() -> None:
    rig = holding()
    rig.state.unrecorded = WHY
    rig.manager.on_intent(intent("buy-1"), rig.mono_ns)
    rig.state.unrecorded = ""
    rig.manager.on_intent(intent("buy-2"), rig.mono_ns)
    assert [request.order.intent_id for request in rig.requests(SendOrder)] == ["buy-2"]
    assert rig.told(ActorOrder)[-1].status is OrderStatus.PENDING
    assert rig.state.accounts[TICKER].known
