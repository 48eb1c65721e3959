"""The public part of REST: the exchange, its markets, books, trades, series; and our limits."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from processes.adapters.kalshi.normalise import Levels, levels_of_orderbook
from processes.adapters.kalshi.rest.http import Params
from processes.adapters.kalshi.rest.market_types import (
    CallCosts,
    EventFeeChange,
    FeeChange,
    PublicTrade,
    Schedule,
    Series,
)
from processes.adapters.kalshi.rest.resource import RestPart, segment
from processes.adapters.kalshi.schemas.rest import (
    AccountLimits,
    ExchangeStatus,
    Market,
    MarketReply,
    MarketsPage,
    OrderbookReply,
)
from processes.adapters.kalshi.schemas.rest_market_data import (
    CostsReply,
    EventFeeChangesPage,
    FeeChangesReply,
    OrderbooksReply,
    ScheduleReply,
    SeriesReply,
    TradesPage,
)

__all__ = ["PublicPart"]

MOST_BOOKS: Final = 100  # of one request, the exchange's limit


class PublicPart(RestPart):
    """Reads that need no account, but for `account_limits`."""

    async def exchange_status(self) -> ExchangeStatus:
        """Whether the exchange runs and trades; an exchange that is down says so with a 5xx."""
        return await self._http.read(ExchangeStatus, "/exchange/status", told_by_5xx=True)

    async def exchange_schedule(self) -> Schedule:
        """When it is open, and which pauses are announced."""
        return Schedule.of(await self._http.read(ScheduleReply, "/exchange/schedule"))

    async def account_limits(self) -> AccountLimits:
        """Our rate limits; `budget.apply` takes them."""
        return await self._http.read(AccountLimits, "/account/limits")

    async def endpoint_costs(self) -> CallCosts:
        """What calls cost in tokens."""
        return CallCosts.of(await self._http.read(CostsReply, "/account/endpoint_costs"))

    async def markets(
        self,
        *,
        status: str | None = None,
        tickers: Iterable[str] | None = None,
        series_ticker: str | None = None,
        event_ticker: str | None = None,
        limit: int | None = None,
    ) -> list[Market]:
        """Markets, all pages or until there are `limit`; status: unopened, open, closed, ..."""
        params: Params = {
            "status": status,
            "tickers": ",".join(tickers) if tickers is not None else None,
            "series_ticker": series_ticker,
            "event_ticker": event_ticker,
        }
        found: list[Market] = []
        async for page in self._pages(MarketsPage, "/markets", params):
            found += page.markets
            if limit is not None and len(found) >= limit:
                return found[:limit]
        return found

    async def market(self, ticker: str) -> Market:
        """One market; `NotFound`."""
        reply = await self._http.read(MarketReply, f"/markets/{segment(ticker)}")
        return reply.market

    async def orderbook(self, ticker: str, depth: int = 0) -> Levels:
        """(sides, prices_e4, counts_e2) of the book, `depth` levels a leg, 0 all."""
        path = f"/markets/{segment(ticker)}/orderbook"
        reply = await self._http.read(OrderbookReply, path, {"depth": depth})
        return levels_of_orderbook(reply.orderbook_fp, ticker)

    async def orderbooks(self, tickers: Iterable[str]) -> dict[str, Levels]:
        """The whole books of many markets, a hundred a request; unknown markets are left out."""
        found: dict[str, Levels] = {}
        wanted = list(tickers)
        for at in range(0, len(wanted), MOST_BOOKS):
            params: Params = {"tickers": wanted[at : at + MOST_BOOKS]}
            reply = await self._http.read(OrderbooksReply, "/markets/orderbooks", params)
            for row in reply.orderbooks:
                found[row.ticker] = levels_of_orderbook(row.orderbook_fp, row.ticker)
        return found

    async def trades(
        self,
        *,
        ticker: str | None = None,
        min_ts: int | None = None,
        max_ts: int | None = None,
        limit: int | None = None,
    ) -> list[PublicTrade]:
        """Everybody's executions, newest first, all pages or `limit`; times in Unix seconds."""
        params: Params = {"ticker": ticker, "min_ts": min_ts, "max_ts": max_ts}
        found: list[PublicTrade] = []
        async for page in self._pages(TradesPage, "/markets/trades", params):
            found += [PublicTrade.of(row) for row in page.trades]
            if limit is not None and len(found) >= limit:
                return found[:limit]
        return found

    async def series(self, series_ticker: str) -> Series:
        """A series and its fees; `NotFound`."""
        reply = await self._http.read(SeriesReply, f"/series/{segment(series_ticker)}")
        return Series.of(reply.series)

    async def series_fee_changes(
        self, series_ticker: str | None = None, *, past: bool = False
    ) -> list[FeeChange]:
        """Fees to come, and with `past` those that came."""
        params: Params = {
            "series_ticker": series_ticker,
            "show_historical": "true" if past else None,
        }
        reply = await self._http.read(FeeChangesReply, "/series/fee_changes", params)
        return [FeeChange.of(row) for row in reply.series_fee_change_arr]

    async def event_fee_changes(self, event_ticker: str | None = None) -> list[EventFeeChange]:
        """Fees to come that an event has of its own."""
        params: Params = {"event_ticker": event_ticker}
        pages = self._pages(EventFeeChangesPage, "/events/fee_changes", params)
        return [EventFeeChange.of(row) async for page in pages for row in page.event_fee_changes]
