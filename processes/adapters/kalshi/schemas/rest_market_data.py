"""REST bodies of public data beside markets: trades, many books, series, hours, costs.

Fields without a default are required: an answer that lacks one is refused by name.
"""

from __future__ import annotations

from decimal import Decimal

import msgspec

from processes.adapters.kalshi.schemas.enums import BookSideText, LegText
from processes.adapters.kalshi.schemas.rest import Sides

__all__ = [
    "CostsReply",
    "CutoffReply",
    "EndpointCost",
    "EventFeeChangeRow",
    "EventFeeChangesPage",
    "FeeChangeRow",
    "FeeChangesReply",
    "MaintenanceRow",
    "OrderbookRow",
    "OrderbooksReply",
    "ScheduleReply",
    "SeriesReply",
    "SeriesRow",
    "Session",
    "TradeRow",
    "TradesPage",
    "WeekRow",
]


class _Reply(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all bodies."""


class OrderbookRow(_Reply, frozen=True):
    """One book of `GET /markets/orderbooks`: bids of each leg at its own price, best last."""

    ticker: str
    orderbook_fp: Sides


class OrderbooksReply(_Reply, frozen=True):
    """`GET /markets/orderbooks`."""

    orderbooks: list[OrderbookRow]


class TradeRow(_Reply, frozen=True):
    """One public execution."""

    trade_id: str
    ticker: str
    count_fp: str
    yes_price_dollars: str
    created_time: str
    is_block_trade: bool
    taker_outcome_side: LegText
    taker_book_side: BookSideText


class TradesPage(_Reply, frozen=True):
    """`GET /markets/trades`."""

    trades: list[TradeRow]
    cursor: str | None = None


class SeriesRow(_Reply, frozen=True):
    """A series; its multiplier is a number."""

    ticker: str
    title: str
    fee_type: str
    fee_multiplier: Decimal
    exchange_index: int = 0


class SeriesReply(_Reply, frozen=True):
    """`GET /series/{series_ticker}`."""

    series: SeriesRow


class FeeChangeRow(_Reply, frozen=True):
    """What a series' fees will be, or were to be."""

    id: str
    series_ticker: str
    fee_type: str
    fee_multiplier: Decimal
    scheduled_ts: str


class FeeChangesReply(_Reply, frozen=True):
    """`GET /series/fee_changes`."""

    series_fee_change_arr: list[FeeChangeRow]


class EventFeeChangeRow(_Reply, frozen=True):
    """What one event will charge instead of its series' fees; null: what the series charges."""

    id: str
    event_ticker: str
    series_ticker: str
    fee_type_override: str | None
    fee_multiplier_override: Decimal | None
    scheduled_ts: str


class EventFeeChangesPage(_Reply, frozen=True):
    """`GET /events/fee_changes`."""

    event_fee_changes: list[EventFeeChangeRow]
    cursor: str | None = None


class CutoffReply(_Reply, frozen=True):
    """`GET /historical/cutoff`: what is older is read under `/historical`."""

    market_settled_ts: str
    trades_created_ts: str
    orders_updated_ts: str


class Session(_Reply, frozen=True):
    """Opening and closing of a day's session, HH:MM in New York; 00:00 to 00:00 is all day."""

    open_time: str
    close_time: str


class WeekRow(_Reply, frozen=True):
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


class MaintenanceRow(_Reply, frozen=True):
    """One announced pause."""

    start_datetime: str
    end_datetime: str


class _Schedule(_Reply, frozen=True):
    standard_hours: tuple[WeekRow, ...]
    maintenance_windows: tuple[MaintenanceRow, ...]


class ScheduleReply(_Reply, frozen=True):
    """`GET /exchange/schedule`."""

    schedule: _Schedule


class EndpointCost(_Reply, frozen=True):
    """What one call costs; `path` from the host's root."""

    method: str
    path: str
    cost: int


class CostsReply(_Reply, frozen=True):
    """`GET /account/endpoint_costs`: those that do not cost `default_cost`."""

    default_cost: int
    endpoint_costs: tuple[EndpointCost, ...]
