"""The WebSocket's data frames. Each is encoded once; `sid` and `seq` are put in per subscription.

A `Frame` is the type and everything behind `seq`. Book frames have two forms of the NO side: on its
own leg's price, and on the YES scale for those who subscribed with `use_yes_price`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

import msgspec

from ipc.units import ONE_DOLLAR_E4, format_count, format_money, format_price
from processes.exchange.core.books import NO, YES, Level
from processes.exchange.core.events import (
    BookChanged,
    EventCreated,
    EventFeeChanged,
    GroupChanged,
    LifecycleChanged,
    OrderChanged,
    OrderFilled,
    PositionChanged,
    TradePrinted,
)
from processes.exchange.core.markets import ListedMarket
from processes.exchange.core.orders import AccountOrder, UpdateReason

__all__ = [
    "ACTIONS",
    "BOOK_SIDES",
    "LEGS",
    "Frame",
    "delta_frame",
    "encode_json",
    "event_fee_frame",
    "event_frame",
    "fill_frame",
    "group_frame",
    "iso_ms",
    "iso_us",
    "lifecycle_frame",
    "order_frame",
    "position_frame",
    "snapshot_frame",
    "tail_of",
    "ticker_frame",
    "trade_frame",
    "unknown_snapshot_frame",
]

LEGS: Final = ("yes", "no")
BOOK_SIDES: Final = ("bid", "ask")
DIGITS: Final = tuple(f"{n:03d}" for n in range(1000))
ACTIONS: Final = ("buy", "sell")  # of YES, in the legacy fields

encode_json = msgspec.json.Encoder().encode
price_text = lru_cache(maxsize=16_384)(format_price)
count_text = lru_cache(maxsize=65_536)(format_count)


class Frame(NamedTuple):
    """One frame without its subscription: its type, and what follows `sid` and `seq`."""

    type: str
    tail: bytes


@lru_cache(maxsize=64)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(maxsize=256)  # bursts share a millisecond
def iso_ms(ts_ms: int) -> str:
    """Milliseconds since the epoch as RFC 3339."""
    second, ms = divmod(ts_ms, 1000)
    return f"{_second(second)}.{DIGITS[ms]}Z"


def iso_us(ts_us: int) -> str:
    """Microseconds since the epoch as RFC 3339."""
    ms, us = divmod(ts_us, 1000)
    second, ms = divmod(ms, 1000)
    return f"{_second(second)}.{DIGITS[ms]}{DIGITS[us]}Z"


def tail_of(sent_ms: int, msg: Any) -> bytes:
    """What follows `seq` in a frame."""
    return b',"sending_ts_ms":%d,"msg":%b}\n' % (sent_ms, encode_json(msg))


def delta_frame(change: BookChanged, *, on_yes_scale: bool, own: bool) -> Frame:
    """One level's signed change; `own` adds what only the one who caused it may see."""
    market, price_e4 = change.market, change.price_e4
    if on_yes_scale and change.leg == NO:
        price_e4 = ONE_DOLLAR_E4 - price_e4
    ts = iso_us(change.ts_us) if change.ts_us else iso_ms(change.ts_ms)
    extra = ""
    if own and change.order is not None:
        client_id = encode_json(change.order.client_order_id).decode()
        extra = f',"client_order_id":{client_id},"subaccount":{change.order.account.number}'
    text = (
        f',"sending_ts_ms":{change.sent_ms},"msg":{{"market_ticker":"{market.ticker}",'
        f'"market_id":"{market.market_id}","clock":{market.clock},'
        f'"price_dollars":"{price_text(price_e4)}","delta_fp":"{count_text(change.delta_e2)}",'
        f'"side":"{LEGS[change.leg]}","ts":"{ts}","ts_ms":{change.ts_ms}{extra}}}}}\n'
    )
    return Frame("orderbook_delta", text.encode())


def snapshot_frame(
    market: ListedMarket, levels: tuple[Level, ...], sent_ms: int, *, on_yes_scale: bool
) -> Frame:
    """Every level, best last; the key of an empty side is left out."""
    msg: dict[str, Any] = {
        "market_ticker": market.ticker,
        "market_id": market.market_id,
        "clock": market.clock,
    }
    for leg in (YES, NO):
        flip = on_yes_scale and leg == NO
        side = [
            [price_text(ONE_DOLLAR_E4 - p if flip else p), format_count(c)]
            for side_leg, p, c in levels
            if side_leg == leg
        ]
        if side:
            msg[f"{LEGS[leg]}_dollars_fp"] = side
    return Frame("orderbook_snapshot", tail_of(sent_ms, msg))


def unknown_snapshot_frame(ticker: str) -> Frame:
    """The empty book of a market that there is not."""
    msg = {"market_ticker": ticker, "market_id": "", "clock": 0}
    return Frame("orderbook_snapshot", b',"msg":%b}\n' % encode_json(msg))


def trade_frame(trade: TradePrinted) -> Frame:
    """A public trade."""
    msg = {
        "trade_id": trade.trade_id,
        "market_ticker": trade.market.ticker,
        "yes_price_dollars": format_price(trade.yes_price_e4),
        "no_price_dollars": format_price(ONE_DOLLAR_E4 - trade.yes_price_e4),
        "count_fp": format_count(trade.count_e2),
        "taker_side": LEGS[trade.taker_leg],
        "taker_outcome_side": LEGS[trade.taker_leg],
        "taker_book_side": BOOK_SIDES[trade.taker_leg],
        "is_block_trade": trade.is_block,
        "ts": trade.ts_ms // 1000,
        "ts_ms": trade.ts_ms,
    }
    return Frame("trade", tail_of(trade.sent_ms, msg))


def ticker_frame(market: ListedMarket) -> Frame:
    """Best quotes and last trade."""
    yes, yes_size, no, no_size = market.top()
    msg = {
        "market_ticker": market.ticker,
        "market_id": market.market_id,
        "price_dollars": format_price(market.last_price_e4),
        "yes_bid_dollars": format_price(yes),
        "yes_ask_dollars": format_price(ONE_DOLLAR_E4 - no if no else 0),
        "volume_fp": format_count(market.volume_e2),
        "open_interest_fp": format_count(market.open_interest_e2),
        "dollar_volume": market.volume_e2 // 100,
        "dollar_open_interest": market.open_interest_e2 // 100,
        "yes_bid_size_fp": format_count(yes_size),
        "yes_ask_size_fp": format_count(no_size),
        "last_trade_size_fp": format_count(market.last_count_e2),
        "ts": market.flow_ms // 1000,
        "ts_ms": market.flow_ms,
        "time": iso_ms(market.flow_ms),
    }
    return Frame("ticker", tail_of(market.flow_ms, msg))


def fill_frame(fill: OrderFilled) -> Frame:
    """A private fill."""
    order = fill.order
    leg = LEGS[order.leg]
    msg: dict[str, Any] = {
        "trade_id": fill.trade_id,
        "order_id": order.order_id,
        "client_order_id": order.client_order_id,
        "market_ticker": order.ticker,
        "exchange_index": order.exchange_index,
        "is_taker": fill.is_taker,
        "side": "yes",
        "action": ACTIONS[order.leg],
        "outcome_side": leg,
        "book_side": BOOK_SIDES[order.leg],
        "purchased_side": leg,
        "yes_price_dollars": format_price(fill.yes_price_e4),
        "count_fp": format_count(fill.count_e2),
        "fee_cost": format_money(fill.fee_e6),
        "post_position_fp": format_count(fill.position_e2),
        "ts": fill.ts_ms // 1000,
        "ts_ms": fill.ts_ms,
        "subaccount": fill.account.number,
    }
    return Frame("fill", tail_of(fill.ts_ms, msg))


def order_frame(change: OrderChanged) -> Frame:
    """A private order update."""
    return Frame("user_order", tail_of(change.ts_ms, _order_msg(change.order)))


def _order_msg(order: AccountOrder) -> dict[str, Any]:
    msg: dict[str, Any] = {
        "order_id": order.order_id,
        "user_id": order.user_id,
        "ticker": order.ticker,
        "exchange_index": order.exchange_index,
        "status": str(order.status),
        "side": "yes",
        "is_yes": True,
        "outcome_side": LEGS[order.leg],
        "book_side": BOOK_SIDES[order.leg],
        "yes_price_dollars": format_price(order.yes_price_e4),
        "fill_count_fp": format_count(order.filled_e2),
        "remaining_count_fp": format_count(order.remaining_e2),
        "initial_count_fp": format_count(order.initial_e2),
        "taker_fill_cost_dollars": format_money(order.cost_e6[True]),
        "maker_fill_cost_dollars": format_money(order.cost_e6[False]),
        "taker_fees_dollars": format_money(order.paid_e6[True]),
        "maker_fees_dollars": format_money(order.paid_e6[False]),
        "client_order_id": order.client_order_id,
        "self_trade_prevention_type": str(order.self_trade),
        "created_time": iso_ms(order.created_ms),
        "created_ts_ms": order.created_ms,
        "last_updated_ts_ms": order.updated_ms,
        "subaccount_number": order.account.number,
    }
    if order.group_id:
        msg["order_group_id"] = order.group_id
    if order.expiration_ms is not None:
        msg["expiration_ts_ms"] = order.expiration_ms
    if order.reason is not UpdateReason.NONE:
        msg["last_update_reason"] = str(order.reason)
    return msg


def position_frame(change: PositionChanged) -> Frame:
    """A private position update."""
    position = change.account.position(change.ticker)
    msg = {
        "user_id": change.account.user_id,
        "market_ticker": change.ticker,
        "position_fp": format_count(position.count_e2),
        "position_cost_dollars": format_money(position.cost_e6),
        "realized_pnl_dollars": format_money(position.realized_e6),
        "fees_paid_dollars": format_money(position.fees_e6),
        "position_fee_cost_dollars": format_money(position.fees_e6),
        "volume_fp": format_count(position.volume_e2),
        "subaccount": change.account.number,
    }
    return Frame("market_position", tail_of(change.ts_ms, msg))


def lifecycle_frame(change: LifecycleChanged) -> Frame:
    """A change of a market's lifecycle."""
    head = {"market_ticker": change.market.ticker, "event_type": change.event_type}
    facts = {k: v for k, v in change.facts.items() if v not in ("", None)}
    return Frame("market_lifecycle_v2", tail_of(change.sent_ms, head | facts))


def event_frame(created: EventCreated) -> Frame:
    """An event is new; it names no market."""
    facts = created.market.facts
    msg = {
        "event_ticker": facts.event_ticker,
        "exchange_index": facts.exchange_index,
        "title": facts.title,
        "subtitle": facts.yes_sub_title,
        "collateral_return_type": "",
        "series_ticker": facts.series_ticker,
    }
    return Frame("event_lifecycle", tail_of(created.sent_ms, msg))


def event_fee_frame(change: EventFeeChanged) -> Frame:
    """An event's fees differ from its series' fees, or no longer."""
    multiplier = change.multiplier_e4
    msg = {
        "event_ticker": change.event_ticker,
        "fee_type_override": change.fee_type,
        "fee_multiplier_override": None if multiplier is None else multiplier / 10_000,
    }
    return Frame("event_fee_update", tail_of(change.sent_ms, msg))


def group_frame(change: GroupChanged) -> Frame:
    """A private order group update."""
    msg: dict[str, Any] = {
        "event_type": str(change.event_type),
        "order_group_id": change.group_id,
        "ts_ms": change.ts_ms,
    }
    if change.limit_e2 is not None:
        msg["contracts_limit_fp"] = format_count(change.limit_e2)
    return Frame("order_group_updates", tail_of(change.ts_ms, msg))
