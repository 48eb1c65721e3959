"""What markets were quoted and traded at, minute by minute: what candlesticks are made of.

Quotes are looked at many times a second, so a minute's high and low are those that were seen;
trades are all counted. A minute that nobody looked at has no candle.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Set
from itertools import groupby
from typing import Final

import msgspec

from ipc.units import ONE_DOLLAR_E4
from processes.exchange.core.books import NO, YES
from processes.exchange.core.events import Traded
from processes.exchange.core.markets import Market

__all__ = ["Candle", "Candles", "Range"]

MINUTE_S: Final = 60
KEPT: Final = 20_160  # minutes of a market, two weeks


class Range(msgspec.Struct):
    """Open, low, high and close of a price, 1e-4 dollars."""

    open_e4: int
    low_e4: int
    high_e4: int
    close_e4: int

    def add(self, other: Range) -> None:
        """Go on with what came later."""
        self.low_e4 = min(self.low_e4, other.low_e4)
        self.high_e4 = max(self.high_e4, other.high_e4)
        self.close_e4 = other.close_e4


class Candle(msgspec.Struct):
    """One period; `price` None where nothing traded. `end_s` is the moment after it."""

    end_s: int
    bid: Range
    ask: Range
    open_interest_e2: int
    price: Range | None = None
    volume_e2: int = 0
    paid_e6: int = 0  # sum of price times contracts
    previous_e4: int | None = None  # of the last trade before

    @property
    def mean_e4(self) -> int | None:
        """Of what was traded, by contracts."""
        return self.paid_e6 // self.volume_e2 if self.volume_e2 else None

    def add(self, other: Candle) -> None:
        """Go on with the period that follows."""
        self.bid.add(other.bid)
        self.ask.add(other.ask)
        self.open_interest_e2 = other.open_interest_e2
        if self.price is None:
            self.price = other.price
        elif other.price is not None:
            self.price.add(other.price)
        self.volume_e2 += other.volume_e2
        self.paid_e6 += other.paid_e6


def _end_s(ts_ms: int, period_s: int) -> int:
    """The end of the period that a moment belongs to."""
    return (ts_ms // 1000 // period_s + 1) * period_s


def _same(price_e4: int) -> Range:
    return Range(price_e4, price_e4, price_e4, price_e4)


class Candles:
    """The quoted minutes of every market."""

    def __init__(self) -> None:
        self._minutes: dict[str, dict[int, Candle]] = {}

    def look(self, markets: Iterable[Market], now_ms: int) -> None:
        """See what markets are quoted at now."""
        end_s = _end_s(now_ms, MINUTE_S)
        for market in markets:
            best_no = market.book.best(NO)
            bid = _same(market.book.best(YES))
            ask = _same(ONE_DOLLAR_E4 - best_no)
            seen = Candle(end_s, bid, ask, market.volume_e2)
            minutes = self._minutes.setdefault(market.ticker, {})
            if end_s in minutes:
                minutes[end_s].add(seen)
                continue
            minutes[end_s] = seen
            if len(minutes) > KEPT:
                del minutes[next(iter(minutes))]

    def forget(self, tickers: Set[str]) -> None:
        """Keep nothing of these markets."""
        for ticker in tickers:
            self._minutes.pop(ticker, None)

    def of(
        self, ticker: str, trades: Iterable[Traded], start_s: int, end_s: int, period_s: int
    ) -> list[Candle]:
        """The periods that end between two moments, ends included; `trades` oldest first."""
        minutes = self._traded(ticker, trades)
        found: list[Candle] = []
        for end, group in groupby(minutes, lambda m: _end_s(1000 * (m.end_s - 1), period_s)):
            if not start_s <= end <= end_s:
                continue
            first, *others = group
            whole = msgspec.structs.replace(first, end_s=end)
            for other in others:
                whole.add(other)
            found.append(whole)
        return found

    def _traded(self, ticker: str, trades: Iterable[Traded]) -> Iterator[Candle]:
        """Copies of the quoted minutes with their trades."""
        by_minute: dict[int, list[Traded]] = {}
        for trade in trades:
            by_minute.setdefault(_end_s(trade.ts_ms, MINUTE_S), []).append(trade)
        previous: int | None = None
        for end_s, minute in self._minutes.get(ticker, {}).items():
            copy = msgspec.convert(msgspec.to_builtins(minute), Candle)
            copy.previous_e4 = previous
            for trade in by_minute.get(end_s, ()):
                seen = _same(trade.yes_price_e4)
                if copy.price is None:
                    copy.price = seen
                else:
                    copy.price.add(seen)
                copy.volume_e2 += trade.count_e2
                copy.paid_e6 += trade.yes_price_e4 * trade.count_e2
                previous = trade.yes_price_e4
            yield copy
