"""Run inference: `python -m processes.inference`."""

from __future__ import annotations

import asyncio
import os

from ipc.clock import real_ns
from ipc.journal import new_stream_uid
from ipc.messages import SessionStarted
from ipc.sockets import SchemaError
from processes.adapters.kalshi.auth.environments import Purpose, clock_of, target_of
from processes.inference.records import PRODUCER
from processes.inference.service import ActorService
from processes.inference.strategy import choice_of, differences, strategy_of
from processes.runtime.config import ConfigError, Settings
from processes.runtime.log import StdoutLog
from processes.runtime.run import run


async def main(settings: Settings, stop: asyncio.Event) -> None:
    """Wire one run and let it go until stopped."""
    log = StdoutLog(PRODUCER)
    policy, choice = strategy_of(settings), choice_of(settings.actor)
    target = target_of(settings, Purpose.DATA)
    log("strategy", model=policy.model, hash=policy.model_hash, enabled=settings.actor.enabled)
    for name, how in differences(policy, settings.actor).items():
        log("warning_differs_from_training", **{name: how})
    clock = await clock_of(settings, stop)
    stream = SessionStarted(
        session_uid=new_stream_uid(real_ns(), os.urandom(4)),
        environment=target.environment,
        websocket_url=target.ws_url,
        started_ns=clock.now_ns(),
    )
    try:
        await ActorService(settings, policy, choice, clock, stream, log).run(stop)
    except SchemaError as error:
        raise ConfigError(str(error)) from None


if __name__ == "__main__":
    run(PRODUCER, main)
