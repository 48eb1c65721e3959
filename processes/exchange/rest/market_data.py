"""Public REST: markets, books, trades, candlesticks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final

from aiohttp import web

from ipc.units import format_count, format_price, is_whole
from processes.exchange.core.books import PublishedBook
from processes.exchange.core.catalogue import CatalogueFilter
from processes.exchange.core.history import Candle, Range
from processes.exchange.core.markets import ListedMarket
from processes.exchange.core.rejections import Rejection, bad_request
from processes.exchange.rest import bodies
from processes.exchange.rest.pages import MARKET_PAGES, Place, page, place_of_cursor
from processes.exchange.rest.requests import limits, names, number, span
from processes.exchange.shared.state import STATE, ExchangeState, answer

__all__ = ["_candle_routes", "routes"]

FILTERS: Final = ("unopened", "open", "paused", "closed", "settled")
MAX_BOOKS: Final = 100
ROWS_AT_ONCE: Final = 100  # about 4 ms
SPANS: Final = {  # of `min_..._ts` and `max_..._ts`: the states they may be asked with
    "created": ("", "unopened", "open"),
    "close": ("", "open", "closed"),  # `open` is not in the specification, and is answered
    "settled": ("", "settled"),
    "updated": ("",),
}
MVE_FILTERS: Final = ("", "only", "exclude")
LIVE, LISTED, COMBOS = range(3)  # the parts of the list of markets, in this order


class _Filter:
    """What `GET /markets` asks for; `Rejection` (400) for filters that do not go together."""

    def __init__(self, request: web.Request) -> None:
        query = request.query
        self.status = query.get("status", "")
        if self.status and self.status not in FILTERS:
            raise bad_request(f"invalid status: {self.status}")
        self.mve = query.get("mve_filter", "")
        if self.mve not in MVE_FILTERS:
            raise bad_request(f"invalid mve_filter: {self.mve}")
        self.tickers = names(request, "tickers")
        self.event, self.series = query.get("event_ticker", ""), query.get("series_ticker", "")
        self.spans = {s: limits(request, f"min_{s}_ts", f"max_{s}_ts") for s in SPANS}
        self._check_spans()

    def _check_spans(self) -> None:
        """Spans of times exclude each other, and each goes with some other filters only."""
        given = [name for name, span_ms in self.spans.items() if span_ms is not None]
        if len(given) > 1:
            raise bad_request(f"timestamp filters are mutually exclusive: {', '.join(given)}")
        if given and self.status not in SPANS[given[0]]:
            raise bad_request(f"status {self.status} does not go with {given[0]} timestamps")
        if given == ["updated"]:
            if self.tickers or self.event or self.mve == "only":
                raise bad_request("updated timestamps go with mve_filter=exclude only")
            if self.series and self.mve != "exclude":
                raise bad_request("series_ticker with updated timestamps needs mve_filter=exclude")

    def takes(self, market: ListedMarket) -> bool:
        """Whether a market passes."""
        facts = market.facts
        times = {
            "created": facts.open_ms,
            "close": facts.close_ms,
            "settled": market.settled_ms or 0,
            "updated": market.updated_ms,
        }
        return (
            (not self.status or market.status.filter == self.status)
            and (not self.tickers or market.ticker in self.tickers)
            and self.event in ("", facts.event_ticker)
            and self.series in ("", facts.series_ticker)
            and all(s is None or s[0] <= times[name] <= s[1] for name, s in self.spans.items())
        )

    def of_catalogue(self) -> CatalogueFilter:
        """The same for the catalogue."""
        return CatalogueFilter(
            status=self.status,
            series=self.series,
            event=self.event,
            created_ms=self.spans["created"],
            close_ms=self.spans["close"],
            settled_ms=self.spans["settled"],
            updated_ms=self.spans["updated"],
        )


Listed = tuple[int, int, Callable[[], ListedMarket]]  # part, place in it, the market


def _listed(state: ExchangeState, wanted: _Filter, after: Place) -> Iterator[Listed]:
    """The markets that pass: those that trade, the catalogue, the combos; after a place."""
    part, place = _position(after)
    now_ms, catalogue = state.venue.now_ms(), state.catalogue
    if part == LIVE and wanted.mve != "only":
        elsewhere = {m.number for m in state.followed.by_place.values()}
        numbers = {m.number: m for m in state.venue.markets.values() if m.number > place}
        live = [m for number, m in numbers.items() if number not in elsewhere]
        for market in sorted(live, key=lambda m: m.number):
            if wanted.takes(market):
                yield LIVE, market.number, partial(_itself, market)
    if wanted.tickers:
        yield from _named(state, wanted, after)
        return
    if part <= LISTED and wanted.mve != "only":
        followed = state.followed.by_place
        for row in catalogue.rows(wanted.of_catalogue(), now_ms, place if part == LISTED else -1):
            known = followed.get(row.place)
            found = (
                partial(catalogue.market, row, now_ms) if known is None else partial(_itself, known)
            )
            yield LISTED, row.place, found
    if wanted.mve != "exclude":
        for combo in catalogue.combo_rows(now_ms, place if part == COMBOS else -1):
            if not _is_plain(wanted) and not wanted.takes(catalogue.combo(combo)):
                continue
            yield COMBOS, combo.number, partial(catalogue.combo, combo)


def _named(state: ExchangeState, wanted: _Filter, after: Place) -> Iterator[Listed]:
    """The markets of the catalogue and the combos that the query names."""
    now_ms, catalogue = state.venue.now_ms(), state.catalogue
    found: list[Listed] = []
    for ticker in dict.fromkeys(wanted.tickers):
        row, combo = catalogue.find(ticker, now_ms), catalogue.find_combo(ticker, now_ms)
        if row is not None and wanted.mve != "only":
            market = state.followed.by_place.get(row.place) or catalogue.market(row, now_ms)
            found.append((LISTED, row.place, partial(_itself, market)))
        elif combo is not None and wanted.mve != "exclude":
            found.append((COMBOS, combo.number, partial(catalogue.combo, combo)))
    rows = sorted((f for f in found if f[:2] > _position(after)), key=lambda f: f[:2])
    yield from (f for f in rows if wanted.takes(f[2]()))


def _itself(market: ListedMarket) -> ListedMarket:
    return market


def _is_plain(wanted: _Filter) -> bool:
    """Whether every combo passes, which all are open."""
    spans = [s for s in wanted.spans.values() if s is not None]
    return wanted.status in ("", "open") and not (spans or wanted.event or wanted.series)


def _position(after: Place) -> tuple[int, int]:
    """(part, place in it) of a cursor; before everything without one."""
    if len(after) == 2 and isinstance(after[0], int) and isinstance(after[1], int):
        return after[0], after[1]
    return LIVE, -1


async def list_markets(request: web.Request) -> web.Response:
    """All markets, filtered."""
    state, wanted = request.app[STATE], _Filter(request)
    after = place_of_cursor(request.query.get("cursor", "")) or ()
    found = _listed(state, wanted, after)
    rows, cursor = page(found, request.query, "GetMarkets", lambda row: row[:2], MARKET_PAGES)
    markets = []
    for made, row in enumerate(rows, 1):
        markets.append(_body(request, row[2]()))
        if not made % ROWS_AT_ONCE:  # frames of books do not wait for a page
            await asyncio.sleep(0)
    return answer({"markets": markets, "cursor": cursor})


async def get_market(request: web.Request) -> web.Response:
    """One market."""
    market = request.app[STATE].market(request.match_info["ticker"])
    return answer({"market": _body(request, market)})


def _body(request: web.Request, market: ListedMarket) -> dict[str, Any]:
    """A market; as an order of the admin port wants it, with what no specification has."""
    row = bodies.market(market)
    if request.app[STATE].faults.answers.has_unknowns:
        row |= {"status": "suspended", "spotlight": {"rank": 1}}
    return row


async def get_orderbook(request: web.Request) -> web.Response:
    """One book, `depth` levels a side, 0 for all."""
    raw = request.query.get("depth", "0")
    if not is_whole(raw) or int(raw) > 100:
        raise Rejection.bare(
            400,
            "Parameter validation failed for GetMarketOrderbook: Key: "
            "'GetMarketOrderbookParams.Depth' Error:Field validation for 'Depth' failed on the "
            "'lte' tag",
        )
    market = request.app[STATE].market(request.match_info["ticker"])
    return answer({"orderbook_fp": bodies.orderbook(market.book, int(raw))})


async def get_orderbooks(request: web.Request) -> web.Response:
    """Several books at once; that of an unknown market is empty."""
    state = request.app[STATE]
    tickers = names(request, "tickers")
    if not 0 < len(tickers) <= MAX_BOOKS:
        raise bad_request(f"tickers: 1 to {MAX_BOOKS} are allowed")
    books = []
    for ticker in tickers:
        market = state.find(ticker)
        book = market.book if market is not None else PublishedBook()
        books.append({"ticker": ticker, "orderbook_fp": bodies.orderbook(book, 0)})
    return answer({"orderbooks": books})


async def list_trades(request: web.Request) -> web.Response:
    """Public trades, newest first, block trades among them."""
    state, ticker = request.app[STATE], request.query.get("ticker", "")
    least_ms, blocks = state.cutoff_ms(), request.query.get("is_block_trade", "")
    wanted = span(request)
    found = (
        t
        for t in state.venue.trades.newest_first(ticker)
        if blocks in ("", "true" if t.is_block else "false")
        and t.ts_ms >= least_ms
        and wanted(t.ts_ms)
    )
    rows, cursor = page(found, request.query, "GetTrades", lambda t: (-t.number,), MARKET_PAGES)
    return answer({"trades": [bodies.trade(t) for t in rows], "cursor": cursor})


def _market_routes(base: str) -> list[web.RouteDef]:
    """Their paths."""
    return [
        web.get(f"{base}/markets", list_markets),
        web.get(f"{base}/markets/trades", list_trades),
        web.get(f"{base}/markets/orderbooks", get_orderbooks),
        web.get(f"{base}/markets/{{ticker}}", get_market),
        web.get(f"{base}/markets/{{ticker}}/orderbook", get_orderbook),
    ]


CANDLE_PERIODS: Final = (1, 60, 1_440)  # minutes
MOST_CANDLES: Final = 5_000  # candles of one answer
MOST_CANDLE_MARKETS: Final = 100
MOST_BATCH_CANDLES: Final = 10_000  # of all markets of one answer


def _asked_period(request: web.Request) -> tuple[int, int, int]:
    """(first second, last second, minutes of a period)."""
    start_s, end_s = number(request, "start_ts"), number(request, "end_ts")
    period = number(request, "period_interval")
    if start_s is None or end_s is None or period is None:
        raise bad_request("start_ts, end_ts and period_interval are required")
    if period not in CANDLE_PERIODS:
        raise bad_request(f"period_interval: {period} is not one of 1, 60, 1440")
    if end_s <= start_s:
        raise bad_request("end_ts must be after start_ts")
    if -(-(end_s - start_s) // (60 * period)) > MOST_CANDLES:
        raise bad_request(f"more than {MOST_CANDLES} candlesticks were asked for")
    return start_s, end_s, period


def _candles(request: web.Request, market: ListedMarket) -> list[Candle]:
    state, (start_s, end_s, period) = request.app[STATE], _asked_period(request)
    state.sample_quotes()
    trades = reversed(list(state.venue.trades.newest_first(market.ticker)))
    return state.candles.of(market.ticker, trades, start_s, end_s, 60 * period)


def _candle_range(prices: Range, suffix: str) -> dict[str, str]:
    names = ("open", "low", "high", "close")
    values = (prices.open_e4, prices.low_e4, prices.high_e4, prices.close_e4)
    return {f"{n}{suffix}": format_price(v) for n, v in zip(names, values, strict=True)}


def _candle_price(candle: Candle, suffix: str) -> dict[str, Any]:
    """What traded; where nothing did, only the price before, if there was one."""
    more = {"mean": candle.mean_e4, "previous": candle.previous_e4}
    known = {f"{n}{suffix}": format_price(v) for n, v in more.items() if v is not None}
    return (_candle_range(candle.price, suffix) if candle.price else {}) | known


def _candle_row(candle: Candle, suffix: str = "_dollars", counts: str = "_fp") -> dict[str, Any]:
    return {
        "end_period_ts": candle.end_s,
        "yes_bid": _candle_range(candle.bid, suffix),
        "yes_ask": _candle_range(candle.ask, suffix),
        "price": _candle_price(candle, suffix),
        f"volume{counts}": format_count(candle.volume_e2),
        f"open_interest{counts}": format_count(candle.open_interest_e2),
    }


async def candles_of_market(request: web.Request) -> web.Response:
    """One market's."""
    market = request.app[STATE].market(request.match_info["ticker"])
    if market.facts.series_ticker != request.match_info["series_ticker"]:
        raise Rejection.nested(404, "not_found")
    rows = [_candle_row(candle) for candle in _candles(request, market)]
    return answer({"ticker": market.ticker, "candlesticks": rows})


async def candles_of_markets(request: web.Request) -> web.Response:
    """Several markets'; those that are unknown are left out."""
    tickers = names(request, "market_tickers")
    if not 0 < len(tickers) <= MOST_CANDLE_MARKETS:
        raise bad_request(f"market_tickers: 1 to {MOST_CANDLE_MARKETS} are allowed")
    known = request.app[STATE].venue.markets
    start_s, end_s, period = _asked_period(request)
    if len(tickers) * -(-(end_s - start_s) // (60 * period)) > MOST_BATCH_CANDLES:
        raise bad_request(f"more than {MOST_BATCH_CANDLES} candlesticks were asked for")
    rows = [
        {
            "market_ticker": ticker,
            "candlesticks": [_candle_row(c) for c in _candles(request, known[ticker])],
        }
        for ticker in tickers
        if ticker in known
    ]
    return answer({"markets": rows})


async def candles_of_event(request: web.Request) -> web.Response:
    """Those of all markets of an event."""
    state, event = request.app[STATE], request.match_info["ticker"]
    markets = [m for m in state.venue.markets.values() if m.facts.event_ticker == event]
    if not markets:
        raise Rejection.nested(404, "not_found")
    return answer(
        {
            "market_tickers": [m.ticker for m in markets],
            "market_candlesticks": [
                [_candle_row(c) for c in _candles(request, m)] for m in markets
            ],
            "adjusted_end_ts": _asked_period(request)[1],
        }
    )


def _historical_market(state: ExchangeState, ticker: str) -> ListedMarket:
    market = state.market(ticker)
    if market.settled_ms is None or market.settled_ms >= state.cutoff_ms():
        raise Rejection.nested(404, "not_found")
    return market


async def candles_of_history(request: web.Request) -> web.Response:
    """A market's that settled before the cutoff."""
    market = _historical_market(request.app[STATE], request.match_info["ticker"])
    rows = [_candle_row(candle, "", "") for candle in _candles(request, market)]
    return answer({"ticker": market.ticker, "candlesticks": rows})


def _candle_routes(base: str) -> list[web.RouteDef]:
    """Their paths."""
    below = f"{base}/series/{{series_ticker}}"
    return [
        web.get(f"{base}/markets/candlesticks", candles_of_markets),
        web.get(f"{below}/markets/{{ticker}}/candlesticks", candles_of_market),
        web.get(f"{below}/events/{{ticker}}/candlesticks", candles_of_event),
        web.get(f"{base}/historical/markets/{{ticker}}/candlesticks", candles_of_history),
    ]


def routes(base: str) -> list[web.RouteDef]:
    """Every route of this part, below `base`."""
    return [
        *_candle_routes(base),
        *_market_routes(base),
    ]
