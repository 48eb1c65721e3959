"""Integers become decimal strings, hops become microseconds, what did not happen is None."""

from __future__ import annotations

import msgspec
import pytest
from support import synthetic_stack as made

from ipc.messages import BookSide, Leg
from processes.broadcaster import views

DECIMALS = {
    "balance", "cash", "cost_basis", "count", "fee", "fees", "fill_count", "initial_count",
    "position", "price", "realized", "remaining_count", "yes_price",
}  # fmt: skip


@pytest.mark.parametrize(
    "data",
    [
        views.order_data(made.order(), None),
        views.fill_data(made.fill()),
        views.position_data(made.position()),
        views.pnl_data(made.pnl()),
    ],
    ids=lambda data: type(data).__name__,
)
def test_amounts_are_decimal_strings(data: msgspec.Struct) -> None:
    amounts = {k: v for k, v in msgspec.structs.asdict(data).items() if k in DECIMALS}
    assert amounts
    for name, value in amounts.items():
        assert isinstance(value, str), name
        assert "." in value


def test_no_order_shows_its_own_leg_and_the_yes_scale() -> None:
    order = made.order(leg=Leg.NO, book_side=BookSide.ASK, yes_price_e4=4_750)
    data = views.order_data(order, None)
    assert (data.price, data.yes_price) == ("0.5250", "0.4750")


def test_negative_amounts_keep_their_sign() -> None:
    data = views.position_data(made.position(position_e2=-5, realized_e6=-1))
    assert (data.position, data.realized) == ("-0.05", "-0.000001")


def test_hops_that_did_not_happen_are_none() -> None:
    order = made.order(sent_mono_ns=0, acknowledged_mono_ns=0)
    data = views.order_data(order, made.action())
    assert (data.sent_mono_ns, data.acknowledged_mono_ns) == (None, None)
    assert data.latency_us.decided_to_received == 100.0
    assert data.latency_us.received_to_sent is None
    assert data.latency_us.frame_to_acknowledged is None


def test_without_the_decision_its_hops_are_unknown() -> None:
    data = views.order_data(made.order(), None)
    assert data.latency_us.decided_to_received is None
    assert data.latency_us.sent_to_acknowledged == 600.0


def test_epoch_times_are_milliseconds() -> None:
    data = views.action_data(made.action(decided_ns=1_786_000_000_123_999_999))
    assert data.decided_ms == 1_786_000_000_123


@pytest.mark.parametrize("unasked", ["live", "shadow"])
def test_a_model_that_was_not_asked_neither_agrees_nor_differs(unasked: str) -> None:
    [shadow], live = made.shadow().actions, made.action()
    assert views.shadow_data(shadow, live).agrees is False
    held = {"logits": (), "action": 0, "action_name": "HOLD", "reason": "warming up"}
    if unasked == "live":
        live = made.changed(live, **held)
    else:
        shadow = made.changed(shadow, **held)
    data = views.shadow_data(shadow, live)
    assert (data.live_action_name, data.agrees) == (live.action_name, None)
