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
from processes.adapters.kalshi.rest.http import PAGE, TRIES, Params, RestResource, segment
from processes.adapters.kalshi.rest.rate_budget import CallCosts
from processes.adapters.kalshi.schemas.decoding import Listing, decode, decode_items
from processes.adapters.kalshi.schemas.normalise import amount, ms_of_rfc3339
from processes.adapters.kalshi.schemas.rest_public import (
    AccountLimits,
    CostsReply,
    CutoffReply,
    EventFeeChangeRow,
    EventFeeChangesPage,
    EventReply,
    EventRow,
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
    "EventFeeChange",
    "EventFees",
    "FeeChange",
    "HistoryCutoff",
    "IncentiveProgram",
    "MarketQuery",
    "PublicResource",
    "Schedule",
    "Series",
    "multiplier_e4",
]

MULTIPLIER_SCALE: Final = 10_000
MAX_MULTIPLIER: Final = 1_000
CENTICENT_E6: Final = 100  # programs' rewards are in hundredths of a cent
PROGRAMS_PAGE: Final = 1_000  # of the exchange's 10,000: a page is decoded at one go

_markets: Final = msgspec.json.Decoder(Market)
_fee_changes: Final = msgspec.json.Decoder(FeeChangeRow)
_event_fee_changes: Final = msgspec.json.Decoder(EventFeeChangeRow)
_programs: Final = msgspec.json.Decoder(IncentiveRow)


class Schedule(msgspec.Struct, frozen=True):
    """When the exchange trades.

    Attributes:
        weeks: Weekly hours in New York, as the exchange writes them.
        maintenance_ms: Announced pauses as (start, end) in Unix milliseconds.
    """

    weeks: tuple[WeekRow, ...]
    maintenance_ms: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, reply: ScheduleReply) -> Schedule:
        """From the reply."""
        windows = reply.schedule.maintenance_windows
        times = [(ms_of_rfc3339(w.start_datetime), ms_of_rfc3339(w.end_datetime)) for w in windows]
        return cls(reply.schedule.standard_hours, tuple(times))


class Series(msgspec.Struct, frozen=True):
    """A series and what its markets charge, unless an event overrides it.

    Attributes:
        ticker: The series.
        title: For people.
        fee_type: Such as `quadratic`; see `models.trading.fees.FeeSchedule.of`.
        fee_multiplier_e4: In 1e-4.
        exchange_index: Its shard.
    """

    ticker: str
    title: str
    fee_type: str
    fee_multiplier_e4: int
    exchange_index: int

    @classmethod
    def of(cls, row: SeriesRow) -> Series:
        """From the reply."""
        times = multiplier_e4(row.fee_multiplier, row.ticker)
        return cls(row.ticker, row.title, row.fee_type, times, row.exchange_index)


class FeeChange(msgspec.Struct, frozen=True):
    """What a series charges from a moment on.

    Attributes:
        series_ticker: The series.
        fee_type: Such as `quadratic`.
        fee_multiplier_e4: In 1e-4.
        at_ms: From when on, Unix milliseconds.
    """

    series_ticker: str
    fee_type: str
    fee_multiplier_e4: int
    at_ms: int

    @classmethod
    def of(cls, row: FeeChangeRow) -> FeeChange:
        """From one row."""
        times = multiplier_e4(row.fee_multiplier, row.series_ticker)
        return cls(row.series_ticker, row.fee_type, times, ms_of_rfc3339(row.scheduled_ts))


class EventFeeChange(msgspec.Struct, frozen=True):
    """What an event charges from a moment on; None stands for what its series charges.

    Attributes:
        event_ticker: The event.
        fee_type: Such as `quadratic`.
        fee_multiplier_e4: In 1e-4.
        at_ms: From when on, Unix milliseconds.
    """

    event_ticker: str
    fee_type: str | None
    fee_multiplier_e4: int | None
    at_ms: int

    @classmethod
    def of(cls, row: EventFeeChangeRow) -> EventFeeChange:
        """From one row."""
        multiplier = row.fee_multiplier_override
        times = None if multiplier is None else multiplier_e4(multiplier, row.event_ticker)
        at_ms = ms_of_rfc3339(row.scheduled_ts)
        return cls(row.event_ticker, row.fee_type_override, times, at_ms)


class EventFees(msgspec.Struct, frozen=True):
    """An event's series, and what it charges instead of it now; None: what the series charges."""

    event_ticker: str
    series_ticker: str
    fee_type: str | None
    fee_multiplier_e4: int | None

    @classmethod
    def of(cls, row: EventRow) -> EventFees:
        """From the reply."""
        multiplier = row.fee_multiplier_override
        times = None if multiplier is None else multiplier_e4(multiplier, row.event_ticker)
        return cls(row.event_ticker, row.series_ticker, row.fee_type_override, times)


class IncentiveProgram(msgspec.Struct, frozen=True):
    """A program that pays for resting orders or for volume in one market.

    Attributes:
        program_id: The exchange's.
        market_ticker: The market.
        kind: `liquidity`, `volume`, `margin_maker_volume` or `margin_taker_volume`.
        description: The exchange's text.
        start_ms: Begin of its period, Unix milliseconds.
        end_ms: End of it.
        reward_e6: Micro-dollars for the whole period, not a rate.
        paid_out: Whether it has been paid.
        target_size_e2: Size that earns in full, 1e-2 contracts; None where it has none.
        discount_bps: Discount of sizes behind the reference price, 1e-4 (5000 is 0.5); None where
            it has none.
        most_per_account_e6: Most that one account gets, for the whole period; None for no limit.
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


class MarketQuery(msgspec.Struct, frozen=True):
    """Which markets to list (`GetMarkets`); what is not given does not narrow the list.

    Times are Unix seconds. The exchange takes one kind of time in a query: close times with status
    `open` or none, `min_updated_s` with `without_combos` and, if need be, a series only.
    `min_updated_s` is about what is not trading: volumes and quotes do not count as a change.
    """

    status: str | None = None
    tickers: tuple[str, ...] = ()
    series_ticker: str | None = None
    without_combos: bool = False
    min_close_s: int | None = None
    max_close_s: int | None = None
    min_updated_s: int | None = None

    @property
    def params(self) -> Params:
        """As the exchange calls them."""
        return {
            "status": self.status,
            "tickers": ",".join(self.tickers) or None,
            "series_ticker": self.series_ticker,
            "mve_filter": "exclude" if self.without_combos else None,
            "min_close_ts": self.min_close_s,
            "max_close_ts": self.max_close_s,
            "min_updated_ts": self.min_updated_s,
        }


class HistoryCutoff(msgspec.Struct, frozen=True):
    """From when on live reads know something; what ended earlier is read under `/historical`.

    Attributes:
        markets_ms: Of markets, by their settlement, Unix milliseconds.
        fills_ms: Of fills and trades.
        orders_ms: Of orders, by their last change.
    """

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

    async def exchange_status(self, *, tries: int = TRIES) -> ExchangeStatus:
        """Whether the exchange is up and trading (`GetExchangeStatus`).

        An exchange that is down says so in the body of a 5xx: that is a reply, not an error.
        """
        path = "/exchange/status"
        return await self._http.read(ExchangeStatus, path, accept_5xx=True, tries=tries)

    async def exchange_schedule(self, *, tries: int = TRIES) -> Schedule:
        """Weekly hours and announced pauses (`GetExchangeSchedule`)."""
        return Schedule.of(await self._http.read(ScheduleReply, "/exchange/schedule", tries=tries))

    async def account_limits(self, *, tries: int = TRIES) -> AccountLimits:
        """The account's rate limits (`GetAccountApiLimits`), for `RateBudget.apply`."""
        return await self._http.read(AccountLimits, "/account/limits", tries=tries)

    async def endpoint_costs(self) -> CallCosts:
        """What calls cost in tokens (`GetAccountEndpointCosts`)."""
        return CallCosts(await self._http.read(CostsReply, "/account/endpoint_costs"))

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

    async def markets_page(
        self, query: MarketQuery, cursor: str = "", limit: int = PAGE
    ) -> tuple[Listing[Market], str]:
        """One page of a list, asked for once -> (its markets, the cursor of the next page or "").

        Args:
            query: Which markets.
            cursor: What the page before gave; "" for the first page.
            limit: Rows, 1 to 1,000.
        """
        params: Params = {"limit": limit, **query.params, "cursor": cursor or None}
        page = await self._http.read(MarketsPage, "/markets", params, tries=1)
        return decode_items(page.rows, _market), page.cursor or ""

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
        """Read a series and its fees (`GetSeries`).

        Args:
            series_ticker: The series.

        Raises:
            NotFound: There is none.
            WireError: Its multiplier is no number from 0 to 1000 with at most four decimals.
        """
        reply = await self._http.read(SeriesReply, f"/series/{segment(series_ticker)}")
        return Series.of(reply.series)

    async def series_fee_changes(
        self, series_ticker: str | None = None, *, past: bool = False
    ) -> Listing[FeeChange]:
        """List fee changes of series (`GetSeriesFeeChanges`).

        Args:
            series_ticker: Only those of a series; None: of all.
            past: Also those in force already, not only those to come.
        """
        params: Params = {
            "series_ticker": series_ticker,
            "show_historical": "true" if past else None,
        }
        reply = await self._http.read(FeeChangesReply, "/series/fee_changes", params)
        return decode_items(reply.rows, _fee_change)

    async def event_fee_changes(self, event_ticker: str | None = None) -> Listing[EventFeeChange]:
        """List scheduled fee overrides of events, all pages (`GetEventFeeChanges`).

        Args:
            event_ticker: Only those of an event; None: of all.
        """
        params: Params = {"event_ticker": event_ticker}
        path = "/events/fee_changes"
        return await self._listing(EventFeeChangesPage, path, params, _event_fee_change)

    async def event_fees(self, event_ticker: str) -> EventFees:
        """An event's series and its own fees, without its markets (`GetEvent`); `NotFound`."""
        path = f"/events/{segment(event_ticker)}"
        params: Params = {"exclude_markets": "true"}
        return EventFees.of((await self._http.read(EventReply, path, params)).event)

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


def multiplier_e4(multiplier: Decimal, owner: str) -> int:
    """A fee multiplier in 1e-4; `WireError` for one that is negative, huge or finer than that."""
    if not (multiplier.is_finite() and 0 <= multiplier <= MAX_MULTIPLIER):
        raise WireError(f"{owner}: fee_multiplier is not between 0 and {MAX_MULTIPLIER}")
    scaled = multiplier * MULTIPLIER_SCALE
    if scaled != int(scaled):
        raise WireError(f"{owner}: fee_multiplier {multiplier} has more than four decimals")
    return int(scaled)
