"""What the exchange remembers: quoted minutes (candlesticks), lagging copies for reads, retention.

Candles: quotes are sampled four times a second, so a minute's high and low are those of the
samples; every trade is counted. A minute without a sample has no candle.
"""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Set
from itertools import groupby
from math import inf
from typing import Final, Generic, TypeVar

import msgspec

from ipc.clock import NS_PER_MS
from ipc.units import ONE_DOLLAR_E4
from processes.exchange.core.books import NO, YES
from processes.exchange.core.events import Event, OrderChanged, PositionChanged, TradePrinted
from processes.exchange.core.ledger import LedgerPosition, TradingAccount
from processes.exchange.core.markets import ListedMarket
from processes.exchange.core.order_entry import OrderEntry
from processes.exchange.core.orders import AccountOrder
from processes.exchange.core.venue import Venue

__all__ = ["Candle", "Candles", "Range", "Replica", "Retention", "RetentionLimits"]

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

    def sample(self, markets: Iterable[ListedMarket], now_ms: int) -> None:
        """Sample the best quotes of `markets` at `now_ms` (market time, Unix milliseconds)."""
        end_s = _end_s(now_ms, MINUTE_S)
        for market in markets:
            best_no = market.book.best(NO)
            bid = _same(market.book.best(YES))
            ask = _same(ONE_DOLLAR_E4 - best_no)
            seen = Candle(end_s, bid, ask, market.open_interest_e2)
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
        self, ticker: str, trades: Iterable[TradePrinted], start_s: int, end_s: int, period_s: int
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

    def _traded(self, ticker: str, trades: Iterable[TradePrinted]) -> Iterator[Candle]:
        """Copies of the quoted minutes with their trades."""
        by_minute: dict[int, list[TradePrinted]] = {}
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


Value = TypeVar("Value", AccountOrder, LedgerPosition)
Key = TypeVar("Key")


class _Past(Generic[Key, Value]):
    """Copies by the time they were made; of those that are old enough only the newest is kept."""

    def __init__(self) -> None:
        self._copies: dict[Key, list[tuple[int, Value]]] = {}

    def note(self, key: Key, value: Value, now_ns: int, lag_ns: int) -> None:
        """A value has changed."""
        kept = self._copies.setdefault(key, [])
        while len(kept) > 1 and kept[1][0] <= now_ns - lag_ns:
            kept.pop(0)
        kept.append((now_ns, value))

    def keep(self, keys: Container[Key]) -> None:
        """Forget all others."""
        self._copies = {key: kept for key, kept in self._copies.items() if key in keys}

    def at(self, key: Key, then_ns: int, now: Value) -> Value | None:
        """The value as it was; one that was never noted is as it is."""
        kept = self._copies.get(key)
        if kept is None:
            return now
        return next((value for at_ns, value in reversed(kept) if at_ns <= then_ns), None)


class Replica:
    """Answers reads as of a moment ago, as the real exchange's reads do.

    It is a sink of the core's events. The lags may be changed while it runs.

    Args:
        orders_lag_ms: How old what reads see of orders is; 0: not at all.
        positions_lag_ms: The same of positions.
        now_ns: Real time, nanoseconds.
    """

    def __init__(
        self, orders_lag_ms: int, positions_lag_ms: int, now_ns: Callable[[], int]
    ) -> None:
        self.orders_lag_ms = orders_lag_ms
        self.positions_lag_ms = positions_lag_ms
        self._now_ns = now_ns
        self._orders: _Past[str, AccountOrder] = _Past()
        self._positions: _Past[tuple[str, int, str], LedgerPosition] = _Past()

    def __call__(self, event: Event) -> None:
        """Note what changed, while reads lag."""
        if not (self.orders_lag_ms or self.positions_lag_ms):
            return
        now_ns = self._now_ns()
        if isinstance(event, OrderChanged) and self.orders_lag_ms:
            lag_ns = self.orders_lag_ms * NS_PER_MS
            self._orders.note(event.order.order_id, event.order.copy(), now_ns, lag_ns)
        elif isinstance(event, PositionChanged) and self.positions_lag_ms:
            position = copy.copy(event.account.position(event.ticker))
            key = *event.account.key, event.ticker
            self._positions.note(key, position, now_ns, self.positions_lag_ms * NS_PER_MS)

    def keep(self, orders: Container[str], accounts: Iterable[TradingAccount]) -> None:
        """Forget the orders and the positions that are not there any more."""
        self._orders.keep(orders)
        self._positions.keep({(*a.key, ticker) for a in accounts for ticker in a.positions})

    def order(self, order: AccountOrder) -> AccountOrder | None:
        """An order as reads see it; None when they do not see it yet."""
        if not self.orders_lag_ms:
            return order
        return self._orders.at(
            order.order_id, self._now_ns() - self.orders_lag_ms * NS_PER_MS, order
        )

    def position(self, account: TradingAccount, ticker: str) -> LedgerPosition | None:
        """A position as reads see it; None when they do not see it yet."""
        position = account.position(ticker)
        if not self.positions_lag_ms:
            return position
        then_ns = self._now_ns() - self.positions_lag_ms * NS_PER_MS
        return self._positions.at((*account.key, ticker), then_ns, position)


DAY_MS: Final = 86_400_000


class RetentionLimits(msgspec.Struct, frozen=True):
    """How much is kept of what has ended."""

    keep_ms: int = 21 * DAY_MS  # market time after the settlement
    markets: int = 4_000
    orders: int = 100_000  # of all markets; when there are more, the oldest ended markets go
    book_events: int = 4_000_000  # of all ended markets: some 20 bytes each


class Retention:
    """Drops what exceeds the limits; called once a second."""

    def __init__(self, venue: Venue, order_entry: OrderEntry, limits: RetentionLimits) -> None:
        self._venue = venue
        self._order_entry = order_entry
        self._limits = limits

    def sweep(self, now_ms: int) -> set[str]:
        """Forget what is too old or too much.

        Args:
            now_ms: Market time.

        Returns:
            Tickers of which nothing is left.
        """
        ended = self._venue.ended()
        self._forget_books(ended)
        past = self._past(ended, now_ms - self._limits.keep_ms)
        if not past:
            return set()
        until_ms: dict[str, float] = {m.ticker: m.settled_ms or m.flow_ms for m in past}
        gone = self._venue.forget(past)
        self._order_entry.forget(until_ms | dict.fromkeys(gone, inf))
        return gone

    def _forget_books(self, ended: list[ListedMarket]) -> None:
        """The newest are kept, as many as there is room for."""
        room = self._limits.book_events
        for market in reversed(ended):
            room -= market.log.kept
            if room < 0:
                market.log.forget()

    def _past(self, ended: list[ListedMarket], cutoff_ms: int) -> list[ListedMarket]:
        """Of the ended markets, oldest first, those that have to go."""
        too_many = len(ended) - self._limits.markets
        orders = self._orders_to_go()
        past: list[ListedMarket] = []
        for number, market in enumerate(ended):
            old = (market.settled_ms or market.flow_ms) < cutoff_ms
            if not old and number >= too_many and orders.total() <= self._limits.orders:
                break
            past.append(market)
            orders.pop(market.ticker, None)
        return past

    def _orders_to_go(self) -> Counter[str]:
        """Orders by market, if there are too many of them."""
        orders = self._order_entry.orders
        if len(orders) <= self._limits.orders:
            return Counter()
        return Counter(order.ticker for order in orders.values())
