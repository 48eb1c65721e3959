"""Orders over the admin port: `/admin/fault` with a `kind`, or `/admin/<kind>` without it."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from processes.exchange.admin.carrying_out import carry_out, state
from processes.exchange.admin.order_fields import OrderError, order_of
from processes.exchange.core.rejections import bad_request
from processes.exchange.house import HOUSE, answer
from processes.exchange.rest.fields import json_object
from processes.exchange.stream.sockets import CONNECTIONS

__all__ = ["routes"]

OWN_PATHS: Final = ("pause", "fees", "grid", "close_time", "close_market", "lag", "disconnect")


async def _carry_out(request: web.Request, named: dict[str, Any]) -> dict[str, Any]:
    data = await request.read()
    body = (json_object(data) if data else {}) | named
    try:
        order = order_of(body)
    except OrderError as error:
        raise bad_request(str(error)) from None
    return carry_out(request.app[HOUSE], request.app[CONNECTIONS], order)


async def fault(request: web.Request) -> web.Response:
    """Carry out an order of any kind -> what is wrong now, and what it did."""
    did = await _carry_out(request, {})
    return answer(state(request.app[HOUSE]) | did)


async def by_its_path(request: web.Request) -> web.Response:
    """Carry out an order of the kind that the path names -> what it did."""
    return answer(await _carry_out(request, {"kind": request.path.rpartition("/")[2]}))


def routes() -> list[web.RouteDef]:
    """All of them."""
    paths = [web.post(f"/admin/{kind}", by_its_path) for kind in OWN_PATHS]
    return [web.post("/admin/fault", fault), *paths]
