"""Public REST: status of the exchange, markets, books, events, series."""

from __future__ import annotations

from typing import Final

from aiohttp import web

from processes.exchange import market_views
from processes.exchange.house import HOUSE, answer, page
from processes.exchange.markets import Market
from processes.exchange.rejections import Rejection, bad_request

__all__ = ["routes"]

FILTERS: Final = ("unopened", "open", "paused", "closed", "settled")
MAX_BOOKS: Final = 100


async def exchange_status(_: web.Request) -> web.Response:
    """Always open."""
    return answer(
        {
            "exchange_active": True,
            "trading_active": True,
            "intra_exchange_transfers_active": True,
            "exchange_index_statuses": [
                {
                    "exchange_index": 0,
                    "description": "default",
                    "exchange_active": True,
                    "trading_active": True,
                    "intra_exchange_transfers_active": True,
                }
            ],
        }
    )


async def exchange_schedule(_: web.Request) -> web.Response:
    """No pauses."""
    return answer({"schedule": {"standard_hours": [], "maintenance_windows": []}})


def _names(request: web.Request, name: str) -> list[str]:
    """A list given as repeated parameters, as commas, or both."""
    values = request.query.getall(name, [])
    return [t for value in values for t in value.split(",") if t]


def _wanted(request: web.Request) -> list[Market]:
    query = request.query
    status = query.get("status", "")
    if status and status not in FILTERS:
        raise bad_request(f"invalid status: {status}")
    markets = list(request.app[HOUSE].venue.markets.values())
    tickers = _names(request, "tickers")
    if tickers:
        markets = [m for m in markets if m.ticker in tickers]
    if event := query.get("event_ticker"):
        markets = [m for m in markets if m.facts.event_ticker == event]
    if series := query.get("series_ticker"):
        markets = [m for m in markets if m.facts.series_ticker == series]
    return [m for m in markets if not status or m.status.filter == status]


async def list_markets(request: web.Request) -> web.Response:
    """All markets, filtered."""
    rows, cursor = page(_wanted(request), request.query, "GetMarkets")
    return answer({"markets": [market_views.market(m) for m in rows], "cursor": cursor})


async def get_market(request: web.Request) -> web.Response:
    """One market."""
    market = request.app[HOUSE].market(request.match_info["ticker"])
    return answer({"market": market_views.market(market)})


async def get_orderbook(request: web.Request) -> web.Response:
    """One book, `depth` levels a side, 0 for all."""
    raw = request.query.get("depth", "0")
    if not raw.isdecimal() or int(raw) > 100:
        raise Rejection.bare(
            400,
            "Parameter validation failed for GetMarketOrderbook: Key: "
            "'GetMarketOrderbookParams.Depth' Error:Field validation for 'Depth' failed on the "
            "'lte' tag",
        )
    market = request.app[HOUSE].market(request.match_info["ticker"])
    return answer({"orderbook_fp": market_views.orderbook(market.book, int(raw))})


async def get_orderbooks(request: web.Request) -> web.Response:
    """Several books at once."""
    house = request.app[HOUSE]
    tickers = _names(request, "tickers")
    if not 0 < len(tickers) <= MAX_BOOKS:
        raise bad_request(f"tickers: 1 to {MAX_BOOKS} are allowed")
    books = [
        {"ticker": t, "orderbook_fp": market_views.orderbook(house.market(t).book, 0)}
        for t in tickers
    ]
    return answer({"orderbooks": books})


def _by_event(request: web.Request) -> dict[str, list[Market]]:
    events: dict[str, list[Market]] = {}
    for market in request.app[HOUSE].venue.markets.values():
        events.setdefault(market.facts.event_ticker, []).append(market)
    return events


async def list_events(request: web.Request) -> web.Response:
    """All events."""
    nested = request.query.get("with_nested_markets") == "true"
    series = request.query.get("series_ticker")
    events = [
        market_views.event(ticker, markets, nested=nested)
        for ticker, markets in _by_event(request).items()
        if not series or markets[0].facts.series_ticker == series
    ]
    rows, cursor = page(events, request.query, "GetEvents", 200)
    return answer({"events": rows, "cursor": cursor})


async def get_event(request: web.Request) -> web.Response:
    """One event with its markets."""
    ticker = request.match_info["ticker"]
    markets = _by_event(request).get(ticker)
    if not markets:
        raise Rejection.nested(404, "not_found")
    nested = request.query.get("with_nested_markets") == "true"
    body = {"event": market_views.event(ticker, markets, nested=nested)}
    return answer(body if nested else body | {"markets": [market_views.market(m) for m in markets]})


async def get_series(request: web.Request) -> web.Response:
    """One series."""
    ticker = request.match_info["ticker"]
    found = [
        m for m in request.app[HOUSE].venue.markets.values() if m.facts.series_ticker == ticker
    ]
    if not found:
        raise Rejection.nested(404, "not_found")
    return answer({"series": market_views.series(ticker, found)})


def routes(base: str) -> list[web.RouteDef]:
    """All public routes."""
    return [
        web.get(f"{base}/exchange/status", exchange_status),
        web.get(f"{base}/exchange/schedule", exchange_schedule),
        web.get(f"{base}/markets", list_markets),
        web.get(f"{base}/markets/orderbooks", get_orderbooks),
        web.get(f"{base}/markets/{{ticker}}", get_market),
        web.get(f"{base}/markets/{{ticker}}/orderbook", get_orderbook),
        web.get(f"{base}/events", list_events),
        web.get(f"{base}/events/{{ticker}}", get_event),
        web.get(f"{base}/series/{{ticker}}", get_series),
    ]
