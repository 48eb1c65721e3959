"""Public REST of series and events, and of what they will charge."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from processes.exchange.core.markets import ListedMarket
from processes.exchange.core.operations import ScheduledFeeChange
from processes.exchange.core.rejections import Rejection, bad_request
from processes.exchange.rest import bodies
from processes.exchange.rest.requests import EVENT_PAGES, names, number, page
from processes.exchange.shared.state import STATE, answer
from processes.exchange.stream.frames import iso_ms

__all__ = ["routes"]

FILTERS = ("unopened", "open", "closed", "settled")


def _grouped(request: web.Request, name: str) -> dict[str, list[ListedMarket]]:
    """Markets by their event's or their series' ticker."""
    groups: dict[str, list[ListedMarket]] = {}
    for market in request.app[STATE].venue.markets.values():
        groups.setdefault(getattr(market.facts, name), []).append(market)
    return groups


def _event(
    request: web.Request, ticker: str, markets: list[ListedMarket], nested: bool
) -> dict[str, Any]:
    body = bodies.event(ticker, markets, nested=nested)
    override = request.app[STATE].fees.override_of(ticker)
    if override is not None:
        body["fee_type_override"] = override.fee_type
        body["fee_multiplier_override"] = (override.multiplier_e4 or 0) / 10_000
    return body


async def list_events(request: web.Request) -> web.Response:
    """All events, filtered."""
    nested = request.query.get("with_nested_markets") == "true"
    series, status = request.query.get("series_ticker"), request.query.get("status", "")
    if status and status not in FILTERS:
        raise bad_request(f"invalid status: {status}")
    tickers, min_close = names(request, "tickers"), number(request, "min_close_ts")
    found = [
        (ticker, markets)
        for ticker, markets in _grouped(request, "event_ticker").items()
        if (not series or markets[0].facts.series_ticker == series)
        and (not tickers or ticker in tickers)
        and (not status or any(m.status.filter == status for m in markets))
        and (min_close is None or any(m.facts.close_ms >= min_close * 1000 for m in markets))
    ]
    rows, cursor = page(found, request.query, "GetEvents", EVENT_PAGES)
    return answer({"events": [_event(request, t, ms, nested) for t, ms in rows], "cursor": cursor})


async def get_event(request: web.Request) -> web.Response:
    """One event with its markets."""
    ticker = request.match_info["ticker"]
    markets = _grouped(request, "event_ticker").get(ticker)
    if not markets:
        raise Rejection.nested(404, "not_found")
    nested = request.query.get("with_nested_markets") == "true"
    listed = [] if nested or request.query.get("exclude_markets") == "true" else markets
    body = {"event": _event(request, ticker, markets, nested)}
    return answer(body | {"markets": [bodies.market(m) for m in listed]})


async def event_metadata(request: web.Request) -> web.Response:
    """Pictures and sources: there are none here."""
    ticker = request.match_info["ticker"]
    markets = _grouped(request, "event_ticker").get(ticker)
    if not markets:
        raise Rejection.nested(404, "not_found")
    details = [{"market_ticker": m.ticker, "image_url": "", "color_code": ""} for m in markets]
    return answer({"image_url": "", "settlement_sources": [], "market_details": details})


async def list_series(request: web.Request) -> web.Response:
    """All series."""
    category = request.query.get("category")
    found = [
        bodies.series(ticker, markets)
        for ticker, markets in _grouped(request, "series_ticker").items()
        if not category or markets[0].facts.category == category
    ]
    return answer({"series": found})


async def get_series(request: web.Request) -> web.Response:
    """One series."""
    ticker = request.match_info["ticker"]
    found = _grouped(request, "series_ticker").get(ticker)
    if not found:
        raise Rejection.nested(404, "not_found")
    return answer({"series": bodies.series(ticker, found)})


def _changes(request: web.Request, *, of_events: bool) -> list[ScheduledFeeChange]:
    """Those to come; of series, those that have begun as well when history is asked for."""
    state = request.app[STATE]
    now_ms, history = state.venue.now_ms(), request.query.get("show_historical") == "true"
    return [
        c
        for c in state.fees.changes
        if bool(c.event_ticker) == of_events and (history or of_events or c.scheduled_ms > now_ms)
    ]


async def series_fee_changes(request: web.Request) -> web.Response:
    """Announced changes of series' fees."""
    series = request.query.get("series_ticker")
    rows = [
        {
            "id": c.change_id,
            "series_ticker": c.series_ticker,
            "fee_type": c.fee_type,
            "fee_multiplier": (c.multiplier_e4 or 0) / 10_000,
            "scheduled_ts": iso_ms(c.scheduled_ms),
        }
        for c in _changes(request, of_events=False)
        if not series or c.series_ticker == series
    ]
    return answer({"series_fee_change_arr": rows})


async def event_fee_changes(request: web.Request) -> web.Response:
    """Changes of events' own fees."""
    event = request.query.get("event_ticker")
    found = [c for c in _changes(request, of_events=True) if event in (None, "", c.event_ticker)]
    rows, cursor = page(found, request.query, "GetEventFeeChanges")
    listed = [
        {
            "id": c.change_id,
            "event_ticker": c.event_ticker,
            "series_ticker": c.series_ticker,
            "fee_type_override": c.fee_type,
            "fee_multiplier_override": None
            if c.multiplier_e4 is None
            else c.multiplier_e4 / 10_000,
            "scheduled_ts": iso_ms(c.scheduled_ms),
        }
        for c in rows
    ]
    return answer({"event_fee_changes": listed, "cursor": cursor})


def routes(base: str) -> list[web.RouteDef]:
    """All routes; the fixed ones stand before those with a ticker in their place."""
    return [
        web.get(f"{base}/events", list_events),
        web.get(f"{base}/events/fee_changes", event_fee_changes),
        web.get(f"{base}/events/{{ticker}}", get_event),
        web.get(f"{base}/events/{{ticker}}/metadata", event_metadata),
        web.get(f"{base}/series", list_series),
        web.get(f"{base}/series/fee_changes", series_fee_changes),
        web.get(f"{base}/series/{{ticker}}", get_series),
    ]
