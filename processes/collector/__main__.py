"""Run the collector: `python -m processes.collector`."""

from __future__ import annotations

import socket
from functools import partial

import numpy as np

from processes.adapters.kalshi.auth.credentials import wait_for_credentials
from processes.adapters.kalshi.auth.environments import Purpose, clock_of, target_of
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.feed.session import PRODUCER, SessionFacts
from processes.collector.assembly import assemble
from processes.collector.discovery_process import fork_discovery
from processes.runtime.run import Run, run


async def main(discovery: socket.socket, this: Run) -> None:
    """Wire one run and let it go until stopped; `discovery` leads to the process beside it."""
    settings, log = this.settings, this.log
    target = target_of(settings, Purpose.DATA)
    signer = Signer(await wait_for_credentials(settings, this.stop, Purpose.DATA))
    clock = await clock_of(settings, this.stop)
    now_ns = clock.now_ns()
    uid = this.uid(now_ns)
    facts = SessionFacts(uid, target.environment, target.ws_url, now_ns)
    rng = np.random.default_rng()
    collector = assemble(
        settings, target, signer, clock, facts=facts, discovery=discovery, rng=rng, log=log
    )
    log("session_started", run_uid=uid, environment=target.environment)
    this.ready()
    await collector.run(this.stop)


if __name__ == "__main__":
    run(PRODUCER, partial(main, fork_discovery()))
