"""Bodies of order requests: JSON in, typed requests out."""

from __future__ import annotations

from typing import Any, Final

from processes.exchange.core.orders import Amendment, NewOrder, SelfTrade, TimeInForce
from processes.exchange.rest.fields import Fields, invalid

__all__ = ["amendment_of", "decrease_of", "new_order_of"]

CREATE: Final = "CreateOrderV2Request"
AMEND: Final = "AmendOrderV2Request"
DECREASE: Final = "DecreaseOrderV2Request"

STRING, BOOL, INT, INT64 = "string", "bool", "int", "int64"
CREATE_KINDS: Final = {
    "ticker": STRING,
    "client_order_id": STRING,
    "side": STRING,
    "count": STRING,
    "price": STRING,
    "expiration_time": INT64,
    "time_in_force": STRING,
    "post_only": BOOL,
    "self_trade_prevention_type": STRING,
    "cancel_order_on_pause": BOOL,
    "reduce_only": BOOL,
    "subaccount": INT,
    "order_group_id": STRING,
    "exchange_index": INT,
}
AMEND_KINDS: Final = {
    "ticker": STRING,
    "side": STRING,
    "price": STRING,
    "count": STRING,
    "client_order_id": STRING,
    "updated_client_order_id": STRING,
    "expiration_time": INT64,
    "exchange_index": INT,
}
DECREASE_KINDS: Final = {
    "reduce_by": STRING,
    "reduce_to": STRING,
    "exchange_index": INT,
    "market_ticker": STRING,
}


def new_order_of(body: dict[str, Any]) -> tuple[NewOrder, int | None]:
    """`POST /portfolio/events/orders` -> (the order, the subaccount that it names)."""
    fields = Fields(body, CREATE, CREATE_KINDS)
    number = fields.subaccount()
    leg = fields.leg()
    order = NewOrder(
        ticker=fields.text("ticker", required=True),
        client_order_id=fields.client_id("client_order_id"),
        leg=leg,
        leg_price_e4=fields.leg_price(leg),
        count_e2=fields.count(),
        time_in_force=fields.word("time_in_force", TimeInForce),
        self_trade=fields.word("self_trade_prevention_type", SelfTrade),
        post_only=fields.flag("post_only"),
        reduce_only=fields.flag("reduce_only"),
        expiration_s=fields.integer("expiration_time"),
        cancel_on_pause=fields.flag("cancel_order_on_pause"),
        group_id=fields.text("order_group_id"),
        exchange_index=fields.integer("exchange_index"),
    )
    return order, number


def amendment_of(body: dict[str, Any]) -> Amendment:
    """`POST .../amend`: expiry omitted keeps it, 0 takes it away."""
    fields = Fields(body, AMEND, AMEND_KINDS)
    leg = fields.leg()
    expiration_s = fields.integer("expiration_time")
    return Amendment(
        ticker=fields.text("ticker", required=True),
        leg=leg,
        leg_price_e4=fields.leg_price(leg),
        count_e2=fields.count(),
        client_order_id=fields.client_id("client_order_id"),
        updated_client_order_id=fields.client_id("updated_client_order_id"),
        expiration_s=expiration_s or None,
        keeps_expiry=expiration_s is None,
        exchange_index=fields.integer("exchange_index"),
    )


def decrease_of(body: dict[str, Any]) -> tuple[Fields, bool]:
    """`POST .../decrease` -> (its fields, whether it says by how much and not to what)."""
    fields = Fields(body, DECREASE, DECREASE_KINDS)
    by, to = fields.text("reduce_by"), fields.text("reduce_to")
    if bool(by) == bool(to):
        raise invalid("exactly one of reduce_by and reduce_to must be provided")
    return fields, bool(by)
