"""REST of what ended before the historical cutoff, two weeks ago by market time."""

from __future__ import annotations

from aiohttp import web

from processes.exchange.core.markets import MarketStatus
from processes.exchange.core.orders import Status
from processes.exchange.core.rejections import Rejection
from processes.exchange.house import HOUSE, answer, asked
from processes.exchange.rest import market_views, views
from processes.exchange.rest.pages import MARKET_PAGES, page
from processes.exchange.rest.query import names, span, subaccount

__all__ = ["routes"]


async def orders(request: web.Request) -> web.Response:
    """An account's orders that were canceled or executed long ago, newest first."""
    house, asker = asked(request)
    accounts = asker.accounts(subaccount(request))
    tickers, cutoff_ms = names(request, "ticker"), house.cutoff_ms()
    wanted = span(request)
    found = [
        o
        for o in reversed(house.desk.orders.values())
        if o.account in accounts
        and o.status is not Status.RESTING
        and o.updated_ms < cutoff_ms
        and (not tickers or o.ticker in tickers)
        and wanted(o.created_ms)
    ]
    rows, cursor = page(found, request.query, "GetHistoricalOrders")
    return answer({"orders": [views.order(o) for o in rows], "cursor": cursor})


async def fills(request: web.Request) -> web.Response:
    """An account's fills of long ago, newest first."""
    house, asker = asked(request)
    numbers = {a.number for a in asker.accounts(subaccount(request))}
    tickers, cutoff_ms = names(request, "ticker"), house.cutoff_ms()
    wanted = span(request)
    found = [
        f
        for f in reversed(house.desk.fills[asker.member.user_id])
        if f.subaccount in numbers
        and f.ts_ms < cutoff_ms
        and (not tickers or f.ticker in tickers)
        and wanted(f.ts_ms)
    ]
    rows, cursor = page(found, request.query, "GetFillsHistorical")
    return answer({"fills": [views.fill(f) for f in rows], "cursor": cursor})


async def positions(request: web.Request) -> web.Response:
    """None: settled positions stay with the live ones here."""
    _, asker = asked(request)
    asker.account(subaccount(request))
    return answer({"market_positions": [], "event_positions": [], "cursor": ""})


async def trades(request: web.Request) -> web.Response:
    """Public trades of long ago, newest first."""
    house, ticker = request.app[HOUSE], request.query.get("ticker", "")
    cutoff_ms = house.cutoff_ms()
    wanted = span(request)
    found = [
        t
        for t in house.venue.trades.newest_first(ticker)
        if t.ts_ms < cutoff_ms and wanted(t.ts_ms)
    ]
    rows, cursor = page(found, request.query, "GetTradesHistorical", MARKET_PAGES)
    return answer({"trades": [market_views.trade(t) for t in rows], "cursor": cursor})


async def markets(request: web.Request) -> web.Response:
    """Markets that settled long ago."""
    house, tickers = request.app[HOUSE], names(request, "tickers")
    cutoff_ms = house.cutoff_ms()
    found = [
        m
        for m in house.venue.markets.values()
        if m.status is MarketStatus.FINALIZED
        and (m.settled_ms or 0) < cutoff_ms
        and (not tickers or m.ticker in tickers)
        and request.query.get("event_ticker", "") in ("", m.facts.event_ticker)
        and request.query.get("series_ticker", "") in ("", m.facts.series_ticker)
    ]
    rows, cursor = page(found, request.query, "GetHistoricalMarkets", MARKET_PAGES)
    return answer({"markets": [market_views.market(m) for m in rows], "cursor": cursor})


async def market(request: web.Request) -> web.Response:
    """One of them."""
    house = request.app[HOUSE]
    found = house.market(request.match_info["ticker"])
    if found.settled_ms is None or found.settled_ms >= house.cutoff_ms():
        raise Rejection.nested(404, "not_found")
    return answer({"market": market_views.market(found)})


def routes(base: str) -> list[web.RouteDef]:
    """All of it."""
    history = f"{base}/historical"
    return [
        web.get(f"{history}/orders", orders),
        web.get(f"{history}/fills", fills),
        web.get(f"{history}/positions", positions),
        web.get(f"{history}/trades", trades),
        web.get(f"{history}/markets", markets),
        web.get(f"{history}/markets/{{ticker}}", market),
    ]
