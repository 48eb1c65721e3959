"""Public REST: markets, books, trades."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from aiohttp import web

from processes.exchange.core.markets import Market
from processes.exchange.core.rejections import Rejection, bad_request
from processes.exchange.house import HOUSE, answer
from processes.exchange.rest import market_views
from processes.exchange.rest.pages import MARKET_PAGES, page
from processes.exchange.rest.query import names, span

__all__ = ["routes"]

FILTERS: Final = ("unopened", "open", "paused", "closed", "settled")
MAX_BOOKS: Final = 100
SPANS: Final = {  # of `min_..._ts` and `max_..._ts`: the states they may be asked with
    "created": ("", "unopened", "open"),
    "close": ("", "closed"),
    "settled": ("", "settled"),
    "updated": ("",),
}


def _wanted(request: web.Request) -> list[Market]:
    query = request.query
    status = query.get("status", "")
    if status and status not in FILTERS:
        raise bad_request(f"invalid status: {status}")
    _check_spans(request, status)
    markets = list(request.app[HOUSE].venue.markets.values())
    tickers = names(request, "tickers")
    if tickers:
        markets = [m for m in markets if m.ticker in tickers]
    if event := query.get("event_ticker"):
        markets = [m for m in markets if m.facts.event_ticker == event]
    if series := query.get("series_ticker"):
        markets = [m for m in markets if m.facts.series_ticker == series]
    if query.get("mve_filter") == "only":
        markets = []
    spans = {s: span(request, f"min_{s}_ts", f"max_{s}_ts") for s in SPANS}
    return [m for m in markets if (not status or m.status.filter == status) and _in_spans(m, spans)]


def _check_spans(request: web.Request, status: str) -> None:
    """Spans of times exclude each other, and each goes with some states only."""
    given = [s for s in SPANS if f"min_{s}_ts" in request.query or f"max_{s}_ts" in request.query]
    if len(given) > 1:
        raise bad_request(f"timestamp filters are mutually exclusive: {', '.join(given)}")
    if given and status not in SPANS[given[0]]:
        raise bad_request(f"status {status} does not go with {given[0]} timestamps")


def _in_spans(market: Market, spans: dict[str, Callable[[int], bool]]) -> bool:
    return (
        spans["created"](market.facts.open_ms)
        and spans["close"](market.facts.close_ms)
        and spans["settled"](market.settled_ms or 0)
        and spans["updated"](market.updated_ms)
    )


async def list_markets(request: web.Request) -> web.Response:
    """All markets, filtered."""
    rows, cursor = page(_wanted(request), request.query, "GetMarkets", MARKET_PAGES)
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
    tickers = names(request, "tickers")
    if not 0 < len(tickers) <= MAX_BOOKS:
        raise bad_request(f"tickers: 1 to {MAX_BOOKS} are allowed")
    books = [
        {"ticker": t, "orderbook_fp": market_views.orderbook(house.market(t).book, 0)}
        for t in tickers
    ]
    return answer({"orderbooks": books})


async def list_trades(request: web.Request) -> web.Response:
    """Public trades, newest first; none is a block trade."""
    house, ticker = request.app[HOUSE], request.query.get("ticker", "")
    least_ms, blocks = house.cutoff_ms(), request.query.get("is_block_trade") == "true"
    wanted = span(request)
    found = (
        t
        for t in house.venue.trades.newest_first(ticker)
        if not blocks and t.ts_ms >= least_ms and wanted(t.ts_ms)
    )
    rows, cursor = page(found, request.query, "GetTrades", MARKET_PAGES)
    return answer({"trades": [market_views.trade(t) for t in rows], "cursor": cursor})


def routes(base: str) -> list[web.RouteDef]:
    """All of it."""
    return [
        web.get(f"{base}/markets", list_markets),
        web.get(f"{base}/markets/trades", list_trades),
        web.get(f"{base}/markets/orderbooks", get_orderbooks),
        web.get(f"{base}/markets/{{ticker}}", get_market),
        web.get(f"{base}/markets/{{ticker}}/orderbook", get_orderbook),
    ]
