"""Asks for the results that were not heard: of this run's markets, and of earlier runs'."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from ipc.clock import NS_PER_S, Clock, mono_ns
from processes.adapters.kalshi.errors import KalshiError, NotFound, WireError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.schemas.rest_public import Market
from processes.adapters.postgres.database import LOST
from processes.adapters.postgres.open_results import OpenResult
from processes.collector.results import Results
from processes.runtime.config import ConfigError
from processes.runtime.log import Log

__all__ = ["Outcomes"]

MOST: Final = 100  # markets named in one request
MOST_PAST: Final = 10  # of a look, which are asked for one by one
RECALL_NS: Final = 600 * NS_PER_S  # between two looks at what earlier runs left open

Recall = Callable[[], Awaitable[Sequence[OpenResult]]]


class Outcomes:
    """`look` again and again; `recall` says what is recorded without a last word."""

    def __init__(
        self,
        client: KalshiTradingClient,
        results: Results,
        recall: Recall,
        clock: Clock,
        log: Log,
    ) -> None:
        self._client = client
        self._results = results
        self._recall = recall
        self._clock = clock
        self._log = log
        self._recalled_ns: int | None = None
        self._away = False  # the database, and that has been said

    async def run(self, every_s: float) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """Ask about what is due; what cannot be asked now is due again."""
        if self._recalled_ns is None or mono_ns() - self._recalled_ns > RECALL_NS:
            await self._remember()
        asked_ns = self._clock.now_ns()
        due = self._results.due(asked_ns, MOST)
        if not due:
            return
        try:
            listing = await self._client.markets(tickers=due)
            found = {m.ticker: m for m in listing.items}
            for ticker in [t for t in due if t not in found][:MOST_PAST]:
                if market := await self._past(ticker):
                    found[ticker] = market
                else:
                    self._results.on_silence(ticker, asked_ns)
        except KalshiError as error:
            self._log.warning("results_not_read", error=error)
            return
        for market in found.values():
            self._take(market, asked_ns)

    async def _past(self, ticker: str) -> Market | None:
        """A market that is no longer on the list; None when the exchange knows of none."""
        try:
            return await self._client.historical_market(ticker)
        except NotFound:
            return None

    def _take(self, market: Market, asked_ns: int) -> None:
        now_ns = self._clock.now_ns()
        try:
            self._results.on_market(market, asked_ns, now_ns)
        except WireError as error:
            self._results.on_silence(market.ticker, now_ns)
            self._log.warning("result_refused", ticker=market.ticker, error=error)

    async def _remember(self) -> None:
        try:
            left_open = await self._recall()
        except (ConfigError, *LOST) as error:  # it starts beside us, or is away: not our trouble
            if not self._away:
                self._log.warning("results_not_recalled", error=f"{type(error).__name__}: {error}")
            self._away = True
            return
        self._recalled_ns, self._away = mono_ns(), False
        for market in left_open:
            self._results.expect(market.ticker, 0, market.heard)  # its close may have moved
