"""Around every REST call: ordered faults, errors as bodies, signatures and rate limits."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from email.utils import formatdate
from typing import Any

import msgspec
from aiohttp import web

from processes.adapters.kalshi.auth.signing import KEY_HEADER, real_ms
from processes.exchange.core.access import UNMETERED, cost_of
from processes.exchange.core.nonsense import odd_answer
from processes.exchange.core.rejections import Rejection, too_many_requests
from processes.exchange.shared.state import BASE, STATE, ExchangeState, answer

__all__ = ["answers", "gate", "refusals"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What the call does is done at once; its answer waits, or its connection is cut instead."""
    response = await handler(request)
    if isinstance(response, web.WebSocketResponse):  # over, when it comes here
        return response
    if ahead_ms := request.app[STATE].auth.ahead_ms:
        response.headers["Date"] = formatdate((real_ms() + ahead_ms) // 1000, usegmt=True)
    faults = request.app[STATE].faults.answers
    delay_s, is_lost = faults.delay_s(request.method), faults.loses(request.method)
    if delay_s:
        await asyncio.sleep(delay_s)
    if is_lost and request.transport is not None:
        request.transport.abort()
    if faults.duplicates(request.method) and isinstance(response, web.Response):
        _send_beside(request, response)
    if (what := faults.replaced(request.method)) is not None:
        odd = odd_answer(what)
        return web.Response(status=odd.status, headers=odd.headers, body=odd.body)
    return response


def _send_beside(request: web.Request, response: web.Response) -> None:
    """Write a copy of the answer on the connection, before the answer itself."""
    body = response.body if isinstance(response.body, bytes) else b""
    head = (
        f"HTTP/1.1 {response.status} {response.reason}\r\n"
        f"Content-Type: {response.content_type}\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    if request.transport is not None:
        request.transport.write(head.encode() + body)


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
    state = request.app[STATE]
    faults = state.faults.answers
    faults.check(request.method)
    if KEY_HEADER in request.headers:
        await _bill(state, request)
    if faults.repeats(request.method):
        await _first_try(request, handler)
    return await handler(request)


async def _first_try(request: web.Request, handler: Handler) -> None:
    """Carry a call out; its answer is lost, whatever it is, because the call is repeated."""
    with suppress(Rejection):
        await handler(request)


async def _bill(state: ExchangeState, request: web.Request) -> None:
    """Take a signed call's tokens; a bad signature is refused by private handlers only."""
    try:
        caller = state.signer(request)
    except Rejection:
        return
    resource = request.match_info.route.resource
    meter = state.meters[caller.member.user_id]
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
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
