"""Private REST that changes orders and order groups; the answer to the V1 calls that are gone."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ipc.units import format_count
from processes.exchange.core.access import Caller
from processes.exchange.core.ledger import TradingAccount
from processes.exchange.core.orders import AccountOrder, ExchangeOrderGroup
from processes.exchange.core.rejections import Rejection, bad_request
from processes.exchange.core.venue import shard_of
from processes.exchange.rest import bodies
from processes.exchange.rest.requests import (
    Fields,
    amendment_of,
    decrease_of,
    group_account_of,
    group_limit_of,
    group_shard_of,
    json_object,
    new_order_of,
    shard,
    subaccount,
)
from processes.exchange.shared.state import ExchangeState, answer, authorize

__all__ = ["_group_routes", "routes"]

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


def _create(state: ExchangeState, caller: Caller, body: dict[str, Any]) -> dict[str, Any]:
    order, number = new_order_of(body)
    state.follow(order.ticker)
    return bodies.created(state.order_entry.create(caller.account(number), order))


async def create(request: web.Request) -> web.Response:
    """Place an order."""
    state, caller = authorize(request)
    return answer(_create(state, caller, json_object(await request.read())), 201)


def _items(body: dict[str, Any]) -> list[dict[str, Any]]:
    items = body.get("orders")
    if not isinstance(items, list) or not all(isinstance(i, dict) for i in items):
        raise bad_request("orders: a list of objects is required")
    return items


async def create_batch(request: web.Request) -> web.Response:
    """Place several orders; each fails by itself."""
    state, caller = authorize(request)
    rows = []
    for item in _items(json_object(await request.read())):
        row: dict[str, Any] = dict.fromkeys(BATCH_FIELDS)
        try:
            row |= _create(state, caller, item) | {"error": None}
        except Rejection as refusal:
            row |= {"client_order_id": item.get("client_order_id"), "error": refusal.error}
        rows.append(row)
    return answer({"orders": rows}, 201)


def _cancel(
    state: ExchangeState, account: TradingAccount, order_id: str, shard: int
) -> dict[str, Any]:
    _, reduced_e2 = state.order_entry.cancel(account, order_id, shard)
    ts_ms = state.venue.now_ms()
    return {"order_id": order_id, "reduced_by": format_count(reduced_e2), "ts_ms": ts_ms}


async def cancel(request: web.Request) -> web.Response:
    """Cancel an order on the shard that is named, else on its market's, else on the first."""
    state, caller = authorize(request)
    account = caller.account(subaccount(request))
    where = shard_of(state.venue, shard(request), request.query.get("market_ticker", ""))
    return answer(_cancel(state, account, request.match_info["order_id"], where))


async def cancel_batch(request: web.Request) -> web.Response:
    """Cancel several orders; each fails by itself."""
    state, caller = authorize(request)
    wanted = [Fields(i, CANCEL, CANCEL_KINDS) for i in _items(json_object(await request.read()))]
    ids = [fields.text("order_id", required=True) for fields in wanted]
    rows = []
    for fields, order_id in zip(wanted, ids, strict=True):
        row: dict[str, Any] = {"order_id": order_id, "client_order_id": None}
        try:
            account = caller.account(fields.subaccount())
            ticker = fields.text("market_ticker")
            where = shard_of(state.venue, fields.integer("exchange_index"), ticker)
            row |= _cancel(state, account, order_id, where) | {"error": None}
            row["client_order_id"] = state.order_entry.orders[order_id].client_order_id
        except Rejection as refusal:
            row |= {"reduced_by": format_count(0), "ts_ms": None, "error": refusal.error}
        rows.append(row)
    return answer({"orders": rows})


async def cancel_all(request: web.Request) -> web.Response:
    """Cancel every resting order of one subaccount or of all, on all shards."""
    state, caller = authorize(request)
    state.order_entry.cancel_all(caller.accounts(subaccount(request)))
    return web.Response(status=204)


async def amend(request: web.Request) -> web.Response:
    """Change an order."""
    state, caller = authorize(request)
    account = caller.account(subaccount(request))
    change = amendment_of(json_object(await request.read()))
    order_id = request.match_info["order_id"]
    before_e2 = state.order_entry.resting(account, order_id).remaining_e2
    outcome = state.order_entry.amend(account, order_id, change)
    return answer(bodies.amended(outcome, resized=outcome.order.remaining_e2 != before_e2))


async def decrease(request: web.Request) -> web.Response:
    """Shrink an order."""
    state, caller = authorize(request)
    account = caller.account(subaccount(request))
    fields, is_by = decrease_of(json_object(await request.read()))
    where = shard_of(state.venue, fields.integer("exchange_index"), fields.text("market_ticker"))
    order = state.order_entry.resting(account, request.match_info["order_id"], where)
    if is_by:
        left_e2 = max(order.remaining_e2 - fields.count("reduce_by"), 0)
    else:
        left_e2 = fields.count("reduce_to")
    state.order_entry.decrease(account, order.order_id, left_e2)
    remaining = format_count(order.remaining_e2)
    reply = _named(order) | {"remaining_count": remaining, "ts_ms": state.venue.now_ms()}
    return answer(reply)


def _named(order: AccountOrder) -> dict[str, Any]:
    """An order's ids."""
    named = {"order_id": order.order_id}
    return named | ({"client_order_id": order.client_order_id} if order.client_order_id else {})


async def refuse_v1(request: web.Request) -> web.Response:
    """V1 mutations ended in June 2026."""
    authorize(request)
    error = {
        "code": "deprecated_v1_order_endpoint",
        "message": "Please switch to the V2 endpoints",
        "details": V1_DOCS,
    }
    raise Rejection(410, {"error": error})


def _order_routes(base: str) -> list[web.RouteDef]:
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
        web.post(dead, refuse_v1),
        web.post(f"{dead}/{{rest:.+}}", refuse_v1),
        web.delete(f"{dead}/{{rest:.+}}", refuse_v1),
    ]


CREATE_GROUP = "CreateOrderGroupRequest"
LIMIT_GROUP = "UpdateOrderGroupLimitRequest"


def _group(request: web.Request, *, changes: bool) -> tuple[ExchangeState, ExchangeOrderGroup]:
    """The group of the path; on the shard that the query names, else on the first.

    One to be changed is the primary account's unless the query names another's.
    """
    state, caller = authorize(request)
    number = subaccount(request)
    accounts = [caller.account(number)] if changes else caller.accounts(number)
    where = shard(request) or 0
    return state, state.order_entry.groups.get(accounts, request.match_info["group_id"], where)


async def create_group(request: web.Request) -> web.Response:
    """A new group."""
    state, caller = authorize(request)
    body = json_object(await request.read())
    limit_e2, where = group_limit_of(body, CREATE_GROUP), group_shard_of(body, CREATE_GROUP)
    account = caller.account(group_account_of(body, CREATE_GROUP))
    group = state.groups.create(account, limit_e2, where)
    reply = {"order_group_id": group.group_id, "subaccount": account.number}
    return answer(reply | {"exchange_index": group.exchange_index}, 201)


def _group_row(group: ExchangeOrderGroup) -> dict[str, Any]:
    return {
        "is_auto_cancel_enabled": True,
        "contracts_limit_fp": format_count(group.limit_e2),
        "exchange_index": group.exchange_index,
    }


async def list_groups(request: web.Request) -> web.Response:
    """All of a subaccount, or of all."""
    state, caller = authorize(request)
    accounts = caller.accounts(subaccount(request))
    groups = [g for account in accounts for g in state.order_entry.groups.of(account)]
    return answer({"order_groups": [{"id": g.group_id} | _group_row(g) for g in groups]})


async def get_group(request: web.Request) -> web.Response:
    """One, with its resting orders."""
    state, group = _group(request, changes=False)
    orders = [o.order_id for o in state.groups.orders_of(group)]
    return answer(_group_row(group) | {"orders": orders})


async def delete_group(request: web.Request) -> web.Response:
    """Cancel its orders and forget it."""
    state, group = _group(request, changes=True)
    state.groups.delete(group)
    return answer({})


async def reset_group(request: web.Request) -> web.Response:
    """Start a new count."""
    state, group = _group(request, changes=True)
    state.groups.reset(group)
    return answer({})


async def trigger_group(request: web.Request) -> web.Response:
    """Cancel its orders, take no more."""
    state, group = _group(request, changes=True)
    state.groups.trigger(group)
    return answer({})


async def limit_group(request: web.Request) -> web.Response:
    """Another limit."""
    state, group = _group(request, changes=True)
    body = json_object(await request.read())
    state.groups.change_limit(group, group_limit_of(body, LIMIT_GROUP))
    return answer({})


def _group_routes(base: str) -> list[web.RouteDef]:
    """Their paths."""
    groups = f"{base}/portfolio/order_groups"
    one = f"{groups}/{{group_id}}"
    return [
        web.get(groups, list_groups),
        web.post(f"{groups}/create", create_group),
        web.get(one, get_group),
        web.delete(one, delete_group),
        web.put(f"{one}/reset", reset_group),
        web.put(f"{one}/trigger", trigger_group),
        web.put(f"{one}/limit", limit_group),
    ]


def routes(base: str) -> list[web.RouteDef]:
    """Every route of this part, below `base`."""
    return [
        *_order_routes(base),
        *_group_routes(base),
    ]
