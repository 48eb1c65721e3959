"""How a market's book ends.

Until May 2026 the exchange removed every level in one burst of one moment and then sent a snapshot
without levels; since then there is only the snapshot, once or twice, and the book is full until it.
"""

from __future__ import annotations

from processes.exchange.core.desk import Desk
from processes.exchange.core.events import BookChanged
from processes.exchange.core.markets import Closing, Market

__all__ = ["close"]


def close(desk: Desk, market: Market, how: Closing, now_ms: int) -> None:
    """Take no more orders, cancel what rests, and end the book."""
    venue = desk.venue
    venue.step_ms = now_ms  # all of it is of one moment
    desk.close(market)
    venue.close_market(market, now_ms)
    if how.burst:
        for leg, price_e4, count_e2 in market.book.levels():
            venue.change_book(BookChanged(market, leg, price_e4, -count_e2, now_ms, now_ms))
    for _ in range(how.snapshots):
        venue.replace_book(market, (), now_ms)
    venue.step_ms = None
