"""The sockets of one process, opened on one ZeroMQ context and closed together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, TypeVar

from ipc.endpoints import address
from ipc.sockets import Context, Publisher, Puller, Pusher, Subscriber
from ipc.trading import CommandSocket

__all__ = ["Wires"]

Socket = TypeVar("Socket", Publisher, Puller, Pusher, Subscriber, CommandSocket)
EVERY_TOPIC: Final = ("",)
_IPC: Final = "ipc://"


class Wires:
    """What a process receives and sends.

    Args:
        data_dir: Folder of the stack; sockets lie below it.
        environ: May replace addresses by `RL_ENDPOINT_<NAME>`.
        run: Tells this run's messages from an earlier one's.

    Attributes:
        bound: Files of the sockets that this process listens on.
    """

    def __init__(self, data_dir: Path, environ: Mapping[str, str], run: int) -> None:
        self._place = (data_dir, environ)
        self._run = run
        self._context = Context()
        self.bound: list[Path] = []
        self._open: list[Publisher | Puller | Pusher | Subscriber | CommandSocket] = []

    def publisher(self, name: str) -> Publisher:
        """Bind a PUB endpoint."""
        return self._bound(name, Publisher(self._context, name, *self._place, self._run))

    def subscriber(self, *names: str, topics: Iterable[str] = EVERY_TOPIC) -> Subscriber:
        """Connect to PUB endpoints; with every topic, what did not arrive is counted."""
        return self._kept(Subscriber(self._context, names, *self._place, topics))

    def pusher(self, name: str) -> Pusher:
        """Connect to a PULL endpoint."""
        return self._kept(Pusher(self._context, name, *self._place, self._run))

    def puller(self, name: str) -> Puller:
        """Bind a PULL endpoint."""
        return self._bound(name, Puller(self._context, name, *self._place))

    def _bound(self, name: str, socket: Socket) -> Socket:
        where = address(name, *self._place)
        if where.startswith(_IPC + "/"):
            self.bound.append(Path(where.removeprefix(_IPC)))
        return self._kept(socket)

    def commands(self) -> CommandSocket:
        """Bind the socket of commands to trading."""
        return self._kept(CommandSocket(self._context, self._place[0]))

    def _kept(self, socket: Socket) -> Socket:
        self._open.append(socket)
        return socket

    def close(self) -> None:
        """Close all; what still waits has the sockets' linger (0.2 s) to leave. Safe to repeat."""
        for socket in self._open:
            socket.close()
        self._open.clear()
        self._context.term()
