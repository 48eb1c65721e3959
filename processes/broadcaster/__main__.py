"""`python -m processes.broadcaster`: the dashboard and `/rl/ws`."""

from __future__ import annotations

import asyncio
import sys

from processes.broadcaster.service import Broadcaster
from processes.runtime.config import Settings
from processes.runtime.run import run

__all__ = ["main"]


async def main(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until stopped."""
    await Broadcaster(settings).run(stop, _announce)


def _announce(address: str) -> None:
    """The one line that tells where to look."""
    sys.stdout.write(f"dashboard {address}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    run("broadcaster", main)
