"""The WebSocket connection: signed upgrade, typed frames, each with its time of arrival.

Bounded: beyond `MAX_QUEUE` waiting frames the socket is no longer read, and the exchange notices.
Liveness is ping and pong, not traffic.
"""

from __future__ import annotations

from collections import deque
from typing import Any, Final
from urllib.parse import urlsplit

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.frames import Frame as WebSocketFrame
from websockets.frames import Opcode
from websockets.http11 import Response

from ipc.clock import mono_ns
from ipc.messages import Environment
from processes.adapters.kalshi.environments import KalshiTarget
from processes.adapters.kalshi.errors import (
    AuthError,
    ExchangeUnavailable,
    SocketClosed,
    WireError,
    api_error,
)
from processes.adapters.kalshi.signing import Signer
from processes.adapters.kalshi.wire import Frame, UnknownFrame, decode_frame

__all__ = ["KalshiSocket", "Stamped"]

MAX_QUEUE: Final = 4_096  # frames
MAX_BATCH: Final = 1_024  # frames of one `recv_many`
MAX_MESSAGE: Final = 64 << 20  # bytes, the exchange's own limit
OPEN_TIMEOUT: Final = 10.0  # seconds
CLOSE_TIMEOUT: Final = 0.3  # seconds for a goodbye that loses nothing when it is not heard
PING_INTERVAL: Final = 10.0  # seconds
PING_TIMEOUT: Final = 20.0  # seconds

_DATA: Final = (Opcode.TEXT, Opcode.BINARY, Opcode.CONT)

Stamped = tuple[Frame, int]


class _StampedConnection(ClientConnection):
    """Notes when the last byte of every message came out of the network."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stamps: deque[int] = deque()

    def process_event(self, event: Any) -> None:
        """One event of the protocol."""
        super().process_event(event)
        if isinstance(event, WebSocketFrame) and event.fin and event.opcode in _DATA:
            self.stamps.append(mono_ns())


class KalshiSocket:
    """One connection; after `SocketClosed` make a new one and subscribe anew."""

    def __init__(self, connection: _StampedConnection) -> None:
        self._connection = connection
        self._failed: WireError | None = None
        self.frames = 0
        self.unknown = 0

    @classmethod
    async def connect(
        cls,
        target: KalshiTarget,
        signer: Signer,
        *,
        max_queue: int = MAX_QUEUE,
        compression: str | None = None,
        ping_interval: float = PING_INTERVAL,
        ping_timeout: float = PING_TIMEOUT,
    ) -> KalshiSocket:
        """Open; `AuthError` when the key is refused, else `ExchangeUnavailable` says why not.

        Alive is who answers pings, however quiet: after `ping_timeout` seconds without an answer
        the connection is closed.
        """
        local = target.environment is Environment.SIMULATED
        try:
            connection = await connect(
                target.ws_url,
                additional_headers=signer.headers("GET", urlsplit(target.ws_url).path),
                create_connection=_StampedConnection,
                compression=compression,
                max_size=MAX_MESSAGE,
                max_queue=max_queue,
                open_timeout=OPEN_TIMEOUT,
                close_timeout=CLOSE_TIMEOUT,
                ping_interval=ping_interval,
                ping_timeout=ping_timeout,
                proxy=None if local else True,
            )
        except InvalidStatus as error:
            raise _refused(target.ws_url, error.response) from None
        except (OSError, InvalidHandshake) as error:  # a timeout is an OSError
            words = str(error) or type(error).__name__
            raise ExchangeUnavailable(f"{target.ws_url}: {words}") from None
        assert isinstance(connection, _StampedConnection)
        return cls(connection)

    @property
    def latency_ns(self) -> int:
        """Round trip of the last ping, 0 before the first."""
        return int(self._connection.latency * 1_000_000_000)

    async def send(self, command: bytes) -> None:
        """Send one command."""
        try:
            await self._connection.send(command, text=True)
        except ConnectionClosed as error:
            raise _closed(error) from None

    async def recv(self) -> Stamped:
        """The next frame and the monotonic time of its arrival.

        `SocketClosed` when the connection is gone, `WireError` when the frame does not fit.
        """
        if self._failed is not None:
            failed, self._failed = self._failed, None
            raise failed
        try:
            data = await self._connection.recv(decode=False)
        except ConnectionClosed as error:
            raise _closed(error) from None
        stamp = self._connection.stamps.popleft()
        frame = decode_frame(data)
        self.frames += 1
        self.unknown += isinstance(frame, UnknownFrame)
        return frame, stamp

    async def recv_many(self, limit: int = MAX_BATCH) -> list[Stamped]:
        """Wait for a frame, then take all that are there already; errors as in `recv`."""
        batch = [await self.recv()]
        while self._connection.stamps and len(batch) < limit:
            try:
                batch.append(await self.recv())
            except WireError as error:
                self._failed = error  # told at the next call: the batch before it is good
                break
        return batch

    async def close(self) -> None:
        """Say goodbye and close; never fails."""
        await self._connection.close()


def _closed(error: ConnectionClosed) -> SocketClosed:
    return SocketClosed(str(error) or type(error).__name__)


def _refused(url: str, response: Response) -> AuthError | ExchangeUnavailable:
    """The upgrade's HTTP answer as an error."""
    error = api_error(response.status_code, bytes(response.body or b""))
    return error if isinstance(error, AuthError) else ExchangeUnavailable(f"{url}: {error}")
