"""Public REST: markets, books, trades, candlesticks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from aiohttp import web

from ipc.units import format_count, format_price
from processes.exchange.core.history import Candle, Range
from processes.exchange.core.markets import ListedMarket
from processes.exchange.core.rejections import Rejection, bad_request
from processes.exchange.rest import bodies
from processes.exchange.rest.requests import MARKET_PAGES, names, number, page, span
from processes.exchange.shared.state import STATE, ExchangeState, answer

__all__ = ["_candle_routes", "routes"]

FILTERS: Final = ("unopened", "open", "paused", "closed", "settled")
MAX_BOOKS: Final = 100
SPANS: Final = {  # of `min_..._ts` and `max_..._ts`: the states they may be asked with
    "created": ("", "unopened", "open"),
    "close": ("", "closed"),
    "settled": ("", "settled"),
    "updated": ("",),
}


def _wanted(request: web.Request) -> list[ListedMarket]:
    query = request.query
    status = query.get("status", "")
    if status and status not in FILTERS:
        raise bad_request(f"invalid status: {status}")
    _check_spans(request, status)
    markets = list(request.app[STATE].venue.markets.values())
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


def _in_spans(market: ListedMarket, spans: dict[str, Callable[[int], bool]]) -> bool:
    return (
        spans["created"](market.facts.open_ms)
        and spans["close"](market.facts.close_ms)
        and spans["settled"](market.settled_ms or 0)
        and spans["updated"](market.updated_ms)
    )


async def list_markets(request: web.Request) -> web.Response:
    """All markets, filtered."""
    rows, cursor = page(_wanted(request), request.query, "GetMarkets", MARKET_PAGES)
    return answer({"markets": [bodies.market(m) for m in rows], "cursor": cursor})


async def get_market(request: web.Request) -> web.Response:
    """One market."""
    market = request.app[STATE].market(request.match_info["ticker"])
    return answer({"market": bodies.market(market)})


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
    market = request.app[STATE].market(request.match_info["ticker"])
    return answer({"orderbook_fp": bodies.orderbook(market.book, int(raw))})


async def get_orderbooks(request: web.Request) -> web.Response:
    """Several books at once."""
    state = request.app[STATE]
    tickers = names(request, "tickers")
    if not 0 < len(tickers) <= MAX_BOOKS:
        raise bad_request(f"tickers: 1 to {MAX_BOOKS} are allowed")
    books = [
        {"ticker": t, "orderbook_fp": bodies.orderbook(state.market(t).book, 0)} for t in tickers
    ]
    return answer({"orderbooks": books})


async def list_trades(request: web.Request) -> web.Response:
    """Public trades, newest first; none is a block trade."""
    state, ticker = request.app[STATE], request.query.get("ticker", "")
    least_ms, blocks = state.cutoff_ms(), request.query.get("is_block_trade") == "true"
    wanted = span(request)
    found = (
        t
        for t in state.venue.trades.newest_first(ticker)
        if not blocks and t.ts_ms >= least_ms and wanted(t.ts_ms)
    )
    rows, cursor = page(found, request.query, "GetTrades", MARKET_PAGES)
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


def _asked_period(request: web.Request) -> tuple[int, int, int]:
    """(first second, last second, minutes of a period)."""
    start_s, end_s = number(request, "start_ts"), number(request, "end_ts")
    period = number(request, "period_interval")
    if start_s is None or end_s is None or period is None:
        raise bad_request("start_ts, end_ts and period_interval are required")
    if period not in CANDLE_PERIODS:
        raise bad_request(f"period_interval: {period} is not one of 1, 60, 1440")
    if end_s < start_s:
        raise bad_request("end_ts is before start_ts")
    if (end_s - start_s) // (60 * period) > MOST_CANDLES:
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
    """What traded; null where nothing did."""
    empty: dict[str, Any] = dict.fromkeys(f"{n}{suffix}" for n in ("open", "low", "high", "close"))
    more = {"mean": candle.mean_e4, "previous": candle.previous_e4}
    more_fields = {f"{n}{suffix}": None if v is None else format_price(v) for n, v in more.items()}
    return (_candle_range(candle.price, suffix) if candle.price else empty) | more_fields


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
