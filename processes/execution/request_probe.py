"""Does the exchange take this account's requests now? Asked all the time, so that it is never news.

Between two orders nothing may be asked for minutes; a clock that is off, a key that was revoked or
an exchange that answers no one would show with the first order that fails. The answer is for
`/rl/ready`; no order depends on it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NoReturn

from processes.adapters.kalshi.errors import ApiError, KalshiError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.rate_budget import OWN_BUDGET
from processes.runtime.log import Log

__all__ = ["RequestProbe"]

ASK_PAUSE: Final = 1.25  # seconds between two questions
PATIENCE: Final = 1.0  # seconds for an answer: with the pause and a report less than three


class RequestProbe:
    """One task.

    Args:
        client: Of the account, None while there is none.
        on_change: Called when the answer changes.
        log: Of this run; one line per change.

    Attributes:
        is_accepted: Whether the last request was answered; None before the first.
    """

    def __init__(
        self,
        client: Callable[[], KalshiTradingClient | None],
        on_change: Callable[[], None],
        log: Log,
    ) -> None:
        self.is_accepted: bool | None = None
        self._client = client
        self._on_change = on_change
        self._log = log

    async def run(self) -> NoReturn:
        """Ask for the account's limits, a small answer to a signed request, again and again."""
        while True:
            client = self._client()
            if client is not None:
                await self._ask(client)
            await asyncio.sleep(ASK_PAUSE)

    async def _ask(self, client: KalshiTradingClient) -> None:
        try:
            async with asyncio.timeout(PATIENCE):
                await client.account_limits(tries=1)
        except TimeoutError:
            self._note(f"no answer within {PATIENCE} s, of the exchange or the own rate budget")
        except KalshiError as error:
            if not (isinstance(error, ApiError) and error.code == OWN_BUDGET):  # nothing was asked
                self._note(str(error))
        else:
            self._note("")

    def _note(self, error: str) -> None:
        """`error` is "" where the exchange answered."""
        before, self.is_accepted = self.is_accepted, not error
        if before is self.is_accepted:
            return
        if error:
            self._log.warning("requests_not_accepted", error=error)
        elif before is False:
            self._log("requests_accepted_again")
        self._on_change()
