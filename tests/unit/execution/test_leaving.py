"""The actor leaves a market: nothing of ours waits or rests there any more."""

from __future__ import annotations

from support.order_manager import ManagerRig, strange_order
from support.orders import TICKER, intent

from ipc.messages import ActorOrder, BookSide, Leg, OrderStatus
from processes.execution.orders import CancelOrder, CreateAccepted, SendOrder

OTHER = "KXTEST-2"


def rests(rig: ManagerRig, name: str, ticker: str = TICKER) -> None:
    rig.manager.on_intent(intent(name, market_ticker=ticker), rig.mono_ns)
    (request,) = rig.requests(SendOrder)
    rig.state.on_fact(request.order.client_order_id, CreateAccepted(f"e-{name}", 0, 1_000, 1))
    rig.drain()


def test_what_rests_and_what_waits_there_ends_and_other_markets_stay() -> None:
    rig = ManagerRig().known().known(OTHER)
    rests(rig, "i1")
    rests(rig, "i2", OTHER)
    rig.manager.on_intent(intent("i3", leg=Leg.NO, yes_price_e4=4_000), rig.mono_ns)
    rig.drain()
    rig.state.release("ka-i1-BY")  # the cancel for i3 failed
    rig.manager.leave(TICKER)
    assert [r.order.intent_id for r in rig.requests(CancelOrder)] == ["i1"]
    rejected = [o for o in rig.told(ActorOrder) if o.status is OrderStatus.REJECTED]
    assert [(o.intent_id, o.reason) for o in rejected] == [("i3", "left")]
    assert rig.state.counters["left_canceled"] == 1
    rig.manager.tick()
    assert rig.requests(SendOrder) == []


def test_an_order_on_its_way_is_canceled_when_it_rests_and_is_asked_for_again() -> None:
    rig = ManagerRig().known()
    rig.manager.on_intent(intent("i1"), rig.mono_ns)
    rig.drain()
    rig.manager.leave(TICKER)
    assert rig.requests(CancelOrder) == []
    rig.state.on_fact("ka-i1-BY", CreateAccepted("e-i1", 0, 1_000, 1))
    rig.state.release("ka-i1-BY")
    rig.manager.leave(TICKER)
    assert [r.order.intent_id for r in rig.requests(CancelOrder)] == ["i1"]


def test_an_order_placed_by_hand_stays() -> None:
    rig = ManagerRig().known()
    rig.state.on_order(strange_order("by-hand", BookSide.BID, 100))
    rig.drain()
    rig.manager.leave(TICKER)
    assert rig.requests(CancelOrder) == []


def test_a_market_that_is_not_known_is_left_without_a_word() -> None:
    rig = ManagerRig()
    rig.manager.leave("KXNOWHERE")
    assert rig.drain().requests == []
