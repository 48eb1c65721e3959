"""Run inference: `python -m processes.inference`."""

from __future__ import annotations

from ipc.clock import real_ns
from ipc.messages import SessionStarted
from processes.adapters.kalshi.auth.environments import Purpose, clock_of, target_of
from processes.inference.models import choice_of, differences, strategy_of
from processes.inference.service import PRODUCER, ActorService
from processes.runtime.run import Run, run


async def main(this: Run) -> None:
    """Wire one run and run it until stopped."""
    settings, log = this.settings, this.log
    policy, choice = strategy_of(settings), choice_of(settings.actor)
    target = target_of(settings, Purpose.DATA)
    log(
        "strategy_loaded",
        model=policy.model,
        model_hash=policy.model_hash,
        enabled=settings.actor.enabled,
    )
    for name, how in differences(policy, settings.actor).items():
        log.warning("settings_differ_from_training", **{name: how})
    clock = await clock_of(settings, this.stop)
    started = SessionStarted(
        session_uid=this.uid(real_ns()),
        environment=target.environment,
        websocket_url=target.ws_url,
        started_ns=clock.now_ns(),
    )
    service = ActorService(settings, policy, choice, clock, started, log)
    this.ready()
    await service.run(this.stop)


if __name__ == "__main__":
    run(PRODUCER, main)
