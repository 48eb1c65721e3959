"""`python -m processes.exchange`: the local Kalshi-compatible exchange, alone or in the stack."""

from __future__ import annotations

import asyncio
import os
import uuid

from processes.adapters.kalshi.auth.environments import needs_local_exchange
from processes.exchange.service import serve
from processes.runtime.config import Settings
from processes.runtime.log import StdoutLog
from processes.runtime.run import run


async def main(settings: Settings, stop: asyncio.Event) -> None:
    """Serve until stopped; end at once where no process would connect to it."""
    log = StdoutLog("exchange")
    if not needs_local_exchange(settings):
        log("not_needed", environment=settings.environment)
        return
    await serve(settings, stop, log, uuid.UUID(bytes=os.urandom(16)))


if __name__ == "__main__":
    run("exchange", main)
