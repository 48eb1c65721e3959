"""The sockets of the recorder: the doorbell that it hears, the counters that it tells."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

import msgspec
import zmq.asyncio

from ipc.clock import mono_ns
from ipc.messages import ProcessStats
from ipc.sockets import Publisher, Puller, SchemaError
from processes.recorder.service import Recorder

__all__ = ["Wires", "open_wires"]

TELL_S: Final = 1.0


class Wires(NamedTuple):
    """What the recorder hears and says."""

    context: zmq.asyncio.Context
    doorbell: Puller
    publisher: Publisher

    async def listen(self, recorder: Recorder) -> None:
        """A doorbell is only a hint; one that cannot be read is counted."""
        while True:
            try:
                await self.doorbell.recv()
            except (SchemaError, msgspec.MsgspecError):
                recorder.counters["doorbells_refused"] += 1
            recorder.bell.set()

    async def tell(self, recorder: Recorder) -> None:
        """Publish the counters, again and again."""
        while True:
            counters = dict(recorder.counters) | {"behind": recorder.behind}
            stats = ProcessStats(process="recorder", mono_ns=mono_ns(), counters=counters)
            self.publisher.send("stats", stats)
            await asyncio.sleep(TELL_S)

    def close(self) -> None:
        """Close all; what still waits has the sockets' linger to leave."""
        self.doorbell.close()
        self.publisher.close()
        self.context.term()


def open_wires(data_dir: Path, environ: Mapping[str, str], life: int) -> Wires:
    """Bind; `life` tells this run's messages from an earlier one's."""
    context = zmq.asyncio.Context()
    return Wires(
        context,
        Puller(context, "doorbell", data_dir, environ),
        Publisher(context, "recorder", data_dir, environ, life),
    )
