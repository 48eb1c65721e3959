"""The public part of REST: the exchange, its markets, series, fees and programs; our limits.

Each method names its operation of openapi.yaml. Results are in integers: prices in 1e-4 dollars,
counts in hundredths of a contract, times in Unix milliseconds. A list comes with what was left out
of it because it could not be read.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

import msgspec

from ipc.units import parse_count
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.normalise import amount, ms_of_rfc3339
from processes.adapters.kalshi.rest.http import Params, RestResource, segment
from processes.adapters.kalshi.schemas.decoding import Listing, decode, decode_items
from processes.adapters.kalshi.schemas.rest_public import (
    AccountLimits,
    CostsReply,
    CutoffReply,
    EventFeeChangeRow,
    EventFeeChangesPage,
    ExchangeStatus,
    FeeChangeRow,
    FeeChangesReply,
    IncentiveRow,
    IncentivesPage,
    Market,
    MarketReply,
    MarketsPage,
    ScheduleReply,
    SeriesReply,
    SeriesRow,
    WeekRow,
)

__all__ = [
    "CallCosts",
    "EventFeeChange",
    "FeeChange",
    "HistoryCutoff",
    "IncentiveProgram",
    "PublicResource",
    "Schedule",
    "Series",
]

MULTIPLIER_SCALE: Final = 10_000
MAX_MULTIPLIER: Final = 1_000
CENTICENT_E6: Final = 100  # programs' rewards are in hundredths of a cent
PROGRAMS_PAGE: Final = 10_000  # the exchange's limit for programs

_markets: Final = msgspec.json.Decoder(Market)
_fee_changes: Final = msgspec.json.Decoder(FeeChangeRow)
_event_fee_changes: Final = msgspec.json.Decoder(EventFeeChangeRow)
_programs: Final = msgspec.json.Decoder(IncentiveRow)


class Schedule(msgspec.Struct, frozen=True):
    """Weekly hours, and announced pauses as (start, end) in Unix milliseconds."""

    weeks: tuple[WeekRow, ...]
    maintenance_ms: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, reply: ScheduleReply) -> Schedule:
        """From the reply."""
        windows = reply.schedule.maintenance_windows
        times = [(ms_of_rfc3339(w.start_datetime), ms_of_rfc3339(w.end_datetime)) for w in windows]
        return cls(reply.schedule.standard_hours, tuple(times))


class CallCosts(msgspec.Struct, frozen=True):
    """Tokens by (method, path from the host's root); all other calls cost `default`."""

    default: int
    by_call: dict[tuple[str, str], int]

    @classmethod
    def of(cls, reply: CostsReply) -> CallCosts:
        """From the reply."""
        return cls(reply.default_cost, {(c.method, c.path): c.cost for c in reply.endpoint_costs})


class Series(msgspec.Struct, frozen=True):
    """A series and what its markets charge, unless an event overrides it."""

    ticker: str
    title: str
    fee_type: str
    fee_multiplier_e4: int
    exchange_index: int

    @classmethod
    def of(cls, row: SeriesRow) -> Series:
        """From the reply."""
        multiplier_e4 = _multiplier_e4(row.fee_multiplier, row.ticker)
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
        multiplier_e4 = _multiplier_e4(row.fee_multiplier, row.series_ticker)
        at_ms = ms_of_rfc3339(row.scheduled_ts)
        return cls(row.series_ticker, row.fee_type, multiplier_e4, at_ms)


class EventFeeChange(msgspec.Struct, frozen=True):
    """From `at_ms` on an event charges this; None stands for what its series charges."""

    event_ticker: str
    fee_type: str | None
    fee_multiplier_e4: int | None
    at_ms: int

    @classmethod
    def of(cls, row: EventFeeChangeRow) -> EventFeeChange:
        """From one row."""
        multiplier = row.fee_multiplier_override
        multiplier_e4 = None if multiplier is None else _multiplier_e4(multiplier, row.event_ticker)
        at_ms = ms_of_rfc3339(row.scheduled_ts)
        return cls(row.event_ticker, row.fee_type_override, multiplier_e4, at_ms)


class IncentiveProgram(msgspec.Struct, frozen=True):
    """A program that pays for resting orders or for volume in one market.

    `reward_e6` and `most_per_account_e6` are micro-dollars for the whole period from `start_ms` to
    `end_ms`, not a rate. `target_size_e2` is in hundredths of a contract, `discount_bps` in 1e-4.
    """

    program_id: str
    market_ticker: str
    kind: str  # liquidity, volume, margin_maker_volume, margin_taker_volume
    description: str
    start_ms: int
    end_ms: int
    reward_e6: int
    paid_out: bool
    target_size_e2: int | None = None
    discount_bps: int | None = None
    most_per_account_e6: int | None = None

    @classmethod
    def of(cls, row: IncentiveRow) -> IncentiveProgram:
        """From one row."""
        size, most = row.target_size_fp, row.max_reward_per_account
        return cls(
            program_id=row.id,
            market_ticker=row.market_ticker,
            kind=row.incentive_type,
            description=row.incentive_description,
            start_ms=ms_of_rfc3339(row.start_date),
            end_ms=ms_of_rfc3339(row.end_date),
            reward_e6=row.period_reward * CENTICENT_E6,
            paid_out=row.paid_out,
            target_size_e2=None if size is None else amount(parse_count, size),
            discount_bps=row.discount_factor_bps,
            most_per_account_e6=None if most is None else most * CENTICENT_E6,
        )


class HistoryCutoff(msgspec.Struct, frozen=True):
    """Unix milliseconds; what ended earlier is read under `/historical`."""

    markets_ms: int
    fills_ms: int
    orders_ms: int

    @classmethod
    def of(cls, reply: CutoffReply) -> HistoryCutoff:
        """From the reply."""
        times = (reply.market_settled_ts, reply.trades_created_ts, reply.orders_updated_ts)
        return cls(*(ms_of_rfc3339(t) for t in times))


class PublicResource(RestResource):
    """Reads that need no account, except `account_limits`."""

    async def exchange_status(self) -> ExchangeStatus:
        """Whether the exchange is up and trading (`GetExchangeStatus`).

        An exchange that is down says so in the body of a 5xx: that is a reply, not an error.
        """
        return await self._http.read(ExchangeStatus, "/exchange/status", accept_5xx=True)

    async def exchange_schedule(self) -> Schedule:
        """Weekly hours and announced pauses (`GetExchangeSchedule`)."""
        return Schedule.of(await self._http.read(ScheduleReply, "/exchange/schedule"))

    async def account_limits(self) -> AccountLimits:
        """The account's rate limits (`GetAccountApiLimits`), for `RateBudget.apply`."""
        return await self._http.read(AccountLimits, "/account/limits")

    async def endpoint_costs(self) -> CallCosts:
        """What calls cost in tokens (`GetAccountEndpointCosts`)."""
        return CallCosts.of(await self._http.read(CostsReply, "/account/endpoint_costs"))

    async def markets(
        self,
        *,
        status: str | None = None,
        tickers: Iterable[str] | None = None,
        series_ticker: str | None = None,
        event_ticker: str | None = None,
        limit: int | None = None,
    ) -> Listing[Market]:
        """Markets, all pages (`GetMarkets`).

        Args:
            status: `unopened`, `open`, `paused`, `closed` or `settled`; these are not the words of
                `Market.status`. None: any.
            tickers: Only these, at most what fits into a URL (about 100).
            series_ticker: Only those of a series.
            event_ticker: Only those of an event.
            limit: Stop at so many.
        """
        params: Params = {
            "status": status,
            "tickers": ",".join(tickers) if tickers is not None else None,
            "series_ticker": series_ticker,
            "event_ticker": event_ticker,
        }
        return await self._listing(MarketsPage, "/markets", params, _market, limit)

    async def market(self, ticker: str) -> Market:
        """One market (`GetMarket`); `NotFound`."""
        reply = await self._http.read(MarketReply, f"/markets/{segment(ticker)}")
        return reply.market

    async def historical_cutoff(self) -> HistoryCutoff:
        """From when on live reads know fills, orders and markets (`GetHistoricalCutoff`)."""
        return HistoryCutoff.of(await self._http.read(CutoffReply, "/historical/cutoff"))

    async def historical_market(self, ticker: str) -> Market:
        """A market that settled before the cutoff (`GetHistoricalMarket`); `NotFound`."""
        reply = await self._http.read(MarketReply, f"/historical/markets/{segment(ticker)}")
        return reply.market

    async def series(self, series_ticker: str) -> Series:
        """A series and its fees (`GetSeries`); `NotFound`."""
        reply = await self._http.read(SeriesReply, f"/series/{segment(series_ticker)}")
        return Series.of(reply.series)

    async def series_fee_changes(
        self, series_ticker: str | None = None, *, past: bool = False
    ) -> Listing[FeeChange]:
        """Scheduled fee changes of a series or of all; with `past` also those in force.

        `GetSeriesFeeChanges`.
        """
        params: Params = {
            "series_ticker": series_ticker,
            "show_historical": "true" if past else None,
        }
        reply = await self._http.read(FeeChangesReply, "/series/fee_changes", params)
        return decode_items(reply.rows, _fee_change)

    async def event_fee_changes(self, event_ticker: str | None = None) -> Listing[EventFeeChange]:
        """Scheduled fee overrides of an event or of all (`GetEventFeeChanges`)."""
        params: Params = {"event_ticker": event_ticker}
        path = "/events/fee_changes"
        return await self._listing(EventFeeChangesPage, path, params, _event_fee_change)

    async def incentive_programs(
        self, *, status: str | None = None, kind: str | None = None
    ) -> Listing[IncentiveProgram]:
        """Programs, all pages (`GetIncentivePrograms`); with history about 180,000.

        Args:
            status: `active`, `upcoming`, `closed` or `paid_out`; None: all.
            kind: `liquidity`, `volume`, `margin_maker_volume` or `margin_taker_volume`; None: all.
        """
        params: Params = {"status": status, "type": kind, "limit": PROGRAMS_PAGE}
        return await self._listing(IncentivesPage, "/incentive_programs", params, _program)


def _market(row: msgspec.Raw) -> Market:
    return decode(_markets, row, "market")


def _fee_change(row: msgspec.Raw) -> FeeChange:
    return FeeChange.of(decode(_fee_changes, row, "fee change"))


def _event_fee_change(row: msgspec.Raw) -> EventFeeChange:
    return EventFeeChange.of(decode(_event_fee_changes, row, "fee change of an event"))


def _program(row: msgspec.Raw) -> IncentiveProgram:
    return IncentiveProgram.of(decode(_programs, row, "incentive program"))


def _multiplier_e4(multiplier: Decimal, owner: str) -> int:
    if not (multiplier.is_finite() and 0 <= multiplier <= MAX_MULTIPLIER):
        raise WireError(f"{owner}: fee_multiplier is not between 0 and {MAX_MULTIPLIER}")
    scaled = multiplier * MULTIPLIER_SCALE
    if scaled != int(scaled):
        raise WireError(f"{owner}: fee_multiplier {multiplier} has more than four decimals")
    return int(scaled)
