"""Private REST that changes orders: the V2 endpoints, and the answer to the dead V1 ones."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ipc.units import format_count
from processes.exchange.core.ledger import Account
from processes.exchange.core.orders import Order
from processes.exchange.core.rejections import Rejection, bad_request
from processes.exchange.core.routing import shard_of
from processes.exchange.house import House, answer, asked
from processes.exchange.keys import Asker
from processes.exchange.rest import views
from processes.exchange.rest.fields import Fields, json_object
from processes.exchange.rest.query import shard, subaccount
from processes.exchange.rest.requests import amendment_of, decrease_of, new_order_of

__all__ = ["routes"]

V1_DOCS = "https://docs.kalshi.com/api-reference/orders/create-order-v2"
CANCEL = "CancelOrderV2Request"
CANCEL_KINDS = {
    "order_id": "string",
    "subaccount": "int",
    "exchange_index": "int",
    "market_ticker": "string",
}
BATCH_FIELDS = (  # null where they do not apply; what failed has no `order_id` at all
    "client_order_id",
    "fill_count",
    "remaining_count",
    "average_fill_price",
    "average_fee_paid",
    "ts_ms",
)


def _create(house: House, asker: Asker, body: dict[str, Any]) -> dict[str, Any]:
    order, number = new_order_of(body)
    return views.created(house.desk.create(asker.account(number), order))


async def create(request: web.Request) -> web.Response:
    """Place an order."""
    house, asker = asked(request)
    return answer(_create(house, asker, json_object(await request.read())), 201)


def _items(body: dict[str, Any]) -> list[dict[str, Any]]:
    items = body.get("orders")
    if not isinstance(items, list) or not all(isinstance(i, dict) for i in items):
        raise bad_request("orders: a list of objects is required")
    return items


async def create_batch(request: web.Request) -> web.Response:
    """Place several orders; each fails by itself."""
    house, asker = asked(request)
    rows = []
    for item in _items(json_object(await request.read())):
        row: dict[str, Any] = dict.fromkeys(BATCH_FIELDS)
        try:
            row |= _create(house, asker, item) | {"error": None}
        except Rejection as refusal:
            row |= {"client_order_id": item.get("client_order_id"), "error": refusal.error}
        rows.append(row)
    return answer({"orders": rows}, 201)


def _cancel(house: House, account: Account, order_id: str, shard: int) -> dict[str, Any]:
    _, reduced_e2 = house.desk.cancel(account, order_id, shard)
    ts_ms = house.venue.now_ms()
    return {"order_id": order_id, "reduced_by": format_count(reduced_e2), "ts_ms": ts_ms}


async def cancel(request: web.Request) -> web.Response:
    """Cancel an order on the shard that is named, else on its market's, else on the first."""
    house, asker = asked(request)
    account = asker.account(subaccount(request))
    where = shard_of(house.venue, shard(request), request.query.get("market_ticker", ""))
    return answer(_cancel(house, account, request.match_info["order_id"], where))


async def cancel_batch(request: web.Request) -> web.Response:
    """Cancel several orders; each fails by itself."""
    house, asker = asked(request)
    wanted = [Fields(i, CANCEL, CANCEL_KINDS) for i in _items(json_object(await request.read()))]
    ids = [fields.text("order_id", required=True) for fields in wanted]
    rows = []
    for fields, order_id in zip(wanted, ids, strict=True):
        row: dict[str, Any] = {"order_id": order_id, "client_order_id": None}
        try:
            account = asker.account(fields.subaccount())
            ticker = fields.text("market_ticker")
            where = shard_of(house.venue, fields.integer("exchange_index"), ticker)
            row |= _cancel(house, account, order_id, where) | {"error": None}
            row["client_order_id"] = house.desk.orders[order_id].client_order_id
        except Rejection as refusal:
            row |= {"reduced_by": format_count(0), "ts_ms": None, "error": refusal.error}
        rows.append(row)
    return answer({"orders": rows})


async def cancel_all(request: web.Request) -> web.Response:
    """Cancel every resting order of one subaccount or of all, on all shards."""
    house, asker = asked(request)
    house.desk.cancel_all(asker.accounts(subaccount(request)))
    return web.Response(status=204)


async def amend(request: web.Request) -> web.Response:
    """Change an order."""
    house, asker = asked(request)
    account = asker.account(subaccount(request))
    change = amendment_of(json_object(await request.read()))
    order_id = request.match_info["order_id"]
    before_e2 = house.desk.resting(account, order_id).remaining_e2
    outcome = house.desk.amend(account, order_id, change)
    return answer(views.amended(outcome, resized=outcome.order.remaining_e2 != before_e2))


async def decrease(request: web.Request) -> web.Response:
    """Shrink an order."""
    house, asker = asked(request)
    account = asker.account(subaccount(request))
    fields, is_by = decrease_of(json_object(await request.read()))
    where = shard_of(house.venue, fields.integer("exchange_index"), fields.text("market_ticker"))
    order = house.desk.resting(account, request.match_info["order_id"], where)
    if is_by:
        left_e2 = max(order.remaining_e2 - fields.count("reduce_by"), 0)
    else:
        left_e2 = fields.count("reduce_to")
    house.desk.decrease(account, order.order_id, left_e2)
    remaining = format_count(order.remaining_e2)
    reply = _named(order) | {"remaining_count": remaining, "ts_ms": house.venue.now_ms()}
    return answer(reply)


def _named(order: Order) -> dict[str, Any]:
    """An order's ids."""
    named = {"order_id": order.order_id}
    return named | ({"client_order_id": order.client_order_id} if order.client_order_id else {})


async def gone(request: web.Request) -> web.Response:
    """V1 mutations ended in June 2026."""
    asked(request)
    error = {
        "code": "deprecated_v1_order_endpoint",
        "message": "Please switch to the V2 endpoints",
        "details": V1_DOCS,
    }
    raise Rejection(410, {"error": error})


def routes(base: str) -> list[web.RouteDef]:
    """All routes that change orders."""
    orders, dead = f"{base}/portfolio/events/orders", f"{base}/portfolio/orders"
    return [
        web.post(orders, create),
        web.delete(orders, cancel_all),
        web.post(f"{orders}/batched", create_batch),
        web.delete(f"{orders}/batched", cancel_batch),
        web.delete(f"{orders}/{{order_id}}", cancel),
        web.post(f"{orders}/{{order_id}}/amend", amend),
        web.post(f"{orders}/{{order_id}}/decrease", decrease),
        web.post(dead, gone),
        web.post(f"{dead}/{{rest:.+}}", gone),
        web.delete(f"{dead}/{{rest:.+}}", gone),
    ]
