"""Every call of the client once, each with all that it can say."""

from __future__ import annotations

import inspect
import uuid
from collections.abc import Awaitable
from typing import Any, Final

from support.local_orders import CRYPTO, TICKER

from ipc.messages import BookSide
from processes.adapters.kalshi.errors import NotFound
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.orders import (
    AmendOrder,
    CreateOrder,
    SelfTrade,
    TimeInForce,
)
from processes.adapters.kalshi.rest.public import MarketQuery

__all__ = ["CALLS", "tour_of_client"]

EVENT, SERIES = "KXA-26NOV25", "KXA"
CALLS: Final = {
    *("exchange_status", "exchange_schedule", "account_limits", "endpoint_costs"),
    *("markets", "markets_page", "market", "incentive_programs"),
    *("series", "series_fee_changes", "event_fee_changes", "event_fees"),
    *("api_keys", "balance", "positions", "orders", "order", "fills", "settlements"),
    "queue_positions",
    *("create_order", "create_orders", "amend_order", "decrease_order"),
    *("cancel_order", "cancel_orders", "cancel_all"),
    *("create_order_group", "order_groups", "order_group", "reset_order_group"),
    *("trigger_order_group", "limit_order_group", "delete_order_group"),
    *("move_collateral", "subaccount_balances", "shard_balances"),
    *("historical_cutoff", "historical_fills", "historical_market", "historical_orders"),
}


def _bid(**more: Any) -> CreateOrder:
    facts: dict[str, Any] = {
        "market_ticker": TICKER,
        "client_order_id": str(uuid.uuid4()),
        "book_side": BookSide.BID,
        "yes_price_e4": 4_000,
        "count_e2": 1_000,
    }
    return CreateOrder(**(facts | more))


class _Tour:
    """Calls of one client, and their names."""

    def __init__(self, client: KalshiTradingClient) -> None:
        self._client = client
        self.called: set[str] = set()

    async def __call__(self, name: str, *args: Any, **more: Any) -> Any:
        """Call by name."""
        self.called.add(name)
        reply: Awaitable[Any] = getattr(self._client, name)(*args, **more)
        assert inspect.isawaitable(reply)
        return await reply


async def tour_of_client(client: KalshiTradingClient) -> set[str]:
    """Call everything, with the markets of `two_markets` -> the names of what was called."""
    call = _Tour(client)
    await _public(call)
    await _writes(call)
    await _group(call)
    await _account(call)
    await _history(call)
    return call.called


async def _public(call: _Tour) -> None:
    await call("exchange_status")
    await call("exchange_schedule")
    await call("account_limits")
    await call("endpoint_costs")
    await call("markets", status="open", series_ticker=SERIES, limit=5)
    await call("markets", tickers=[TICKER, CRYPTO])
    await call("markets_page", MarketQuery(status="open"), limit=5)
    await call("markets", event_ticker=EVENT)
    await call("market", TICKER)
    await call("incentive_programs", status="active", kind="liquidity")
    await call("series", SERIES)
    await call("series_fee_changes", SERIES, past=True)
    await call("event_fee_changes", EVENT)
    await call("event_fees", EVENT)


async def _writes(call: _Tour) -> None:
    everything = _bid(
        expire_s=2_000_000_000,
        post_only=True,
        cancel_order_on_pause=True,
        self_trade=SelfTrade.MAKER,
    )
    rests = (await call("create_order", everything)).order_id
    taker = _bid(yes_price_e4=5_200, count_e2=150, time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL)
    await call("create_order", taker)
    amendment = AmendOrder(
        order_id=rests,
        market_ticker=TICKER,
        book_side=BookSide.BID,
        yes_price_e4=4_100,
        count_e2=900,
    )
    await call("amend_order", amendment)
    await call("decrease_order", rests, TICKER, by_e2=100)
    await call("decrease_order", rests, TICKER, to_e2=500)
    await call("order", rests)
    await call("queue_positions", tickers=[TICKER])
    await call("queue_positions", event_ticker=EVENT)
    await call("cancel_order", rests, TICKER)
    made = await call("create_orders", [_bid(), _bid(yes_price_e4=3_900)])
    await call("cancel_orders", [(order.order_id, TICKER) for order in made])
    await call("cancel_all")


async def _group(call: _Tour) -> None:
    group = await call("create_order_group", 500)
    await call("create_order", _bid(order_group_id=group))
    await call("order_groups")
    await call("order_group", group)
    await call("limit_order_group", group, 700)
    await call("trigger_order_group", group)
    await call("reset_order_group", group)
    await call("delete_order_group", group)


async def _account(call: _Tour) -> None:
    await call("move_collateral", 1_000_000, 0, 2, uuid.uuid4())
    await call("subaccount_balances")
    await call("api_keys")
    await call("shard_balances", await call("balance"))
    await call("positions", TICKER)
    await call("orders", status="executed", ticker=TICKER)
    await call("orders", status=None)
    await call("fills", min_ts=1, ticker=TICKER)
    await call("settlements", min_ts=1, ticker=TICKER)


async def _history(call: _Tour) -> None:
    await call("historical_cutoff")
    await call("historical_orders", ticker=TICKER)
    await call("historical_fills", ticker=TICKER, min_ts=1, max_ts=2_000_000_000)
    try:
        await call("historical_market", TICKER)
    except NotFound:
        return
    raise AssertionError("a market that trades is not history")
