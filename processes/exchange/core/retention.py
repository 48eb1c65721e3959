"""What an exchange that runs for ever forgets: markets that ended long ago, and the oldest books.

A market is forgotten as a whole, with its orders, fills, positions and trades, never before it has
paid out; the cash it paid stays. The past books of ended markets go earlier: they are the most.
"""

from __future__ import annotations

from collections import Counter
from math import inf
from typing import Final

import msgspec

from processes.exchange.core.desk import Desk
from processes.exchange.core.markets import Market
from processes.exchange.core.venue import Venue

__all__ = ["Limits", "Retention"]

DAY_MS: Final = 86_400_000


class Limits(msgspec.Struct, frozen=True):
    """How much is kept of what has ended."""

    keep_ms: int = 21 * DAY_MS  # market time after the settlement
    markets: int = 4_000
    orders: int = 100_000  # of all markets; when there are more, the oldest ended markets go
    book_events: int = 4_000_000  # of all ended markets: some 20 bytes each


class Retention:
    """Looks through the house now and then."""

    def __init__(self, venue: Venue, desk: Desk, limits: Limits) -> None:
        self._venue = venue
        self._desk = desk
        self._limits = limits

    def sweep(self, now_ms: int) -> set[str]:
        """Forget what is too old or too much -> the tickers that nothing is left of."""
        ended = self._venue.ended()
        self._forget_books(ended)
        past = self._past(ended, now_ms - self._limits.keep_ms)
        if not past:
            return set()
        until_ms: dict[str, float] = {m.ticker: m.settled_ms or m.flow_ms for m in past}
        gone = self._venue.forget(past)
        self._desk.forget(until_ms | dict.fromkeys(gone, inf))
        return gone

    def _forget_books(self, ended: list[Market]) -> None:
        """The newest are kept, as many as there is room for."""
        room = self._limits.book_events
        for market in reversed(ended):
            room -= market.log.kept
            if room < 0:
                market.log.forget()

    def _past(self, ended: list[Market], cutoff_ms: int) -> list[Market]:
        """Of the ended markets, oldest first, those that have to go."""
        too_many = len(ended) - self._limits.markets
        orders = self._orders_to_go()
        past: list[Market] = []
        for number, market in enumerate(ended):
            old = (market.settled_ms or market.flow_ms) < cutoff_ms
            if not old and number >= too_many and orders.total() <= self._limits.orders:
                break
            past.append(market)
            orders.pop(market.ticker, None)
        return past

    def _orders_to_go(self) -> Counter[str]:
        """Orders by market, if there are too many of them."""
        orders = self._desk.orders
        if len(orders) <= self._limits.orders:
            return Counter()
        return Counter(order.ticker for order in orders.values())
