"""A market as the exchange lists it."""

from __future__ import annotations

from processes.adapters.kalshi.schemas.enums import MarketStatus
from processes.adapters.kalshi.schemas.rest_public import Market, PriceRangeText

__all__ = ["market"]


def market(ticker: str, volume: str | None = None, status: str = "active", **more: str) -> Market:
    """Open since January 2026 and for a long time, unless said otherwise."""
    return Market(
        ticker=ticker,
        event_ticker="E",
        status=MarketStatus(status),
        open_time=more.get("open_time", "2026-01-01T00:00:00Z"),
        close_time=more.get("close_time", "2099-01-01T00:00:00Z"),
        price_ranges=(PriceRangeText("0.0000", "1.0000", "0.0100"),),
        volume_24h_fp=volume,
    )
