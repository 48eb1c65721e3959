"""`python -m processes.broadcaster`: the dashboard and `/rl/ws`."""

from __future__ import annotations

from processes.broadcaster.service import NAME, Broadcaster
from processes.runtime.run import Run, run

__all__ = ["main"]


async def main(this: Run) -> None:
    """Serve until stopped; one line has the dashboard's URL."""
    broadcaster = Broadcaster(this.settings, this.log)
    this.ready()
    await broadcaster.run(this.stop, lambda address: this.log("dashboard_ready", url=address))


if __name__ == "__main__":
    run(NAME, main)
