"""Asks the exchange for our place in the queue: soon after an order rests, then now and then.

One read tells of all resting orders of up to a hundred markets; who is at the front stays there and
is not asked for. Reads are `GAP` apart at least, so they take at most a fifth of the read bucket of
the lowest tier; creates and cancels have a bucket of their own. An exchange that does not answer,
or says 429, is asked less and less until it does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final, NoReturn

from processes.adapters.kalshi.errors import KalshiError
from processes.adapters.kalshi.rest.portfolio import QueuePosition
from processes.execution.ledger import Ledger
from processes.execution.reads import chunks
from processes.runtime.tasks import Backoff

__all__ = ["GAP", "UNANSWERED", "QueuePositions"]

GAP: Final = 0.25  # seconds between reads: 10 tokens of 200 a second each
UNANSWERED: Final = Backoff(first_s=GAP, longest_s=32.0)

Read = Callable[[list[str]], Awaitable[list[QueuePosition]]]


class QueuePositions:
    """Keeps what the ledger knows of queues about `interval` seconds old at most.

    `wanted` is set when an order rests of whose place nothing is known yet.
    """

    def __init__(
        self,
        ledger: Ledger,
        act: Callable[[], None],
        wanted: asyncio.Event,
        interval: float,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._ledger = ledger
        self._act = act
        self._wanted = wanted
        self._interval = interval
        self._sleep = sleep

    async def follow(self, read: Read) -> NoReturn:
        """Ask for ever; `read` may raise `KalshiError`."""
        failures = 0
        while True:
            pause = UNANSWERED.after(failures)
            await self._sleep(pause)
            await self._until_due(self._interval - pause)
            try:
                for number, tickers in enumerate(chunks(self._ledger.queued_markets())):
                    if number:
                        await self._sleep(GAP)
                    self._tell(await read(tickers))
                failures = 0
            except KalshiError:
                self._ledger.counters["queues_not_read"] += 1
                failures += 1

    async def _until_due(self, at_most: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(max(at_most, 0)):
                await self._wanted.wait()
        self._wanted.clear()

    def _tell(self, told: list[QueuePosition]) -> None:
        for position in told:
            self._ledger.on_queue(position.order_id, position.ahead_e2)
        self._ledger.counters["queues_read"] += 1
        self._act()
