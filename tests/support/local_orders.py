"""Two markets on two shards of a local exchange, and orders for them as a client writes them."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import httpx
from support.local_exchange import LocalExchange

from processes.adapters.kalshi.auth.signing import real_ms
from processes.exchange.shared.state import ExchangeRules

__all__ = ["CRYPTO", "ORDERS", "TICKER", "answer", "order", "two_markets"]

TICKER, CRYPTO = "KXA-26NOV25-T1", "KXCRYPTO-26NOV25-T1"
ORDERS = "/portfolio/events/orders"


def two_markets(folder: Path, now_ms: int | None = None, **rules: Any) -> LocalExchange:
    """A market on shard 0 and one on shard 2, both of 47 to 52 cents."""
    known = ExchangeRules(**({"shards": {"KXCRYPTO": 2}} | rules))
    exchange = LocalExchange(folder, real_ms() if now_ms is None else now_ms, rules=known)
    for ticker in (TICKER, CRYPTO):
        exchange.market(ticker)
        exchange.two_sided(ticker)
    return exchange


def order(price: str, count: str, ticker: str = TICKER, **more: Any) -> dict[str, Any]:
    """A create request's body."""
    facts = {
        "ticker": ticker,
        "client_order_id": str(uuid.uuid4()),
        "side": "bid",
        "count": count,
        "price": price,
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
    }
    return facts | more


def answer(reply: httpx.Response) -> tuple[int, str]:
    """(status, error code)."""
    error = reply.json().get("error", {}) if reply.status_code >= 400 else {}
    return reply.status_code, error if isinstance(error, str) else error.get("code", "")
