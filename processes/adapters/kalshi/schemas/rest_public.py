"""REST bodies of what needs no account: markets, hours, series and fees, programs, limits.

As on the wire (openapi.yaml): amounts are text, unknown fields are ignored. Fields without a
default are required: a reply that lacks one is refused by name.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from processes.adapters.kalshi.schemas.decoding import Cents, Count
from processes.adapters.kalshi.schemas.enums import MarketStatus, Result

__all__ = [
    "AccountLimits",
    "BucketLimits",
    "CostsReply",
    "CutoffReply",
    "EndpointCost",
    "EventFeeChangeRow",
    "EventFeeChangesPage",
    "EventReply",
    "EventRow",
    "ExchangeStatus",
    "FeeChangeRow",
    "FeeChangesReply",
    "IncentiveRow",
    "IncentivesPage",
    "MaintenanceRow",
    "Market",
    "MarketReply",
    "MarketsPage",
    "PriceRangeText",
    "ScheduleReply",
    "SeriesReply",
    "SeriesRow",
    "Session",
    "ShardStatus",
    "WeekRow",
]


class _PublicBody(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all bodies."""


class PriceRangeText(_PublicBody, frozen=True):
    """One stretch of a market's price grid, in dollars."""

    start: str
    end: str
    step: str


class Market(_PublicBody, frozen=True, omit_defaults=True):
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
    exchange_index: Count = 0


class MarketsPage(_PublicBody, frozen=True):
    """`GET /markets`."""

    rows: list[msgspec.Raw] = msgspec.field(name="markets")  # of Market
    cursor: str | None = None


class MarketReply(_PublicBody, frozen=True):
    """`GET /markets/{ticker}`."""

    market: Market


class ShardStatus(_PublicBody, frozen=True):
    """Whether one shard is up and trading."""

    exchange_index: Count
    exchange_active: bool
    trading_active: bool


class ExchangeStatus(_PublicBody, frozen=True):
    """`GET /exchange/status`, also the body of its 500, 503 and 504.

    The flags are those of the first shard; others may be missing.
    """

    exchange_active: bool
    trading_active: bool
    exchange_estimated_resume_time: str | None = None
    exchange_index_statuses: tuple[ShardStatus, ...] = ()


class Session(_PublicBody, frozen=True):
    """Opening and closing of a day's session, HH:MM in New York; 00:00 to 00:00 is all day."""

    open_time: str
    close_time: str


class WeekRow(_PublicBody, frozen=True):
    """The hours of a week and how long they hold."""

    start_time: str
    end_time: str
    monday: tuple[Session, ...]
    tuesday: tuple[Session, ...]
    wednesday: tuple[Session, ...]
    thursday: tuple[Session, ...]
    friday: tuple[Session, ...]
    saturday: tuple[Session, ...]
    sunday: tuple[Session, ...]


class MaintenanceRow(_PublicBody, frozen=True):
    """One announced pause."""

    start_datetime: str
    end_datetime: str


class _Schedule(_PublicBody, frozen=True):
    standard_hours: tuple[WeekRow, ...]
    maintenance_windows: tuple[MaintenanceRow, ...]


class ScheduleReply(_PublicBody, frozen=True):
    """`GET /exchange/schedule`."""

    schedule: _Schedule


class BucketLimits(_PublicBody, frozen=True):
    """One token bucket, tokens and tokens a second."""

    refill_rate: Count
    bucket_capacity: Count


class AccountLimits(_PublicBody, frozen=True):
    """`GET /account/limits`."""

    usage_tier: str
    read: BucketLimits
    write: BucketLimits


class EndpointCost(_PublicBody, frozen=True):
    """What one call costs; `path` from the host's root."""

    method: str
    path: str
    cost: Count


class CostsReply(_PublicBody, frozen=True):
    """`GET /account/endpoint_costs`: those that do not cost `default_cost`."""

    default_cost: Count
    endpoint_costs: tuple[EndpointCost, ...]


class SeriesRow(_PublicBody, frozen=True):
    """A series; its multiplier is a number."""

    ticker: str
    title: str
    fee_type: str
    fee_multiplier: Decimal
    exchange_index: Count = 0


class SeriesReply(_PublicBody, frozen=True):
    """`GET /series/{series_ticker}`."""

    series: SeriesRow


class FeeChangeRow(_PublicBody, frozen=True):
    """What a series' fees will be, or were to be."""

    id: str
    series_ticker: str
    fee_type: str
    fee_multiplier: Decimal
    scheduled_ts: str


class FeeChangesReply(_PublicBody, frozen=True):
    """`GET /series/fee_changes`."""

    rows: list[msgspec.Raw] = msgspec.field(name="series_fee_change_arr")  # of FeeChangeRow


class EventFeeChangeRow(_PublicBody, frozen=True):
    """What one event will charge instead of its series' fees; null: what the series charges."""

    id: str
    event_ticker: str
    series_ticker: str
    fee_type_override: str | None
    fee_multiplier_override: Decimal | None
    scheduled_ts: str


class EventFeeChangesPage(_PublicBody, frozen=True):
    """`GET /events/fee_changes`."""

    rows: list[msgspec.Raw] = msgspec.field(name="event_fee_changes")  # of EventFeeChangeRow
    cursor: str | None = None


class EventRow(_PublicBody, frozen=True):
    """An event, as far as its fees go; without overrides it charges what its series charges."""

    event_ticker: str
    series_ticker: str
    fee_type_override: str | None = None
    fee_multiplier_override: Decimal | None = None


class EventReply(_PublicBody, frozen=True):
    """`GET /events/{event_ticker}`."""

    event: EventRow


class IncentiveRow(_PublicBody, frozen=True):
    """One program; `period_reward` and `max_reward_per_account` are hundredths of a cent."""

    id: str
    market_ticker: str
    incentive_type: str
    incentive_description: str
    start_date: str
    end_date: str
    period_reward: Cents
    paid_out: bool
    target_size_fp: str | None = None
    discount_factor_bps: Count | None = None
    max_reward_per_account: Cents | None = None


class IncentivesPage(_PublicBody, frozen=True):
    """`GET /incentive_programs`; only here the cursor is called `next_cursor`."""

    rows: list[msgspec.Raw] = msgspec.field(name="incentive_programs")  # of IncentiveRow
    cursor: str | None = msgspec.field(default=None, name="next_cursor")


class CutoffReply(_PublicBody, frozen=True):
    """`GET /historical/cutoff`: what is older is read under `/historical`."""

    market_settled_ts: str
    trades_created_ts: str
    orders_updated_ts: str
