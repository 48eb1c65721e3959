"""One walk through everything that the local exchange answers and says."""

from __future__ import annotations

import uuid
from typing import Any, Final

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from support.exchange import Stream
from support.local_exchange import LocalExchange
from support.local_orders import CRYPTO, ORDERS, TICKER, order
from support.specs import Specifications

from processes.adapters.kalshi.auth.credentials import Algorithm, new_credentials
from processes.adapters.kalshi.schemas.frames import Channel

__all__ = ["FRAMES", "tour"]

GROUPS: Final = "/portfolio/order_groups"
TRANSFER: Final = "/portfolio/intra_exchange_instance_transfer"
SUBACCOUNTS: Final = "/portfolio/subaccounts"
KEYS: Final = "/api_keys"
TARGET: Final = "/portfolio/target_balance_allocation"
EVENT, SERIES = "KXA-26NOV25", "KXA"
OLD: Final = "KXOLD-26NOV25-T1"
READS: Final = (
    *("/exchange/status", "/exchange/schedule", "/exchange/user_data_timestamp"),
    *("/account/limits", "/account/endpoint_costs", "/account/api_usage_level/volume_progress"),
    *("/api_keys", "/portfolio/deposits", "/portfolio/withdrawals"),
    *(f"/portfolio/subaccounts/{name}" for name in ("balances", "netting", "transfers")),
    *("/events", "/events/fee_changes", "/series", "/series/fee_changes", f"/series/{SERIES}"),
    *(f"/events/{EVENT}", f"/events/{EVENT}/metadata"),
    *("/markets", "/markets/trades", f"/markets/{TICKER}", f"/markets/{TICKER}/orderbook"),
    *("/portfolio/orders", "/portfolio/fills", "/portfolio/positions", "/portfolio/balance"),
    *("/portfolio/settlements", "/portfolio/summary/total_resting_order_value"),
    *(f"{TRANSFER}s", TARGET, GROUPS),
    *(f"/historical/{name}" for name in ("cutoff", "orders", "fills", "positions", "trades")),
    "/historical/markets",
    *("/milestones", "/structured_targets", "/incentive_programs", "/events/multivariate"),
    *("/multivariate_event_collections", "/search/tags_by_categories"),
    *(
        "/search/filters_by_sport",
        "/communications/id",
        "/communications/rfqs",
        "/communications/quotes",
    ),
    *("/communications/rfq_batches", "/communications/block-trade-proposals"),
)
FRAMES: Final = {  # the messages of the specification that this exchange sends
    *("subscribedResponse", "okResponse", "unsubscribedResponse", "listSubscriptionsResponse"),
    *("errorResponse", "orderbookSnapshot", "orderbookDelta", "ticker", "trade", "fill"),
    *("userOrder", "marketPosition", "orderGroupUpdates", "marketLifecycleV2"),
    *("eventLifecycle", "eventFeeUpdate"),
}


class _Tour:
    """Calls, and the operations that were answered well."""

    def __init__(self, exchange: LocalExchange, specs: Specifications) -> None:
        self._exchange = exchange
        self._specs = specs
        self.answered: set[str] = set()

    async def __call__(
        self, method: str, path: str, body: Any = None, **query: Any
    ) -> dict[str, Any]:
        """One call that has to succeed -> its body."""
        reply = await self._exchange.call(method, path, body, **query)
        assert reply.status_code < 300, (method, path, reply.text)
        self.answered.add(self._specs.operation(method, reply.request.url.path))
        found: dict[str, Any] = reply.json() if reply.content else {}
        return found


async def tour(
    exchange: LocalExchange, specs: Specifications
) -> tuple[set[str], list[dict[str, Any]]]:
    """Call and provoke everything -> (operations answered well, all frames).

    `LocalExchange` and `Stream` hold each of them against the specification.
    """
    call = _Tour(exchange, specs)
    async with exchange.stream() as stream:
        await _subscribe(stream)
        await _money(call, exchange)
        await _subaccounts(call)
        await _keys(call)
        await _orders(call)
        await _group(call)
        await _reads(call)
        await _lives(call, exchange)
        await _last_words(stream)
    return call.answered, stream.frames


async def _subscribe(stream: Stream) -> None:
    channels = [str(c) for c in list(Channel)[:8]]
    await stream.say({"id": 1, "cmd": "subscribe", "params": {"channels": ["gossip"]}})
    await stream.subscribe(*channels, tickers=[TICKER], use_yes_price=True)
    await stream.until("orderbook_snapshot")
    await stream.subscribe("orderbook_delta", tickers=[CRYPTO], use_yes_price=True)
    await stream.say({"id": 3, "cmd": "list_subscriptions"})


async def _money(call: _Tour, exchange: LocalExchange) -> None:
    body = {
        "source": "event_contract",
        "destination": "event_contract",
        "amount": 1_000_0000,
        "destination_exchange_shard": 2,
    }
    moved = (await call("POST", TRANSFER, body))["transfer_id"]
    await call("GET", f"{TRANSFER}s/{moved}")
    shares = [{"exchange_index": shard, "percent": 50} for shard in (0, 2)]
    await call("POST", TARGET, {"allocations": shares})
    exchange.state.rebalance()


async def _subaccounts(call: _Tour) -> None:
    number = (await call("POST", SUBACCOUNTS, {"exchange_index": 0}))["subaccount_number"]
    body = {"client_transfer_id": str(uuid.uuid4()), "amount_cents": 10_000}
    ends = {"from_subaccount": 0, "to_subaccount": number}
    await call("POST", f"{SUBACCOUNTS}/transfer", body | ends)
    await call("PUT", f"{SUBACCOUNTS}/netting", {"subaccount_number": number, "enabled": True})
    await call("POST", ORDERS, order("0.6000", "1.00", subaccount=number))
    await call("POST", f"{GROUPS}/create", {"contracts_limit": 5, "subaccount": number})


async def _keys(call: _Tour) -> None:
    facts = {"name": "reads", "scopes": ["read"], "subaccount": 1}
    made = await call("POST", f"{KEYS}/generate", facts)
    await call("DELETE", f"{KEYS}/{made['api_key_id']}")
    public = new_credentials("", Algorithm.ED25519).private_key.public_key()
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()
    await call("POST", KEYS, {"name": "own", "public_key": pem})


async def _orders(call: _Tour) -> None:
    resting = await call("POST", ORDERS, order("0.3000", "10.00"))
    await call("POST", ORDERS, order("0.6000", "1.50", time_in_force="immediate_or_cancel"))
    await call("POST", ORDERS, order("0.3000", "10.00", CRYPTO, cancel_order_on_pause=True))
    below = f"{ORDERS}/{resting['order_id']}"
    change = {"ticker": TICKER, "side": "bid", "price": "0.3100", "count": "9.00"}
    await call("POST", f"{below}/amend", change)
    await call("POST", f"{below}/decrease", {"reduce_by": "1.00"})
    await call("GET", f"/portfolio/orders/{resting['order_id']}")
    await call("GET", f"/portfolio/orders/{resting['order_id']}/queue_position")
    await call("GET", "/portfolio/orders/queue_positions", market_tickers=TICKER)
    await call("DELETE", below)
    wanted = [order("0.2000", "1.00"), order("0.2050", "1.00"), order("0.5200", "1.00")]
    batch = await call("POST", f"{ORDERS}/batched", {"orders": wanted})
    gone = [{"order_id": batch["orders"][0]["order_id"]}, {"order_id": "nothing"}]
    await call("DELETE", f"{ORDERS}/batched", {"orders": gone})
    await call("DELETE", ORDERS)


async def _group(call: _Tour) -> None:
    made = await call("POST", f"{GROUPS}/create", {"contracts_limit": 5})
    group = f"{GROUPS}/{made['order_group_id']}"
    await call("POST", ORDERS, order("0.5200", "5.00", order_group_id=made["order_group_id"]))
    await call("GET", group)
    await call("PUT", f"{group}/reset", {})
    await call("PUT", f"{group}/limit", {"contracts_limit_fp": "7.00"})
    await call("PUT", f"{group}/trigger", {})
    await call("DELETE", group)


async def _reads(call: _Tour) -> None:
    for path in READS:
        await call("GET", path)
    await call("GET", "/markets/orderbooks", tickers=[TICKER, CRYPTO])
    await call("GET", f"/events/{EVENT}", with_nested_markets="true")


async def _lives(call: _Tour, exchange: LocalExchange) -> None:
    """What happens to markets, their fees and their prices; and what is left of them."""
    now_ms = exchange.venue.now_ms()
    await exchange.order("pause", what="market", ticker=TICKER, on=True)
    await exchange.order("pause", what="market", ticker=TICKER, on=False)
    known = {"series_ticker": SERIES, "fee_type": "quadratic", "fee_multiplier_e4": 5_000}
    await exchange.order("fees", **known, event_ticker=EVENT)
    await exchange.order("fees", **known, scheduled_ms=now_ms + 1_000_000)
    finer = [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
    await exchange.order("grid", ticker=TICKER, structure="deci_cent", price_ranges=finer)
    await exchange.order("close_time", ticker=TICKER, close_ms=now_ms + 5_000)
    exchange.market(OLD)
    _settle(exchange, OLD, now_ms - 30 * 86_400_000)
    _settle(exchange, TICKER, now_ms)
    for path in READS:
        await call("GET", path)
    await call("GET", "/portfolio/positions", settlement_status="all")
    await call("GET", f"/historical/markets/{OLD}")
    span = {"start_ts": 0, "end_ts": 60, "period_interval": 1}
    await call("GET", f"/historical/markets/{OLD}/candlesticks", **span)
    now_s = now_ms // 1000
    span = {"start_ts": now_s - 3_600, "end_ts": now_s + 60, "period_interval": 60}
    await call("GET", f"/series/{SERIES}/markets/{TICKER}/candlesticks", **span)
    await call("GET", f"/series/{SERIES}/events/{EVENT}/candlesticks", **span)
    await call("GET", "/markets/candlesticks", market_tickers=f"{TICKER},{CRYPTO}", **span)


def _settle(exchange: LocalExchange, ticker: str, at_ms: int) -> None:
    market = exchange.venue.markets[ticker]
    exchange.order_entry.close(market)
    exchange.venue.close_market(market, at_ms)
    exchange.venue.determine_market(market, "yes", 10_000, at_ms)
    exchange.order_entry.settle(market, at_ms)
    exchange.venue.settle_market(market, at_ms)


async def _last_words(stream: Stream) -> None:
    await stream.say({"id": 9, "cmd": "unsubscribe", "params": {"sids": [1]}})
    await stream.until("unsubscribed")
