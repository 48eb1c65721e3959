"""The exchange's word against ours: late reads are outwaited, ours gives way only to proof."""

from __future__ import annotations

import pytest
from support.order_manager import CASH_E6, ManagerRig, exchange_order
from support.orders import TICKER, fill, order

from ipc.messages import ActorOrder, BookSide, OrderStatus
from processes.adapters.kalshi.schemas.decoding import LeftOut
from processes.execution.account import TAKE_OVER_VOTES, Doubt, Payout
from processes.execution.orders import CancelOrder, LookUpOrder, OrderReport

RESTING = OrderStatus.RESTING
CANCELED = OrderStatus.CANCELED
QUIET_S = 2.1  # seconds after which the exchange's reads have caught up


def held(rig: ManagerRig, count_e2: int = 1_000) -> ManagerRig:
    """Book a purchase that the exchange lists as well."""
    rig.state.on_fill(fill("t1", count_e2=count_e2))
    rig.drain()
    return rig


def doubts(rig: ManagerRig) -> set[Doubt]:
    """Why the market is not known."""
    return rig.state.accounts[TICKER].doubts


def test_a_start_reads_all_fills_before_it_knows_anything() -> None:
    rig = ManagerRig()
    rig.state.follow(TICKER)
    assert rig.compare() == {TICKER}
    assert doubts(rig) == {Doubt.STARTING}
    rig.compare(positions={TICKER: 1_000}, fills={TICKER: [fill("t1")]})
    assert doubts(rig) == set()
    assert rig.state.accounts[TICKER].position_e2 == 1_000


def test_after_a_gap_of_the_channel_all_fills_are_read_again() -> None:
    rig = ManagerRig().known()
    rig.state.doubt(Doubt.CHANNEL)
    assert rig.compare() == {TICKER}  # still down
    rig.state.trust(Doubt.CHANNEL)
    assert doubts(rig) == {Doubt.CHANNEL}
    assert rig.state.unread() == {TICKER}
    rig.compare(positions={TICKER: 400}, fills={TICKER: [fill("t1", count_e2=400)]})
    assert doubts(rig) == set()


def test_a_position_that_lags_a_fill_is_no_mismatch() -> None:
    rig = held(ManagerRig().known())
    assert rig.after(1).compare() == set()
    assert doubts(rig) == set()


def test_a_difference_that_stays_is_a_doubt_and_said_once() -> None:
    rig = held(ManagerRig().known())
    assert rig.after(QUIET_S).compare() == {TICKER}
    for _ in range(3):
        rig.compare(fills={TICKER: [fill("t1")]})  # the exchange's own fills add up to ours
    assert doubts(rig) == {Doubt.MISMATCH}
    lines = [action for action, _ in rig.drain().warnings]
    assert lines == ["position_mismatch", "difference_lasts"]
    rig.compare(positions={TICKER: 1_000})
    assert doubts(rig) == set()


def test_the_booked_gives_way_to_a_list_that_adds_up_twice_in_a_row() -> None:
    rig = held(ManagerRig().known()).after(QUIET_S)
    theirs = {"positions": {}, "fills": {TICKER: []}}
    rig.compare(**theirs)
    rig.compare(positions={TICKER: 1_000})  # agrees in between: the count begins anew
    rig.compare(**theirs)
    assert rig.state.accounts[TICKER].position_e2 == 1_000
    rig.compare(**theirs)
    account = rig.state.accounts[TICKER]
    assert (account.position_e2, account.cash_e6) == (0, CASH_E6)
    assert rig.state.counters["adopted"] == 1


def test_a_position_in_a_market_that_nobody_follows_is_followed() -> None:
    rig = ManagerRig()
    assert rig.compare(positions={TICKER: 300}) == {TICKER}
    assert doubts(rig) == {Doubt.STARTING}


# Orders


def test_an_order_that_the_list_lacks_is_looked_up_once_it_may_not_be_late() -> None:
    rig = ManagerRig().known()
    rig.state.orders.add(order("i1", status=RESTING, order_id="e1"))
    rig.state.on_fact("ka-i1-BY", OrderReport("e1", RESTING, 0, expire_ms=1))
    rig.drain()
    rig.after(1).compare()
    assert rig.requests(LookUpOrder) == []
    rig.after(QUIET_S).compare()
    assert [r.order.order_id for r in rig.requests(LookUpOrder)] == ["e1"]


def test_what_an_earlier_run_left_is_canceled_until_it_is_gone() -> None:
    rig = ManagerRig()
    left = exchange_order(order("old"), RESTING, order_id="e-old")
    rig.compare(resting=[left])
    assert [r.order.order_id for r in rig.requests(CancelOrder)] == ["e-old"]
    rig.compare(fills={TICKER: []}, resting=[left])
    assert doubts(rig) == {Doubt.LEFTOVER}
    rig.state.release("ka-old-BY")  # the cancel failed
    rig.manager.tick()
    assert len(rig.requests(CancelOrder)) == 1
    rig.state.on_order(exchange_order(order("old"), CANCELED, order_id="e-old"))
    assert doubts(rig) == set()
    assert rig.told(ActorOrder)[-1].intent_id == "old"


def test_a_stale_read_does_not_reopen_an_order() -> None:
    rig = ManagerRig().known()
    rig.state.orders.add(order("i1", status=RESTING, order_id="e1"))
    rig.state.on_order(exchange_order(order("i1"), CANCELED, order_id="e1"))
    rig.compare(resting=[exchange_order(order("i1"), RESTING, order_id="e1")])
    assert rig.state.orders.open_in(TICKER) == ()


# Settlement


@pytest.mark.parametrize(("value_e4", "cash_e6"), [(10_000, 106_000_000), (0, 96_000_000)])
def test_a_settlement_pays_once_and_agrees(value_e4: int, cash_e6: int) -> None:
    rig = held(ManagerRig().known()).after(QUIET_S)
    assert rig.compare() == {TICKER}  # it is no longer listed: why?
    for _ in range(2):
        rig.compare(fills={TICKER: [fill("t1")]}, settlements={TICKER: Payout(value_e4)})
    account = rig.state.accounts[TICKER]
    assert (account.position_e2, account.cash_e6) == (0, cash_e6)
    assert account.payout == Payout(value_e4)
    assert doubts(rig) == set()


def test_a_corrected_settlement_is_booked_again_and_logged() -> None:
    rig = held(ManagerRig().known()).after(QUIET_S)
    read = {TICKER: [fill("t1")]}
    rig.compare(fills=read, settlements={TICKER: Payout(10_000)})
    for _ in range(2):
        rig.compare(fills=read, settlements={TICKER: Payout(0)})
    account = rig.state.accounts[TICKER]
    assert (account.position_e2, account.cash_e6) == (0, 96_000_000)
    assert rig.drain().warnings == [
        ("settlement_corrected", {"ticker": TICKER, "change_dollars": "-10.000000"})
    ]


def test_a_correction_of_a_retired_market_changes_the_totals() -> None:
    rig = held(ManagerRig().known()).after(QUIET_S)
    rig.compare(fills={TICKER: [fill("t1")]}, settlements={TICKER: Payout(10_000)})
    rig.drain()
    rig.after(QUIET_S).state.retire()
    assert TICKER not in rig.state.accounts
    assert rig.state.retired_realized_e6 == 6_000_000
    rig.compare(settlements={TICKER: Payout(0)})
    assert rig.state.retired_realized_e6 == -4_000_000
    assert TICKER not in rig.state.accounts


def test_a_payout_between_yes_and_no_is_what_the_exchange_paid() -> None:
    rig = held(ManagerRig().known()).after(QUIET_S)
    rig.compare(fills={TICKER: [fill("t1")]}, settlements={TICKER: Payout(revenue_e6=3_330_000)})
    account = rig.state.accounts[TICKER]
    assert (account.position_e2, account.cash_e6) == (0, 96_000_000 + 3_330_000)


# A position that no list explains


def test_a_position_that_no_list_explains_is_taken_over_and_may_only_be_reduced() -> None:
    rig = ManagerRig()
    rig.state.follow(TICKER)
    late = fill("t9", BookSide.ASK, yes_price_e4=6_000, count_e2=200, ts_ms=9)
    view = {
        "positions": {TICKER: 1_000},
        "fills": {TICKER: [late]},
        "exposures": {TICKER: 4_000_000},
    }
    rig.compare(**view)
    rig.after(QUIET_S)
    for _ in range(TAKE_OVER_VOTES):
        assert not rig.state.accounts[TICKER].known
        rig.compare(**view)
    rig.compare(**view)
    account = rig.state.accounts[TICKER]
    assert (account.position_e2, account.cost_basis_e6) == (1_000, 4_000_000)
    assert account.known
    assert account.reduce_only
    sold = fill("t10", BookSide.ASK, yes_price_e4=6_000, count_e2=1_000, ts_ms=10)
    rig.state.on_fill(sold)
    assert (account.position_e2, account.realized_e6) == (0, 2_000_000)
    assert not account.reduce_only


def test_a_position_without_a_cost_is_not_taken_over() -> None:
    rig = ManagerRig()
    rig.state.follow(TICKER)
    view = {"positions": {TICKER: 1_000}, "fills": {TICKER: []}}
    rig.compare(**view)
    rig.after(QUIET_S)
    for _ in range(3 * TAKE_OVER_VOTES):
        rig.compare(**view)
    assert doubts(rig) == {Doubt.STARTING, Doubt.MISMATCH}


# Everywhere


@pytest.mark.parametrize("doubt", [Doubt.JOURNAL, Doubt.REST])
def test_a_doubt_about_everything_is_inherited_by_new_markets(doubt: Doubt) -> None:
    rig = ManagerRig().known()
    rig.state.doubt(doubt)
    rig.state.follow("KX-2")
    assert doubt in rig.state.accounts["KX-2"].doubts
    assert not rig.state.accounts[TICKER].known
    rig.state.trust(doubt)
    assert rig.state.accounts[TICKER].known
    assert rig.state.accounts["KX-2"].doubts == {Doubt.STARTING}


def test_a_market_whose_rows_cannot_be_read_is_unknown_and_the_others_are_not() -> None:
    rig = ManagerRig().known().known("OTHER")
    rig.compare(left_out=LeftOut(1, "fees", frozenset({TICKER})))
    assert doubts(rig) == {Doubt.STARTING}
    assert rig.state.accounts["OTHER"].doubts == set()
    rig.compare(left_out=LeftOut(1, "no ticker", unnamed=1), fills={TICKER: [], "OTHER": []})
    assert rig.state.accounts["OTHER"].doubts == {Doubt.STARTING}  # it may be about any market
    rig.compare(fills={TICKER: [], "OTHER": []})
    assert doubts(rig) == rig.state.accounts["OTHER"].doubts == set()
