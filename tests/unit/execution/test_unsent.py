"""Execution mode `shadow`: every check decides, what would be sent is recorded, nothing is sent."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from support.limits import LimitsRig
from support.order_manager import EXPIRY_MS, ManagerRig, exchange_order
from support.orders import TICKER, intent

from ipc.messages import ActorOrder, OrderStatus
from ipc.trading import TradingMode
from processes.adapters.kalshi.stop.own_orders import FAMILY
from processes.execution.orders import TrackedOrder, client_order_id

SECONDS = EXPIRY_MS / 1_000


def shadow(**limits: Any) -> ManagerRig:
    return ManagerRig(sends=False, **limits).known()


def want(rig: ManagerRig, name: str, **fields: Any) -> str | None:
    """An intent -> the reason of its order, None when it became none."""
    rig.manager.on_intent(intent(name, **fields), rig.mono_ns)
    orders = [order for order in rig.told(ActorOrder) if order.intent_id == name]
    assert all(order.status is OrderStatus.REJECTED for order in orders)
    return orders[-1].reason if orders else None


def requests(rig: ManagerRig) -> list[object]:
    """Everything that was ever asked of the exchange."""
    rig.drain()
    return [request for box in rig.history for request in box.requests]


def counted(rig: ManagerRig) -> tuple[int, ...]:
    names = ("unsent_orders", "unsent_cancels", "kept", "sent", "refused", "cancels")
    return tuple(rig.state.counters[name] for name in names)


def test_what_would_be_sent_is_an_order_that_says_so() -> None:
    rig = shadow()
    assert want(rig, "i1", yes_price_e4=4_500) == "shadow_mode"
    order = rig.last_order()
    assert (order.yes_price_e4, order.sent_mono_ns, order.order_id) == (4_500, 0, None)
    assert requests(rig) == []
    assert counted(rig) == (1, 0, 0, 0, 0, 0)


def test_the_account_has_no_order() -> None:
    rig = shadow()
    want(rig, "i1")
    assert rig.manager.get_order_features(TICKER) == []
    assert rig.state.orders.open_orders() == ()
    assert rig.manager.pnl(0).open_orders == 0


def test_the_same_wish_again_is_kept_until_the_order_would_have_expired() -> None:
    rig = shadow()
    want(rig, "i1")
    assert want(rig, "i2") is None
    assert counted(rig) == (1, 0, 1, 0, 0, 0)
    assert want(rig.after(SECONDS - 1), "i3") is None
    assert want(rig.after(1), "i4") == "shadow_mode"


def test_another_wish_would_replace_it() -> None:
    rig = shadow()
    want(rig, "i1", yes_price_e4=4_500)
    before = rig.last_order().client_order_id
    assert want(rig, "i2", yes_price_e4=4_600) == f"shadow_mode: would replace {before}"
    assert counted(rig) == (2, 1, 0, 0, 0, 0)
    assert requests(rig) == []


def test_what_would_be_refused_is_refused_for_its_own_reason() -> None:
    rig = shadow(count_e2=100)
    assert want(rig, "i1", count_e2=200) == "count"
    assert counted(rig) == (0, 0, 0, 0, 1, 0)


def test_limits_of_the_account_refuse_it_too() -> None:
    rig = LimitsRig("total_exposure = 4.00", sends=False).market()
    assert rig.want("i1", yes_price_e4=4_500).startswith("total_exposure: ")


def test_rates_count_what_would_be_sent() -> None:
    rig = LimitsRig("orders_per_minute = 2\ncancels_per_second = 1", sends=False).market()
    assert rig.want("i1", yes_price_e4=4_500) == "shadow_mode"
    assert rig.want("i2", yes_price_e4=4_600).startswith("shadow_mode: would replace")
    assert rig.want("i3", yes_price_e4=4_700) == "cancels_per_second: 2, limit 1 (total)"
    rig.after(2)
    assert rig.want("i4", yes_price_e4=4_700) == "orders_per_minute: 3, limit 2 (total)"


def leftover(name: str) -> TrackedOrder:
    """An order of an earlier live run, as it was."""
    wanted = intent(name)
    return TrackedOrder(
        client_order_id=client_order_id(name, is_buy=wanted.is_buy, leg=wanted.leg, prefix=FAMILY),
        intent_id=name,
        market_ticker=TICKER,
        leg=wanted.leg,
        is_buy=wanted.is_buy,
        book_side=wanted.book_side,
        yes_price_e4=wanted.yes_price_e4,
        initial_e2=wanted.count_e2,
        created_ns=1,
        expire_ms=None,
    )


def test_what_a_live_run_left_is_said_and_not_touched() -> None:
    rig = shadow()
    report = exchange_order(leftover("old"), OrderStatus.RESTING)
    rig.state.on_order(report)
    rig.manager.tick()
    warned = [action for box in (*rig.history, rig.drain()) for action, _ in box.warnings]
    assert warned == ["leftover_order_not_touched"]
    assert rig.state.counters["leftover_orders"] == 1
    assert want(rig, "i1") == "shadow_mode"  # its market is decided in as any other
    rig.manager.set_mode(TradingMode.STOPPED)
    rig.manager.withdraw()
    assert requests(rig) == []
    assert len(rig.state.orders.open_orders()) == 1


@pytest.mark.parametrize("mode", [TradingMode.STOPPED, TradingMode.PAUSED])
def test_a_command_ends_its_decisions(mode: TradingMode) -> None:
    rig = shadow()
    want(rig, "i1")
    rig.manager.set_mode(mode)
    assert want(rig, "i2") == f"trading_{mode}"
    assert rig.state.counters["unsent_cancels"] == (mode is TradingMode.STOPPED)


def test_nothing_would_rest_in_a_market_that_was_left() -> None:
    rig = shadow()
    want(rig, "i1")
    rig.manager.leave(TICKER)
    assert rig.state.counters["unsent_cancels"] == 1
    assert want(rig, "i2") == "shadow_mode"


def test_no_position_is_closed() -> None:
    rig = shadow()
    assert rig.manager.close_position(intent("i1", is_buy=False)) == "shadow_mode"
    assert requests(rig) == []


def test_the_same_intent_is_recorded_once() -> None:
    rig = shadow()
    want(rig, "i1", yes_price_e4=4_500)
    want(rig, "i2", yes_price_e4=4_600)
    want(rig, "i1", yes_price_e4=4_500)
    assert rig.state.counters["unsent_orders"] == 2
    assert rig.state.counters["duplicate_intents"] == 1


def test_an_order_that_rests_cannot_be_canceled() -> None:
    rig = shadow()
    resting = msgspec.structs.replace(leftover("old"), order_id="e-old", status=OrderStatus.RESTING)
    assert not rig.state.cancel(resting)
    assert requests(rig) == []
    assert rig.state.counters["cancels"] == 0
