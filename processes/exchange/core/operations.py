"""What the exchange decides by itself: pauses, maintenance, the close of a market, fee changes.

Maintenance windows and fee changes take effect by market time. A market's close: until May 2026 the
exchange removed every level in one burst and then sent a snapshot without levels; since then there
is only the snapshot, once or twice, and the book is full until it. What a change of fees does is in
`processes.exchange.core.fees`.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from models.trading.fees import FeeSchedule
from processes.exchange.core.events import BookChanged, EventFeeChanged
from processes.exchange.core.fees import ScheduledFeeChange
from processes.exchange.core.markets import Closing, ListedMarket, MarketPhase
from processes.exchange.core.order_entry import OrderEntry
from processes.exchange.core.orders import UpdateReason
from processes.exchange.core.venue import Venue

__all__ = [
    "FeeChanges",
    "Maintenance",
    "Pauses",
    "Window",
    "close_trading",
    "weekly_window",
]


class Pauses:
    """Orders stay where they are, except those that asked to be canceled on a pause."""

    def __init__(self, order_entry: OrderEntry) -> None:
        self._order_entry = order_entry

    def trading(self, *, on: bool) -> None:
        """Nothing is placed or changed, cancels are taken."""
        self._order_entry.halts.trading = on
        if on:
            self._cancel_flagged()

    def maintenance(self, *, on: bool) -> None:
        """As a pause of trading, and beside one: each ends by itself."""
        self._order_entry.halts.maintenance = on
        if on:
            self._cancel_flagged()

    def exchange(self, *, on: bool) -> None:
        """Nothing at all is taken."""
        self._order_entry.halts.exchange = on
        if on:
            self._cancel_flagged()

    def _cancel_flagged(self) -> None:
        self._order_entry.end_where(lambda o: o.cancel_on_pause, UpdateReason.HALT_CANCEL)

    def market(self, market: ListedMarket, *, on: bool) -> None:
        """One market; when it comes back, everything that rested there is canceled."""
        venue = self._order_entry.venue
        now_ms = venue.now_ms()
        if on and market.status is MarketPhase.ACTIVE:
            venue.pause_market(market, now_ms)
            mine = market.ticker
            self._order_entry.end_where(
                lambda o: o.cancel_on_pause and o.ticker == mine, UpdateReason.HALT_CANCEL
            )
        elif not on and market.status is MarketPhase.INACTIVE:
            self._order_entry.end_all(market, UpdateReason.HALT_CANCEL)
            venue.resume_market(market, now_ms)


NEW_YORK: Final = ZoneInfo("America/New_York")
THURSDAY: Final = 3  # as `date.weekday` counts
FROM, UNTIL = time(3), time(5)


class Window(msgspec.Struct, frozen=True, order=True):
    """Trading is paused from `start_ms` until `end_ms`."""

    start_ms: int
    end_ms: int
    is_weekly: bool = False


def weekly_window(now_ms: int) -> Window:
    """The Thursday morning in New York that is now, or the next."""
    today = datetime.fromtimestamp(now_ms / 1000, NEW_YORK).date()
    day = today + timedelta(days=(THURSDAY - today.weekday()) % 7)
    while True:
        ends = datetime.combine(day, UNTIL, NEW_YORK)
        if ends.timestamp() * 1000 > now_ms:
            starts = datetime.combine(day, FROM, NEW_YORK)
            return Window(round(starts.timestamp()) * 1000, round(ends.timestamp()) * 1000, True)
        day += timedelta(days=7)


class Maintenance:
    """The windows that are announced. `on_start` cuts the connections."""

    def __init__(self, pauses: Pauses, *, weekly: bool) -> None:
        self.on_start: Callable[[], object] = lambda: None
        self._pauses = pauses
        self._weekly = weekly
        self._windows: list[Window] = []
        self._is_on = False

    def announce(self, start_ms: int, end_ms: int) -> None:
        """One more window."""
        self._windows = sorted([*self._windows, Window(start_ms, end_ms)])

    def clear(self, now_ms: int) -> None:
        """What was announced is taken back; the weekly pause comes all the same."""
        self._windows.clear()
        self.apply(now_ms)

    def windows(self, now_ms: int) -> list[Window]:
        """Those that are not over, the first to begin first."""
        self._add_weekly(now_ms)
        return [w for w in self._windows if w.end_ms > now_ms]

    def resumes_ms(self, now_ms: int) -> int | None:
        """When the pause ends; None while there is none."""
        if not self._is_on:
            return None
        return max((w.end_ms for w in self._windows if w.start_ms <= now_ms), default=now_ms)

    def apply(self, now_ms: int) -> None:
        """Begin and end what is due."""
        self._add_weekly(now_ms)
        due = [w for w in self._windows if w.start_ms <= now_ms]
        if due and not self._is_on:
            self._is_on = True
            self._pauses.maintenance(on=True)
            self.on_start()
        self._windows = [w for w in self._windows if w.end_ms > now_ms]
        if self._is_on and not any(w.start_ms <= now_ms for w in self._windows):
            self._is_on = False
            self._pauses.maintenance(on=False)

    def _add_weekly(self, now_ms: int) -> None:
        if self._weekly and not any(w.is_weekly for w in self._windows):
            self._windows = sorted([*self._windows, weekly_window(now_ms)])


def close_trading(order_entry: OrderEntry, market: ListedMarket, how: Closing, now_ms: int) -> None:
    """Take no more orders, cancel what rests, and end the book.

    Args:
        order_entry: Of the venue.
        market: Open or paused.
        how: What the book's end looks like on the wire.
        now_ms: Market time of all of it.
    """
    venue = order_entry.venue
    venue.step_ms = now_ms  # all of it is of one moment
    order_entry.close(market)
    venue.close_market(market, now_ms)
    if how.burst:
        for leg, price_e4, count_e2 in market.book.levels():
            venue.change_book(BookChanged(market, leg, price_e4, -count_e2, now_ms, now_ms))
    for _ in range(how.snapshots):
        venue.replace_book(market, (), now_ms)
    venue.step_ms = None


class FeeChanges:
    """Announces changes of fees, and says when an event's own begin or end."""

    def __init__(self, venue: Venue, new_id: Callable[[], str]) -> None:
        self._venue = venue
        self._new_id = new_id
        self._waiting: list[ScheduledFeeChange] = []

    @property
    def changes(self) -> list[ScheduledFeeChange]:
        """All changes, past and to come, in the order in which they were announced."""
        return self._venue.fees.changes

    def schedule(self, asked: ScheduledFeeChange) -> ScheduledFeeChange:
        """Announce a change.

        Args:
            asked: Its `change_id` is replaced.

        Returns:
            The change with its id.

        Raises:
            ValueError: Fees that do not exist.
        """
        if asked.fee_type is not None:
            FeeSchedule.of(FeeSchedule().rule, asked.fee_type, asked.multiplier_e4 or 0)
        change = msgspec.structs.replace(asked, change_id=self._new_id())
        self.changes.append(change)
        self._waiting.append(change)
        return change

    def apply(self, now_ms: int) -> None:
        """Begin what is due, and say so of an event's own fees."""
        for change in [c for c in self._waiting if c.scheduled_ms <= now_ms]:
            self._waiting.remove(change)
            self._venue.fees.begun.add(change.change_id)
            if change.event_ticker:
                ticker, kind, times = change.event_ticker, change.fee_type, change.multiplier_e4
                self._venue.emit(EventFeeChanged(ticker, kind, times, now_ms))
