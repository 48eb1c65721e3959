"""Which markets to follow: the configured ones, or the most traded open ones of the exchange."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from ipc.units import parse_count
from processes.adapters.kalshi.normalise import MarketInfo, market_of
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.schemas.enums import MarketStatus
from processes.adapters.kalshi.schemas.rest import Market
from processes.runtime.config import BookSettings
from processes.runtime.log import Log

__all__ = ["LIVING", "Discovery", "choose"]

MOST_TICKERS: Final = 100  # named in one request
LIVING: Final = frozenset({MarketStatus.INITIALIZED, MarketStatus.INACTIVE, MarketStatus.ACTIVE})


def _volume_e2(market: Market) -> int:
    return parse_count(market.volume_24h_fp or "0.00")


def choose(
    markets: Iterable[Market], limit: int, *, keep: Collection[str] = (), min_volume_e2: int = 0
) -> list[Market]:
    """The `limit` most traded of the last 24 hours, ties by ticker.

    Those to `keep` come first: a recording is worth more whole than of whoever leads today.
    """
    able = (m for m in markets if m.ticker in keep or _volume_e2(m) >= min_volume_e2)
    ranked = sorted(able, key=lambda m: (m.ticker not in keep, -_volume_e2(m), m.ticker))
    return ranked[:limit]


class Discovery:
    """`RL_MARKET_MODE`: `discovery` looks for open markets, `config` keeps to a list."""

    def __init__(self, client: KalshiTradingClient, settings: BookSettings, log: Log) -> None:
        self._client = client
        self._settings = settings
        self._log = log
        self._refused: set[str] = set()

    async def look(self, followed: Collection[str] = ()) -> list[MarketInfo]:
        """The markets wanted now, best first; `KalshiError` when the exchange does not say."""
        wanted = self._settings
        if wanted.mode == "config":
            found = await self._named()
        else:
            found = choose(
                await self._open(),
                wanted.market_limit,
                keep=followed,
                min_volume_e2=wanted.min_volume_e2,
            )
        return [info for m in found if (info := self._described(m)) is not None]

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()

    async def _named(self) -> list[Market]:
        """Those of the list that live, in its order."""
        found: dict[str, Market] = {}
        tickers = self._settings.tickers
        for at in range(0, len(tickers), MOST_TICKERS):
            page = await self._client.markets(tickers=tickers[at : at + MOST_TICKERS])
            self._say_unknown(tickers[at : at + MOST_TICKERS], {m.ticker for m in page})
            found.update({m.ticker: m for m in page if m.status in LIVING})
        return [found[ticker] for ticker in tickers if ticker in found]

    def _say_unknown(self, asked: Iterable[str], answered: Collection[str]) -> None:
        """One line for each market that was asked for by name and does not exist."""
        for ticker in asked:
            if ticker not in answered and ticker not in self._refused:
                self._refused.add(ticker)
                reason = "the exchange knows no such market; RL_MARKET_TICKERS names it"
                self._log("market_refused", ticker=ticker, reason=reason)

    async def _open(self) -> list[Market]:
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
