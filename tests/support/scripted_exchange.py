"""A WebSocket server that does what a test tells it, frame by frame, and knows no more."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.server import ServerProtocol

from ipc.messages import Environment
from processes.adapters.kalshi.auth.environments import KalshiTarget

__all__ = ["Peer", "scripted_exchange"]


class Peer:
    """One connection: what came, and a way to answer."""

    def __init__(self, writer: asyncio.StreamWriter, *, answers_pings: bool) -> None:
        self._writer = writer
        self._protocol = ServerProtocol()
        self._answers_pings = answers_pings
        self.commands: list[dict[str, Any]] = []
        self.pings = 0

    def send(self, frame: dict[str, Any]) -> None:
        """One text message."""
        data = Frame(Opcode.TEXT, json.dumps(frame).encode()).serialize(mask=False)
        self._writer.write(data)

    async def take(self, data: bytes, on_command: Callable[[Peer], Awaitable[None]]) -> None:
        """Bytes of the client."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._protocol.send_response(self._protocol.accept(event))
                self._writer.write(b"".join(self._protocol.data_to_send()))
            elif isinstance(event, Frame) and event.opcode is Opcode.PING:
                self.pings += 1
            elif isinstance(event, Frame) and event.opcode is Opcode.TEXT:
                self.commands.append(json.loads(event.data))
            await on_command(self)
        answers = self._protocol.data_to_send()
        if self._answers_pings:
            self._writer.write(b"".join(answers))


@contextlib.asynccontextmanager
async def scripted_exchange(
    on_event: Callable[[Peer], Awaitable[None]],
    *,
    answers_pings: bool = True,
    tls: ssl.SSLContext | None = None,
) -> AsyncIterator[tuple[KalshiTarget, list[Peer]]]:
    """Serve; `on_event` is told of a connection after everything that comes over it."""
    peers: list[Peer] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(writer, answers_pings=answers_pings)
        peers.append(peer)
        with contextlib.closing(writer):
            while data := await reader.read(1 << 16):
                await peer.take(data, on_event)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    host = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    s = "s" if tls else ""
    urls = (f"http{s}://{host}/trade-api/v2", f"ws{s}://{host}/trade-api/ws/v2")
    try:
        yield KalshiTarget(Environment.SIMULATED, *urls), peers
    finally:
        server.close()
