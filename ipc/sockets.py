"""Publishers, subscribers, pushers and pullers over the named endpoints.

A message travels as [topic, header, payload]; the header carries the schema version, the sender's
life and its running number, so a reader can count what it missed and refuse what it cannot read.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import zmq
import zmq.asyncio

from ipc.endpoints import ENDPOINTS, address
from ipc.errors import KalshiActorError
from ipc.messages import SCHEMA_VERSION, Message, decode, encode

__all__ = [
    "Context",
    "Publisher",
    "Puller",
    "Pusher",
    "SchemaError",
    "Subscriber",
    "ready_topic",
]

_HEADER: Final = struct.Struct("<IIQ")  # schema version, sender's life, number
LINGER_MS: Final = 200

Context = zmq.asyncio.Context


def ready_topic(session_uid: str) -> str:
    """What a reader asks for, besides the rest, once it is ready to act on a session's triggers."""
    return f"ready/{session_uid}"


class SchemaError(KalshiActorError, RuntimeError):
    """A message of another schema version: stop, never guess."""


def _header(life: int, number: int) -> bytes:
    return _HEADER.pack(SCHEMA_VERSION, life, number)


def _parse(header: bytes, origin: str) -> tuple[int, int]:
    version, life, number = _HEADER.unpack(header)
    if version != SCHEMA_VERSION:
        raise SchemaError(
            f"{origin} sends messages of schema {version}, this program reads {SCHEMA_VERSION}"
        )
    return life, number


def _bind(socket: zmq.Socket[Any], where: str) -> None:
    """Listen; a socket's file is this user's alone, whatever the umask."""
    socket.bind(where)
    if where.startswith("ipc:///"):
        Path(where.removeprefix("ipc://")).chmod(0o600)


class Publisher:
    """Binds a PUB endpoint. A slow subscriber loses messages beyond the high-water mark.

    The socket is an XPUB: the same, but it hears what its subscribers ask for.
    """

    def __init__(
        self, context: Context, name: str, data_dir: Path, environ: Mapping[str, str], life: int
    ) -> None:
        # A plain socket: it never blocks, and an awaitable per message would cost more than it.
        self._socket = zmq.Context(context).socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, ENDPOINTS[name].high_water_mark)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        _bind(self._socket, address(name, data_dir, environ))
        self._life = life & 0xFFFFFFFF
        self._asked: set[bytes] = set()
        self.sent = 0

    def send(self, topic: str, message: Message) -> None:
        """Hand over one message; never waits."""
        self.sent += 1
        frames = (topic.encode(), _header(self._life, self.sent), encode(message))
        self._socket.send_multipart(frames)

    def is_asked_for(self, topic: str) -> bool:
        """Whether a subscriber that is there now has asked for exactly this topic."""
        while self._socket.poll(0):
            word = self._socket.recv(zmq.NOBLOCK)
            (self._asked.add if word[:1] == b"\x01" else self._asked.discard)(word[1:])
        return topic.encode() in self._asked

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Subscriber:
    """Connects to PUB endpoints; counts what did not arrive, per sender's life."""

    def __init__(
        self,
        context: Context,
        names: Iterable[str],
        data_dir: Path,
        environ: Mapping[str, str],
        topics: Iterable[str] = ("",),
    ) -> None:
        self._socket = context.socket(zmq.SUB)
        self._plain: zmq.Socket[bytes] = zmq.Socket.shadow(self._socket.underlying)
        self.gaps = 0
        self._all = tuple(topics) == ("",)
        self._last: dict[int, int] = {}
        names = tuple(names)
        self._socket.setsockopt(zmq.RCVHWM, max(ENDPOINTS[n].high_water_mark for n in names))
        self._socket.setsockopt(zmq.LINGER, 0)
        for topic in topics:
            self._socket.setsockopt(zmq.SUBSCRIBE, topic.encode())
        for name in names:
            self._socket.connect(address(name, data_dir, environ))

    def ask_for(self, topic: str) -> None:
        """Subscribe to one more topic; its publisher learns of it."""
        self._socket.setsockopt(zmq.SUBSCRIBE, topic.encode())

    async def recv(self) -> tuple[str, Message]:
        """The next message; waits for it."""
        return self._take(await self._socket.recv_multipart())

    def recv_waiting(self) -> list[tuple[str, Message]]:
        """All messages that already wait, without waiting."""
        found = []
        while self._plain.poll(0):
            frames = self._plain.recv_multipart(zmq.NOBLOCK)
            found.append(self._take(frames))
        return found

    def _take(self, frames: list[bytes]) -> tuple[str, Message]:
        topic = frames[0].decode()
        life, number = _parse(frames[1], topic)
        if self._all:  # with a filter, numbers jump by design
            self.gaps += max(0, number - self._last.get(life, number - 1) - 1)
            self._last[life] = number
        return topic, decode(frames[2])

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Pusher:
    """Connects a PUSH endpoint; refuses, rather than queues, while nobody pulls."""

    def __init__(
        self, context: Context, name: str, data_dir: Path, environ: Mapping[str, str], life: int
    ) -> None:
        self._socket = zmq.Context(context).socket(zmq.PUSH)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.SNDHWM, ENDPOINTS[name].high_water_mark)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        self._socket.connect(address(name, data_dir, environ))
        self._life = life & 0xFFFFFFFF
        self._number = 0
        self.refused = 0

    def send(self, message: Message) -> bool:
        """True when ZeroMQ took it; False (counted) when its queue is full or nobody is there."""
        try:
            self._socket.send_multipart(
                (_header(self._life, self._number + 1), encode(message)), zmq.NOBLOCK
            )
        except zmq.Again:
            self.refused += 1
            return False
        self._number += 1
        return True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Puller:
    """Binds a PULL endpoint."""

    def __init__(
        self, context: Context, name: str, data_dir: Path, environ: Mapping[str, str]
    ) -> None:
        self._name = name
        self._socket = context.socket(zmq.PULL)
        self._socket.setsockopt(zmq.RCVHWM, ENDPOINTS[name].high_water_mark)
        self._socket.setsockopt(zmq.LINGER, 0)
        _bind(self._socket, address(name, data_dir, environ))

    async def recv(self) -> Message:
        """The next message; waits for it."""
        frames = await self._socket.recv_multipart()
        _parse(frames[0], self._name)
        return decode(frames[1])

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
