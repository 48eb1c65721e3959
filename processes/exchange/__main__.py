"""`python -m processes.exchange`: the local Kalshi-compatible exchange, alone or in the stack."""

from __future__ import annotations

import asyncio
import os
import uuid

from processes.exchange.service import serve
from processes.runtime.config import Settings
from processes.runtime.log import StdoutLog
from processes.runtime.run import run


async def main(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until stopped."""
    await serve(settings, stop, StdoutLog("exchange"), uuid.UUID(bytes=os.urandom(16)))


if __name__ == "__main__":
    run("exchange", main)
