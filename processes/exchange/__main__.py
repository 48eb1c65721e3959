"""`python -m processes.exchange`: the local Kalshi-compatible exchange, alone or in the stack."""

from __future__ import annotations

import os
import uuid

from processes.adapters.kalshi.auth.environments import needs_local_exchange
from processes.exchange.service import serve
from processes.runtime.run import Run, run


async def main(this: Run) -> None:
    """Serve until stopped; end at once where no local exchange is needed."""
    if not needs_local_exchange(this.settings):
        this.log("exchange_not_needed", environment=this.settings.environment)
        return
    await serve(this, uuid.UUID(bytes=os.urandom(16)))


if __name__ == "__main__":
    run("exchange", main)
