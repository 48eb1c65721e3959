"""The newest public trades, kept for `GET /markets/trades`."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Set
from typing import Final

from processes.exchange.core.events import Traded

__all__ = ["TradeHistory"]

KEPT_PER_MARKET: Final = 20_000
KEPT: Final = 200_000  # over all markets


class TradeHistory:
    """Every trade goes in; the oldest fall out."""

    def __init__(self) -> None:
        self._all: deque[Traded] = deque(maxlen=KEPT)
        self._by_ticker: dict[str, deque[Traded]] = {}

    def add(self, trade: Traded) -> None:
        """Note a trade."""
        ticker = trade.market.ticker
        if len(self._all) == KEPT:
            self._drop(self._all[0])
        if ticker not in self._by_ticker:
            self._by_ticker[ticker] = deque(maxlen=KEPT_PER_MARKET)
        self._by_ticker[ticker].append(trade)
        self._all.append(trade)

    def _drop(self, oldest: Traded) -> None:
        """What falls out of all falls out of its market, unless it has before."""
        kept = self._by_ticker.get(oldest.market.ticker)
        if kept and kept[0] is oldest:
            kept.popleft()

    def forget(self, tickers: Set[str]) -> None:
        """Keep no trade of these markets."""
        if tickers:
            kept = (t for t in self._all if t.market.ticker not in tickers)
            self._all = deque(kept, maxlen=KEPT)
        for ticker in tickers:
            self._by_ticker.pop(ticker, None)

    def __len__(self) -> int:
        return len(self._all)

    def newest_first(self, ticker: str = "") -> Iterator[Traded]:
        """Of one market, or of all."""
        return reversed(self._by_ticker.get(ticker, deque()) if ticker else self._all)
