"""REST bodies as they are on the wire: amounts are text, unknown fields are ignored.

Fields without a default are required: an answer that lacks one is refused by name.
"""

from __future__ import annotations

import msgspec

from processes.adapters.kalshi.schemas.enums import (
    BookSideText,
    MarketStatus,
    OrderStatusText,
    Result,
    SelfTrade,
    TimeInForce,
)

__all__ = [
    "AccountLimits",
    "AmendBody",
    "AmendReply",
    "BalanceReply",
    "BucketLimits",
    "CancelReply",
    "CreateBody",
    "CreateReply",
    "ExchangeStatus",
    "FillRow",
    "FillsPage",
    "Market",
    "MarketPositionRow",
    "MarketReply",
    "MarketsPage",
    "OrderReply",
    "OrderRow",
    "OrderbookReply",
    "OrdersPage",
    "PositionsPage",
    "PriceRangeText",
    "SettlementRow",
    "SettlementsPage",
    "ShardBalance",
    "Sides",
]

Level = tuple[str, str]


class _Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all bodies."""


class PriceRangeText(_Reply, frozen=True):
    """One stretch of a market's price grid, in dollars."""

    start: str
    end: str
    step: str


class Market(_Reply, frozen=True, omit_defaults=True):
    """A market. A missing quote shows only in its size, "0.00": the prices then lie."""

    ticker: str
    event_ticker: str
    status: MarketStatus
    open_time: str
    close_time: str
    price_ranges: tuple[PriceRangeText, ...]
    result: Result = Result.NONE
    market_type: str = "binary"
    title: str = ""
    price_level_structure: str = ""
    settlement_value_dollars: str | None = None
    settlement_ts: str | None = None
    expected_expiration_time: str | None = None
    latest_expiration_time: str | None = None
    yes_bid_dollars: str | None = None
    yes_ask_dollars: str | None = None
    yes_bid_size_fp: str | None = None
    yes_ask_size_fp: str | None = None
    no_bid_dollars: str | None = None
    no_ask_dollars: str | None = None
    last_price_dollars: str | None = None
    volume_fp: str | None = None
    volume_24h_fp: str | None = None
    open_interest_fp: str | None = None
    fee_waiver_expiration_time: str | None = None
    exchange_index: int = 0


class MarketsPage(_Reply, frozen=True):
    """`GET /markets`."""

    markets: list[Market]
    cursor: str | None = None


class MarketReply(_Reply, frozen=True):
    """`GET /markets/{ticker}`."""

    market: Market


class Sides(_Reply, frozen=True):
    """Both legs of a book."""

    yes_dollars: list[Level] | None
    no_dollars: list[Level] | None


class OrderbookReply(_Reply, frozen=True):
    """`GET /markets/{ticker}/orderbook`: bids of each leg at its own price, best last."""

    orderbook_fp: Sides


class ExchangeStatus(_Reply, frozen=True):
    """`GET /exchange/status`, also the body of its 500, 503 and 504."""

    exchange_active: bool
    trading_active: bool
    exchange_estimated_resume_time: str | None = None


class ShardBalance(_Reply, frozen=True):
    """What one matching engine holds for us."""

    exchange_index: int
    balance: str


class BalanceReply(_Reply, frozen=True):
    """`GET /portfolio/balance`: `balance` and `portfolio_value` are whole cents."""

    balance_dollars: str
    portfolio_value: int
    updated_ts: int
    balance_breakdown: list[ShardBalance] = []


class MarketPositionRow(_Reply, frozen=True):
    """One market of `GET /portfolio/positions`."""

    ticker: str
    position_fp: str
    market_exposure_dollars: str
    realized_pnl_dollars: str
    fees_paid_dollars: str
    total_traded_dollars: str
    last_updated_ts: str | None = None
    exchange_index: int = 0


class PositionsPage(_Reply, frozen=True):
    """`GET /portfolio/positions`."""

    market_positions: list[MarketPositionRow]
    cursor: str | None = None


class OrderRow(_Reply, frozen=True):
    """An order as `GET /portfolio/orders` shows it."""

    order_id: str
    client_order_id: str
    ticker: str
    status: OrderStatusText
    book_side: BookSideText
    yes_price_dollars: str
    fill_count_fp: str
    remaining_count_fp: str
    initial_count_fp: str
    taker_fees_dollars: str
    maker_fees_dollars: str
    taker_fill_cost_dollars: str
    maker_fill_cost_dollars: str
    expiration_time: str | None = None
    created_time: str | None = None
    last_update_time: str | None = None
    exchange_index: int = 0


class OrdersPage(_Reply, frozen=True):
    """`GET /portfolio/orders`."""

    orders: list[OrderRow]
    cursor: str | None = None


class OrderReply(_Reply, frozen=True):
    """`GET /portfolio/orders/{order_id}`."""

    order: OrderRow


class FillRow(_Reply, frozen=True):
    """One execution of ours; the exchange dropped `client_order_id` here in March 2026."""

    trade_id: str
    order_id: str
    ticker: str
    book_side: BookSideText
    yes_price_dollars: str
    count_fp: str
    is_taker: bool
    fee_cost: str
    created_time: str | None = None
    ts: int | None = None
    client_order_id: str | None = None
    exchange_index: int = 0


class FillsPage(_Reply, frozen=True):
    """`GET /portfolio/fills`."""

    fills: list[FillRow]
    cursor: str | None = None


class SettlementRow(_Reply, frozen=True):
    """One settled market of ours: `revenue` and `value` are whole cents."""

    ticker: str
    market_result: Result
    yes_count_fp: str
    no_count_fp: str
    yes_total_cost_dollars: str
    no_total_cost_dollars: str
    revenue: int
    settled_time: str
    fee_cost: str
    value: int | None = None


class SettlementsPage(_Reply, frozen=True):
    """`GET /portfolio/settlements`."""

    settlements: list[SettlementRow]
    cursor: str | None = None


class CreateBody(_Reply, frozen=True, omit_defaults=True):
    """`POST /portfolio/events/orders`: price on the YES scale; `expiration_time` in seconds."""

    ticker: str
    client_order_id: str
    side: BookSideText
    count: str
    price: str
    time_in_force: TimeInForce
    self_trade_prevention_type: SelfTrade
    expiration_time: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    cancel_order_on_pause: bool = False
    order_group_id: str | None = None
    subaccount: int | None = None
    exchange_index: int | None = None


class CreateReply(_Reply, frozen=True):
    """The exchange's answer to a new order; there is no status in it."""

    order_id: str
    fill_count: str
    remaining_count: str
    ts_ms: int
    client_order_id: str = ""
    average_fill_price: str | None = None
    average_fee_paid: str | None = None


class AmendBody(_Reply, frozen=True, omit_defaults=True):
    """`POST .../{order_id}/amend`: `count` is what is filled plus what shall rest."""

    ticker: str
    side: BookSideText
    price: str
    count: str
    client_order_id: str | None = None
    updated_client_order_id: str | None = None
    expiration_time: int | None = None
    exchange_index: int | None = None


class AmendReply(_Reply, frozen=True):
    """The counts are there only when something filled or changed size."""

    order_id: str
    ts_ms: int
    remaining_count: str | None = None
    fill_count: str | None = None


class CancelReply(_Reply, frozen=True):
    """What a cancel took off the book."""

    order_id: str
    reduced_by: str
    ts_ms: int
    client_order_id: str | None = None


class BucketLimits(_Reply, frozen=True):
    """One token bucket, tokens and tokens a second."""

    refill_rate: int
    bucket_capacity: int


class AccountLimits(_Reply, frozen=True):
    """`GET /account/limits`."""

    usage_tier: str
    read: BucketLimits
    write: BucketLimits
