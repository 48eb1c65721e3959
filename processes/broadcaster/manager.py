"""WebSocketManager: the connections of `/rl/ws`, each with its own numbering and its own bound.

A message is written to every socket at once, without waiting. What a client has not read yet stays
in its socket's buffer; beyond the bound the client is closed with 1013 and counted.
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
CLOSE_TIMEOUT: Final = 1.0  # seconds that a client may take to answer a close


class _Client:
    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.seq = 0


class WebSocketManager:
    """All connections of `/rl/ws`.

    Args:
        welcome: gives the updates that a new connection starts with.
        now_ms: real time of sending, in milliseconds since the Unix epoch.
        buffer_bytes: what a client may leave unread; beyond it, it is closed with code 1013.

    `sent`, `connected` and `dropped_slow` count since the start.
    """

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
        """Serve one connection from its first message to its end; what clients send is ignored."""
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
        """Send every update to every connection, numbered for each; never waits, never raises.

        Afterwards clients whose buffer is over the bound are dropped.
        """
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
            _close_within(client.socket, CloseCode.TRY_AGAIN_LATER, "too slow: buffer full")
        )
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close every connection with 1001; each has at most `CLOSE_TIMEOUT` seconds."""
        closing = [
            _close_within(client.socket, CloseCode.GOING_AWAY, "server stops")
            for client in self._clients.values()
        ]
        await asyncio.gather(*closing, *self._closing)


async def _close_within(socket: ServerConnection, code: CloseCode, reason: str) -> None:
    """Close; `close()` waits for the buffer to drain without a bound, so bound it here."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await socket.close(code, reason)
    except TimeoutError:
        socket.transport.abort()
