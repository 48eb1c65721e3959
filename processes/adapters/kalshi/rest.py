"""REST: what the exchange says and what we ask it to do. Amounts are integers on our side."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from typing import Any, Final, TypeVar
from urllib.parse import quote

import httpx
import msgspec
import numpy as np

from ipc.messages import ActorFill
from processes.adapters.kalshi.environments import KalshiTarget
from processes.adapters.kalshi.normalise import (
    ExchangeOrder,
    Levels,
    fill_of,
    levels_of_orderbook,
    order_of,
)
from processes.adapters.kalshi.orders import (
    AmendedOrder,
    AmendOrder,
    Balance,
    CanceledOrder,
    CreatedOrder,
    CreateOrder,
    Position,
    Settlement,
)
from processes.adapters.kalshi.rate_budget import Call, RateBudget
from processes.adapters.kalshi.signed_http import KalshiHttp, Params
from processes.adapters.kalshi.signing import Signer
from processes.adapters.kalshi.wire_rest import (
    AccountLimits,
    AmendReply,
    BalanceReply,
    CancelReply,
    CreateReply,
    ExchangeStatus,
    FillsPage,
    Market,
    MarketReply,
    MarketsPage,
    OrderbookReply,
    OrderReply,
    OrdersPage,
    PositionsPage,
    SettlementsPage,
)

__all__ = ["KalshiTradingClient"]

PAGE: Final = 1_000  # rows asked for at once, the exchange's limit
MAX_PAGES: Final = 1_000
ORDERS: Final = "/portfolio/orders"
EVENT_ORDERS: Final = "/portfolio/events/orders"  # where writes go since June 2026

Page = TypeVar("Page", MarketsPage, OrdersPage, FillsPage, PositionsPage, SettlementsPage)
_encoder: Final = msgspec.json.Encoder()


class KalshiTradingClient:
    """Everything that is asked over REST; errors are those of `processes.adapters.kalshi.errors`.

    Reads are repeated a few times with growing pauses; writes are sent once.
    """

    def __init__(
        self,
        target: KalshiTarget,
        signer: Signer,
        budget: RateBudget | None = None,
        *,
        seed: int = 0,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self.target = target
        self.budget = budget or RateBudget(sleep=sleep)
        rng = np.random.default_rng(seed)
        self._http = KalshiHttp(
            target, signer, self.budget, rng=rng, sleep=sleep, transport=transport
        )

    def sign_with(self, signer: Signer) -> None:
        """Use another key from the next request on; requests under way are not disturbed."""
        self._http.sign_with(signer)

    async def close(self) -> None:
        """Close the connections."""
        await self._http.close()

    async def __aenter__(self) -> KalshiTradingClient:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    async def exchange_status(self) -> ExchangeStatus:
        """Whether the exchange runs and trades."""
        return await self._http.read(ExchangeStatus, "/exchange/status")

    async def account_limits(self) -> AccountLimits:
        """Our rate limits; `budget.apply` takes them."""
        return await self._http.read(AccountLimits, "/account/limits")

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
        reply = await self._http.read(MarketReply, f"/markets/{_segment(ticker)}")
        return reply.market

    async def orderbook(self, ticker: str, depth: int = 0) -> Levels:
        """(sides, prices_e4, counts_e2) of the book, `depth` levels a leg, 0 all."""
        path = f"/markets/{_segment(ticker)}/orderbook"
        reply = await self._http.read(OrderbookReply, path, {"depth": depth})
        return levels_of_orderbook(reply, ticker)

    async def balance(self) -> Balance:
        """Our cash. The exchange answers this once a second on the lower tiers."""
        path = "/portfolio/balance"
        return Balance.of(await self._http.read(BalanceReply, path, call=Call.BALANCE))

    async def positions(self, ticker: str | None = None) -> list[Position]:
        """Positions that are not settled; they lag fills by about a second."""
        params: Params = {"ticker": ticker}
        pages = self._pages(PositionsPage, "/portfolio/positions", params)
        return [Position.of(row) async for page in pages for row in page.market_positions]

    async def orders(
        self, *, status: str | None = "resting", ticker: str | None = None
    ) -> list[ExchangeOrder]:
        """Our orders; status: resting, canceled, executed, None for all of two weeks."""
        pages = self._pages(OrdersPage, ORDERS, {"status": status, "ticker": ticker})
        return [order_of(row) async for page in pages for row in page.orders]

    async def order(self, order_id: str) -> ExchangeOrder:
        """One order of ours; `NotFound`. It may lag a cancel for half a second."""
        path = f"{ORDERS}/{_segment(order_id)}"
        reply = await self._http.read(OrderReply, path, call=Call.READ_ORDER)
        return order_of(reply.order)

    async def fills(
        self,
        *,
        min_ts: int | None = None,
        order_id: str | None = None,
        ticker: str | None = None,
    ) -> list[ActorFill]:
        """Our executions, newest first; `min_ts` in Unix seconds."""
        params: Params = {"min_ts": min_ts, "order_id": order_id, "ticker": ticker}
        pages = self._pages(FillsPage, "/portfolio/fills", params)
        return [fill_of(row) async for page in pages for row in page.fills]

    async def settlements(
        self, *, min_ts: int | None = None, ticker: str | None = None
    ) -> list[Settlement]:
        """What settled markets paid us."""
        params: Params = {"min_ts": min_ts, "ticker": ticker}
        pages = self._pages(SettlementsPage, "/portfolio/settlements", params)
        return [Settlement.of(row) async for page in pages for row in page.settlements]

    async def create_order(self, order: CreateOrder) -> CreatedOrder:
        """Send a new order, once. `OrderRejected`, or `UnknownOutcome`: then look it up."""
        body = _encoder.encode(order.body())

        def made(reply: CreateReply) -> CreatedOrder:
            return CreatedOrder.of(reply, order.client_order_id)

        return await self._http.write(
            CreateReply, made, Call.CREATE, "POST", EVENT_ORDERS, body=body
        )

    async def amend_order(self, order: AmendOrder) -> AmendedOrder:
        """Change a resting order; `NotFound` when it no longer rests."""
        path = f"{EVENT_ORDERS}/{_segment(order.order_id)}/amend"
        body = _encoder.encode(order.body())
        return await self._http.write(
            AmendReply, AmendedOrder.of, Call.AMEND, "POST", path, body=body
        )

    async def cancel_order(self, order_id: str, ticker: str) -> CanceledOrder:
        """Cancel; `NotFound` when it no longer rests. The market leads to its shard."""
        path = f"{EVENT_ORDERS}/{_segment(order_id)}"
        params: Params = {"market_ticker": ticker}
        return await self._http.write(
            CancelReply, CanceledOrder.of, Call.CANCEL, "DELETE", path, params=params
        )

    async def cancel_all(self) -> None:
        """Cancel all resting orders; orders of the next minute may be cancelled too."""
        await self._http.write(object, type, Call.CANCEL_ALL, "DELETE", EVENT_ORDERS)

    async def _pages(self, kind: type[Page], path: str, params: Params) -> AsyncIterator[Page]:
        """Every page; the end is an empty cursor or none. A cursor that repeats is an end too."""
        asked: dict[str, Any] = {**params, "limit": PAGE}
        for _ in range(MAX_PAGES):
            page = await self._http.read(kind, path, asked)
            yield page
            if not page.cursor or page.cursor == asked.get("cursor"):
                return
            asked["cursor"] = page.cursor


def _segment(text: str) -> str:
    return quote(text, safe="")
