"""Run the recorder: `python -m processes.recorder`."""

from __future__ import annotations

import asyncio
import os
from functools import partial

from processes.adapters.postgres.database import connect_when_migrated
from processes.adapters.postgres.location import dsn_of
from processes.recorder.service import Recorder
from processes.recorder.wires import open_wires
from processes.runtime.config import Settings
from processes.runtime.log import StdoutLog
from processes.runtime.run import run


async def main(settings: Settings, stop: asyncio.Event) -> None:
    """Wire the recorder to journals, doorbell and database."""
    connect = partial(connect_when_migrated, dsn_of(settings))
    recorder = Recorder(settings.data_dir, connect, StdoutLog("recorder"))
    wires = open_wires(settings.data_dir, settings.environ, os.getpid())
    helpers = [asyncio.create_task(job(recorder)) for job in (wires.listen, wires.tell)]
    try:
        await recorder.run(stop)
    finally:
        for helper in helpers:
            helper.cancel()
        await asyncio.gather(*helpers, return_exceptions=True)
        wires.close()


if __name__ == "__main__":
    run("recorder", main)
