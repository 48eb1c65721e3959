"""The sockets of inference, opened and closed together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import zmq.asyncio

from ipc.sockets import Publisher, Pusher, Subscriber
from processes.inference.records import PRODUCER

__all__ = ["Wires", "open_wires"]


class Wires(NamedTuple):
    """What inference hears and says."""

    context: zmq.asyncio.Context
    collector: Subscriber
    publisher: Publisher
    intents: Pusher
    doorbell: Pusher

    def close(self) -> None:
        """Close all; what still waits has the sockets' linger to leave."""
        for socket in (self.collector, self.publisher, self.intents, self.doorbell):
            socket.close()
        self.context.term()


def open_wires(data_dir: Path, environ: Mapping[str, str], life: int) -> Wires:
    """Bind and connect; `life` tells this run's messages from an earlier one's."""
    context = zmq.asyncio.Context()
    return Wires(
        context,
        # Every topic: only so are the sender's numbers gapless and a lost trigger is counted.
        Subscriber(context, ["collector"], data_dir, environ),
        Publisher(context, PRODUCER, data_dir, environ, life),
        Pusher(context, "intents", data_dir, environ, life),
        Pusher(context, "doorbell", data_dir, environ, life),
    )
