"""Run the collector: `python -m processes.collector`."""

from __future__ import annotations

import asyncio
import os

import numpy as np

from ipc.journal import new_stream_uid
from processes.adapters.kalshi.auth.credentials import wait_for_credentials
from processes.adapters.kalshi.auth.environments import Purpose, clock_of, target_of
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.feed.session import PRODUCER, SessionFacts
from processes.collector.assembly import assemble
from processes.runtime.config import Settings
from processes.runtime.log import StdoutLog
from processes.runtime.run import run


async def main(settings: Settings, stop: asyncio.Event) -> None:
    """Wire one run and let it go until stopped."""
    log = StdoutLog(PRODUCER)
    target = target_of(settings, Purpose.DATA)
    signer = Signer(await wait_for_credentials(settings, stop, Purpose.DATA))
    clock = await clock_of(settings, stop)
    now_ns = clock.now_ns()
    uid = new_stream_uid(now_ns, os.urandom(4))
    facts = SessionFacts(uid, target.environment, target.ws_url, now_ns)
    rng = np.random.default_rng()
    collector = assemble(settings, target, signer, clock, facts=facts, rng=rng, log=log)
    log("started", session=uid, environment=target.environment)
    await collector.run(stop)


if __name__ == "__main__":
    run(PRODUCER, main)
