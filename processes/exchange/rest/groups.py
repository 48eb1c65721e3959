"""Private REST of order groups."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from ipc.units import format_count
from processes.exchange.core.groups import OrderGroup
from processes.exchange.house import House, answer, asked
from processes.exchange.rest.fields import json_object
from processes.exchange.rest.money_requests import (
    group_account_of,
    group_limit_of,
    group_shard_of,
)
from processes.exchange.rest.query import shard, subaccount

__all__ = ["routes"]

CREATE = "CreateOrderGroupRequest"
LIMIT = "UpdateOrderGroupLimitRequest"


def _group(request: web.Request, *, changes: bool) -> tuple[House, OrderGroup]:
    """The group of the path; on the shard that the query names, else on the first.

    One to be changed is the primary account's unless the query names another's.
    """
    house, asker = asked(request)
    number = subaccount(request)
    accounts = [asker.account(number)] if changes else asker.accounts(number)
    where = shard(request) or 0
    return house, house.desk.groups.get(accounts, request.match_info["group_id"], where)


async def create(request: web.Request) -> web.Response:
    """A new group."""
    house, asker = asked(request)
    body = json_object(await request.read())
    limit_e2, where = group_limit_of(body, CREATE), group_shard_of(body, CREATE)
    account = asker.account(group_account_of(body, CREATE))
    group = house.groups.create(account, limit_e2, where)
    reply = {"order_group_id": group.group_id, "subaccount": account.number}
    return answer(reply | {"exchange_index": group.exchange_index}, 201)


def _row(group: OrderGroup) -> dict[str, Any]:
    return {
        "is_auto_cancel_enabled": True,
        "contracts_limit_fp": format_count(group.limit_e2),
        "exchange_index": group.exchange_index,
    }


async def list_groups(request: web.Request) -> web.Response:
    """All of a subaccount, or of all."""
    house, asker = asked(request)
    accounts = asker.accounts(subaccount(request))
    groups = [g for account in accounts for g in house.desk.groups.of(account)]
    return answer({"order_groups": [{"id": g.group_id} | _row(g) for g in groups]})


async def get_group(request: web.Request) -> web.Response:
    """One, with its resting orders."""
    house, group = _group(request, changes=False)
    orders = [o.order_id for o in house.groups.orders_of(group)]
    return answer(_row(group) | {"orders": orders})


async def delete(request: web.Request) -> web.Response:
    """Cancel its orders and forget it."""
    house, group = _group(request, changes=True)
    house.groups.delete(group)
    return answer({})


async def reset(request: web.Request) -> web.Response:
    """Count anew."""
    house, group = _group(request, changes=True)
    house.groups.reset(group)
    return answer({})


async def trigger(request: web.Request) -> web.Response:
    """Cancel its orders, take no more."""
    house, group = _group(request, changes=True)
    house.groups.trigger(group)
    return answer({})


async def limit(request: web.Request) -> web.Response:
    """Another limit."""
    house, group = _group(request, changes=True)
    body = json_object(await request.read())
    house.groups.change_limit(group, group_limit_of(body, LIMIT))
    return answer({})


def routes(base: str) -> list[web.RouteDef]:
    """All of it."""
    groups = f"{base}/portfolio/order_groups"
    one = f"{groups}/{{group_id}}"
    return [
        web.get(groups, list_groups),
        web.post(f"{groups}/create", create),
        web.get(one, get_group),
        web.delete(one, delete),
        web.put(f"{one}/reset", reset),
        web.put(f"{one}/trigger", trigger),
        web.put(f"{one}/limit", limit),
    ]
