"""Everything the servers of this exchange share, and one helper for all of its HTTP answers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from aiohttp import web

from processes.exchange.auth import Authenticator
from processes.exchange.desk import Desk
from processes.exchange.faults import Faults
from processes.exchange.hub import Hub
from processes.exchange.ledger import Account
from processes.exchange.market_time import MarketTime
from processes.exchange.markets import Market
from processes.exchange.rejections import Rejection
from processes.exchange.venue import Venue

__all__ = ["HOUSE", "House", "answer", "page"]

MAX_LIMIT: Final = 1_000


class House:
    """The running exchange."""

    def __init__(
        self, venue: Venue, desk: Desk, hub: Hub, time: MarketTime, auth: Authenticator
    ) -> None:
        self.venue = venue
        self.desk = desk
        self.hub = hub
        self.time = time
        self.auth = auth
        self.faults = Faults()

    def account(self, request: web.Request) -> Account:
        """Who asks; also brings expiries up to date."""
        account = self.auth.account(request.headers, request.method, request.path)
        self.desk.expire(self.venue.now_ms())
        return account

    def market(self, ticker: str) -> Market:
        """A market by ticker; `Rejection` when there is none."""
        market = self.venue.markets.get(ticker)
        if market is None:
            raise Rejection.nested(404, "not_found")
        return market


HOUSE: Final = web.AppKey("house", House)


def answer(body: Any, status: int = 200) -> web.Response:
    """A JSON answer."""
    return web.Response(
        body=msgspec.json.encode(body), status=status, content_type="application/json"
    )


def page(
    rows: list[Any], query: Mapping[str, str], operation: str, most: int = MAX_LIMIT
) -> tuple[list[Any], str]:
    """(rows of this page, cursor of the next, empty at the end); a garbage cursor is page one."""
    limit = _limit(query, operation, most)
    cursor = query.get("cursor", "")
    start = int(cursor) if cursor.isdecimal() else 0
    end = start + limit
    return rows[start:end], str(end) if end < len(rows) else ""


def _limit(query: Mapping[str, str], operation: str, most: int) -> int:
    raw = query.get("limit", "")
    if not raw:
        return min(most, 100)
    if not raw.lstrip("-").isdecimal():
        raise Rejection.bare(
            400,
            f"Parameter validation failed for {operation}: "
            f"Invalid format for parameter limit: {raw!r}",
        )
    limit = int(raw)
    tag = "gte" if limit < 0 else "lte" if limit > most else ""
    if tag:
        raise Rejection.bare(
            400,
            f"Parameter validation failed for {operation}: Key: '{operation}Params.Limit' "
            f"Error:Field validation for 'Limit' failed on the '{tag}' tag",
        )
    return limit or min(most, 100)
