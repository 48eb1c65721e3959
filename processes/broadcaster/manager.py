"""WebSocketManager: the connections of `/rl/ws`, each with its own numbering and its own bound.

A message is handed to every socket at once and nobody is waited for. What a client has not yet
taken stays in its socket's buffer; beyond the bound the client is closed with 1013 and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final

from websockets.asyncio.connection import broadcast
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

from processes.broadcaster.wire import Update, envelope

__all__ = ["MAX_CLIENTS", "WebSocketManager"]

MAX_CLIENTS: Final = 100
CLOSE_TIMEOUT: Final = 1.0  # seconds a client may take to say goodbye


class _Client:
    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.seq = 0


class WebSocketManager:
    """`welcome` gives the updates a new connection starts with, `now_ms` the time of sending."""

    def __init__(
        self,
        welcome: Callable[[], Iterable[Update]],
        now_ms: Callable[[], int],
        buffer_bytes: int,
    ) -> None:
        self._welcome = welcome
        self._now_ms = now_ms
        self._buffer_bytes = buffer_bytes
        self._clients: dict[ServerConnection, _Client] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.sent = 0
        self.connected = 0
        self.dropped_slow = 0

    @property
    def clients(self) -> int:
        """Connections that get messages now."""
        return len(self._clients)

    @property
    def full(self) -> bool:
        """Whether another connection would be one too many."""
        return len(self._clients) >= MAX_CLIENTS

    async def handle(self, socket: ServerConnection) -> None:
        """One connection from its welcome to its end; what clients say is ignored."""
        client = self._clients[socket] = _Client(socket)
        self.connected += 1
        try:
            for update in self._welcome():
                self._send(client, update, self._now_ms())
            async for _ in socket:
                continue
        except ConnectionClosed:
            return
        finally:
            self._clients.pop(socket, None)

    def publish(self, updates: Iterable[Update]) -> None:
        """Send to every connection; never waits."""
        now_ms = self._now_ms()
        for update in updates:
            for client in tuple(self._clients.values()):
                self._send(client, update, now_ms)
        for client in tuple(self._clients.values()):
            if client.socket.transport.get_write_buffer_size() > self._buffer_bytes:
                self._drop(client)

    def _send(self, client: _Client, update: Update, ts_ms: int) -> None:
        client.seq += 1
        self.sent += 1
        broadcast((client.socket,), envelope(update, client.seq, ts_ms))

    def _drop(self, client: _Client) -> None:
        del self._clients[client.socket]
        self.dropped_slow += 1
        task = asyncio.create_task(
            _part(client.socket, CloseCode.TRY_AGAIN_LATER, "too slow: buffer full")
        )
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Say goodbye to everyone, waiting for none longer than `CLOSE_TIMEOUT`."""
        farewells = [
            _part(client.socket, CloseCode.GOING_AWAY, "server stops")
            for client in self._clients.values()
        ]
        await asyncio.gather(*farewells, *self._closing)


async def _part(socket: ServerConnection, code: CloseCode, reason: str) -> None:
    """Close; `close()` waits for the buffer to drain without a bound, so bound it here."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await socket.close(code, reason)
    except TimeoutError:
        socket.transport.abort()
