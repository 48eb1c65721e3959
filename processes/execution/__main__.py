"""Run execution: `python -m processes.execution`."""

from __future__ import annotations

import asyncio
import os

from ipc.clock import real_ns
from ipc.journal import new_stream_uid
from ipc.messages import Environment, SessionStarted
from ipc.shared_file import WriterActiveError
from ipc.sockets import SchemaError
from processes.adapters.kalshi.auth.credentials import load_credentials
from processes.adapters.kalshi.auth.environments import REAL_MONEY, clock_of, target_of
from processes.execution.records import PRODUCER
from processes.execution.service import ExecutionService
from processes.runtime.config import ConfigError, Settings
from processes.runtime.log import StdoutLog
from processes.runtime.run import run


async def main(settings: Settings, stop: asyncio.Event) -> None:
    """Wire one run and let it go until stopped."""
    log = StdoutLog(PRODUCER)
    target = target_of(settings)
    if target.environment is not Environment.SIMULATED:
        load_credentials(settings)  # a key that cannot be used ends this before any socket opens
    if target.environment is Environment.PRODUCTION:
        log("WARNING_REAL_MONEY", what=REAL_MONEY, to=target.rest_url, on=settings.actor.enabled)
    clock = await clock_of(settings, stop)
    stream = SessionStarted(
        session_uid=new_stream_uid(real_ns(), os.urandom(4)),
        environment=target.environment,
        websocket_url=target.ws_url,
        started_ns=clock.now_ns(),
    )
    try:
        await ExecutionService(settings, target, clock, stream, log).run(stop)
    except SchemaError as error:
        raise ConfigError(str(error)) from None
    except WriterActiveError:
        raise ConfigError(
            f"RL_DATA_DIR={settings.data_dir}: another execution writes its table of accounts"
        ) from None


if __name__ == "__main__":
    run(PRODUCER, main)
