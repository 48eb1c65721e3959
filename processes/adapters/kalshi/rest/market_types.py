"""Public data beside books and markets, in integers: trades, fees of series, hours, costs."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import msgspec

from ipc.book import NO, YES
from ipc.units import parse_count, parse_price
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.normalise import ms_of_rfc3339
from processes.adapters.kalshi.rest.order_types import amount
from processes.adapters.kalshi.schemas.enums import LegText
from processes.adapters.kalshi.schemas.rest_market_data import (
    CostsReply,
    CutoffReply,
    EventFeeChangeRow,
    FeeChangeRow,
    ScheduleReply,
    SeriesRow,
    TradeRow,
    WeekRow,
)

__all__ = [
    "CallCosts",
    "EventFeeChange",
    "FeeChange",
    "HistoryCutoff",
    "PublicTrade",
    "Schedule",
    "Series",
]

MULTIPLIER_SCALE: Final = 10_000
_LEGS: Final = {LegText.YES: YES, LegText.NO: NO}


class PublicTrade(msgspec.Struct, frozen=True):
    """One execution; `taker_side` is the leg that the taker bought."""

    trade_id: str
    market_ticker: str
    taker_side: int
    yes_price_e4: int
    count_e2: int
    ts_ms: int
    is_block_trade: bool

    @classmethod
    def of(cls, row: TradeRow) -> PublicTrade:
        """From one row."""
        if row.taker_outcome_side not in _LEGS:
            raise WireError(f"trade {row.trade_id} has no taker's side")
        return cls(
            trade_id=row.trade_id,
            market_ticker=row.ticker,
            taker_side=_LEGS[row.taker_outcome_side],
            yes_price_e4=amount(parse_price, row.yes_price_dollars),
            count_e2=amount(parse_count, row.count_fp),
            ts_ms=ms_of_rfc3339(row.created_time),
            is_block_trade=row.is_block_trade,
        )


def _e4(multiplier: Decimal, owner: str) -> int:
    scaled = multiplier * MULTIPLIER_SCALE
    if scaled != int(scaled):
        raise WireError(f"{owner}: fee_multiplier {multiplier} has more than four decimals")
    return int(scaled)


class Series(msgspec.Struct, frozen=True):
    """A series and what its markets charge, unless an event says otherwise."""

    ticker: str
    title: str
    fee_type: str
    fee_multiplier_e4: int
    exchange_index: int

    @classmethod
    def of(cls, row: SeriesRow) -> Series:
        """From the answer."""
        multiplier_e4 = _e4(row.fee_multiplier, row.ticker)
        return cls(row.ticker, row.title, row.fee_type, multiplier_e4, row.exchange_index)


class FeeChange(msgspec.Struct, frozen=True):
    """From `at_ms` on a series charges this."""

    series_ticker: str
    fee_type: str
    fee_multiplier_e4: int
    at_ms: int

    @classmethod
    def of(cls, row: FeeChangeRow) -> FeeChange:
        """From one row."""
        multiplier_e4 = _e4(row.fee_multiplier, row.series_ticker)
        at_ms = ms_of_rfc3339(row.scheduled_ts)
        return cls(row.series_ticker, row.fee_type, multiplier_e4, at_ms)


class EventFeeChange(msgspec.Struct, frozen=True):
    """From `at_ms` on an event charges this; None: what its series charges."""

    event_ticker: str
    fee_type: str | None
    fee_multiplier_e4: int | None
    at_ms: int

    @classmethod
    def of(cls, row: EventFeeChangeRow) -> EventFeeChange:
        """From one row."""
        multiplier = row.fee_multiplier_override
        multiplier_e4 = None if multiplier is None else _e4(multiplier, row.event_ticker)
        at_ms = ms_of_rfc3339(row.scheduled_ts)
        return cls(row.event_ticker, row.fee_type_override, multiplier_e4, at_ms)


class HistoryCutoff(msgspec.Struct, frozen=True):
    """Unix ms; what ended earlier is read under `/historical`."""

    markets_ms: int
    fills_ms: int
    orders_ms: int

    @classmethod
    def of(cls, reply: CutoffReply) -> HistoryCutoff:
        """From the answer."""
        times = (reply.market_settled_ts, reply.trades_created_ts, reply.orders_updated_ts)
        return cls(*(ms_of_rfc3339(t) for t in times))


class Schedule(msgspec.Struct, frozen=True):
    """Weekly hours, and announced pauses as (start, end) in Unix ms."""

    weeks: tuple[WeekRow, ...]
    maintenance_ms: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, reply: ScheduleReply) -> Schedule:
        """From the answer."""
        windows = reply.schedule.maintenance_windows
        times = [(ms_of_rfc3339(w.start_datetime), ms_of_rfc3339(w.end_datetime)) for w in windows]
        return cls(reply.schedule.standard_hours, tuple(times))


class CallCosts(msgspec.Struct, frozen=True):
    """Tokens by (method, path from the host's root); the others cost `default`."""

    default: int
    by_call: dict[tuple[str, str], int]

    @classmethod
    def of(cls, reply: CostsReply) -> CallCosts:
        """From the answer."""
        return cls(reply.default_cost, {(c.method, c.path): c.cost for c in reply.endpoint_costs})
