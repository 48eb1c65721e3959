"""Run the recorder: `python -m processes.recorder`."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from processes.adapters.postgres.database import connect_when_migrated
from processes.adapters.postgres.location import dsn_of
from processes.recorder.service import NAME, Recorder
from processes.runtime.log import Log
from processes.runtime.run import Run, run
from processes.runtime.wires import Wires


def _waits(log: Log) -> Callable[[str], None]:
    return lambda reason: log.warning("db_waiting", error=reason)


async def main(this: Run) -> None:
    """Wire the recorder to journals, doorbell and database."""
    settings = this.settings
    connect = partial(connect_when_migrated, dsn_of(settings), on_wait=_waits(this.log))
    wires = Wires(settings.data_dir, settings.environ, this.number)
    recorder = Recorder(settings.data_dir, connect, wires, this.log)
    this.ready()
    await recorder.run(this.stop)


if __name__ == "__main__":
    run(NAME, main)
