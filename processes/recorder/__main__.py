"""The recorder: `python -m processes.recorder`."""

from __future__ import annotations

import asyncio
import os
from functools import partial

import msgspec
import zmq.asyncio

from ipc.clock import mono_ns
from ipc.messages import ProcessStats
from ipc.sockets import Publisher, Puller, SchemaError
from processes.adapters.postgres.database import connect_when_migrated
from processes.adapters.postgres.location import dsn_of
from processes.recorder.service import Recorder
from processes.runtime.config import Settings
from processes.runtime.log import StdoutLog
from processes.runtime.run import run


async def main(settings: Settings, stop: asyncio.Event) -> None:
    """Wire the recorder to journals, doorbell and database."""
    context = zmq.asyncio.Context()
    place = (settings.data_dir, settings.environ)
    doorbell = Puller(context, "doorbell", *place)
    publisher = Publisher(context, "recorder", *place, life=os.getpid())
    connect = partial(connect_when_migrated, dsn_of(settings))
    recorder = Recorder(settings.data_dir, connect, StdoutLog("recorder"))
    helpers = (
        asyncio.create_task(_listen(doorbell, recorder)),
        asyncio.create_task(_publish(publisher, recorder)),
    )
    try:
        await recorder.run(stop)
    finally:
        for helper in helpers:
            helper.cancel()
        doorbell.close()
        publisher.close()


async def _listen(doorbell: Puller, recorder: Recorder) -> None:
    """A doorbell is only a hint; one that cannot be read is counted."""
    while True:
        try:
            await doorbell.recv()
        except (SchemaError, msgspec.MsgspecError):
            recorder.counters["doorbells_refused"] += 1
        recorder.bell.set()


async def _publish(publisher: Publisher, recorder: Recorder) -> None:
    while True:
        counters = dict(recorder.counters) | {"behind": recorder.behind}
        publisher.send(
            "stats", ProcessStats(process="recorder", mono_ns=mono_ns(), counters=counters)
        )
        await asyncio.sleep(1)


if __name__ == "__main__":
    run("recorder", main)
