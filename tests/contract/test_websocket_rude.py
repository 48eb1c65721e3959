"""A peer that ends the connection while it is made, in every way: one error, and one session."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import re
import socket as sockets
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Final

import pytest
import uvloop

from ipc.messages import Environment
from processes.adapters.kalshi.auth.credentials import Algorithm, new_credentials
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.errors import (
    ExchangeUnavailable,
    SocketClosed,
    WireError,
)
from processes.adapters.kalshi.stream import socket as websocket
from processes.adapters.kalshi.stream.socket import KalshiSocket

SIGNER: Final = Signer(new_credentials("key", Algorithm.ED25519))
GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
PATIENCE: Final = 30.0  # seconds until a test gives up

Run = Callable[[Coroutine[None, None, None]], None]
Manner = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


def reset(writer: asyncio.StreamWriter) -> None:
    """End with RST in place of FIN."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(sockets.SOL_SOCKET, sockets.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def upgrade(reader: asyncio.StreamReader) -> bytes:
    """The reply to the request that comes."""
    request = await reader.readuntil(b"\r\n\r\n")
    found = re.search(rb"(?i)sec-websocket-key: *(\S+)", request)
    assert found is not None
    accept = base64.b64encode(hashlib.sha1(found[1] + GUID).digest())
    return (
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: " + accept + b"\r\n\r\n"
    )


def frame(opcode: int, payload: bytes, *, fin: bool = True) -> bytes:
    size = len(payload)
    head = bytes([(0x80 if fin else 0) | opcode])
    if size < 126:
        return head + bytes([size]) + payload
    if size < 1 << 16:
        return head + b"\x7e" + struct.pack(">H", size) + payload
    return head + b"\x7f" + struct.pack(">Q", size) + payload


def closing(code: int, reason: bytes = b"") -> bytes:
    return frame(8, struct.pack(">H", code) + reason)


async def _reset_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    reset(writer)


async def _close_at_once(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    writer.close()


async def _reset_after_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    reset(writer)


async def _close_after_request(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await reader.readuntil(b"\r\n\r\n")
    writer.close()


def _answers(reply: bytes, *, abort: bool = False) -> Manner:
    """Answer every request like this, then end."""

    async def manner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(reply)
        await writer.drain()
        if abort:
            reset(writer)
        else:
            writer.close()

    return manner


def _upgrades(after: bytes, part: float = 1.0, *, abort: bool = False) -> Manner:
    """Complete the handshake, or a part of it, send `after`, then end."""

    async def manner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reply = await upgrade(reader)
        writer.write(reply[: int(len(reply) * part)] + after)
        await writer.drain()
        if abort:
            reset(writer)
        else:
            writer.close()

    return manner


MANNERS: Final[dict[str, Manner]] = {
    "reset at once": _reset_at_once,
    "closed at once": _close_at_once,
    "reset after the request": _reset_after_request,
    "closed after the request": _close_after_request,
    "half an answer, closed": _upgrades(b"", 0.5),
    "half an answer, reset": _upgrades(b"", 0.5, abort=True),
    "no HTTP at all": _answers(b"\xff\xfe\x00 nonsense\r\n\r\n"),
    "an empty head": _answers(b"\r\n\r\n"),
    "a status of letters": _answers(b"HTTP/1.1 abc Wrong\r\n\r\n"),
    "a page": _answers(b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n<html></html>"),
    "a redirect to nowhere": _answers(b"HTTP/1.1 302 Found\r\nLocation: \xff://\r\n\r\n"),
    "502 with bytes": _answers(b"HTTP/1.1 502 Bad\r\nContent-Length: 4\r\n\r\n\xff\xfe{["),
    "a wrong accept": _answers(
        b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Accept: no\r\n\r\n"
    ),
    "upgraded, closed": _upgrades(b""),
    "upgraded, reset": _upgrades(b"", abort=True),
    "upgraded, a close frame": _upgrades(closing(1000)),
    "upgraded, a close frame of our own code": _upgrades(closing(4321, b"so")),
    "upgraded, a close frame of no code": _upgrades(frame(8, b"")),
    "upgraded, a close frame in no UTF-8": _upgrades(closing(1000, b"\xff\xfe")),
    "upgraded, a frame cut off": _upgrades(b"\x81\x7e"),
    "upgraded, a reserved opcode": _upgrades(frame(3, b"x")),
    "upgraded, 16 EB announced": _upgrades(b"\x81\x7f" + b"\x7f" + b"\xff" * 7),
}


@asynccontextmanager
async def rude(manner: Manner) -> AsyncIterator[KalshiTarget]:
    """A server of that manner on loopback."""
    under_way: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        under_way.add(task)
        try:
            await manner(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        url = f"127.0.0.1:{port}/trade-api"
        yield KalshiTarget(Environment.SIMULATED, f"http://{url}/v2", f"ws://{url}/ws/v2")
    await asyncio.gather(*under_way, return_exceptions=True)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Callable[[Coroutine[None, None, None]], None]:
    """Run on a loop of either kind: they report an end at different moments."""

    def on_loop(work: Coroutine[None, None, None]) -> None:
        async def bounded() -> None:
            async with asyncio.timeout(PATIENCE):
                await work

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(bounded())

    return on_loop


async def first_frame(target: KalshiTarget) -> None:
    """Connect and take a frame; some ends come after the connection is ours."""
    socket = await KalshiSocket.connect(target, SIGNER)
    try:
        await socket.send(b"{}")
        await socket.recv()
    finally:
        await socket.close()


@pytest.mark.parametrize("manner", MANNERS.values(), ids=MANNERS)
def test_every_end_while_connecting_is_one_error(run: Run, manner: Manner) -> None:
    async def connect() -> None:
        async with rude(manner) as target:
            for _ in range(3):
                with pytest.raises((ExchangeUnavailable, SocketClosed)) as caught:
                    await first_frame(target)
                assert str(caught.value)

    run(connect())


def test_a_peer_that_accepts_and_sends_nothing_is_given_up(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "OPEN_TIMEOUT", 0.2)

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()

    async def connect() -> None:
        async with rude(silent) as target:
            with pytest.raises(ExchangeUnavailable):
                await KalshiSocket.connect(target, SIGNER)

    run(connect())


GOOD: Final = frame(1, b'{"type":"ok","id":1,"sid":1,"seq":1}')


async def outcomes_of(target: KalshiTarget) -> list[str]:
    """What each frame of a connection was, until its end."""
    socket = await KalshiSocket.connect(target, SIGNER)
    await socket.send(b"{}")
    outcomes: list[str] = []
    while True:
        try:
            outcomes.append(type((await socket.recv())[0]).__name__)
        except WireError:
            outcomes.append("WireError")
        except SocketClosed:
            await socket.close()
            return outcomes


@pytest.mark.parametrize(
    "payload",
    [
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"type":"ok","id":1,"msg":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"type":"odd","x":' + b'{"a":' * 100_000,
        b'{"type":"ok","seq":' + b"9" * 400 + b"}",
        b"<html></html>",
        b"",
    ],
    ids=["no UTF-8", "nested", "nested inside", "nested and cut", "400 digits", "HTML", "empty"],
)
def test_what_is_no_frame_costs_itself_and_no_other_frame(run: Run, payload: bytes) -> None:
    async def connect() -> None:
        async def manner(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await upgrade(reader))
            await writer.drain()
            await asyncio.wait_for(reader.read(1), PATIENCE)  # its command: it is connected
            writer.write(GOOD + frame(1, payload) + GOOD + closing(1000))
            await writer.drain()
            await reader.read()

        async with rude(manner) as target:
            assert await outcomes_of(target) == ["Ok", "WireError", "Ok"]

    run(connect())


def test_a_message_in_parts_without_end_is_bounded(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(websocket, "MAX_MESSAGE", 1 << 16)
    parts = frame(1, b"x" * 60_000, fin=False) + frame(0, b"x" * 60_000, fin=False)

    async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await upgrade(reader))
        await writer.drain()
        await asyncio.wait_for(reader.read(1), PATIENCE)
        writer.write(parts)
        await writer.drain()
        await reader.read()

    async def connect() -> None:
        async with rude(endless) as target:
            with pytest.raises(SocketClosed, match="more than 65536 bytes"):
                await first_frame(target)

    run(connect())
