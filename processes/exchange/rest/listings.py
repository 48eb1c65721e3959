"""Public REST of series and events, and of what they will charge."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from typing import Any

from aiohttp import web

from processes.exchange.core.catalogue import COMBO_SERIES, CatalogueEvent, combo_event
from processes.exchange.core.fees import ScheduledFeeChange
from processes.exchange.core.markets import ListedMarket
from processes.exchange.core.rejections import Rejection, bad_request
from processes.exchange.rest import bodies
from processes.exchange.rest.pages import COMBO_PAGES, EVENT_PAGES, Place, page, place_of_cursor
from processes.exchange.rest.requests import names, number
from processes.exchange.shared.state import STATE, answer
from processes.exchange.stream.frames import iso_ms

__all__ = ["routes"]

LIVE, LISTED = range(2)  # the parts of the list of events, in this order
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
    venue = request.app[STATE].venue
    if ticker in venue.exclusive:
        body |= {"collateral_return_type": "MECNET", "mutually_exclusive": True}
    override = venue.fees.override_of(ticker, venue.now_ms())
    if override is not None:
        body["fee_type_override"] = override.fee_type
        body["fee_multiplier_override"] = (override.multiplier_e4 or 0) / 10_000
    return body


Made = Callable[[], dict[str, Any]]  # the body of a row, once it is on the page


def _live_events(request: web.Request, after: Place, nested: bool) -> Iterator[tuple[Place, Made]]:
    """The events of markets that trade, by their place."""
    state, wanted = request.app[STATE], _EventFilter(request)
    numbers = state.venue.event_numbers
    elsewhere = {m.ticker for m in state.followed.by_place.values()}
    groups = _grouped(request, "event_ticker").items()
    for ticker, markets in sorted(groups, key=lambda group: numbers[group[0]]):
        place = LIVE, numbers[ticker]
        listed = [m for m in markets if m.ticker not in elsewhere]
        if place > after and listed and wanted.takes(ticker, listed):
            yield place, partial(_event, request, ticker, listed, nested)


def _catalogue_events(
    request: web.Request, after: Place, nested: bool
) -> Iterator[tuple[Place, Made]]:
    """The events of the catalogue, by their place."""
    state, wanted = request.app[STATE], _EventFilter(request)
    catalogue, now_ms = state.catalogue, state.venue.now_ms()
    last = after[1] if after[:1] == (LISTED,) else -1
    for event in catalogue.events(wanted.series, int(last)):
        first = catalogue.market(catalogue.row(event.first, now_ms), now_ms)
        if wanted.takes(first.facts.event_ticker, [first]):
            yield (LISTED, event.place), partial(_of_catalogue, request, event, nested)


def _of_catalogue(request: web.Request, event: CatalogueEvent, nested: bool) -> dict[str, Any]:
    """The body of an event of the catalogue."""
    markets = _event_markets(request, event)
    return _event(request, markets[0].facts.event_ticker, markets, nested)


def _event_markets(request: web.Request, event: CatalogueEvent) -> list[ListedMarket]:
    state, now_ms = request.app[STATE], request.app[STATE].venue.now_ms()
    rows = state.catalogue.event_markets(event, now_ms)
    known = state.followed.by_place
    return [known.get(r.place) or state.catalogue.market(r, now_ms) for r in rows]


class _EventFilter:
    """What `GET /events` asks for; `Rejection` (400) for an unknown status."""

    def __init__(self, request: web.Request) -> None:
        self.series = request.query.get("series_ticker", "")
        self.status = request.query.get("status", "")
        if self.status and self.status not in FILTERS:
            raise bad_request(f"invalid status: {self.status}")
        self.tickers = names(request, "tickers")
        self.min_close_s = number(request, "min_close_ts")
        self.min_updated_s = number(request, "min_updated_ts")

    def takes(self, ticker: str, markets: list[ListedMarket]) -> bool:
        """Whether an event with these markets passes."""
        close_s, updated_s = self.min_close_s, self.min_updated_s
        return (
            self.series in ("", markets[0].facts.series_ticker)
            and (not self.tickers or ticker in self.tickers)
            and (not self.status or any(m.status.filter == self.status for m in markets))
            and (close_s is None or any(m.facts.close_ms > close_s * 1000 for m in markets))
            and (updated_s is None or any(m.updated_ms > updated_s * 1000 for m in markets))
        )


async def list_events(request: web.Request) -> web.Response:
    """All events but combos, filtered."""
    nested = request.query.get("with_nested_markets") == "true"
    after = place_of_cursor(request.query.get("cursor", "")) or ()
    found = chain(_live_events(request, after, nested), _catalogue_events(request, after, nested))
    rows, cursor = page(found, request.query, "GetEvents", lambda row: row[0], EVENT_PAGES)
    return answer({"events": [made() for _, made in rows], "cursor": cursor})


async def list_combo_events(request: web.Request) -> web.Response:
    """The events of combos, one market each."""
    state, nested = request.app[STATE], request.query.get("with_nested_markets") == "true"
    after = place_of_cursor(request.query.get("cursor", "")) or (-1,)
    last, tickers = after[0] if isinstance(after[0], int) else -1, names(request, "tickers")
    in_series = request.query.get("series_ticker", "") in ("", COMBO_SERIES)
    found = (
        row
        for row in state.catalogue.combo_rows(state.venue.now_ms(), last)
        if in_series and (not tickers or combo_event(row) in tickers)
    )
    rows, cursor = page(
        found, request.query, "GetMultivariateEvents", lambda row: (row.number,), COMBO_PAGES
    )
    events = [
        _event(request, combo_event(row), [state.catalogue.combo(row)], nested) for row in rows
    ]
    return answer({"events": events, "cursor": cursor})


def _markets_of(request: web.Request, ticker: str) -> list[ListedMarket]:
    """The markets of an event; `Rejection` (404) when there is none of this ticker."""
    state, now_ms = request.app[STATE], request.app[STATE].venue.now_ms()
    event, combo = state.catalogue.find_event(ticker, now_ms), None
    if event is not None:
        return _event_markets(request, event)
    markets = _grouped(request, "event_ticker").get(ticker, [])
    if not markets:
        combo = state.catalogue.find_combo(ticker, now_ms)
    if combo is not None and combo_event(combo) == ticker:
        return [state.catalogue.combo(combo)]
    if not markets:
        raise Rejection.nested(404, "not_found")
    return markets


async def get_event(request: web.Request) -> web.Response:
    """One event with its markets."""
    nested = request.query.get("with_nested_markets") == "true"
    without = request.query.get("exclude_markets") == "true"
    if nested and without:
        raise bad_request("exclude_markets cannot be combined with with_nested_markets")
    ticker = request.match_info["ticker"]
    markets = _markets_of(request, ticker)
    listed = [] if nested or without else markets
    body = {"event": _event(request, ticker, markets, nested)}
    return answer(body | {"markets": [bodies.market(m) for m in listed]})


async def event_metadata(request: web.Request) -> web.Response:
    """Pictures and sources: there are none here."""
    markets = _markets_of(request, request.match_info["ticker"])
    details = [{"market_ticker": m.ticker, "image_url": "", "color_code": ""} for m in markets]
    return answer({"image_url": "", "settlement_sources": [], "market_details": details})


async def list_series(request: web.Request) -> web.Response:
    """All series."""
    category = request.query.get("category")
    state = request.app[STATE]
    groups = _grouped(request, "series_ticker")
    now_ms = state.venue.now_ms()
    rows = state.catalogue.series(now_ms)
    found = groups | {ticker: [state.catalogue.market(row, now_ms)] for ticker, row in rows}
    return answer(
        {
            "series": [
                _series(request, ticker, markets)
                for ticker, markets in found.items()
                if not category or markets[0].facts.category == category
            ]
        }
    )


async def get_series(request: web.Request) -> web.Response:
    """One series."""
    state, ticker = request.app[STATE], request.match_info["ticker"]
    now_ms = state.venue.now_ms()
    row = state.catalogue.first_of(ticker, now_ms)
    found = _grouped(request, "series_ticker").get(ticker)
    if row is not None:
        found = [state.catalogue.market(row, now_ms)]
    if not found:
        raise Rejection.nested(404, "not_found")
    return answer({"series": _series(request, ticker, found)})


def _series(request: web.Request, ticker: str, markets: list[ListedMarket]) -> dict[str, Any]:
    """A series and what it charges now."""
    venue = request.app[STATE].venue
    return bodies.series(ticker, markets, venue.fees.of_series(markets[0].facts, venue.now_ms()))


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
    state, event = request.app[STATE], request.query.get("event_ticker")
    found = [c for c in _changes(request, of_events=True) if event in (None, "", c.event_ticker)]
    rows, cursor = page(
        found, request.query, "GetEventFeeChanges", lambda c: (state.fees.changes.index(c),)
    )
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
        web.get(f"{base}/events/multivariate", list_combo_events),
        web.get(f"{base}/events/{{ticker}}", get_event),
        web.get(f"{base}/events/{{ticker}}/metadata", event_metadata),
        web.get(f"{base}/series", list_series),
        web.get(f"{base}/series/fee_changes", series_fee_changes),
        web.get(f"{base}/series/{{ticker}}", get_series),
    ]
