"""Before every handler: ordered faults, who asks, and whether the account's tokens suffice."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from aiohttp import web

from processes.adapters.kalshi.auth.signing import KEY_HEADER
from processes.exchange.core.rejections import Rejection, too_many_requests
from processes.exchange.house import BASE, HOUSE, House, answer
from processes.exchange.rest.limits import UNMETERED, cost_of

__all__ = ["gate", "refusals"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def refusals(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Refusals as the real exchange's bodies."""
    try:
        return await handler(request)
    except Rejection as refusal:
        return answer(refusal.body, refusal.status)
    except web.HTTPNotFound:
        return answer({"error": {"code": "not_found", "message": "not found"}}, 404)
    except web.HTTPMethodNotAllowed:
        return answer({"error": {"code": "method_not_allowed", "message": "not allowed"}}, 405)


@web.middleware
async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let a call in, or refuse it before anything happens."""
    house = request.app[HOUSE]
    house.faults.answers.check(request.method)
    if KEY_HEADER in request.headers:
        await _bill(house, request)
    return await handler(request)


async def _bill(house: House, request: web.Request) -> None:
    """Take a signed call's tokens; what is signed badly is the handler's to refuse, or nobody's."""
    try:
        asker = house.signer(request)
    except Rejection:
        return
    resource = request.match_info.route.resource
    meter = house.meters[asker.member.user_id]
    if resource is None or meter.tier == UNMETERED or not resource.canonical.startswith(BASE):
        return
    asked = dict(request.query) | _object(await request.read())
    bill = cost_of(request.method, resource.canonical.removeprefix(BASE), asked)
    if not meter.take(bill):
        raise too_many_requests()


def _object(data: bytes) -> dict[str, Any]:
    """A body's fields; one that is no object has none that cost."""
    try:
        body = msgspec.json.decode(data) if data else None
    except msgspec.DecodeError:
        return {}
    return body if isinstance(body, dict) else {}
