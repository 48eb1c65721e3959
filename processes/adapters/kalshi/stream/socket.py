"""The WebSocket connection: signed upgrade, typed frames, each with its time of arrival.

PROTOCOL.md, 4.1. Memory is bounded: beyond `MAX_QUEUE` waiting frames, or `MAX_WAITING` bytes of
them, the socket is no longer read. It is read in pieces of at most `MAX_READ` bytes, so at most the
frames of one more piece are added. Liveness is ping and pong, not traffic.

Whatever the peer does while the connection is made is one error, `ExchangeUnavailable` (or
`AuthError`); whatever it does afterwards ends in `SocketClosed` or `WireError`.
"""

from __future__ import annotations

import asyncio
import fcntl
import struct
import termios
from collections import deque
from typing import Final
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import msgspec
from picows import (
    WSAutoPingStrategy,
    WSCloseCode,
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
from processes.adapters.kalshi.schemas.drift import SEEN
from processes.adapters.kalshi.schemas.fields import check_fields
from processes.adapters.kalshi.schemas.frames import (
    ERROR_CODES,
    Delta,
    ErrorFrame,
    Frame,
    Trade,
    UnknownFrame,
    decode_frame,
)

__all__ = ["Backlog", "KalshiSocket", "Stamped"]

MAX_QUEUE: Final = 4_096  # frames
MAX_BATCH: Final = 1_024  # frames of one `recv_many`
MAX_READ: Final = 1 << 17  # bytes
MAX_MESSAGE: Final = 16 << 20  # bytes; the list of 500,000 subscribed markets would fit
MAX_WAITING: Final = 64 << 20  # bytes of messages that wait
OPEN_TIMEOUT: Final = 10.0  # seconds
CLOSE_TIMEOUT: Final = 0.3  # seconds to wait for the peer to answer a close frame
PING_INTERVAL: Final = 20.0  # seconds
PING_TIMEOUT: Final = 20.0  # seconds, at most the interval

CLOSE_CODES: Final = frozenset(range(1000, 1016)) - {1004}  # RFC 6455, 7.4.1
_FREQUENT: Final = frozenset({Delta, Trade})  # of these only some are looked at for new fields:
_SAMPLE_NS: Final = (
    0x3F  # the first of a batch, when these bits of the time of its arrival are zero
)
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


class Backlog(msgspec.Struct, frozen=True):
    """What was received and not taken yet.

    Attributes:
        frames: Messages that wait.
        bytes: Of these messages.
        system_bytes: That the system holds for the socket.
        age_ns: Since when the oldest message waits.
    """

    frames: int = 0
    bytes: int = 0
    system_bytes: int = 0
    age_ns: int = 0

    @property
    def total_bytes(self) -> int:
        """Here and in the system."""
        return self.bytes + self.system_bytes


class _Inbox(WSListener):
    """Messages that were received and wait to be taken, each with its time."""

    def __init__(self, max_queue: int) -> None:
        self.waiting: deque[tuple[bytes, int]] = deque()
        self._waiting_bytes = 0
        self.closed: SocketClosed | None = None
        self.latency_ns = 0
        self._max_queue = max_queue
        self._parts: list[bytes] = []
        self._parts_bytes = 0
        self._pinged_ns = 0  # 0: every ping has been answered
        self._paused: asyncio.Transport | None = None
        self._taker: asyncio.Future[None] | None = None

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A whole message, a part of one, or a close frame."""
        kind = frame.msg_type
        if kind == WSMsgType.TEXT and frame.fin:
            self._put(frame.get_payload_as_bytes(), transport)
        elif kind in _DATA:
            self._put_part(frame, transport)
        elif kind == WSMsgType.CLOSE:
            code, reason = frame.get_close_code().value, frame.get_close_reason() or ""
            if code not in CLOSE_CODES:
                SEEN.note("close", code)
            self._end(f"received {code} {reason}".rstrip())
            transport.send_close(frame.get_close_code())
            transport.disconnect()

    def _put_part(self, frame: WSFrame, transport: WSTransport) -> None:
        """One part of a message that comes in several."""
        self._parts.append(frame.get_payload_as_bytes())
        self._parts_bytes += len(self._parts[-1])
        if self._parts_bytes > MAX_MESSAGE:
            self._end(f"a message of more than {MAX_MESSAGE} bytes")
            self._parts.clear()
            transport.disconnect(graceful=False)
        elif frame.fin:
            self._put(b"".join(self._parts), transport)
            self._parts.clear()
            self._parts_bytes = 0

    def _put(self, data: bytes, transport: WSTransport) -> None:
        self.waiting.append((data, mono_ns()))
        self._waiting_bytes += len(data)
        is_full = len(self.waiting) >= self._max_queue or self._waiting_bytes >= MAX_WAITING
        if is_full and self._paused is None:
            self._paused = transport.underlying_transport
            self._paused.pause_reading()
        if self._taker is not None:
            self._wake()

    def backlog(self, system_bytes: int) -> Backlog:
        """What waits, beside what the system holds."""
        waiting = self.waiting
        age_ns = mono_ns() - waiting[0][1] if waiting else 0
        return Backlog(len(waiting), self._waiting_bytes, system_bytes, age_ns)

    def on_ws_disconnected(self, _transport: WSTransport) -> None:
        """No more messages will come."""
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

    def taken(self, size: int) -> None:
        """So many bytes of messages no longer wait; read again once there is room."""
        self._waiting_bytes -= size
        roomy = len(self.waiting) < self._max_queue // 2 and self._waiting_bytes < MAX_WAITING // 2
        if self._paused is not None and roomy:
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
    """One connection; after `SocketClosed` make a new one and subscribe again."""

    def __init__(self, transport: WSTransport, inbox: _Inbox) -> None:
        self._transport = transport
        self._inbox = inbox

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
        """Open a connection.

        Args:
            target: Where to connect; a proxy of the environment is used outside of `simulated`.
            signer: Signs the upgrade.
            max_queue: Frames that may wait before the socket is no longer read.
            ping_interval: Seconds between two pings.
            ping_timeout: Seconds without an answer to a ping, after which the connection is closed.

        Raises:
            AuthError: The key is refused.
            ExchangeUnavailable: The peer cannot be reached, or does anything but complete the
                handshake and stay; the text says what.
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
        except Exception as error:  # noqa: BLE001  the parser of a half answer raises anything
            reason = str(error) or type(error).__name__
            raise ExchangeUnavailable(f"{target.ws_url}: {reason}") from None
        if not isinstance(inbox, _Inbox):  # gone before the handshake was complete
            raise ExchangeUnavailable(f"{target.ws_url}: closed during the handshake")
        if inbox.closed is not None:
            raise ExchangeUnavailable(f"{target.ws_url}: {inbox.closed} right after the handshake")
        inner = transport.underlying_transport.get_protocol()
        if not isinstance(inner, asyncio.BufferedProtocol):  # its end was not reported yet
            raise ExchangeUnavailable(f"{target.ws_url}: closed right after the handshake")
        transport.underlying_transport.set_protocol(_Pieces(inner))
        return cls(transport, inbox)

    @property
    def waiting(self) -> int:
        """Messages that were received and not taken yet."""
        return len(self._inbox.waiting)

    @property
    def backlog(self) -> Backlog:
        """What waits here and in the system."""
        return self._inbox.backlog(_system_bytes(self._transport))

    @property
    def latency_ns(self) -> int:
        """Round trip of the last ping, 0 before the first."""
        return self._inbox.latency_ns

    async def send(self, command: bytes) -> None:
        """Send one command, JSON; `SocketClosed`."""
        if self._inbox.closed is not None:
            raise self._inbox.closed
        self._transport.send(WSMsgType.TEXT, command)

    async def recv(self) -> Stamped:
        """The next frame and the monotonic time of its arrival in nanoseconds.

        Raises:
            SocketClosed: The connection is gone, and every frame before that was taken.
            WireError: The frame cannot be read.
        """
        return (await self.recv_many(1))[0]

    async def recv_many(self, limit: int = MAX_BATCH) -> list[Stamped]:
        """Wait for a frame, then take all that are there, at most `limit`; errors as in `recv`.

        A frame that cannot be read ends the batch before it, and fails the next call.
        """
        await self._inbox.until_any()
        batch: list[Stamped] = []
        waiting, size = self._inbox.waiting, 0
        try:
            for _ in range(min(len(waiting), limit)):
                data, stamp_ns = waiting[0]
                try:
                    frame = decode_frame(data)
                except WireError:
                    if batch:
                        break
                    waiting.popleft()
                    size += len(data)
                    raise
                waiting.popleft()
                size += len(data)
                if type(frame) not in _FREQUENT or (not batch and not stamp_ns & _SAMPLE_NS):
                    _look_for_news(frame, data)
                batch.append((frame, stamp_ns))
        finally:
            self._inbox.taken(size)
        return batch

    async def close(self) -> None:
        """Close the connection; never fails."""
        if self._inbox.closed is None:
            self._transport.send_close(WSCloseCode.OK)
        self._transport.disconnect()
        try:
            async with asyncio.timeout(CLOSE_TIMEOUT):
                await self._transport.wait_disconnected()
        except Exception:  # noqa: BLE001  what ended the connection is raised here once more
            self._transport.disconnect(graceful=False)


def _look_for_news(frame: Frame, data: bytes) -> None:
    """Count what of a frame is in no schema and in no specification."""
    if isinstance(frame, UnknownFrame):
        SEEN.note("frame", frame.type)
        return
    if isinstance(frame, ErrorFrame) and frame.msg.code not in ERROR_CODES:
        SEEN.note("error", frame.msg.code)
    check_fields(type(frame), data)


def _system_bytes(transport: WSTransport) -> int:
    """Bytes that the system holds for a socket to read; 0 for one that is gone."""
    sock = transport.underlying_transport.get_extra_info("socket")
    try:
        asked = fcntl.ioctl(sock.fileno(), termios.FIONREAD, bytes(4))
    except (AttributeError, OSError, ValueError):
        return 0
    return int(struct.unpack("i", asked)[0])


def _proxy(target: KalshiTarget) -> str | None:
    """The proxy that the environment names; none for the local exchange."""
    parts = urlsplit(target.ws_url)
    if target.environment is Environment.SIMULATED or proxy_bypass(parts.hostname or ""):
        return None
    return getproxies().get("https" if parts.scheme == "wss" else "http")


def _refused(url: str, error: WSHandshakeError) -> AuthError | ExchangeUnavailable:
    """The upgrade's HTTP answer as an error."""
    if error.response is None:
        return ExchangeUnavailable(f"{url}: {error}")
    reply = api_error(int(error.response.status), bytes(error.raw_body or b""))
    return reply if isinstance(reply, AuthError) else ExchangeUnavailable(f"{url}: {reply}")
