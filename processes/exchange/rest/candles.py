"""Public REST of candlesticks: of one market, of several, of an event, of history."""

from __future__ import annotations

from typing import Any, Final

from aiohttp import web

from ipc.units import format_count, format_price
from processes.exchange.core.candles import Candle, Range
from processes.exchange.core.markets import Market
from processes.exchange.core.rejections import Rejection, bad_request
from processes.exchange.house import HOUSE, House, answer
from processes.exchange.rest.query import names, number

__all__ = ["routes"]

PERIODS: Final = (1, 60, 1_440)  # minutes
MOST: Final = 5_000  # candles of one answer
MOST_MARKETS: Final = 100


def _asked(request: web.Request) -> tuple[int, int, int]:
    """(first second, last second, minutes of a period)."""
    start_s, end_s = number(request, "start_ts"), number(request, "end_ts")
    period = number(request, "period_interval")
    if start_s is None or end_s is None or period is None:
        raise bad_request("start_ts, end_ts and period_interval are required")
    if period not in PERIODS:
        raise bad_request(f"period_interval: {period} is not one of 1, 60, 1440")
    if end_s < start_s:
        raise bad_request("end_ts is before start_ts")
    if (end_s - start_s) // (60 * period) > MOST:
        raise bad_request(f"more than {MOST} candlesticks were asked for")
    return start_s, end_s, period


def _candles(request: web.Request, market: Market) -> list[Candle]:
    house, (start_s, end_s, period) = request.app[HOUSE], _asked(request)
    house.look()
    trades = reversed(list(house.venue.trades.newest_first(market.ticker)))
    return house.candles.of(market.ticker, trades, start_s, end_s, 60 * period)


def _range(prices: Range, suffix: str) -> dict[str, str]:
    names = ("open", "low", "high", "close")
    values = (prices.open_e4, prices.low_e4, prices.high_e4, prices.close_e4)
    return {f"{n}{suffix}": format_price(v) for n, v in zip(names, values, strict=True)}


def _price(candle: Candle, suffix: str) -> dict[str, Any]:
    """What traded; null where nothing did."""
    empty: dict[str, Any] = dict.fromkeys(f"{n}{suffix}" for n in ("open", "low", "high", "close"))
    more = {"mean": candle.mean_e4, "previous": candle.previous_e4}
    told = {f"{n}{suffix}": None if v is None else format_price(v) for n, v in more.items()}
    return (_range(candle.price, suffix) if candle.price else empty) | told


def _row(candle: Candle, suffix: str = "_dollars", counts: str = "_fp") -> dict[str, Any]:
    return {
        "end_period_ts": candle.end_s,
        "yes_bid": _range(candle.bid, suffix),
        "yes_ask": _range(candle.ask, suffix),
        "price": _price(candle, suffix),
        f"volume{counts}": format_count(candle.volume_e2),
        f"open_interest{counts}": format_count(candle.open_interest_e2),
    }


async def of_market(request: web.Request) -> web.Response:
    """One market's."""
    market = request.app[HOUSE].market(request.match_info["ticker"])
    if market.facts.series_ticker != request.match_info["series_ticker"]:
        raise Rejection.nested(404, "not_found")
    rows = [_row(candle) for candle in _candles(request, market)]
    return answer({"ticker": market.ticker, "candlesticks": rows})


async def of_markets(request: web.Request) -> web.Response:
    """Several markets'; those that are unknown are left out."""
    tickers = names(request, "market_tickers")
    if not 0 < len(tickers) <= MOST_MARKETS:
        raise bad_request(f"market_tickers: 1 to {MOST_MARKETS} are allowed")
    known = request.app[HOUSE].venue.markets
    rows = [
        {
            "market_ticker": ticker,
            "candlesticks": [_row(c) for c in _candles(request, known[ticker])],
        }
        for ticker in tickers
        if ticker in known
    ]
    return answer({"markets": rows})


async def of_event(request: web.Request) -> web.Response:
    """Those of all markets of an event."""
    house, event = request.app[HOUSE], request.match_info["ticker"]
    markets = [m for m in house.venue.markets.values() if m.facts.event_ticker == event]
    if not markets:
        raise Rejection.nested(404, "not_found")
    return answer(
        {
            "market_tickers": [m.ticker for m in markets],
            "market_candlesticks": [[_row(c) for c in _candles(request, m)] for m in markets],
            "adjusted_end_ts": _asked(request)[1],
        }
    )


def _historical(house: House, ticker: str) -> Market:
    market = house.market(ticker)
    if market.settled_ms is None or market.settled_ms >= house.cutoff_ms():
        raise Rejection.nested(404, "not_found")
    return market


async def of_history(request: web.Request) -> web.Response:
    """A market's that settled before the cutoff."""
    market = _historical(request.app[HOUSE], request.match_info["ticker"])
    rows = [_row(candle, "", "") for candle in _candles(request, market)]
    return answer({"ticker": market.ticker, "candlesticks": rows})


def routes(base: str) -> list[web.RouteDef]:
    """All of it."""
    below = f"{base}/series/{{series_ticker}}"
    return [
        web.get(f"{base}/markets/candlesticks", of_markets),
        web.get(f"{below}/markets/{{ticker}}/candlesticks", of_market),
        web.get(f"{below}/events/{{ticker}}/candlesticks", of_event),
        web.get(f"{base}/historical/markets/{{ticker}}/candlesticks", of_history),
    ]
