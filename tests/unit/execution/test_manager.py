"""What is done for intents, fact by fact: at most one order a market, nothing doubled, no guess."""

from __future__ import annotations

from typing import Any

import pytest
from support.order_manager import CASH_E6, ManagerRig, exchange_order, strange_order
from support.orders import TICKER, fill, intent

from ipc import account_table as a
from ipc.messages import ActorFill, ActorOrder, BookSide, Intent, Leg, OrderStatus
from ipc.units import LINEAR_CENT
from processes.execution.order_facts import AmendRefused
from processes.execution.orders import (
    CancelOrder,
    CreateAccepted,
    FetchFills,
    FillReport,
    OrderRefused,
    OrderReport,
    OutcomeUnknown,
    SendAmend,
    SendOrder,
    TrackedOrder,
)

CANCELED = OrderStatus.CANCELED
RESTING = OrderStatus.RESTING
UNKNOWN = OrderStatus.UNKNOWN


def sent(rig: ManagerRig, wanted: Intent) -> TrackedOrder:
    """An intent that is sent at once -> its order."""
    rig.manager.on_intent(wanted, rig.mono_ns)
    (request,) = rig.requests(SendOrder)
    return request.order


def resting(rig: ManagerRig, name: str = "i1") -> TrackedOrder:
    """An order that rests as `e-<name>`."""
    order = sent(rig, intent(name))
    rig.state.on_fact(order.client_order_id, CreateAccepted(f"e-{name}", 0, order.initial_e2, 1))
    rig.drain()
    found = rig.state.orders.get(order.client_order_id)
    assert found is not None
    return found


def reasons(rig: ManagerRig) -> dict[str | None, str]:
    """Why each intent became no order."""
    told = rig.told(ActorOrder)
    return {o.intent_id: o.reason for o in told if o.status is OrderStatus.REJECTED}


# One order for one intent


def test_the_same_intent_is_one_order() -> None:
    rig = ManagerRig().known()
    sent(rig, intent("i1"))
    rig.manager.on_intent(intent("i1"), rig.mono_ns)
    assert rig.requests(SendOrder) == []
    assert rig.state.counters["duplicate_intents"] == 1


def test_an_ended_order_is_not_sent_again() -> None:
    rig = ManagerRig().known()
    order = sent(rig, intent("i1"))
    rig.state.on_fact(order.client_order_id, OrderRefused("invalid_order"))
    rig.manager.on_intent(intent("i1"), rig.mono_ns)
    assert rig.requests(SendOrder) == []


def test_the_orders_of_all_markets_together_are_bounded() -> None:
    rig = ManagerRig(open_orders=2)
    for n in range(3):
        rig.known(f"KX-{n}")
    for n in range(3):
        rig.manager.on_intent(intent(f"i{n}", market_ticker=f"KX-{n}"), rig.mono_ns)
    assert len(rig.requests(SendOrder)) == 2
    assert reasons(rig) == {"i2": "too_many_orders"}


# The place in the queue


def ahead(rig: ManagerRig) -> list[int]:
    """What the row of the account table says of its orders."""
    row = rig.manager.account_row(TICKER)
    words = row[a.ORDERS : a.ORDERS + int(row[a.N_ORDERS]) * a.ORDER_WORDS]
    return words[a.ORDER_AHEAD_E2 :: a.ORDER_WORDS].tolist()


def test_an_order_that_rests_begins_unknown_and_somebody_shall_ask() -> None:
    rig = ManagerRig().known()
    order = sent(rig, intent("i1"))
    assert (ahead(rig), rig.state.queued_markets()) == ([], set())
    rig.state.on_fact(order.client_order_id, CreateAccepted("e-i1", 0, order.initial_e2, 1))
    assert rig.drain().queue_wanted
    assert (ahead(rig), rig.state.queued_markets()) == ([a.UNKNOWN_AHEAD], {TICKER})


def test_only_a_number_that_changed_is_a_new_version_and_no_news_of_the_order() -> None:
    rig = ManagerRig().known()
    resting(rig)
    version, orders = rig.state.version, len(rig.told(ActorOrder))
    rig.state.on_queue("e-i1", 5_000)
    assert rig.drain().markets == {TICKER: None}
    assert (ahead(rig), rig.state.version) == ([5_000], version + 1)
    for again in (5_000, 6_000):
        rig.state.on_queue("e-i1", again)
        assert rig.drain().markets == {}
    assert (ahead(rig), rig.state.version) == ([5_000], version + 1)
    assert len(rig.told(ActorOrder)) == orders
    assert rig.state.accounts[TICKER].changed_mono_ns < rig.after(1).mono_ns


def test_the_place_of_an_order_that_does_not_rest_is_no_news() -> None:
    rig = ManagerRig().known()
    order = resting(rig)
    rig.state.on_fact(order.client_order_id, OrderReport("e-i1", CANCELED, 0))
    rig.drain()
    version = rig.state.version
    for order_id in ("e-i1", "e-nobody"):
        rig.state.on_queue(order_id, 5_000)
    assert (rig.state.version, rig.drain().markets) == (version, {})


def test_a_replacement_begins_unknown_and_a_fill_is_at_the_front() -> None:
    rig = ManagerRig().known()
    old = resting(rig)
    rig.state.on_queue("e-i1", 5_000)
    rig.state.on_fill(fill("t1", count_e2=100, order_id="e-i1"))
    assert (ahead(rig), rig.state.queued_markets()) == ([0], set())
    rig.state.on_fact(old.client_order_id, OrderReport("e-i1", CANCELED, 100))
    rig.drain()
    resting(rig, "i2")
    assert ahead(rig) == [a.UNKNOWN_AHEAD]


# Answers


def test_positions_are_those_of_every_followed_market() -> None:
    rig = ManagerRig().known().known("KX-2")
    rig.state.on_fill(fill("t1", BookSide.ASK, count_e2=300, order_id="by-hand"))
    assert rig.manager.get_positions() == {TICKER: -300, "KX-2": 0}


def test_the_info_of_a_position_is_its_sub_account() -> None:
    rig = ManagerRig().known()
    rig.state.on_fill(fill("t1", count_e2=300, yes_price_e4=4_000, fee_e6=7_000))
    info = rig.manager.get_position_info(TICKER)
    assert info is not None
    assert (info.position_e2, info.cash_e6) == (300, CASH_E6 - 1_200_000 - 7_000)
    assert rig.manager.get_position_info("KX-NOT-FOLLOWED") is None


def test_the_features_of_orders_are_what_rests_on_the_scale_of_its_leg() -> None:
    rig = ManagerRig().known()
    name = sent(rig, intent("i1", leg=Leg.NO, yes_price_e4=4_500)).client_order_id
    assert rig.manager.get_order_features(TICKER) == []  # on its way
    rig.state.on_fact(name, CreateAccepted("e1", 400, 600, 1))
    (order,) = rig.manager.get_order_features(TICKER)
    assert (order.is_buy, order.leg, order.price_e4, order.remaining_e2) == (True, 1, 5_500, 600)


def test_the_whole_account_counts_positions_and_adds_up_profit_and_fees() -> None:
    rig = ManagerRig().known().known("KX-2")
    rig.state.on_fill(fill("t1", count_e2=300, yes_price_e4=4_000, fee_e6=7_000))
    rig.state.on_fill(fill("t2", BookSide.ASK, count_e2=100, yes_price_e4=5_000, fee_e6=1_000))
    pnl = rig.manager.pnl(5)
    assert (pnl.balance_e6, pnl.realized_e6, pnl.fees_e6) == (5, 100_000, 8_000)
    assert (pnl.positions, pnl.open_orders) == (1, 0)


# Refusals of the exchange


def refused(rig: ManagerRig, name: str, reason: str = "insufficient_balance: 1.00") -> None:
    """An intent is sent, and the exchange refuses its order."""
    order = sent(rig, intent(name))
    rig.state.on_fact(order.client_order_id, OrderRefused(reason, by_exchange=True))
    rig.drain()


def is_sent(rig: ManagerRig, wanted: Intent) -> bool:
    """Whether an intent is sent at once."""
    rig.manager.on_intent(wanted, rig.mono_ns)
    return bool(rig.requests(SendOrder))


def test_a_refusal_that_does_not_pass_is_tried_less_and_less() -> None:
    rig = ManagerRig().known()
    refused(rig, "first")  # it may have been of that moment
    for n, pause_s in enumerate((0.5, 1, 2, 4, 8, 16, 32, 60, 60)):
        refused(rig, f"i{n}")
        assert not is_sent(rig.after(pause_s - 0.01), intent(f"x{n}"))
        assert reasons(rig)[f"x{n}"] == "backing_off"
        rig.after(0.02)
    assert rig.state.counters["creates_refused_by_exchange"] == 10
    warnings = [(action, facts["error"]) for box in rig.history for action, facts in box.warnings]
    assert warnings == [("orders_refused", "insufficient_balance: 1.00")]


def test_a_buy_that_is_refused_holds_up_no_sale_and_no_other_market() -> None:
    rig = ManagerRig().known().known("KX-2")
    rig.state.on_fill(fill("t0", order_id="by-hand"))
    for name in ("i0", "i1"):
        refused(rig, name)
    assert not is_sent(rig, intent("x"))
    assert is_sent(rig, intent("i2", market_ticker="KX-2"))
    assert is_sent(rig, intent("i3", is_buy=False, yes_price_e4=6_000))


def test_an_order_that_is_taken_ends_the_back_off_and_another_reason_begins_its_own() -> None:
    rig = ManagerRig().known()
    for name, reason in (("i1", "a"), ("i2", "a")):
        refused(rig, name, reason)
    assert not is_sent(rig, intent("x1"))
    rig.after(0.6)
    refused(rig, "i3", "b")
    order = resting(rig, "i4")  # at once: the first for this reason
    rig.state.on_fact(order.client_order_id, OrderReport("e-i4", CANCELED, 0))
    refused(rig, "i5", "b")
    assert is_sent(rig, intent("i6"))


def test_what_the_exchange_never_read_is_no_refusal() -> None:
    rig = ManagerRig().known()
    for name in ("i1", "i2", "i3"):
        order = sent(rig, intent(name))
        rig.state.on_fact(order.client_order_id, OrderRefused("deadline"))
    assert is_sent(rig, intent("i4"))


# What rests, when the account changes under it


def selling(rig: ManagerRig) -> TrackedOrder:
    """All of 10 held contracts are offered."""
    rig.state.on_fill(fill("t0", count_e2=1_000, order_id="by-hand"))
    rig.drain()
    order = sent(rig, intent("s1", is_buy=False, yes_price_e4=6_000))
    rig.state.on_fact(order.client_order_id, CreateAccepted("e-s1", 0, 1_000, 1))
    assert rig.requests(CancelOrder) == []
    found = rig.state.orders.get(order.client_order_id)
    assert found is not None
    return found


def test_an_offer_of_more_than_is_held_is_canceled_at_once_and_until_it_is_gone() -> None:
    rig = ManagerRig().known()
    offer = selling(rig)
    rig.state.on_fill(fill("t1", BookSide.ASK, count_e2=400, order_id="by-hand-2", ts_ms=2))
    assert rig.requests(CancelOrder) == [CancelOrder(offer)]
    assert rig.requests(CancelOrder) == []  # it is on its way
    rig.state.release(offer.client_order_id)  # it failed
    assert rig.requests(CancelOrder) == [CancelOrder(offer)]
    warnings = [action for box in rig.history for action, _ in box.warnings]
    assert warnings == ["resting_order_exceeds_bounds"]
    rig.state.on_fact(offer.client_order_id, OrderReport("e-s1", CANCELED, 0))
    assert rig.requests(CancelOrder) == []
    assert sent(rig, intent("s2", is_buy=False, yes_price_e4=6_000, count_e2=600))


@pytest.mark.parametrize("fill_first", [True, False])
def test_an_offer_that_fills_itself_is_left_alone(fill_first: bool) -> None:
    rig = ManagerRig().known()
    offer = selling(rig)
    told = fill("t1", BookSide.ASK, count_e2=400, order_id="e-s1", ts_ms=2)
    report = OrderReport("e-s1", RESTING, 400)
    if fill_first:
        rig.state.on_fill(told)
        assert rig.requests(CancelOrder) == []
    rig.state.on_fact(offer.client_order_id, report)
    assert rig.requests(CancelOrder) == []
    rig.state.on_fill(told)
    assert rig.requests(CancelOrder) == []


def test_an_offer_beside_another_one_of_the_same_contracts_is_canceled() -> None:
    rig = ManagerRig().known()
    offer = selling(rig)
    rig.state.on_order(strange_order("a-stranger-s", BookSide.ASK, 100))
    assert rig.requests(CancelOrder) == [CancelOrder(offer)]


def test_a_bid_that_cannot_be_paid_any_more_is_canceled() -> None:
    rig = ManagerRig().known()
    bid = resting(rig)
    spent = fill("t1", count_e2=10_000, yes_price_e4=9_900, order_id="by-hand")
    rig.state.on_fill(spent)
    assert rig.requests(CancelOrder) == [CancelOrder(bid)]


# Waiting


def crossing(name: str, **fields: Any) -> Intent:
    """What would trade with our own bid at 40 cents: it waits until that has ended."""
    return intent(name, leg=Leg.NO, yes_price_e4=4_000, **fields)


def test_a_replacement_waits_until_the_old_order_is_settled() -> None:
    rig = ManagerRig().known()
    old = resting(rig)
    rig.manager.on_intent(crossing("i2"), rig.mono_ns)
    assert rig.requests(CancelOrder) == [CancelOrder(old)]
    rig.manager.tick()
    assert rig.drain().requests == []
    rig.state.on_fact(old.client_order_id, OrderReport("e-i1", CANCELED, 0))
    (request,) = rig.requests(SendOrder)
    assert request.order.intent_id == "i2"


def test_a_newer_intent_replaces_the_one_that_waits() -> None:
    rig = ManagerRig().known()
    resting(rig)
    for name in ("i2", "i3"):
        rig.manager.on_intent(crossing(name), rig.mono_ns)
    rig.state.on_fact("ka-i1-BY", OrderReport("e-i1", CANCELED, 0))
    assert [r.order.intent_id for r in rig.requests(SendOrder)] == ["i3"]
    assert reasons(rig) == {"i2": "superseded"}


def test_a_cancel_that_failed_is_asked_for_again_while_somebody_wants_it() -> None:
    rig = ManagerRig().known()
    old = resting(rig)
    rig.manager.on_intent(crossing("i2"), rig.mono_ns)
    rig.drain()
    rig.state.release(old.client_order_id)  # the cancel failed
    assert rig.state.orders.open_in(TICKER) == (old,)
    rig.manager.tick()
    assert rig.requests(CancelOrder) == [CancelOrder(old)]


def test_an_intent_does_not_wait_beyond_its_deadline() -> None:
    rig = ManagerRig().known()
    resting(rig)
    late = crossing("i2", deadline_mono_ns=rig.mono_ns + 1)
    rig.manager.on_intent(late, rig.mono_ns)
    rig.after(1).state.on_fact("ka-i1-BY", OrderReport("e-i1", CANCELED, 0))
    assert rig.requests(SendOrder) == []
    assert reasons(rig) == {"i2": "deadline"}


def test_fills_on_their_way_are_waited_for_before_the_next_order() -> None:
    """Canceled with a part filled: what is held is not known before the fill is booked."""
    rig = ManagerRig().known()
    resting(rig)
    rig.manager.on_intent(crossing("i2"), rig.mono_ns)
    rig.state.on_fact("ka-i1-BY", OrderReport("e-i1", CANCELED, 400))
    assert rig.requests(SendOrder) == []
    assert not rig.state.accounts[TICKER].known
    rig.state.on_fill(fill("t1", count_e2=400, order_id="e-i1"))
    assert [r.order.intent_id for r in rig.requests(SendOrder)] == ["i2"]
    assert rig.state.accounts[TICKER].known


def test_a_stop_refuses_what_waits_and_cancels_what_rests() -> None:
    rig = ManagerRig().known()
    resting(rig)
    rig.manager.on_intent(crossing("i2"), rig.mono_ns)
    rig.drain()
    rig.state.release("ka-i1-BY")
    rig.manager.withdraw()
    assert [r.order.intent_id for r in rig.requests(CancelOrder)] == ["i1"]
    assert reasons(rig) == {"i2": "stopping"}


# Unknown outcomes


def test_a_lost_answer_stops_the_market_until_somebody_knows() -> None:
    rig = ManagerRig().known()
    order = sent(rig, intent("i1"))
    rig.state.on_fact(order.client_order_id, OutcomeUnknown("timeout"))
    rig.manager.on_intent(intent("i2", yes_price_e4=4_100), rig.mono_ns)
    assert rig.requests(SendOrder) == []
    assert not rig.state.accounts[TICKER].known
    rig.state.on_order(exchange_order(order, RESTING))
    assert rig.state.accounts[TICKER].known
    assert rig.last_order().status is RESTING


def test_a_fill_proves_that_an_order_of_unknown_outcome_arrived() -> None:
    rig = ManagerRig().known()
    order = sent(rig, intent("i1"))
    rig.state.on_fact(order.client_order_id, OutcomeUnknown("timeout"))
    rig.state.on_fill(fill("t1", client_order_id=order.client_order_id))
    assert rig.last_order().status is OrderStatus.EXECUTED
    assert rig.state.accounts[TICKER].known


def test_only_a_confirmed_absence_ends_an_order() -> None:
    rig = ManagerRig().known()
    order = resting(rig)
    rig.after(10).compare()  # the list does not show it: it is looked up, and still open
    assert order in rig.state.orders.open_in(TICKER)
    rig.state.on_absent(order.client_order_id)
    assert rig.state.orders.open_in(TICKER) == ()
    assert (rig.last_order().status, rig.last_order().reason) == (CANCELED, "not_found")


# Fills


def test_a_fill_is_booked_once_whatever_reports_it() -> None:
    rig = ManagerRig().known()
    resting(rig)
    told = fill("t1", count_e2=400, order_id="e-i1", fee_e6=7_000)
    for live in (True, True, False):
        rig.state.on_fill(told, live=live)
    account = rig.state.accounts[TICKER]
    assert (account.position_e2, account.cash_e6) == (400, CASH_E6 - 1_600_000 - 7_000)
    assert len(rig.fills()) == 1
    assert rig.state.counters["duplicate_fills"] == 1


def test_a_fill_before_its_order_is_kept_and_named() -> None:
    rig = ManagerRig().known()
    order = sent(rig, intent("i1"))
    rig.state.on_fill(fill("t1", count_e2=400, order_id="e-i1"))
    rig.state.on_fact(order.client_order_id, CreateAccepted("e-i1", 400, 600, 1))
    told = rig.last_order()
    assert (told.status, told.fill_count_e2, told.remaining_count_e2) == (RESTING, 400, 600)
    assert rig.state.accounts[TICKER].position_e2 == 400
    assert rig.state.accounts[TICKER].known  # no fill is missing
    rig.state.on_fill(fill("t2", count_e2=600, order_id="e-i1", client_order_id=None))
    assert rig.told(ActorFill)[-1].client_order_id == "ka-i1-BY"


def test_missing_fills_are_fetched_again_and_again() -> None:
    rig = ManagerRig().known()
    order = sent(rig, intent("i1"))
    rig.state.on_fact(order.client_order_id, CreateAccepted("e-i1", 1_000, 0, 1))
    rig.manager.tick()
    assert rig.requests(FetchFills) == []  # the channel may still bring them
    for _ in range(2):
        rig.after(1.1).manager.tick()
        assert len(rig.requests(FetchFills)) == 1
    rig.state.on_fill(fill("t1", order_id="e-i1"), live=False)
    rig.after(1.1).manager.tick()
    assert rig.requests(FetchFills) == []


def test_a_stranger_s_fill_moves_the_account_too() -> None:
    rig = ManagerRig().known()
    rig.state.on_fill(fill("t1", BookSide.ASK, count_e2=300, order_id="by-hand"))
    assert rig.state.accounts[TICKER].position_e2 == -300


def test_a_fill_elsewhere_is_counted_only() -> None:
    rig = ManagerRig().known()
    rig.state.on_fill(fill("t1", market_ticker="KXNOBODY-1"))
    assert rig.state.counters["fills_elsewhere"] == 1
    assert rig.fills() == []


# Expiries and versions


def test_a_renewal_is_asked_for_once_and_again_after_it_failed() -> None:
    rig = ManagerRig().known()
    order = resting(rig)
    rig.after(40)
    for name in ("i2", "i3"):
        rig.manager.on_intent(intent(name), rig.mono_ns)
    (request,) = rig.requests(SendAmend)
    assert (request.order, request.amend.is_renewal) == (order, True)
    assert request.amend.expire_ms % 1000 == 0
    rig.state.on_fact(order.client_order_id, AmendRefused(request.amend, "timeout"))
    rig.manager.tick()
    (request,) = rig.requests(SendAmend)
    assert (request.amend.number, request.amend.intent_id) == (2, "i3")


@pytest.mark.parametrize("fact", [OrderReport("e-i1", CANCELED, 0), FillReport("t1", 1_000)])
def test_every_change_is_a_new_version(fact: OrderReport | FillReport) -> None:
    rig = ManagerRig().known()
    resting(rig)
    before = rig.state.accounts[TICKER].version
    rig.state.on_fact("ka-i1-BY", fact)
    assert rig.state.accounts[TICKER].version > before
    assert rig.manager.account_row(TICKER)[1] == rig.state.version


def test_a_market_without_a_grid_is_not_traded() -> None:
    rig = ManagerRig()
    rig.state.follow(TICKER)
    rig.manager.on_intent(intent("i1"), rig.mono_ns)
    assert reasons(rig) == {"i1": "market_unknown"}
    rig.state.follow(TICKER, LINEAR_CENT)
    rig.manager.on_intent(intent("i2"), rig.mono_ns)
    assert reasons(rig)["i2"] == "not_reconciled_yet"
