"""The WebSocket connection: signed upgrade, typed frames, each with its time of arrival.

Bounded: beyond `MAX_QUEUE` waiting frames the socket is no longer read, and the exchange notices.
It is read in pieces of at most `MAX_READ` bytes, so that as many frames wait at most, and those of
one more piece. Liveness is ping and pong, not traffic.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
    WSError,
    WSFrame,
    WSHandshakeError,
    WSListener,
    WSMsgType,
    WSTransport,
    ws_connect,
)

from ipc.clock import mono_ns
from ipc.messages import Environment
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.errors import (
    AuthError,
    ExchangeUnavailable,
    SocketClosed,
    WireError,
    api_error,
)
from processes.adapters.kalshi.schemas.frames import Frame, decode_frame

__all__ = ["KalshiSocket", "Stamped"]

MAX_QUEUE: Final = 4_096  # frames
MAX_BATCH: Final = 1_024  # frames of one `recv_many`
MAX_READ: Final = 1 << 17  # bytes
MAX_MESSAGE: Final = 64 << 20  # bytes, the exchange's own limit
OPEN_TIMEOUT: Final = 10.0  # seconds
CLOSE_TIMEOUT: Final = 0.3  # seconds for a goodbye that loses nothing when it is not heard
PING_INTERVAL: Final = 20.0  # seconds
PING_TIMEOUT: Final = 20.0  # seconds, at most the interval

_DATA: Final = (WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION)

# What a transport calls on picows itself.
_PASSED: Final = (
    "buffer_updated",
    "connection_lost",
    "eof_received",
    "pause_writing",
    "resume_writing",
)

Stamped = tuple[Frame, int]


class _Inbox(WSListener):
    """What came out of the network and waits to be taken, each message with its time."""

    def __init__(self, max_queue: int) -> None:
        self.waiting: deque[tuple[bytes, int]] = deque()
        self.closed: SocketClosed | None = None
        self.latency_ns = 0
        self._max_queue = max_queue
        self._parts: list[bytes] = []
        self._pinged_ns = 0  # 0: every ping has been answered
        self._paused: asyncio.Transport | None = None
        self._taker: asyncio.Future[None] | None = None

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A whole message, a part of one, or a goodbye."""
        kind = frame.msg_type
        if kind == WSMsgType.TEXT and frame.fin:
            self._put(frame.get_payload_as_bytes(), transport)
        elif kind in _DATA:
            self._parts.append(frame.get_payload_as_bytes())
            if frame.fin:
                self._put(b"".join(self._parts), transport)
                self._parts.clear()
        elif kind == WSMsgType.CLOSE:
            code, reason = frame.get_close_code().value, frame.get_close_reason() or ""
            self._end(f"received {code} {reason}".rstrip())
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def _put(self, data: bytes, transport: WSTransport) -> None:
        self.waiting.append((data, mono_ns()))
        if len(self.waiting) >= self._max_queue and self._paused is None:
            self._paused = transport.underlying_transport
            self._paused.pause_reading()
        if self._taker is not None:
            self._wake()

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        """Nothing will come any more."""
        self._end("keepalive ping timeout" if self._pinged_ns else "connection lost")

    def _end(self, reason: str) -> None:
        self.closed = self.closed or SocketClosed(reason)
        self._wake()

    def send_user_specific_ping(self, transport: WSTransport) -> None:
        """A ping whose answer is timed."""
        self._pinged_ns = mono_ns()
        transport.send_ping()

    def is_user_specific_pong(self, frame: WSFrame) -> bool:
        """Any pong answers the newest ping."""
        if frame.msg_type != WSMsgType.PONG:
            return False
        if self._pinged_ns:
            self.latency_ns, self._pinged_ns = mono_ns() - self._pinged_ns, 0
        return True

    def _wake(self) -> None:
        if self._taker is not None and not self._taker.done():
            self._taker.set_result(None)
        self._taker = None

    async def until_any(self) -> None:
        """Wait for a message; `SocketClosed` when there is none and none will come."""
        while not self.waiting:
            if self.closed is not None:
                raise self.closed
            self._taker = asyncio.get_running_loop().create_future()
            await self._taker

    def resume(self) -> None:
        """Read on, once there is room again."""
        if self._paused is not None and len(self.waiting) < self._max_queue // 2:
            if self.closed is None:
                self._paused.resume_reading()
            self._paused = None


class _Pieces(asyncio.BufferedProtocol):
    """Between transport and picows: a read brings at most `MAX_READ` bytes.

    picows doubles its buffer whenever one read fills it. A system may hold tens of megabytes for a
    reader that falls behind; they would all be read, and become frames, at once.
    """

    def __init__(self, inner: asyncio.BufferedProtocol) -> None:
        self._get_buffer = inner.get_buffer
        for name in _PASSED:
            setattr(self, name, getattr(inner, name))

    def get_buffer(self, sizehint: int) -> memoryview:
        """A part of what picows has room for."""
        return memoryview(self._get_buffer(sizehint))[:MAX_READ]


class KalshiSocket:
    """One connection; after `SocketClosed` make a new one and subscribe anew."""

    def __init__(self, transport: WSTransport, inbox: _Inbox) -> None:
        self._transport = transport
        self._inbox = inbox
        self._failed: WireError | None = None

    @classmethod
    async def connect(
        cls,
        target: KalshiTarget,
        signer: Signer,
        *,
        max_queue: int = MAX_QUEUE,
        ping_interval: float = PING_INTERVAL,
        ping_timeout: float = PING_TIMEOUT,
    ) -> KalshiSocket:
        """Open; `AuthError` when the key is refused, else `ExchangeUnavailable` says why not.

        Alive is who answers pings, however quiet: after `ping_timeout` seconds without an answer
        the connection is closed.
        """
        try:
            async with asyncio.timeout(OPEN_TIMEOUT):
                transport, inbox = await ws_connect(
                    lambda: _Inbox(max_queue),
                    target.ws_url,
                    extra_headers=signer.headers("GET", urlsplit(target.ws_url).path),
                    websocket_handshake_timeout=OPEN_TIMEOUT,
                    max_frame_size=MAX_MESSAGE,
                    enable_auto_ping=True,
                    auto_ping_strategy=WSAutoPingStrategy.PING_PERIODICALLY,
                    auto_ping_idle_timeout=ping_interval,
                    auto_ping_reply_timeout=ping_timeout,
                    proxy=_proxy(target),
                    use_aiofastnet=False,  # over TLS it may keep the last bytes of a piece
                )
        except WSHandshakeError as error:
            raise _refused(target.ws_url, error) from None
        except (OSError, WSError) as error:  # a timeout is an OSError
            words = str(error) or type(error).__name__
            raise ExchangeUnavailable(f"{target.ws_url}: {words}") from None
        assert isinstance(inbox, _Inbox)
        inner = transport.underlying_transport.get_protocol()
        assert isinstance(inner, asyncio.BufferedProtocol)
        transport.underlying_transport.set_protocol(_Pieces(inner))
        return cls(transport, inbox)

    @property
    def waiting(self) -> int:
        """Messages that have come and were not taken yet."""
        return len(self._inbox.waiting)

    @property
    def latency_ns(self) -> int:
        """Round trip of the last ping, 0 before the first."""
        return self._inbox.latency_ns

    async def send(self, command: bytes) -> None:
        """Send one command."""
        if self._inbox.closed is not None:
            raise self._inbox.closed
        self._transport.send(WSMsgType.TEXT, command)

    async def recv(self) -> Stamped:
        """The next frame and the monotonic time of its arrival.

        `SocketClosed` when the connection is gone, `WireError` when the frame does not fit.
        """
        return (await self.recv_many(1))[0]

    async def recv_many(self, limit: int = MAX_BATCH) -> list[Stamped]:
        """Wait for a frame, then take all that are there already; errors as in `recv`."""
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed
        await self._inbox.until_any()
        batch: list[Stamped] = []
        waiting = self._inbox.waiting
        try:
            while waiting and len(batch) < limit:
                data, stamp_ns = waiting.popleft()
                batch.append((decode_frame(data), stamp_ns))
        except WireError as error:
            if not batch:
                raise
            self._failed = error  # told at the next call: the batch before it is good
        finally:
            self._inbox.resume()
        return batch

    async def close(self) -> None:
        """Say goodbye and close; never fails."""
        if self._inbox.closed is None:
            self._transport.send_close(WSCloseCode.OK)
        self._transport.disconnect()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._transport.wait_disconnected()
        except (OSError, WSError):  # a timeout is an OSError
            self._transport.disconnect(graceful=False)


def _proxy(target: KalshiTarget) -> str | None:
    """The way out that the environment names; none to the local exchange."""
    parts = urlsplit(target.ws_url)
    if target.environment is Environment.SIMULATED or proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get("https" if parts.scheme == "wss" else "http")


def _refused(url: str, error: WSHandshakeError) -> AuthError | ExchangeUnavailable:
    """The upgrade's HTTP answer as an error."""
    if error.response is None:
        return ExchangeUnavailable(f"{url}: {error}")
    told = api_error(int(error.response.status), bytes(error.raw_body or b""))
    return told if isinstance(told, AuthError) else ExchangeUnavailable(f"{url}: {told}")
