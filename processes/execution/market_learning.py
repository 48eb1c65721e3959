"""Follows the collector's session, and learns from REST the markets that it lists.

Grids and close times change while a market is traded, so a market is read again when it is listed
again, when a price was off its grid, and from time to time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection
from typing import Final, NoReturn

from ipc.clock import NS_PER_S, mono_ns
from ipc.messages import Environment, SessionInfo, TradingState, TradingStatus
from ipc.sockets import Subscriber
from processes.adapters.kalshi.errors import KalshiError, WireError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.schemas.normalise import MarketInfo, market_of
from processes.adapters.kalshi.schemas.rest_public import Market
from processes.execution.gateway import EffectRunner, chunks
from processes.execution.state import ExecutionState
from processes.runtime.log import Log

__all__ = ["MarketLearning"]

LOOK_PAUSE: Final = 0.1  # seconds between looks for markets to learn
RETRY_PAUSE: Final = 0.5  # seconds after a read that failed
RELEARN_S: Final = 60.0  # between reads of everything that is listed
OFF_GRID_S: Final = 5.0  # between reads because a price was off the grid that is known


class MarketLearning:
    """Two tasks: what the collector lists, and what REST says about it.

    Args:
        state: the markets and the session are put there.
        effects: to carry out what a new market brings.
        environment: in which data must be collected for its decisions to count.
        reconcile_soon: set when a new market was learned.
        ensure_groups: makes the order groups of these shards, before a market there is traded.
        log: of this run.
    """

    def __init__(
        self,
        state: ExecutionState,
        effects: EffectRunner,
        environment: Environment,
        reconcile_soon: asyncio.Event,
        ensure_groups: Callable[[Collection[int]], Awaitable[None]],
        log: Log,
    ) -> None:
        self._state = state
        self._effects = effects
        self._environment = environment
        self._reconcile_soon = reconcile_soon
        self._ensure_groups = ensure_groups
        self._log = log
        self._unlearned: set[str] = set()
        self._relearned_ns = self._off_grid_ns = mono_ns()

    async def follow_session(self, collector: Subscriber) -> NoReturn:
        """Take what the collector publishes of its session, and of whether the exchange trades."""
        while True:
            _, message = await collector.recv()
            if isinstance(message, SessionInfo):
                self._on_session(message)
            elif isinstance(message, TradingStatus):
                self._on_trading(message)

    def _on_trading(self, status: TradingStatus) -> None:
        """A change is compared with REST at once: a pause cancels orders, its end needs proof."""
        before = self._state.trading
        if self._state.on_trading(status):
            self._effects.act()
            self._reconcile_soon.set()
        if before is None or before.state is not status.state:
            trades = status.state is TradingState.TRADING
            (self._log if trades else self._log.warning)("trading_followed", state=status.state)

    def _on_session(self, session: SessionInfo) -> None:
        state, listed_before = self._state, self._state.listed
        state.session_uid = session.session_uid
        state.environment_ok = session.environment is self._environment
        state.listed = frozenset(session.markets)
        state.on_fees(session.fees)
        self._unlearned |= state.listed - (listed_before & state.grids.keys())

    async def run(self) -> NoReturn:
        """Read the price grids and close times of new markets, and of others when it is time."""
        while True:
            await asyncio.sleep(LOOK_PAUSE)
            self._add_due()
            client = self._effects.gateway.client
            if not self._unlearned or client is None:
                continue
            try:
                await self._learn(client)
            except KalshiError as error:
                self._log.warning("markets_not_read", error=error)
                await asyncio.sleep(RETRY_PAUSE)

    def _add_due(self) -> None:
        """What must be read again."""
        state, now_ns = self._state, mono_ns()
        if now_ns - self._relearned_ns > RELEARN_S * NS_PER_S:
            self._relearned_ns = now_ns
            self._unlearned |= state.listed
        if state.off_grid and now_ns - self._off_grid_ns > OFF_GRID_S * NS_PER_S:
            self._off_grid_ns = now_ns
            self._unlearned |= state.off_grid & state.grids.keys()
            state.off_grid.clear()

    async def _learn(self, client: KalshiTradingClient) -> None:
        for tickers in chunks(self._unlearned):
            markets, left_out = await client.markets(tickers=tickers)
            infos = [info for market in markets if (info := self._read(market)) is not None]
            await self._ensure_groups({info.exchange_index for info in infos})
            for info in infos:
                self._learn_market(info)
            if left_out:
                self._log("markets_left_out", count=left_out.count, error=left_out.reason)
            self._unlearned -= set(tickers)
        self._effects.act()

    def _read(self, market: Market) -> MarketInfo | None:
        """One whose grid or times cannot be read is not traded."""
        try:
            return market_of(market)
        except WireError as error:
            self._log("market_refused", ticker=market.ticker, error=error)
            return None

    def _learn_market(self, info: MarketInfo) -> None:
        """Follow one market."""
        if info.ticker not in self._state.accounts:
            self._reconcile_soon.set()
        facts = (info.close_ms, info.exchange_index, info.event_ticker)
        self._state.follow(info.ticker, info.grid, *facts)
