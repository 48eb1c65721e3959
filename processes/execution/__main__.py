"""Run execution: `python -m processes.execution`."""

from __future__ import annotations

from ipc.clock import real_ns
from ipc.messages import Environment, SessionStarted
from ipc.shared_file import WriterActiveError
from processes.adapters.kalshi.auth.credentials import load_credentials
from processes.adapters.kalshi.auth.environments import REAL_MONEY, clock_of, target_of
from processes.execution.service import PRODUCER, ExecutionService
from processes.runtime.config import ConfigError
from processes.runtime.run import Run, run

SHADOW = "RL_EXECUTION_MODE=shadow: every intent is decided and recorded, nothing is sent"


async def main(this: Run) -> None:
    """Wire one run and let it go until stopped."""
    settings, log = this.settings, this.log
    target = target_of(settings)
    if target.environment is not Environment.SIMULATED:
        load_credentials(settings)  # a key that cannot be used ends this before any socket opens
    if settings.execution.is_shadow:
        log.warning("execution_mode_shadow", message=SHADOW, environment=target.environment)
    elif target.environment is Environment.PRODUCTION:
        facts = {"url": target.rest_url, "enabled": settings.actor.enabled}
        log.warning("real_money_at_risk", message=REAL_MONEY, **facts)
    clock = await clock_of(settings, this.stop)
    stream = SessionStarted(
        session_uid=this.uid(real_ns()),
        environment=target.environment,
        websocket_url=target.ws_url,
        started_ns=clock.now_ns(),
    )
    try:
        service = ExecutionService(settings, target, clock, stream, log)
    except WriterActiveError:
        raise ConfigError(
            f"RL_DATA_DIR={settings.data_dir}: another execution writes its table of accounts"
        ) from None
    this.ready()
    await service.run(this.stop)


if __name__ == "__main__":
    run(PRODUCER, main)
