"""Follows the collector's session, and learns from REST the markets that it lists."""

from __future__ import annotations

import asyncio
from typing import Final, NoReturn

from ipc.messages import Environment, SessionInfo
from ipc.sockets import Subscriber
from processes.adapters.kalshi.errors import KalshiError, WireError
from processes.adapters.kalshi.normalise import market_of
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.schemas.rest_public import Market
from processes.execution.effects import EffectRunner
from processes.execution.gateway import chunks
from processes.execution.state import ExecutionState
from processes.runtime.log import Log

__all__ = ["MarketLearning"]

LOOK_PAUSE: Final = 0.1  # seconds between looks for markets to learn
RETRY_PAUSE: Final = 0.5  # seconds after a read that failed


class MarketLearning:
    """Two tasks: what the collector lists, and what REST says about it.

    Args:
        state: the markets and the session are put there.
        effects: to carry out what a new market brings.
        environment: in which data must be collected for its decisions to count.
        reconcile_soon: set when a market was learned.
        log: of this run.
    """

    def __init__(
        self,
        state: ExecutionState,
        effects: EffectRunner,
        environment: Environment,
        reconcile_soon: asyncio.Event,
        log: Log,
    ) -> None:
        self._state = state
        self._effects = effects
        self._environment = environment
        self._reconcile_soon = reconcile_soon
        self._log = log
        self._unlearned: set[str] = set()

    async def follow_session(self, collector: Subscriber) -> NoReturn:
        """Take what the collector publishes of its session."""
        while True:
            _, message = await collector.recv()
            if isinstance(message, SessionInfo):
                self._on_session(message)

    def _on_session(self, session: SessionInfo) -> None:
        state = self._state
        state.session_uid = session.session_uid
        state.environment_ok = session.environment is self._environment
        state.listed = frozenset(session.markets)
        self._unlearned |= state.listed - state.grids.keys()

    async def run(self) -> NoReturn:
        """Read the price grids and close times of new markets, then account for them."""
        while True:
            await asyncio.sleep(LOOK_PAUSE)
            client = self._effects.gateway.client
            if not self._unlearned or client is None:
                continue
            try:
                await self._learn(client)
            except KalshiError as error:
                self._log.warning("markets_not_read", error=error)
                await asyncio.sleep(RETRY_PAUSE)

    async def _learn(self, client: KalshiTradingClient) -> None:
        for tickers in chunks(self._unlearned):
            markets, left_out = await client.markets(tickers=tickers)
            for market in markets:
                self._learn_market(market)
            if left_out:
                self._log("markets_left_out", count=left_out.count, error=left_out.reason)
            self._unlearned -= set(tickers)
        self._effects.act()
        self._reconcile_soon.set()

    def _learn_market(self, market: Market) -> None:
        """Follow one market; one whose grid or times cannot be read is not traded."""
        try:
            info = market_of(market)
        except WireError as error:
            self._log("market_refused", ticker=market.ticker, error=error)
            return
        self._state.follow(info.ticker, info.grid, info.close_ms)
