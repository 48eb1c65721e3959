"""What differs from the exchange: reported when found, when it lasts and when it is over."""

from __future__ import annotations

from typing import Any

from msgspec.structs import replace
from support.order_manager import ManagerRig, exchange_order, strange_order
from support.orders import TICKER, fill, intent, order

from ipc.messages import ActorOrder, BookSide, OrderStatus, TradingEvent, TradingEventKind
from processes.adapters.kalshi.schemas.normalise import ExchangeOrder
from processes.execution.account import QUIET_NS
from processes.execution.account_measures import AccountMeasures
from processes.execution.cash_comparison import CASH_LATCH, CashComparison
from processes.execution.day_pnl import DayRecord
from processes.execution.differences import Difference, DifferenceWatch, Quantity
from processes.execution.order_facts import OrderReport, PendingAmend

QUIET_S = QUIET_NS / 1_000_000_000
POSITION = Difference(Quantity.POSITION, TICKER, 0, 300)


def audit(rig: ManagerRig) -> list[tuple[str, str, dict[str, int]]]:
    return [(e.kind.value, e.name, e.numbers) for e in rig.told(TradingEvent)]


def test_a_difference_is_reported_at_its_first_and_second_round_and_at_its_end() -> None:
    watch, compared = DifferenceWatch(), {POSITION.key}
    rounds = [watch.look([POSITION], compared) for _ in range(3)]
    assert [[c.rounds for c in changes] for changes in rounds] == [[1], [2], []]
    assert watch.stopped() == {TICKER}
    assert watch.look([], set()) == []  # not compared: it stays
    (over,) = watch.look([], compared)
    assert over.is_over
    assert watch.stopped() == set()


def test_a_position_that_differs_is_in_the_audit() -> None:
    rig = ManagerRig().known().after(QUIET_S)
    rig.compare(positions={TICKER: 300}, fills={TICKER: []})
    numbers = {"known_e2": 0, "exchange_e2": 300, "difference_e2": 300, "rounds": 1}
    assert audit(rig) == [("difference", "position", numbers)]


def other_orders(rig: ManagerRig) -> None:
    """The exchange lists an order that has ended as far as we know."""
    listed = exchange_order(order("i1"), OrderStatus.RESTING, order_id="e1")
    rig.after(QUIET_S).compare(resting=[listed])


def known_to_have_ended() -> ManagerRig:
    rig = ManagerRig().known()
    rig.state.orders.add(order("i1", status=OrderStatus.RESTING, order_id="e1"))
    rig.state.on_fact("ka-i1-BY", OrderReport("e1", OrderStatus.CANCELED, 0))
    return rig.after(QUIET_S)


def refused(rig: ManagerRig, name: str, **facts: Any) -> str:
    rig.manager.on_intent(intent(name, **facts), 1)
    return rig.told(ActorOrder)[-1].reason


def test_orders_that_differ_for_two_rounds_stop_what_opens_until_both_agree() -> None:
    rig = known_to_have_ended()
    other_orders(rig)
    assert rig.state.differing == {}
    other_orders(rig)
    assert refused(rig, "i2") == "exchange_differs: open_orders: known 0, exchange 1"
    rig.after(QUIET_S).compare()
    assert refused(rig, "i3") == ""
    kinds = [(kind, name) for kind, name, _ in audit(rig)]
    assert kinds == [
        ("difference", "open_orders"),
        ("difference", "open_orders"),
        ("agreement", "open_orders"),
    ]


def test_an_operator_s_resume_ends_it_too() -> None:
    rig = known_to_have_ended()
    other_orders(rig)
    other_orders(rig)
    rig.manager.rounds.resume()
    assert refused(rig, "i2") == ""


def test_fills_that_do_not_come_differ() -> None:
    rig = ManagerRig().known()
    rig.state.orders.add(order("i1", status=OrderStatus.RESTING, order_id="e1"))
    rig.state.on_fact("ka-i1-BY", OrderReport("e1", OrderStatus.RESTING, 400))
    listed = exchange_order(order("i1"), OrderStatus.RESTING, order_id="e1")
    rig.after(QUIET_S).compare(resting=[listed])
    numbers = {"known_e2": 0, "exchange_e2": 400, "difference_e2": 400, "rounds": 1}
    assert ("difference", "fills", numbers) in audit(rig)


# Cash


def cash(rig: ManagerRig, *balances_e6: int) -> None:
    compared = CashComparison(rig.manager, rig.state.start_cash_e6)
    for balance_e6 in balances_e6:
        compared.take({0: balance_e6}, {})


def test_cash_that_is_missing_for_two_rounds_latches_until_resume() -> None:
    rig = ManagerRig().known()
    cash(rig, 500, 499)
    assert rig.manager.account_limits.latches == ()
    rig = ManagerRig().known()
    cash(rig, 500, 499, 499)
    (latch,) = rig.manager.account_limits.latches
    assert str(latch) == "cash_difference: 0.000499, limit 0.000500 (total)"
    assert refused(rig, "i1") == "cash_difference: latched at 0.000499, limit 0.000500"
    numbers = {"known_e6": 500, "exchange_e6": 499, "difference_e6": -1, "rounds": 2}
    assert (TradingEventKind.LATCH, CASH_LATCH, numbers) in audit(rig)
    rig.manager.account_limits.resume("ann", "withdrawn")
    assert refused(rig, "i2") == ""


def test_a_deposit_is_reported_and_is_no_fault() -> None:
    rig = ManagerRig().known()
    cash(rig, 500, 900, 900, 900)
    assert rig.manager.account_limits.latches == ()
    found = [numbers["difference_e6"] for kind, _, numbers in audit(rig) if kind == "difference"]
    assert found == [400] * 4  # shard 0 and the total, at the first and the second round


def test_what_an_order_may_hold_includes_a_change_on_its_way() -> None:
    """The exchange may hold the dearer price already, and its answer has not come."""
    rig = ManagerRig().known()
    compared = CashComparison(rig.manager, rig.state.start_cash_e6)
    compared.take({0: 100_000_000}, {})
    rests = order("i1", status=OrderStatus.RESTING, order_id="e1", yes_price_e4=4_000)
    rig.state.orders.add(rests)
    compared.take({0: 96_000_000}, {})
    amend = PendingAmend(number=1, intent_id="i2", yes_price_e4=5_000, total_e2=1_000, expire_ms=0)
    rig.state.amend(rests, amend, rig.mono_ns)
    for _ in range(3):
        compared.take({0: 95_000_000}, {})
    assert rig.manager.account_limits.latches == ()
    assert audit(rig) == []


# Orders of others


def test_an_order_of_another_stack_is_shown_and_left_alone() -> None:
    rig = ManagerRig().known()
    theirs = strange_order("e9", BookSide.ASK, 300)
    rig.compare(resting=[theirs])
    assert rig.drain().requests == []
    (shown,) = rig.told(ActorOrder)
    assert (shown.intent_id, shown.order_id, shown.remaining_count_e2) == (None, "e9", 300)
    assert [w for box in rig.history for w in box.warnings] == [
        (
            "foreign_order",
            {
                "client_order_id": "e9",
                "ticker": TICKER,
                "placed_by": "other",
                "adopted": False,
            },
        )
    ]


def test_an_adopted_order_is_canceled_as_our_own() -> None:
    rig = ManagerRig(adopts=True).known()
    rig.compare(resting=[strange_order("e9", BookSide.BID, 300)])
    assert rig.state.orders.open_count == 1
    rig.manager.withdraw()
    assert [r.order.order_id for r in rig.drain().requests] == ["e9"]


def test_our_mark_on_an_order_that_comes_late_is_another_s() -> None:
    rig = ManagerRig().known()
    rig.after(60).compare(resting=[exchange_order(order("copy"), OrderStatus.RESTING)])
    assert rig.drain().requests == []
    assert rig.state.orders.open_count == 0


def test_what_was_bought_by_hand_is_not_sold_unless_it_is_adopted() -> None:
    for adopts, reason in ((False, "sells_more_than_held"), (True, "")):
        rig = ManagerRig(adopts=adopts).known()
        rig.state.on_fill(fill("t1", order_id="by-hand", client_order_id="by-hand"))
        assert refused(rig, "i1", is_buy=False, yes_price_e4=6_000) == reason


def elsewhere(order_id: str) -> ExchangeOrder:
    return replace(strange_order(order_id, BookSide.BID, 300), market_ticker="KXELSE-1")


def test_an_order_by_hand_in_a_market_that_is_not_followed_counts_until_it_ends() -> None:
    rig = ManagerRig().known()
    rig.compare(resting=[elsewhere("e9")])
    measures = AccountMeasures(rig.state, 0, lambda _ticker: None, DayRecord())
    assert measures.now().open_orders == 1
    assert measures.risk("KXELSE-1").exposure_e6 >= 1_500_000  # 3 contracts at 50 cents
    rig.compare(fills={"KXELSE-1": []}, resting=[elsewhere("e9")])
    rig.state.on_order(replace(elsewhere("e9"), status=OrderStatus.CANCELED))
    rig.drain()
    rig.after(QUIET_S + 1).manager.tick()
    assert set(rig.state.accounts) == {TICKER}  # nothing of it is left: its row is free again
