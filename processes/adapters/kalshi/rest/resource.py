"""What every part of the REST client has: the way to the exchange, and pages."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any, Final, TypeVar
from urllib.parse import quote

from processes.adapters.kalshi.rest.http import KalshiHttp, Params
from processes.adapters.kalshi.schemas.rest import (
    FillsPage,
    MarketsPage,
    OrdersPage,
    PositionsPage,
    SettlementsPage,
)
from processes.adapters.kalshi.schemas.rest_market_data import EventFeeChangesPage, TradesPage
from processes.adapters.kalshi.schemas.rest_subaccounts import SubaccountTransfersPage

__all__ = ["EVENT_ORDERS", "RestPart", "segment"]

PAGE: Final = 1_000  # rows asked for at once, the exchange's limit
MAX_PAGES: Final = 1_000
EVENT_ORDERS: Final = "/portfolio/events/orders"  # where writes go since June 2026

Page = TypeVar(
    "Page",
    EventFeeChangesPage,
    FillsPage,
    MarketsPage,
    OrdersPage,
    PositionsPage,
    SettlementsPage,
    SubaccountTransfersPage,
    TradesPage,
)


class RestPart:
    """A part of the client; all of them share one connection pool, budget and key."""

    def __init__(self, http: KalshiHttp) -> None:
        self._http = http

    @property
    def _subaccount(self) -> int | None:
        """The one that the client acts for, None when it names none."""
        return self._http.subaccount

    async def _pages(self, kind: type[Page], path: str, params: Params) -> AsyncIterator[Page]:
        """Every page; the end is an empty cursor or none. A cursor that repeats is an end too."""
        asked: dict[str, Any] = {**params, "limit": PAGE}
        for _ in range(MAX_PAGES):
            page = await self._http.read(kind, path, asked)
            yield page
            if not page.cursor or page.cursor == asked.get("cursor"):
                return
            asked["cursor"] = page.cursor


def segment(text: str) -> str:
    """A piece of a path."""
    return quote(text, safe="")
