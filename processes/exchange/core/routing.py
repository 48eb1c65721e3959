"""Which shard a request goes to: the one it names, else its market's, else the first."""

from __future__ import annotations

from typing import Final

from processes.exchange.core.rejections import Rejection
from processes.exchange.core.venue import Venue

__all__ = ["AUTO", "shard_of"]

AUTO: Final = -1


def shard_of(venue: Venue, exchange_index: int | None, ticker: str) -> int:
    """The shard; an order elsewhere is not found there. `Rejection` when it cannot be told."""
    if exchange_index is not None and exchange_index != AUTO:
        return exchange_index
    if ticker:
        market = venue.markets.get(ticker)
        if market is None:
            raise Rejection.nested(404, "market_not_found")
        return market.facts.exchange_index
    if exchange_index == AUTO:
        text = "market_ticker is required for auto-routing"
        raise Rejection.nested(400, "invalid_parameters", text)
    return 0
