"""Asks the exchange for our place in the queue: soon after an order rests, then now and then.

One read reports all resting orders of up to a hundred markets; an order at the front stays there
and is not asked for. Reads are at least `GAP` apart, so they take at most a fifth of the read
bucket of the lowest tier; creates and cancels have a bucket of their own. An exchange that does not
answer, or says 429, is asked less and less until it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NoReturn

from ipc.clock import mono_ns
from processes.adapters.kalshi.errors import KalshiError
from processes.adapters.kalshi.rest.portfolio import QueuePosition
from processes.execution.gateway import chunks
from processes.execution.state import ExecutionState
from processes.runtime.tasks import Backoff

__all__ = ["GAP", "UNANSWERED", "QueuePositions"]

GAP: Final = 0.25  # seconds between reads: 10 tokens of 200 a second each
UNANSWERED: Final = Backoff(first_s=GAP, longest_s=32.0)

Read = Callable[[list[str]], Awaitable[list[QueuePosition]]]


class QueuePositions:
    """Keeps what is known of queues about `interval` seconds old at most.

    Args:
        state: places are applied to it.
        act: carries out the effects.
        wanted: set when an order rests of whose place nothing is known yet.
        interval: seconds between reads; 0 for none at all.
        sleep: the pause between reads.
    """

    def __init__(
        self,
        state: ExecutionState,
        act: Callable[[], None],
        wanted: asyncio.Event,
        interval: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._state = state
        self._act = act
        self._wanted = wanted
        self._interval = interval
        self._sleep = sleep

    async def follow(self, read: Read) -> NoReturn:
        """Read again and again; `read` may raise `KalshiError`."""
        if self._interval == 0:
            await asyncio.Event().wait()
        failures = 0
        while True:
            pause = UNANSWERED.after(failures)
            await self._sleep(pause)
            await self._until_due(self._interval - pause)
            try:
                for number, tickers in enumerate(chunks(self._state.queued_markets())):
                    if number:
                        await self._sleep(GAP)
                    asked_mono_ns = mono_ns()
                    self._apply(await read(tickers), asked_mono_ns)
                failures = 0
            except KalshiError:
                self._state.counters["queues_not_read"] += 1
                failures += 1

    async def _until_due(self, at_most: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(at_most, 0)):
                await self._wanted.wait()
        self._wanted.clear()

    def _apply(self, positions: list[QueuePosition], asked_mono_ns: int) -> None:
        for position in positions:
            self._state.on_queue(position.order_id, position.ahead_e2, asked_mono_ns)
        self._state.counters["queues_read"] += 1
        self._act()
