"""Requests in the background: one of a kind for an order, and no fault goes unseen."""

from __future__ import annotations

import asyncio

import pytest
from support.logged import Logged
from support.order_manager import ManagerRig
from support.orders import FAR_NS, TICKER, intent
from support.patience import PATIENCE, turns

from ipc.messages import ActorOrder, OrderStatus
from ipc.trading import TradingMode
from processes.adapters.kalshi.errors import OrderRejected, RateLimited
from processes.adapters.kalshi.rest.orders import CreatedOrder, CreateOrder
from processes.adapters.kalshi.rest.rate_budget import OWN_BUDGET
from processes.execution.gateway import RETRY, Gateway, pause_of
from processes.execution.orders import SendOrder


class Exchange:
    """As the REST client: answers a create with what it was given, in order."""

    def __init__(self, *answers: Exception | None) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.groups: list[str | None] = []

    async def create_order(self, order: CreateOrder) -> CreatedOrder:
        """One answer."""
        self.asked.append(order.client_order_id)
        self.groups.append(order.order_group_id)
        answer = self.answers.pop(0)
        if answer is not None:
            raise answer
        return CreatedOrder("e1", order.client_order_id, 0, order.count_e2, 1)


def sending(rig: ManagerRig, deadline_mono_ns: int = FAR_NS) -> SendOrder:
    """The request for an intent."""
    rig.manager.on_intent(intent("i1", deadline_mono_ns=deadline_mono_ns), rig.mono_ns)
    (request,) = rig.requests(SendOrder)
    return request


def standing(*answers: Exception | None) -> tuple[ManagerRig, Gateway, Exchange]:
    """A gateway to an exchange with these answers."""
    rig, exchange = ManagerRig().known(), Exchange(*answers)
    gateway = Gateway(rig.state, lambda: None, Logged())
    gateway.client = exchange  # type: ignore[assignment]
    return rig, gateway, exchange


async def done(gateway: Gateway) -> None:
    """Until no request is under way."""
    async with asyncio.timeout(PATIENCE):
        while gateway.running:  # noqa: ASYNC110  requests have no event
            await asyncio.sleep(0.005)


async def test_a_request_under_way_is_not_started_again() -> None:
    rig, gateway, exchange = standing(None)
    request = sending(rig)
    for _ in range(3):
        gateway.start(request)
    assert gateway.running == 1
    await done(gateway)
    assert exchange.asked == ["ka-i1-BY"]
    assert rig.last_order().status is OrderStatus.RESTING


async def test_what_is_wanted_again_at_the_end_of_a_request_is_started_again() -> None:
    rig, gateway, exchange = standing(None, None)
    request = sending(rig)
    again = Gateway(rig.state, lambda: again.start(request) if exchange.answers else None, Logged())
    again.client = gateway.client
    again.start(request)
    await done(again)
    assert len(exchange.asked) == 2


async def test_a_rejection_is_final_and_a_rate_limit_is_not() -> None:
    busy, refused = RateLimited(429, "", "too many requests"), OrderRejected(400, "no", "no")
    rig, gateway, exchange = standing(busy, busy, refused)
    gateway.start(sending(rig))
    await done(gateway)
    assert exchange.asked == ["ka-i1-BY"] * 3
    assert (rig.last_order().status, rig.last_order().reason) == (OrderStatus.REJECTED, "no")
    assert rig.state.counters["creates_refused_by_exchange"] == 1


async def test_a_rate_limit_is_met_with_growing_pauses_until_the_deadline() -> None:
    busy, full = RateLimited(429, "", "too many requests"), RateLimited(429, OWN_BUDGET, "full")
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    rig, _, exchange = standing(busy, busy, busy, busy, busy, busy, full, full, None)
    gateway = Gateway(rig.state, lambda: None, Logged(), sleep)
    gateway.client = exchange  # type: ignore[assignment]
    gateway.start(sending(rig))
    await done(gateway)
    assert slept == [RETRY * n for n in (2, 4, 8, 16, 16, 16, 1, 1)]


def test_no_pause_goes_beyond_the_deadline() -> None:
    assert pause_of(4, 1_000_000_000) == 16 * RETRY
    assert pause_of(4, 100_000_000) == 0.1
    assert pause_of(4, -1) == RETRY


async def test_a_fault_that_is_no_answer_is_raised_by_the_watch() -> None:
    rig, gateway, _ = standing(ZeroDivisionError("a bug"))
    gateway.start(sending(rig))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        await asyncio.wait_for(gateway.watch(), PATIENCE)
    assert gateway.running == 0


@pytest.mark.parametrize(("closing", "reason"), [(True, "stopping"), (False, "deadline")])
async def test_what_was_never_tried_says_why(closing: bool, reason: str) -> None:
    rig, gateway, exchange = standing()
    gateway.closing = closing
    request = sending(rig)
    gateway.start(request if closing else SendOrder(request.order, 1))
    await done(gateway)
    assert exchange.asked == []
    assert rig.told(ActorOrder)[-1].reason == reason


@pytest.mark.parametrize("mode", [TradingMode.PAUSED, TradingMode.STOPPED, TradingMode.FLATTENING])
async def test_a_create_that_waits_is_not_sent_once_trading_is_not_on(mode: TradingMode) -> None:
    rig, gateway, exchange = standing(RateLimited(429, "", "too many requests"), None)
    gateway.start(sending(rig))
    await turns()
    assert exchange.asked == ["ka-i1-BY"]
    rig.manager.set_mode(mode)
    await done(gateway)
    assert exchange.asked == ["ka-i1-BY"]
    assert rig.last_order().status is OrderStatus.REJECTED


async def test_a_create_carries_its_group_and_a_refusal_for_it_ends_its_use() -> None:
    rig, gateway, exchange = standing(OrderRejected(400, "EXCEEDED_ORDER_GROUP_RISK_LIMIT", "no"))
    stop = rig.state.exchange_stop
    stop.is_required, stop.groups, rig.state.money.shards[TICKER] = True, {3: "g"}, 3
    gateway.start(sending(rig))
    await done(gateway)
    assert exchange.groups == ["g"]
    assert stop.groups == {}
    assert stop.refused == {3: "exceeded_order_group_risk_limit"}


async def test_a_create_whose_group_has_gone_is_not_sent() -> None:
    rig, gateway, exchange = standing()
    stop = rig.state.exchange_stop
    stop.is_required, stop.groups, rig.state.money.shards[TICKER] = True, {3: "g"}, 3
    request = sending(rig)
    stop.groups = {}
    gateway.start(request)
    await done(gateway)
    assert exchange.asked == []
    assert rig.last_order().reason == "no_order_group"
