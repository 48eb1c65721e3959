"""What the exchange charges, by market and moment: series, their events' overrides, waivers.

Precedence (PROTOCOL 7): a market's fee waiver goes before its event's override, that before its
series' newest change, that before what the series charged at the start. A change counts from its
own millisecond on, whether or not anything was said of it yet.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from models.trading.fees import NO_FEES, FeeSchedule
from processes.exchange.core.markets import ListedMarket, MarketFacts

__all__ = ["FeeTable", "ScheduledFeeChange"]


class ScheduledFeeChange(msgspec.Struct, frozen=True):
    """One change. An event's without a type gives it back to its series."""

    change_id: str
    series_ticker: str
    event_ticker: str  # empty: the whole series
    fee_type: str | None
    multiplier_e4: int | None
    scheduled_ms: int


class FeeTable:
    """All changes, past and to come, and what follows from them."""

    def __init__(self) -> None:
        self.changes: list[ScheduledFeeChange] = []
        self.begun: set[str] = set()  # ids of those that count whatever the time is

    def of(self, market: ListedMarket, now_ms: int) -> FeeSchedule:
        """What a market charges at a moment, Unix milliseconds of market time."""
        facts = market.facts
        if facts.waiver_until_ms > now_ms:
            return msgspec.structs.replace(NO_FEES, rule=facts.fees.rule)
        for change in (
            self.override_of(facts.event_ticker, now_ms),
            self._series_change(facts.series_ticker, now_ms),
        ):
            if change is not None and change.fee_type is not None:
                return FeeSchedule.of(facts.fees.rule, change.fee_type, change.multiplier_e4 or 0)
        return facts.fees

    def override_of(self, event_ticker: str, now_ms: int) -> ScheduledFeeChange | None:
        """An event's own fees at a moment, if it has any."""
        change = self._newest(now_ms, lambda c: c.event_ticker == event_ticker)
        return change if change is not None and change.fee_type is not None else None

    def of_series(self, facts: MarketFacts, now_ms: int) -> tuple[str, int]:
        """(fee type, multiplier in 1e-4) of the series of a market at a moment."""
        change = self._series_change(facts.series_ticker, now_ms)
        if change is None or change.fee_type is None:
            return facts.fee_type, facts.fee_multiplier_e4
        return change.fee_type, change.multiplier_e4 or 0

    def _series_change(self, series_ticker: str, now_ms: int) -> ScheduledFeeChange | None:
        return self._newest(
            now_ms, lambda c: not c.event_ticker and c.series_ticker == series_ticker
        )

    def _newest(
        self, now_ms: int, concerns: Callable[[ScheduledFeeChange], bool]
    ) -> ScheduledFeeChange | None:
        """The newest change that has begun; of equals the one announced last."""
        begun = [
            c
            for c in self.changes
            if (c.scheduled_ms <= now_ms or c.change_id in self.begun) and concerns(c)
        ]
        return max(begun, key=lambda c: (c.scheduled_ms, self.changes.index(c)), default=None)
