"""What ended before the exchange's cutoff, two weeks ago: it is read under `/historical`."""

from __future__ import annotations

from ipc.messages import ActorFill
from processes.adapters.kalshi.normalise import ExchangeOrder, fill_of, order_of
from processes.adapters.kalshi.rest.http import Params
from processes.adapters.kalshi.rest.market_types import HistoryCutoff
from processes.adapters.kalshi.rest.resource import RestPart, segment
from processes.adapters.kalshi.schemas.rest import FillsPage, Market, MarketReply, OrdersPage
from processes.adapters.kalshi.schemas.rest_market_data import CutoffReply

__all__ = ["HistoryPart"]


class HistoryPart(RestPart):
    """Times are Unix seconds."""

    async def historical_cutoff(self) -> HistoryCutoff:
        """Since when live reads know fills, orders and markets."""
        return HistoryCutoff.of(await self._http.read(CutoffReply, "/historical/cutoff"))

    async def historical_orders(
        self, *, ticker: str | None = None, min_ts: int | None = None, max_ts: int | None = None
    ) -> list[ExchangeOrder]:
        """Our orders that ended before the cutoff, newest first."""
        params = self._span(ticker, min_ts, max_ts)
        pages = self._pages(OrdersPage, "/historical/orders", params)
        return [order_of(row) async for page in pages for row in page.orders]

    async def historical_fills(
        self, *, ticker: str | None = None, min_ts: int | None = None, max_ts: int | None = None
    ) -> list[ActorFill]:
        """Our executions before the cutoff, newest first."""
        params = self._span(ticker, min_ts, max_ts)
        pages = self._pages(FillsPage, "/historical/fills", params)
        return [fill_of(row) async for page in pages for row in page.fills]

    def _span(self, ticker: str | None, min_ts: int | None, max_ts: int | None) -> Params:
        span: Params = {"ticker": ticker, "min_ts": min_ts, "max_ts": max_ts}
        return span | {"subaccount": self._subaccount}

    async def historical_market(self, ticker: str) -> Market:
        """A market settled before the cutoff; `NotFound`."""
        reply = await self._http.read(MarketReply, f"/historical/markets/{segment(ticker)}")
        return reply.market
