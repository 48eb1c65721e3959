"""Which markets to follow: the configured ones, or the most traded open ones of the exchange."""

from __future__ import annotations

from collections.abc import Iterable

from ipc.units import parse_count
from processes.adapters.kalshi.normalise import MarketInfo, market_of
from processes.adapters.kalshi.rest import KalshiTradingClient
from processes.adapters.kalshi.wire_rest import Market
from processes.runtime.config import BookSettings
from processes.runtime.log import Log

__all__ = ["Discovery", "choose"]


def choose(markets: Iterable[Market], limit: int) -> list[Market]:
    """The `limit` most traded of the last 24 hours, ties by ticker."""
    ranked = sorted(markets, key=lambda m: (-parse_count(m.volume_24h_fp or "0.00"), m.ticker))
    return ranked[:limit]


class Discovery:
    """`RL_MARKET_MODE`: `discovery` looks for open markets, `config` keeps to a list."""

    def __init__(self, client: KalshiTradingClient, settings: BookSettings, log: Log) -> None:
        self._client = client
        self._settings = settings
        self._log = log
        self._refused: set[str] = set()

    async def look(self) -> list[MarketInfo]:
        """The markets wanted now, best first; `KalshiError` when the exchange does not say."""
        found = choose(await self._open(), self._settings.market_limit)
        return [info for m in found if (info := self._described(m)) is not None]

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()

    async def _open(self) -> list[Market]:
        if self._settings.mode == "config":
            return await self._client.markets(tickers=self._settings.tickers)
        if not self._settings.series:
            return await self._client.markets(status="open")
        found: list[Market] = []
        for series in self._settings.series:
            found += await self._client.markets(status="open", series_ticker=series)
        return found

    def _described(self, market: Market) -> MarketInfo | None:
        try:
            return market_of(market)
        except ValueError as error:
            if market.ticker not in self._refused:
                self._refused.add(market.ticker)
                self._log("market_refused", ticker=market.ticker, reason=error)
            return None
