"""How tests wait: for what takes a moment on an idle machine, and long on a busy one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Final

__all__ = ["PATIENCE", "eventually", "turns"]

PATIENCE: Final = 120.0  # seconds: what has not happened by then does not happen, on any machine
LOOK: Final = 0.03  # seconds between two looks


def eventually(check: Callable[[], Any], what: str, bound_s: float = PATIENCE) -> Any:
    """The first true answer; bounded, and never a figure."""
    deadline = time.monotonic() + bound_s
    while time.monotonic() < deadline:
        if answer := check():
            return answer
        time.sleep(LOOK)
    raise AssertionError(f"never happened: {what}")


async def turns(number: int = 50) -> None:
    """Let the event loop go round: what can run without waiting for time does so."""
    for _ in range(number):
        await asyncio.sleep(0)
