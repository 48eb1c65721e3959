"""The sockets of execution, opened and closed together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import zmq.asyncio

from ipc.sockets import Publisher, Puller, Pusher, Subscriber
from processes.execution.records import PRODUCER

__all__ = ["Wires", "open_wires"]


class Wires(NamedTuple):
    """What execution hears and says. `intents` is bounded: beyond it inference is refused."""

    context: zmq.asyncio.Context
    collector: Subscriber
    intents: Puller
    publisher: Publisher
    doorbell: Pusher

    def close(self) -> None:
        """Close all; what still waits has the sockets' linger to leave."""
        for socket in (self.collector, self.intents, self.publisher, self.doorbell):
            socket.close()
        self.context.term()


def open_wires(data_dir: Path, environ: Mapping[str, str], life: int) -> Wires:
    """Bind and connect; `life` tells this run's messages from an earlier one's."""
    context = zmq.asyncio.Context()
    return Wires(
        context,
        Subscriber(context, ["collector"], data_dir, environ, ("session",)),
        Puller(context, "intents", data_dir, environ),
        Publisher(context, PRODUCER, data_dir, environ, life),
        Pusher(context, "doorbell", data_dir, environ, life),
    )
