"""WebSocket connections: commands in, frames out in batches, pings, slow clients (PROTOCOL 4.1).

Server frames are not masked, so a frame is a short header and its bytes: they are put together here
and written to the transport in one piece per turn of the loop, many frames at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

from aiohttp import WSMsgType, web

from ipc.clock import NS_PER_S, mono_ns
from processes.exchange.core.faults import CommandFaults
from processes.exchange.core.rejections import Rejection
from processes.exchange.shared.state import ExchangeState
from processes.exchange.stream.session import StreamSession, Subscription

__all__ = ["CONNECTIONS", "Connections", "FrameBuffer", "Inbox", "route", "shuffled"]

HOLD_S: Final = 0.05  # what comes within it is carried out in another order
# The order in which the exchange was seen to carry out twelve commands that came as 0 to 11.
SEEN: Final = (1, 3, 2, 5, 4, 0, 7, 8, 6, 11, 10, 9)

Data = str | bytes


def shuffled(commands: list[Data]) -> list[Data]:
    """Never as they came, where there are two; by twelves as it was seen."""
    found = []
    for start in range(0, len(commands), len(SEEN)):
        part = commands[start : start + len(SEEN)]
        found += [part[at] for at in SEEN if at < len(part)]
    return found


class Inbox:
    """Hands commands on to `handle`."""

    def __init__(self, faults: CommandFaults, handle: Callable[[Data], None]) -> None:
        self._faults = faults
        self._handle = handle
        self._held: list[Data] = []
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, data: Data) -> None:
        """One command came."""
        if self._faults.halted:
            return
        if self._faults.delay_s:
            await self._delay()
        if not self._faults.shuffled and not self._held:
            self._handle(data)
            return
        self._held.append(data)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(HOLD_S, self._release)

    async def _delay(self) -> None:
        self._faults.waiting += 1
        try:
            await asyncio.sleep(self._faults.delay_s)
        finally:
            self._faults.waiting -= 1

    def _release(self) -> None:
        held, self._held, self._timer = self._held, [], None
        for data in shuffled(held):
            self._handle(data)

    def close(self) -> None:
        """The connection is closed: drop the commands that are held."""
        if self._timer is not None:
            self._timer.cancel()


PING_EVERY_S: Final = 10.0
MAX_MESSAGE: Final = 64 << 20  # bytes
ROOM_BYTES: Final = 1 << 20  # in the buffer, below which a client keeps up
OVERFLOW_BYTES: Final = 64 << 20
PATIENCE_S: Final = 30.0  # with a client that does not read at all
GOING_AWAY: Final = 1001


@lru_cache(maxsize=4_096)
def _header(size: int) -> bytes:
    """A final, unmasked text frame's header (RFC 6455, 5.2)."""
    if size < 126:
        return bytes((0x81, size))
    if size < 65_536:
        return b"\x81\x7e" + size.to_bytes(2, "big")
    return b"\x81\x7f" + size.to_bytes(8, "big")


class FrameBuffer:
    """What waits to be written to one client."""

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []

    def send(self, data: bytes) -> None:
        """Queue one frame; it leaves with the others of this turn."""
        if not self._parts:
            self._loop.call_soon(self.flush)
        self._parts += (_header(len(data)), data)

    def flush(self) -> None:
        """Write everything."""
        if self._parts and not self._transport.is_closing():
            self._transport.write(b"".join(self._parts))
        self._parts.clear()

    @property
    def waiting(self) -> int:
        """Bytes the client has not taken."""
        return self._transport.get_write_buffer_size()

    def abort(self) -> None:
        """Cut the connection."""
        self._transport.abort()


class Connections:
    """All connections of the exchange."""

    def __init__(self, state: ExchangeState) -> None:
        self._state = state
        self._numbers = 0
        state.maintenance.on_start = self.disconnect
        self.open: dict[int, tuple[StreamSession, FrameBuffer, web.WebSocketResponse]] = {}

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One client from its upgrade to its end."""
        caller = self._state.caller(request)
        if status := self._state.faults.commands.refuses_sockets:
            raise Rejection.nested(status, "service_unavailable")
        socket = web.WebSocketResponse(
            compress=False, max_msg_size=MAX_MESSAGE, autoclose=True, timeout=0.2
        )
        await socket.prepare(request)
        transport = request.transport
        if transport is None:
            return socket
        self._numbers += 1
        outbox = FrameBuffer(transport)
        session = StreamSession(
            self._numbers, caller, outbox.send, self._state.follow, self._state.by_id
        )
        self.open[session.number] = session, outbox, socket
        session.refusal = self._state.faults.commands.refusal
        self._state.hub.add(session)
        pings = asyncio.create_task(self._ping(socket))
        try:
            await self._read(socket, session)
        finally:
            pings.cancel()
            self._state.hub.remove(session)
            self.open.pop(session.number, None)
        return socket

    async def _read(self, socket: web.WebSocketResponse, session: StreamSession) -> None:
        inbox = Inbox(self._state.faults.commands, partial(self._state.hub.command, session))
        try:
            async for message in socket:
                if message.type in (WSMsgType.TEXT, WSMsgType.BINARY):
                    await inbox.take(message.data)
        finally:
            inbox.close()

    @staticmethod
    async def _ping(socket: web.WebSocketResponse) -> None:
        while not socket.closed:
            await asyncio.sleep(PING_EVERY_S)
            await socket.ping(b"heartbeat")

    # Slow clients

    async def room(self) -> None:
        """Wait until every client keeps up; one that does not read at all is given up."""
        for session, outbox, _ in list(self.open.values()):
            outbox.flush()
            until_ns = mono_ns() + int(PATIENCE_S * NS_PER_S)
            least = outbox.waiting
            while outbox.waiting > ROOM_BYTES:
                if outbox.waiting < least:
                    least, until_ns = outbox.waiting, mono_ns() + int(PATIENCE_S * NS_PER_S)
                if mono_ns() > until_ns:
                    self._give_up(session)
                    break
                await asyncio.sleep(0.0005)

    def shed(self) -> None:
        """End the subscriptions of clients whose buffer overflows."""
        for session, outbox, _ in list(self.open.values()):
            if outbox.waiting > OVERFLOW_BYTES:
                self._give_up(session)

    def _give_up(self, session: StreamSession) -> None:
        subscriptions: list[Subscription] = list(session.by_sid.values())
        for subscription in subscriptions:
            self._state.hub.end(session, subscription)

    def disconnect(self, number: int | None = None) -> int:
        """Cut one connection, or all -> how many."""
        cut = [n for n in self.open if number is None or n == number]
        for n in cut:
            self.open[n][1].abort()
        return len(cut)

    def send_raw(self, frames: list[bytes], number: int | None = None) -> int:
        """Send frames as they are to one connection, or to all -> to how many."""
        chosen = [n for n in self.open if number is None or n == number]
        for n in chosen:
            for frame in frames:
                self.open[n][1].send(frame)
        return len(chosen)

    async def close(self) -> None:
        """Close every connection with code 1001."""
        sockets = [socket for _, _, socket in self.open.values()]
        closings = [s.close(code=GOING_AWAY, message=b"going away") for s in sockets]
        await asyncio.gather(*closings, return_exceptions=True)


async def websocket(request: web.Request) -> web.StreamResponse:
    """The route of the WebSocket."""
    return await request.app[CONNECTIONS].serve(request)


CONNECTIONS: Final = web.AppKey("connections", Connections)


def route(path: str) -> web.RouteDef:
    """Where clients connect."""
    return web.get(path, websocket)
