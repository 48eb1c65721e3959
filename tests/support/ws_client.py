"""A client of `/rl/ws` that checks every envelope it gets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from support.synthetic_stack import PUBLISHERS, SyntheticStack
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

__all__ = ["WsClient", "close_code", "connected"]

Message = dict[str, Any]


class WsClient:
    """All messages so far; `until` reads on to the first that fits."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.seen: list[Message] = []

    async def recv(self) -> Message:
        """The next message; its envelope must be whole and its number the next."""
        message = json.loads(await self.socket.recv())
        assert sorted(message) == ["data", "seq", "ts_ms", "type"]
        assert message["seq"] == len(self.seen) + 1
        assert isinstance(message["ts_ms"], int)
        self.seen.append(message)
        return message

    async def until(self, kind: str, fits: Callable[[Message], bool] = bool) -> Message:
        """The data of the next message of this type that fits."""
        while True:
            message = await self.recv()
            if message["type"] == kind and fits(message["data"]):
                return message["data"]

    async def until_all_heard(self, stack: SyntheticStack) -> None:
        """Beat until every publisher's messages arrive here: subscriptions take a moment."""
        beating = asyncio.create_task(_beat(stack))
        try:
            wanted = set(PUBLISHERS)
            while wanted:
                wanted.discard((await self.until("stats"))["process"])
        finally:
            beating.cancel()


async def _beat(stack: SyntheticStack) -> None:
    while True:
        stack.beat()
        await asyncio.sleep(0.02)


@asynccontextmanager
async def connected(address: str, **options: Any) -> AsyncIterator[WsClient]:
    """A connection to the broadcaster at `http://host:port`."""
    url = address.replace("http://", "ws://") + "/rl/ws"
    async with connect(url, compression=None, max_queue=None, **options) as socket:
        yield WsClient(socket)


async def close_code(socket: ClientConnection) -> int | None:
    """Read to the end of a connection; the code that the server closed it with."""
    try:
        while True:
            await socket.recv()
    except ConnectionClosed as closed:
        return None if closed.rcvd is None else closed.rcvd.code
