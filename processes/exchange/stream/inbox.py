"""Commands of one connection on their way in: as they come, or as a test wants them treated."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from processes.exchange.admin.faults import CommandFaults

__all__ = ["Inbox", "shuffled"]

HOLD_S: Final = 0.05  # what comes within it is carried out in another order
# The order in which the exchange was seen to carry out twelve commands that came as 0 to 11.
SEEN: Final = (1, 3, 2, 5, 4, 0, 7, 8, 6, 11, 10, 9)

Data = str | bytes


def shuffled(commands: list[Data]) -> list[Data]:
    """Never as they came, where there are two; by twelves as it was seen."""
    found = []
    for start in range(0, len(commands), len(SEEN)):
        part = commands[start : start + len(SEEN)]
        found += [part[at] for at in SEEN if at < len(part)]
    return found


class Inbox:
    """Hands commands on to `handle`."""

    def __init__(self, faults: CommandFaults, handle: Callable[[Data], None]) -> None:
        self._faults = faults
        self._handle = handle
        self._held: list[Data] = []
        self._timer: asyncio.TimerHandle | None = None

    async def take(self, data: Data) -> None:
        """One command came."""
        if self._faults.halted:
            return
        if self._faults.delay_s:
            await self._be_late()
        if not self._faults.shuffled and not self._held:
            self._handle(data)
            return
        self._held.append(data)
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(HOLD_S, self._release)

    async def _be_late(self) -> None:
        self._faults.waiting += 1
        try:
            await asyncio.sleep(self._faults.delay_s)
        finally:
            self._faults.waiting -= 1

    def _release(self) -> None:
        held, self._held, self._timer = self._held, [], None
        for data in shuffled(held):
            self._handle(data)

    def close(self) -> None:
        """The connection is gone: nobody waits for an answer."""
        if self._timer is not None:
            self._timer.cancel()
