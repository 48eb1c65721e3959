"""The manager amends and replaces: what it sends, what it does with answers, what it never does."""

from __future__ import annotations

from typing import Any

import pytest
from support.limits import LimitsRig
from support.order_manager import ManagerRig
from support.orders import TICKER, fill, intent

from ipc.messages import ActorOrder, BookSide, Leg, OrderStatus
from processes.execution.order_facts import (
    AmendAccepted,
    AmendRefused,
    AmendUnknown,
    CreateAccepted,
    OrderReport,
    PendingAmend,
)
from processes.execution.orders import CancelOrder, OrderRequest, SendAmend, SendOrder

NAME = "ka-i1-BY"
CANCELED = OrderStatus.CANCELED


def resting(rig: ManagerRig, **fields: Any) -> ManagerRig:
    """An intent `i1` for ten contracts at 40 cents, whose order rests."""
    rig.manager.on_intent(intent("i1", **fields), rig.mono_ns)
    (request,) = rig.requests(SendOrder)
    name, count_e2 = request.order.client_order_id, request.order.initial_e2
    rig.state.on_fact(name, CreateAccepted("e-i1", 0, count_e2, 1))
    rig.drain()
    return rig


def asked(rig: ManagerRig, name: str, **fields: Any) -> list[OrderRequest]:
    rig.manager.on_intent(intent(name, **fields), rig.mono_ns)
    return rig.drain().requests


def amended(rig: ManagerRig, name: str = "i2", **fields: Any) -> PendingAmend:
    (request,) = asked(rig, name, **({"yes_price_e4": 4_100} | fields))
    assert isinstance(request, SendAmend)
    return request.amend


def refused(rig: ManagerRig) -> dict[str | None, str]:
    told = rig.told(ActorOrder)
    return {o.intent_id: o.reason for o in told if o.status is OrderStatus.REJECTED}


def test_one_request_moves_price_size_and_expiry() -> None:
    rig = resting(ManagerRig().known())
    rig.after(10)
    amend = amended(rig, count_e2=600)
    assert (amend.yes_price_e4, amend.total_e2, amend.is_renewal) == (4_100, 600, False)
    rig.state.on_fact(NAME, AmendAccepted(amend, 1, 600))
    (order,) = rig.state.orders.open_in(TICKER)
    assert (order.client_order_id, order.yes_price_e4, order.remaining_e2) == (NAME, 4_100, 600)
    assert rig.last_order().reason == "amended: i2"
    counters = rig.state.counters
    assert (counters["amended"], counters["planned_amend_price"]) == (1, 1)


def test_an_intent_that_amended_makes_no_order_when_it_comes_again() -> None:
    rig = resting(ManagerRig().known())
    rig.state.on_fact(NAME, AmendAccepted(amended(rig), 1))
    rig.state.on_fact(NAME, OrderReport("e-i1", CANCELED, 0))
    assert asked(rig, "i2", yes_price_e4=4_100) == []
    assert rig.state.counters["duplicate_intents"] == 1


def test_while_an_amend_is_on_its_way_the_next_intent_waits() -> None:
    rig = resting(ManagerRig().known())
    first = amended(rig)
    assert asked(rig, "i3", yes_price_e4=4_200) == []
    rig.state.on_fact(NAME, AmendAccepted(first, 1))
    (request,) = rig.requests(SendAmend)
    assert (request.amend.intent_id, request.amend.number) == ("i3", 2)
    assert refused(rig) == {}


def test_a_refused_amend_is_the_record_of_its_intent_and_is_not_asked_again_at_once() -> None:
    rig = resting(ManagerRig().known())
    for name in ("i2", "i3"):
        fact = AmendRefused(amended(rig, name), "insufficient_balance: 1.00", by_exchange=True)
        rig.state.on_fact(NAME, fact)
        rig.drain()
    assert refused(rig) == dict.fromkeys(("i2", "i3"), "insufficient_balance: 1.00")
    assert asked(rig, "i4", yes_price_e4=4_100) == []
    assert refused(rig)["i4"] == "backing_off"


def test_an_amend_that_found_its_order_gone_becomes_an_order() -> None:
    rig = resting(ManagerRig().known())
    amend = amended(rig)
    rig.state.on_fact(NAME, OrderReport("e-i1", CANCELED, 0))
    rig.state.on_fact(NAME, AmendRefused(amend, "not_found"))
    assert [r.order.client_order_id for r in rig.requests(SendOrder)] == ["ka-i2-BY"]


@pytest.mark.parametrize("why", ["unknown", "left", "stopping", "superseded"])
def test_an_amend_that_may_have_happened_or_is_not_wanted_becomes_none(why: str) -> None:
    rig = resting(ManagerRig().known())
    amend = amended(rig)
    if why == "left":
        rig.manager.leave(TICKER)
    elif why == "stopping":
        rig.manager.withdraw()
    elif why == "superseded":
        rig.manager.on_intent(intent("i3", yes_price_e4=4_200), rig.mono_ns)
    rig.state.on_fact(NAME, OrderReport("e-i1", CANCELED, 0))
    rig.state.on_fact(NAME, AmendRefused(amend, "unknown", is_inferred=why == "unknown"))
    names = [r.order.intent_id for r in rig.requests(SendOrder)]
    assert names == (["i3"] if why == "superseded" else [])
    assert refused(rig)["i2"] == why


def test_of_unknown_outcome_the_market_is_not_traded_until_the_order_is_read() -> None:
    rig = resting(ManagerRig().known())
    amend = amended(rig)
    rig.state.on_fact(NAME, AmendUnknown(amend))
    assert not rig.state.accounts[TICKER].known
    rig.state.on_fact(NAME, AmendAccepted(amend, 5))
    assert rig.state.accounts[TICKER].known


def test_a_cancel_does_not_wait_for_an_amend() -> None:
    rig = resting(ManagerRig().known())
    amend = amended(rig)
    rig.manager.withdraw()
    assert [r.order.client_order_id for r in rig.requests(CancelOrder)] == [NAME]
    rig.state.on_fact(NAME, AmendAccepted(amend, 1))
    assert rig.requests(CancelOrder) == []


# What does not fit


@pytest.mark.parametrize(("limit", "kind"), [(10, SendAmend), (6, CancelOrder)])
def test_an_amend_whose_worse_terms_do_not_fit_cancels_first(
    limit: int, kind: type[OrderRequest]
) -> None:
    """Five at 80 cents or ten at 40 are 4 dollars; ten at 80 would be 8."""
    rig = LimitsRig(f"total_exposure = {limit}").market()
    resting(rig, yes_price_e4=8_000, count_e2=500)
    (request,) = asked(rig, "i2", yes_price_e4=4_000, count_e2=1_000)
    assert type(request) is kind
    assert refused(rig) == {}


def test_the_limits_see_the_worse_of_both_while_it_is_on_its_way() -> None:
    rig = LimitsRig("total_exposure = 20").market()
    resting(rig)
    amend = amended(rig, yes_price_e4=6_000)
    rig.drain()
    during = rig.limits.counters()["exposure_e6"]
    rig.state.on_fact(NAME, AmendRefused(amend, "no"))
    rig.drain()
    assert (during > 6_000_000, rig.limits.counters()["exposure_e6"] < 5_000_000) == (True, True)


# Replacing


def test_another_action_is_sent_while_the_cancel_is_on_its_way() -> None:
    rig = resting(ManagerRig().known())
    cancel, create = asked(rig, "i2", leg=Leg.NO, yes_price_e4=4_500)
    assert (type(cancel), type(create)) == (CancelOrder, SendOrder)
    assert create.order.client_order_id == "ka-i2-BN"
    assert rig.state.counters["planned_replace_other_action"] == 1


def test_both_are_counted_as_if_both_filled() -> None:
    rig = LimitsRig("total_exposure = 6").market()
    resting(rig)  # 4 dollars, and 5.5 more
    (only,) = asked(rig, "i2", leg=Leg.NO, yes_price_e4=4_500)
    assert isinstance(only, CancelOrder)
    rig.state.on_fact(NAME, OrderReport("e-i1", CANCELED, 0))
    assert [r.order.intent_id for r in rig.requests(SendOrder)] == ["i2"]


def test_a_sale_does_not_share_contracts_with_the_order_it_replaces() -> None:
    rig = ManagerRig().known()
    rig.state.on_fill(fill("t0", count_e2=1_000, order_id="by-hand"))
    rig.drain()
    resting(rig, leg=Leg.NO, yes_price_e4=6_000, count_e2=600)  # an ask of the book
    (only,) = asked(rig, "i2", is_buy=False, yes_price_e4=6_000, count_e2=600)
    assert isinstance(only, CancelOrder)
    assert rig.state.counters["planned_cancel_sells_more_than_held"] == 1


def test_the_old_order_is_canceled_until_it_is_gone_though_nobody_asks_again() -> None:
    rig = resting(ManagerRig().known())
    asked(rig, "i2", leg=Leg.NO, yes_price_e4=4_500)
    for _ in range(2):
        rig.state.release(NAME)  # the cancel failed
        assert [r.order.client_order_id for r in rig.requests(CancelOrder)] == [NAME]
    rig.state.on_fact(NAME, OrderReport("e-i1", CANCELED, 0))
    assert rig.drain().requests == []
    assert [o.book_side for o in rig.state.orders.open_in(TICKER)] == [BookSide.ASK]
