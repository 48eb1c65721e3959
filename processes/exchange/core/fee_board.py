"""Fee changes: scheduled for a series or for one event, and what each market charges by them.

Precedence: a market's fee waiver, then its event's override, then its series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import msgspec

from models.trading.fees import NO_FEES, FeeSchedule
from processes.exchange.core.events import EventFeeChanged
from processes.exchange.core.markets import Market
from processes.exchange.core.venue import Venue

__all__ = ["FeeBoard", "FeeChange"]


class FeeChange(msgspec.Struct, frozen=True):
    """One change. An event's without a type gives it back to its series."""

    change_id: str
    series_ticker: str
    event_ticker: str  # empty: the whole series
    fee_type: str | None
    multiplier_e4: int | None
    scheduled_ms: int


class FeeBoard:
    """All changes, past and to come."""

    def __init__(self, venue: Venue, new_id: Callable[[], str]) -> None:
        self.changes: list[FeeChange] = []
        self._venue = venue
        self._new_id = new_id
        self._waiting: list[FeeChange] = []

    def schedule(self, asked: FeeChange) -> FeeChange:
        """Announce a change; `ValueError` for fees that do not exist."""
        if asked.fee_type is not None:
            FeeSchedule.of(FeeSchedule().rule, asked.fee_type, asked.multiplier_e4 or 0)
        change = msgspec.structs.replace(asked, change_id=self._new_id())
        self.changes.append(change)
        self._waiting.append(change)
        return change

    def apply(self, now_ms: int) -> None:
        """Begin what is due."""
        due = [c for c in self._waiting if c.scheduled_ms <= now_ms]
        for change in due:
            self._waiting.remove(change)
            for market in self._markets(change):
                market.fees = self.fees_of(market, now_ms)
            if change.event_ticker:
                ticker, kind, times = change.event_ticker, change.fee_type, change.multiplier_e4
                self._venue.emit(EventFeeChanged(ticker, kind, times, now_ms))

    def fees_of(self, market: Market, now_ms: int) -> FeeSchedule:
        """What a market charges now."""
        facts = market.facts
        if facts.waiver_until_ms > now_ms:
            return msgspec.structs.replace(NO_FEES, rule=facts.fees.rule)
        begun = [c for c in self.changes if c not in self._waiting]
        own = [c for c in begun if c.event_ticker == facts.event_ticker]
        series = [c for c in begun if not c.event_ticker and c.series_ticker == facts.series_ticker]
        for change in (*own[-1:], *series[-1:]):
            if change.fee_type is not None:
                rule, times = facts.fees.rule, change.multiplier_e4 or 0
                return FeeSchedule.of(rule, change.fee_type, times)
        return facts.fees

    def override_of(self, event_ticker: str) -> FeeChange | None:
        """An event's own fees, if it has any."""
        own = [c for c in self.changes if c.event_ticker == event_ticker and c not in self._waiting]
        return own[-1] if own and own[-1].fee_type is not None else None

    def _markets(self, change: FeeChange) -> Iterable[Market]:
        for market in self._venue.markets.values():
            facts = market.facts
            if change.event_ticker in ("", facts.event_ticker) and (
                change.event_ticker or facts.series_ticker == change.series_ticker
            ):
                yield market
