"""Around every call: answers that a test wants late, or never to arrive."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

from processes.exchange.house import HOUSE

__all__ = ["answers"]

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def answers(request: web.Request, handler: Handler) -> web.StreamResponse:
    """What the call does is done at once; its answer waits, or its connection is cut instead."""
    response = await handler(request)
    if isinstance(response, web.WebSocketResponse):  # over, when it comes here
        return response
    faults = request.app[HOUSE].faults.answers
    delay_s, is_lost = faults.delay_s(request.method), faults.loses(request.method)
    if delay_s:
        await asyncio.sleep(delay_s)
    if is_lost and request.transport is not None:
        request.transport.abort()
    return response
