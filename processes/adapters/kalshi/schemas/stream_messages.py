"""The payloads (`msg`) of the WebSocket's frames: amounts are text, unknown fields are ignored.

Fields without a default are required: a frame that lacks one is refused by name.
"""

from __future__ import annotations

import msgspec

from processes.adapters.kalshi.schemas.decoding import Count, Millis, Number, Seconds
from processes.adapters.kalshi.schemas.enums import (
    BookSideText,
    LegText,
    LifecycleType,
    OrderStatusText,
    Result,
)
from processes.adapters.kalshi.schemas.rest_public import PriceRangeText

__all__ = [
    "DeltaMsg",
    "ErrorMsg",
    "EventFeeUpdateMsg",
    "EventLifecycleMsg",
    "FillMsg",
    "LifecycleMsg",
    "MarketPositionMsg",
    "OkMsg",
    "OrderGroupMsg",
    "SnapshotMsg",
    "SubscribedMsg",
    "TradeMsg",
    "UserOrderMsg",
]

Level = tuple[str, str]


class _Msg(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, gc=False):
    """Base of all payloads."""


class SnapshotMsg(_Msg, frozen=True):
    """All levels, both legs bids at their own leg's price, best last; an empty side is left out."""

    market_ticker: str
    yes_dollars_fp: list[Level] | None = None
    no_dollars_fp: list[Level] | None = None
    market_id: str | None = None
    clock: Count | None = None


class DeltaMsg(_Msg, frozen=True):
    """One level's signed change; `ts` is deprecated and all that frames before May 2026 have."""

    market_ticker: str
    price_dollars: str
    delta_fp: str
    side: LegText
    market_id: str | None = None
    ts: str | None = None
    ts_ms: Millis | None = None
    clock: Count | None = None
    client_order_id: str | None = None
    subaccount: Number | None = None


class TradeMsg(_Msg, frozen=True):
    """A public execution."""

    trade_id: str
    market_ticker: str
    yes_price_dollars: str
    count_fp: str
    taker_side: LegText | None = None  # deprecated, older than taker_outcome_side
    taker_outcome_side: LegText | None = None
    taker_book_side: BookSideText | None = None
    no_price_dollars: str | None = None
    is_block_trade: bool | None = None
    ts: Seconds | None = None
    ts_ms: Millis | None = None


class FillMsg(_Msg, frozen=True):
    """An execution of ours; `fee_cost` has six decimals."""

    trade_id: str
    order_id: str
    market_ticker: str
    is_taker: bool
    book_side: BookSideText
    yes_price_dollars: str
    count_fp: str
    fee_cost: str
    ts_ms: Millis
    client_order_id: str | None = None
    side: LegText | None = None
    action: str | None = None
    outcome_side: LegText | None = None
    purchased_side: LegText | None = None
    post_position_fp: str | None = None
    exchange_index: Count = 0
    ts: Seconds | None = None
    subaccount: Number | None = None


class UserOrderMsg(_Msg, frozen=True):
    """An order of ours after a change; the field is `ticker`, not `market_ticker`."""

    order_id: str
    client_order_id: str
    ticker: str
    status: OrderStatusText
    book_side: BookSideText
    yes_price_dollars: str
    fill_count_fp: str
    remaining_count_fp: str
    initial_count_fp: str
    taker_fill_cost_dollars: str
    maker_fill_cost_dollars: str
    taker_fees_dollars: str
    maker_fees_dollars: str
    user_id: str | None = None
    side: LegText | None = None
    is_yes: bool | None = None
    outcome_side: LegText | None = None
    self_trade_prevention_type: str | None = None
    created_time: str | None = None
    created_ts_ms: Millis | None = None
    last_updated_ts_ms: Millis | None = None
    expiration_ts_ms: Millis | None = None
    last_update_reason: str | None = None
    exchange_index: Count = 0
    subaccount_number: Number | None = None


class MarketPositionMsg(_Msg, frozen=True):
    """Our position in one market, signed, YES positive."""

    market_ticker: str
    position_fp: str
    position_cost_dollars: str
    realized_pnl_dollars: str
    fees_paid_dollars: str
    position_fee_cost_dollars: str | None = None
    volume_fp: str | None = None
    user_id: str | None = None
    subaccount: Number | None = None


class LifecycleMsg(_Msg, frozen=True):
    """A market was created, changed, decided or settled; times are whole seconds."""

    market_ticker: str
    event_type: LifecycleType
    exchange_index: Count | None = None
    open_ts: Seconds | None = None
    close_ts: Seconds | None = None
    determination_ts: Seconds | None = None
    settled_ts: Seconds | None = None
    result: Result | None = None
    settlement_value: str | None = None
    is_deactivated: bool | None = None
    price_level_structure: str | None = None
    price_ranges: tuple[PriceRangeText, ...] | None = None


class EventLifecycleMsg(_Msg, frozen=True):
    """An event was created."""

    event_ticker: str
    series_ticker: str | None = None
    title: str | None = None
    exchange_index: Count | None = None


class EventFeeUpdateMsg(_Msg, frozen=True):
    """An event's fees now differ from its series'; null takes the override back."""

    event_ticker: str
    fee_type_override: str | None = None
    fee_multiplier_override: float | None = None


class OrderGroupMsg(_Msg, frozen=True):
    """An order group was created, triggered, reset, deleted, or has another limit."""

    event_type: str
    order_group_id: str
    contracts_limit_fp: str | None = None
    ts_ms: Millis | None = None


class SubscribedMsg(_Msg, frozen=True):
    """Which channel got which subscription id."""

    channel: str
    sid: Count


class OkMsg(_Msg, frozen=True):
    """The full list of tickers after the change."""

    market_tickers: list[str] | None = None


class ErrorMsg(_Msg, frozen=True):
    """Why a command or a subscription failed."""

    code: Number
    msg: str = ""
    market_ticker: str | None = None
    market_tickers: list[str] | None = None
