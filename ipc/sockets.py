"""Publishers, subscribers, pushers and pullers over the named endpoints; the recorder's doorbell.

A message travels as [topic, header, payload], from a pusher as [header, payload]. The header
carries the schema version, a number that is different in every run of the sender, and the
message's running number within that run (uint32, uint32, uint64, little-endian), so a reader can
count what it missed and refuse what it cannot read. The payload is msgpack of `ipc.messages`.

`Context` is a plain `zmq.asyncio.Context`: one a process, made and terminated by its owner.
"""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import zmq
import zmq.asyncio

from ipc.endpoints import ENDPOINTS, address
from ipc.errors import KalshiActorError
from ipc.messages import SCHEMA_VERSION, Doorbell, Message, decode, encode

__all__ = [
    "Bell",
    "Context",
    "Publisher",
    "Puller",
    "Pusher",
    "SchemaError",
    "Subscriber",
    "ready_topic",
]

_HEADER: Final = struct.Struct("<IIQ")  # schema version, sender's run, number
LINGER_MS: Final = 200

Context = zmq.asyncio.Context


def ready_topic(session_uid: str) -> str:
    """The topic that a reader subscribes to once it is ready to act on a session's triggers.

    Args:
        session_uid: The collector's session.
    """
    return f"ready/{session_uid}"


class SchemaError(KalshiActorError, RuntimeError):
    """A message of another schema version: stop, never guess."""


def _header(run: int, number: int) -> bytes:
    return _HEADER.pack(SCHEMA_VERSION, run, number)


def _parse(header: bytes, origin: str) -> tuple[int, int]:
    version, run, number = _HEADER.unpack(header)
    if version != SCHEMA_VERSION:
        raise SchemaError(
            f"{origin} sends messages of schema {version}, this program reads {SCHEMA_VERSION}"
        )
    return run, number


def _bind(socket: zmq.Socket[Any], where: str) -> None:
    """Listen; a socket's file is this user's alone, whatever the umask."""
    socket.bind(where)
    if where.startswith("ipc:///"):
        Path(where.removeprefix("ipc://")).chmod(0o600)


class Publisher:
    """Binds a PUB endpoint. A slow subscriber loses messages beyond the high-water mark.

    The socket is an XPUB: the same, but it learns what its subscribers ask for.

    Args:
        context: The process's ZeroMQ context.
        name: Endpoint, a key of `ipc.endpoints.ENDPOINTS`.
        data_dir: Folder of the stack; the socket lies below it.
        environ: May replace the address by `RL_ENDPOINT_<NAME>`.
        run: A number that is different in every run of the process.

    Attributes:
        sent: Messages so far.

    Raises:
        KeyError: There is no such endpoint.
        UnsafePathError: The folder of the sockets is not this user's alone.
        zmq.ZMQError: The address cannot be bound.
    """

    def __init__(
        self, context: Context, name: str, data_dir: Path, environ: Mapping[str, str], run: int
    ) -> None:
        # A plain socket: it never blocks, and an awaitable per message would cost more than it.
        self._socket = zmq.Context(context).socket(zmq.XPUB)
        self._socket.setsockopt(zmq.SNDHWM, ENDPOINTS[name].high_water_mark)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        _bind(self._socket, address(name, data_dir, environ))
        self._run = run & 0xFFFFFFFF
        self._asked: set[bytes] = set()
        self.sent = 0

    def send(self, topic: str, message: Message) -> None:
        """Publish one message under a topic; never waits.

        Args:
            topic: What subscribers filter by, from the front: `ready` takes `ready/...` too.
            message: Any message of `ipc.messages`.
        """
        self.sent += 1
        frames = (topic.encode(), _header(self._run, self.sent), encode(message))
        self._socket.send_multipart(frames)

    def is_asked_for(self, topic: str) -> bool:
        """Whether a subscriber that is connected now has subscribed to exactly this topic."""
        while self._socket.poll(0):
            word = self._socket.recv(zmq.NOBLOCK)
            (self._asked.add if word[:1] == b"\x01" else self._asked.discard)(word[1:])
        return topic.encode() in self._asked

    def close(self) -> None:
        """Close the socket; unsent messages get `LINGER_MS`."""
        self._socket.close()


class Subscriber:
    """Connects to PUB endpoints, and counts the messages that did not arrive.

    Connecting does not wait for the publisher: it may come later, and come again.

    Args:
        context: The process's ZeroMQ context.
        names: Endpoints to listen to.
        data_dir: Folder of the stack.
        environ: May replace addresses.
        topics: Prefixes to subscribe to; the default takes everything. With a filter nothing is
            counted as missed, because numbers then jump by design.

    Attributes:
        gaps: Messages missed so far, over all runs of all senders.

    Raises:
        KeyError: There is no such endpoint.
    """

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
        """Subscribe to one more topic; its publisher can see that with `Publisher.is_asked_for`."""
        self._socket.setsockopt(zmq.SUBSCRIBE, topic.encode())

    async def recv(self) -> tuple[str, Message]:
        """Wait for the next message.

        Returns:
            (topic, message).

        Raises:
            SchemaError: The sender is of another version.
            msgspec.ValidationError: The payload is no message.
        """
        return self._take(await self._socket.recv_multipart())

    def recv_waiting(self) -> list[tuple[str, Message]]:
        """All messages that have already arrived, without waiting; errors as of `recv`."""
        found = []
        while self._plain.poll(0):
            frames = self._plain.recv_multipart(zmq.NOBLOCK)
            found.append(self._take(frames))
        return found

    def _take(self, frames: list[bytes]) -> tuple[str, Message]:
        topic = frames[0].decode()
        run, number = _parse(frames[1], topic)
        if self._all:  # with a filter, numbers jump by design
            self.gaps += max(0, number - self._last.get(run, number - 1) - 1)
            self._last[run] = number
        return topic, decode(frames[2])

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Pusher:
    """Connects a PUSH endpoint; refuses, rather than queues, while no process pulls.

    Args:
        context: The process's ZeroMQ context.
        name: Endpoint, a key of `ipc.endpoints.ENDPOINTS`.
        data_dir: Folder of the stack.
        environ: May replace the address by `RL_ENDPOINT_<NAME>`.
        run: A number that is different in every run of the process.

    Attributes:
        refused: Messages that were not taken.
    """

    def __init__(
        self, context: Context, name: str, data_dir: Path, environ: Mapping[str, str], run: int
    ) -> None:
        self._socket = zmq.Context(context).socket(zmq.PUSH)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._socket.setsockopt(zmq.SNDHWM, ENDPOINTS[name].high_water_mark)
        self._socket.setsockopt(zmq.LINGER, LINGER_MS)
        self._socket.connect(address(name, data_dir, environ))
        self._run = run & 0xFFFFFFFF
        self._number = 0
        self.refused = 0

    def send(self, message: Message) -> bool:
        """Hand one message to the puller without waiting.

        Returns:
            True when ZeroMQ took it; False, counted in `refused`, when the queue is full or no
            process pulls.
        """
        try:
            self._socket.send_multipart(
                (_header(self._run, self._number + 1), encode(message)), zmq.NOBLOCK
            )
        except zmq.Again:
            self.refused += 1
            return False
        self._number += 1
        return True

    def close(self) -> None:
        """Close the socket; unsent messages get `LINGER_MS`."""
        self._socket.close()


class Puller:
    """Binds a PULL endpoint, of which the stack has one puller.

    Args:
        context: The process's ZeroMQ context.
        name: Endpoint, a key of `ipc.endpoints.ENDPOINTS`.
        data_dir: Folder of the stack; the socket lies below it.
        environ: May replace the address by `RL_ENDPOINT_<NAME>`.

    Raises:
        KeyError: There is no such endpoint.
        UnsafePathError: The folder of the sockets is not this user's alone.
        zmq.ZMQError: The address cannot be bound.
    """

    def __init__(
        self, context: Context, name: str, data_dir: Path, environ: Mapping[str, str]
    ) -> None:
        self._name = name
        self._socket = context.socket(zmq.PULL)
        self._socket.setsockopt(zmq.RCVHWM, ENDPOINTS[name].high_water_mark)
        self._socket.setsockopt(zmq.LINGER, 0)
        _bind(self._socket, address(name, data_dir, environ))

    async def recv(self) -> Message:
        """Wait for the next message of any pusher.

        Raises:
            SchemaError: The sender is of another version.
            msgspec.ValidationError: The payload is no message.
        """
        frames = await self._socket.recv_multipart()
        _parse(frames[0], self._name)
        return decode(frames[1])

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


RING_PAUSE: Final = 0.02  # seconds


class Bell:
    """Rings the recorder when a journal has grown: at once, then at most every `RING_PAUSE`.

    The journal is the truth; a ring that is lost costs the recorder a little time, nothing else.
    Belongs to a running event loop.

    Args:
        pusher: Of the endpoint `doorbell`; closed with the bell.
        stream: Name of the producer whose journal it is.
    """

    def __init__(self, pusher: Pusher, stream: str) -> None:
        self._pusher = pusher
        self._message = Doorbell(stream=stream)
        self._resting: asyncio.TimerHandle | None = None
        self._asked = False

    def ring(self) -> None:
        """Ring now, or when the pause is over; the next ring makes up for one that was refused."""
        if self._resting is not None:
            self._asked = True
            return
        self._asked = False
        self._pusher.send(self._message)
        self._resting = asyncio.get_running_loop().call_later(RING_PAUSE, self._rested)

    def _rested(self) -> None:
        self._resting = None
        if self._asked:
            self.ring()

    def close(self) -> None:
        """Stop ringing and close the pusher."""
        if self._resting is not None:
            self._resting.cancel()
        self._pusher.close()
