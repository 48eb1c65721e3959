"""Reads of our account over REST. They lag what happened, positions by about a second."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ipc.messages import ActorFill
from ipc.units import parse_count
from processes.adapters.kalshi.normalise import ExchangeOrder, fill_of, order_of
from processes.adapters.kalshi.rest.batch_types import QueuePosition
from processes.adapters.kalshi.rest.http import Params
from processes.adapters.kalshi.rest.order_types import Balance, Position, Settlement, amount
from processes.adapters.kalshi.rest.rate_budget import Call
from processes.adapters.kalshi.rest.resource import RestPart, segment
from processes.adapters.kalshi.schemas.rest import (
    BalanceReply,
    FillsPage,
    OrderReply,
    OrdersPage,
    PositionsPage,
    SettlementsPage,
)
from processes.adapters.kalshi.schemas.rest_batches import QueuePositionReply, QueuePositionsReply

__all__ = ["PortfolioPart"]

ORDERS: Final = "/portfolio/orders"


class PortfolioPart(RestPart):
    """Cash, positions, orders, fills, settlements."""

    async def balance(self) -> Balance:
        """Our cash. The exchange answers this once a second on the lower tiers."""
        path, params = "/portfolio/balance", Params(subaccount=self._subaccount)
        return Balance.of(await self._http.read(BalanceReply, path, params, call=Call.BALANCE))

    async def positions(self, ticker: str | None = None) -> list[Position]:
        """Positions that are not settled; they lag fills by about a second."""
        params: Params = {"ticker": ticker, "subaccount": self._subaccount}
        pages = self._pages(PositionsPage, "/portfolio/positions", params)
        return [Position.of(row) async for page in pages for row in page.market_positions]

    async def orders(
        self, *, status: str | None = "resting", ticker: str | None = None
    ) -> list[ExchangeOrder]:
        """Our orders; status: resting, canceled, executed, None for all of two weeks."""
        params: Params = {"status": status, "ticker": ticker, "subaccount": self._subaccount}
        pages = self._pages(OrdersPage, ORDERS, params)
        return [order_of(row) async for page in pages for row in page.orders]

    async def order(self, order_id: str) -> ExchangeOrder:
        """One order of ours; `NotFound`. It may lag a cancel for half a second."""
        path = f"{ORDERS}/{segment(order_id)}"
        reply = await self._http.read(OrderReply, path, call=Call.READ_ORDER)
        return order_of(reply.order)

    async def queue_positions(
        self, *, tickers: Iterable[str] | None = None, event_ticker: str | None = None
    ) -> list[QueuePosition]:
        """What stands before each of our resting orders, of some markets or of an event.

        Asked once: who follows a queue soon asks again, and knows better how soon.
        """
        params: Params = {
            "market_tickers": ",".join(tickers) if tickers is not None else None,
            "event_ticker": event_ticker,
            "subaccount": self._subaccount,
        }
        path = f"{ORDERS}/queue_positions"
        reply = await self._http.read(QueuePositionsReply, path, params, tries=1)
        return [QueuePosition.of(row) for row in reply.queue_positions]

    async def queue_position(self, order_id: str) -> int:
        """Hundredths of contracts that stand before one order; `NotFound`."""
        path = f"{ORDERS}/{segment(order_id)}/queue_position"
        reply = await self._http.read(QueuePositionReply, path)
        return amount(parse_count, reply.queue_position_fp)

    async def fills(
        self,
        *,
        min_ts: int | None = None,
        order_id: str | None = None,
        ticker: str | None = None,
    ) -> list[ActorFill]:
        """Our executions, newest first; `min_ts` in Unix seconds."""
        params: Params = {
            "min_ts": min_ts,
            "order_id": order_id,
            "ticker": ticker,
            "subaccount": self._subaccount,
        }
        pages = self._pages(FillsPage, "/portfolio/fills", params)
        return [fill_of(row) async for page in pages for row in page.fills]

    async def settlements(
        self, *, min_ts: int | None = None, ticker: str | None = None
    ) -> list[Settlement]:
        """What settled markets paid us."""
        params: Params = {"min_ts": min_ts, "ticker": ticker, "subaccount": self._subaccount}
        pages = self._pages(SettlementsPage, "/portfolio/settlements", params)
        return [Settlement.of(row) async for page in pages for row in page.settlements]
