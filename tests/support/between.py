"""Stands between a client and the exchange: sees all requests, delays, holds and loses answers."""

from __future__ import annotations

import asyncio
import functools
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import aiohttp
from aiohttp import web

__all__ = ["Between", "Passed", "standing_between"]


class Passed(NamedTuple):
    """One request that came through."""

    method: str
    path: str
    body: Any


class _Gate(NamedTuple):
    method: str
    part: str
    event: asyncio.Event
    is_answer: bool


class Between:
    """`passed` are all requests that came."""

    def __init__(self, upstream: str) -> None:
        self.passed: list[Passed] = []
        self._answered: list[tuple[str, int]] = []
        self.url = ""
        self.repeats = 1  # how often a frame of the exchange is passed on: 0 is a mute WebSocket
        self._upstream = upstream
        self._losing: list[str] = []
        self._gates: list[_Gate] = []
        self._session = aiohttp.ClientSession(auto_decompress=False)

    def sent(self, *methods: str) -> list[Passed]:
        """The requests of these methods, in order."""
        return [p for p in self.passed if p.method in methods]

    def answers(self, method: str) -> list[int]:
        """The exchange's answers to a method, in order; the newest may still be held."""
        return [status for asked, status in self._answered if asked == method]

    def writes(self) -> list[str]:
        """The methods of all requests that change orders, in order."""
        return [p.method for p in self.passed if p.method != "GET"]

    def lose(self, method: str, calls: int = 1) -> None:
        """The next answers to this method never arrive: the connection is cut instead."""
        self._losing += [method] * calls

    def holding(self, method: str, part: str = "") -> AbstractContextManager[None]:
        """Meanwhile answers to a method wait, where path or body contains `part`."""
        return self._gated(_Gate(method, part, asyncio.Event(), is_answer=True))

    def delaying(self, method: str, part: str = "") -> AbstractContextManager[None]:
        """As `holding`, but the requests wait: the exchange does not know of them yet."""
        return self._gated(_Gate(method, part, asyncio.Event(), is_answer=False))

    @contextmanager
    def _gated(self, gate: _Gate) -> Iterator[None]:
        self._gates.append(gate)
        try:
            yield
        finally:
            self._gates.remove(gate)
            gate.event.set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """Pass one request on; those about order groups, which no test holds up, are not noted."""
        if request.headers.get("Upgrade"):
            return await self._connect(request)
        body = await request.read()
        if "/order_groups" in request.path:
            return await self._pass(request, body)
        self.passed.append(Passed(request.method, request.path, json.loads(body or b"null")))
        headers = {k: v for k, v in request.headers.items() if k.lower() != "host"}
        text, url = request.path_qs + body.decode(), self._upstream + request.path_qs
        await self._wait(request.method, text, is_answer=False)
        async with self._session.request(request.method, url, data=body, headers=headers) as answer:
            data = await answer.read()
        self._answered.append((request.method, answer.status))
        await self._wait(request.method, text, is_answer=True)
        if request.method in self._losing:
            self._losing.remove(request.method)
            assert request.transport is not None
            request.transport.abort()
        return web.Response(body=data, status=answer.status, content_type="application/json")

    async def _pass(self, request: web.Request, body: bytes) -> web.Response:
        headers = {k: v for k, v in request.headers.items() if k.lower() != "host"}
        url = self._upstream + request.path_qs
        async with self._session.request(request.method, url, data=body, headers=headers) as answer:
            data = await answer.read()
        return web.Response(body=data, status=answer.status, content_type="application/json")

    async def _connect(self, request: web.Request) -> web.WebSocketResponse:
        """Pass a WebSocket on, until either side ends it."""
        headers = {k: v for k, v in request.headers.items() if k.startswith("KALSHI-")}
        client = web.WebSocketResponse()
        await client.prepare(request)
        async with self._session.ws_connect(
            self._upstream + request.path, headers=headers
        ) as upstream:
            up = asyncio.create_task(_pump(client, upstream.send_str))
            down = asyncio.create_task(_pump(upstream, functools.partial(self._tell, client)))
            _, pending = await asyncio.wait((up, down), return_when=asyncio.FIRST_COMPLETED)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)
        await client.close()
        return client

    async def _tell(self, client: web.WebSocketResponse, text: str) -> None:
        for _ in range(self.repeats):
            await client.send_str(text)

    async def _wait(self, method: str, text: str, *, is_answer: bool) -> None:
        for gate in list(self._gates):
            if (gate.method, gate.is_answer) == (method, is_answer) and gate.part in text:
                await gate.event.wait()

    async def close(self) -> None:
        """No more requests go through."""
        for gate in self._gates:
            gate.event.set()
        await self._session.close()


async def _pump(
    source: web.WebSocketResponse | aiohttp.ClientWebSocketResponse,
    send: Callable[[str], Awaitable[None]],
) -> None:
    async for message in source:
        await send(message.data)


@asynccontextmanager
async def standing_between(upstream: str) -> AsyncIterator[Between]:
    """On a free port, for an exchange at `http://host:port`."""
    between = Between(upstream)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", between.serve)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    between.url = "http://{}:{}".format(*runner.addresses[0])
    try:
        yield between
    finally:
        await between.close()
        await runner.cleanup()
