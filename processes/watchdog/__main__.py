"""Run the watchdog: `python -m processes.watchdog`."""

from __future__ import annotations

from ipc.messages import Environment
from processes.adapters.kalshi.auth.credentials import load_credentials
from processes.adapters.kalshi.auth.environments import target_of
from processes.runtime.run import Run, run
from processes.watchdog.service import NAME, Watchdog


async def main(this: Run) -> None:
    """Wire one run and let it go until stopped."""
    target = target_of(this.settings)
    if target.environment is not Environment.SIMULATED:
        load_credentials(this.settings)  # a key that cannot be used ends this at once
    watchdog = Watchdog(this.settings, target, this.number, this.log)
    this.ready()
    await watchdog.run(this.stop)


if __name__ == "__main__":
    run(NAME, main)
