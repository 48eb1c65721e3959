"""Candlesticks: quotes as they were seen, trades to the contract, periods that add up."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.local_exchange import LocalExchange
from support.local_orders import ORDERS, TICKER, order, two_markets

from processes.exchange.core.books import NO, YES

START_MS = 1_795_600_040_000  # 20 seconds into a minute
MARKET = f"/series/KXA/markets/{TICKER}/candlesticks"


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., LocalExchange]:
    """Makes the exchange."""
    return partial(two_markets, tmp_path, START_MS, tier="prestige")


def at(exchange: LocalExchange, ms: int) -> None:
    """Market time is now so many milliseconds after the start, and somebody looks."""
    exchange.time.run(START_MS + ms)
    exchange.state.sample_quotes()


async def candles(exchange: LocalExchange, period: int = 1, **more: Any) -> list[dict[str, Any]]:
    start_s = START_MS // 1000
    asked = {"start_ts": start_s - 60, "end_ts": start_s + 86_400, "period_interval": period}
    reply = await exchange.call("GET", MARKET, **(asked | more))
    assert reply.status_code == 200, reply.text
    found: list[dict[str, Any]] = reply.json()["candlesticks"]
    return found


def quotes(candle: dict[str, Any], side: str) -> list[str]:
    names = ("open", "low", "high", "close")
    return [candle[side][f"{name}_dollars"] for name in names]


async def test_a_minute_of_quotes_and_trades(make: Callable[..., LocalExchange]) -> None:
    async with make() as exchange:
        at(exchange, 0)
        exchange.add(TICKER, YES, 4_900, 1_000)
        at(exchange, 1_000)
        exchange.clear(TICKER, YES, 4_800)
        exchange.clear(TICKER, NO, 4_800)
        at(exchange, 2_000)
        exchange.add(TICKER, NO, 4_800, 300_000)
        at(exchange, 3_000)
        for price, count in (("0.5200", "3.00"), ("0.5200", "1.00")):
            await exchange.call("POST", ORDERS, order(price, count))
        (candle,) = await candles(exchange)
        assert candle["end_period_ts"] == START_MS // 1000 + 40
        assert quotes(candle, "yes_bid") == ["0.4700", "0.4700", "0.4900", "0.4700"]
        assert quotes(candle, "yes_ask") == ["0.5200", "0.5200", "1.0000", "0.5200"]
        assert quotes(candle, "price") == ["0.5200"] * 4
        assert candle["volume_fp"] == "4.00"
        assert candle["price"]["mean_dollars"] == "0.5200"
        assert "previous_dollars" not in candle["price"]


async def test_minutes_add_up_to_an_hour(make: Callable[..., LocalExchange]) -> None:
    async with make() as exchange:
        for minute in range(4):
            at(exchange, 60_000 * minute)
            if minute in (1, 3):
                await exchange.call("POST", ORDERS, order("0.5200", f"{minute}.00"))
                exchange.add(TICKER, YES, 4_700 + 100 * minute, 1_000)
                exchange.state.sample_quotes()
        minutes = await candles(exchange)
        assert [m["volume_fp"] for m in minutes] == ["0.00", "1.00", "0.00", "3.00"]
        closes = [m["price"].get("close_dollars") for m in minutes]
        assert closes == [None, "0.5200", None, "0.5200"]
        assert minutes[3]["price"]["previous_dollars"] == "0.5200"
        (hour,) = await candles(exchange, 60)
        assert hour["end_period_ts"] % 3_600 == 0
        assert hour["volume_fp"] == "4.00"
        assert quotes(hour, "yes_bid") == ["0.4700", "0.4700", "0.5000", "0.5000"]
        assert len(await candles(exchange, 1, end_ts=minutes[1]["end_period_ts"])) == 2


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"period_interval": 5}, 400),
        ({"start_ts": "soon"}, 400),
        ({"end_ts": 0}, 400),
        ({"start_ts": 0}, 400),
    ],
    ids=str,
)
async def test_what_cannot_be_asked(
    make: Callable[..., LocalExchange], change: dict[str, Any], status: int
) -> None:
    start_s = START_MS // 1000
    asked = {"start_ts": start_s, "end_ts": start_s + 60, "period_interval": 1}
    async with make() as exchange:
        assert (await exchange.call("GET", MARKET, **(asked | change))).status_code == status
        other = MARKET.replace("/KXA/", "/KXB/")
        assert (await exchange.call("GET", other, **asked)).status_code == 404
