"""A broadcaster in this process, on a free port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from processes.broadcaster.service import Broadcaster
from processes.runtime.config import load_settings
from processes.runtime.log import no_log

__all__ = ["broadcasting", "environ_of"]


def environ_of(data_dir: Path, **more: str) -> dict[str, str]:
    """Settings of a broadcaster that is quick about books."""
    return {
        "RL_DATA_DIR": str(data_dir),
        "RL_BROADCASTER_PORT": "0",
        "RL_BROADCASTER_BOOK_INTERVAL_MS": "20",
        **more,
    }


@asynccontextmanager
async def broadcasting(data_dir: Path, **more: str) -> AsyncIterator[tuple[Broadcaster, str]]:
    """(the broadcaster, its address) while it serves."""
    broadcaster = Broadcaster(load_settings(environ_of(data_dir, **more)), no_log())
    stop = asyncio.Event()
    address: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(broadcaster.run(stop, address.set_result))
    try:
        await asyncio.wait((serving, address), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            serving.result()
        yield broadcaster, address.result()
    finally:
        stop.set()
        await serving
