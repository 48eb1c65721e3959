"""What is measured of the whole account: exposure, profit and loss, rates. No I/O.

A market is measured again when anything about it changed; prices move by themselves and are looked
at once a second. What is measured is in `exposure` (money at risk) and `day_pnl` (profit and loss).
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable
from typing import Final

import msgspec

from ipc.clock import NS_PER_S
from processes.execution.account import Doubt, MarketAccount
from processes.execution.day_pnl import DayPnl, DayRecord, LossStreak
from processes.execution.exposure import (
    ExposureBook,
    MarketRisk,
    RestingOrder,
    RiskScope,
    event_of,
    market_risk,
    scopes_of,
)
from processes.execution.orders import TrackedOrder
from processes.execution.state import ExecutionState
from processes.execution.touch import Touch

__all__ = ["AccountMeasures", "Measures", "RateWindow"]

MINUTE_NS: Final = 60 * NS_PER_S
MOST_TIMES: Final = 1_000_000  # moments that a rate remembers, ten times the highest limit
UNREAD: Final = frozenset({Doubt.STARTING, Doubt.CHANNEL})  # fills may not have been read yet
UNEXPLAINED: Final = UNREAD | {Doubt.MISMATCH}  # more may be held than is booked


class Measures(msgspec.Struct, frozen=True):
    """What is measured of the account at one moment.

    Attributes:
        daily_loss_e6: What was lost since the day began, negative for a profit.
        drawdown_e6: How far the day's profit is below its peak.
        losses: Closed trades in a row that lost.
        orders_second: Orders sent, and given another price or size, in the last second.
        orders_minute: In the last minute.
        cancels_second: Cancels sent in the last second.
        cancels_minute: In the last minute.
        open_orders: Open orders of the account, of this stack and of others.
    """

    daily_loss_e6: int = 0
    drawdown_e6: int = 0
    losses: int = 0
    orders_second: int = 0
    orders_minute: int = 0
    cancels_second: int = 0
    cancels_minute: int = 0
    open_orders: int = 0


class RateWindow:
    """How often something happened in the last second and minute, from a counter that only rises.

    What the counter rose by since the last look is taken to have happened now.
    """

    def __init__(self) -> None:
        self._times: deque[int] = deque(maxlen=MOST_TIMES)
        self._counted = 0

    def look(self, count: int, mono_ns: int) -> tuple[int, int]:
        """How often in the last second, and in the last minute.

        Args:
            count: How often ever.
            mono_ns: Now.
        """
        self._times.extend([mono_ns] * min(count - self._counted, MOST_TIMES))
        self._counted = count
        while self._times and self._times[0] <= mono_ns - MINUTE_NS:
            self._times.popleft()
        second = 0
        for at_ns in reversed(self._times):
            if at_ns <= mono_ns - NS_PER_S:
                break
            second += 1
        return second, len(self._times)


class AccountMeasures:
    """The account as its limits see it.

    Args:
        state: What is known of accounts and orders.
        expiry_ms: How long an order may rest, for the fees that it may be charged meanwhile.
        touch: The best prices of a market, None when they are not known.
        record: The day so far, of an earlier run.

    Attributes:
        exposures: Money at risk, by market and together.
        day: The day's profit.
        streak: Losses in a row.
        changed: Sums that changed since the caller last emptied this.
    """

    def __init__(
        self,
        state: ExecutionState,
        expiry_ms: int,
        touch: Callable[[str], Touch | None],
        record: DayRecord,
    ) -> None:
        self.exposures = ExposureBook()
        self.day = DayPnl(record, state.now().ms)
        self.streak = LossStreak(record.losses)
        self.changed: set[RiskScope] = set()
        self._state = state
        self._expiry_ms = expiry_ms
        self._touch = touch
        self._orders, self._cancels = RateWindow(), RateWindow()
        self._bids_e4: dict[tuple[str, bool], int] = {}  # last known, of a market's leg: YES or not
        self._stored_e6 = {t: last for t, (_, last) in record.markets.items()}  # not seen yet
        self._unrealised_e6: dict[str, int] = {}  # by the record, where no bid was known since

    @property
    def record(self) -> DayRecord:
        """The day so far, to be stored."""
        day = self.day
        return DayRecord(day.day, day.markets, day.peak_e6, self.streak.losses)

    def now(self) -> Measures:
        """What is measured without an order."""
        mono_ns, counters = self._state.now().mono_ns, self._state.counters
        sent, canceled = counters["sent"] + counters["amended"], counters["cancels"]
        orders = self._orders.look(sent + counters["unsent_orders"], mono_ns)
        cancels = self._cancels.look(canceled + counters["unsent_cancels"], mono_ns)
        return Measures(
            daily_loss_e6=-self.day.profit_e6,
            drawdown_e6=self.day.drawdown_e6,
            losses=self.streak.losses,
            orders_second=orders[0],
            orders_minute=orders[1],
            cancels_second=cancels[0],
            cancels_minute=cancels[1],
            open_orders=len(self._state.orders.open_orders()),
        )

    # When something changed.

    def begin(self) -> None:
        """Measure everything: what changed while nothing was measured is not known."""
        self._state.touched |= self._state.accounts.keys() | self.exposures.tickers()

    def refresh(self) -> bool:
        """Measure the markets that changed -> whether there were any."""
        self._roll()
        touched, self._state.touched = self._state.touched, set()
        for ticker in touched:
            account = self._state.accounts.get(ticker)
            if account is None:
                self._forget(ticker)
                continue
            self.exposures.put(ticker, self.event(ticker), self.risk(ticker))
            self.changed.update(self.scopes(ticker))
            self._update_result(account)
        return bool(touched)

    def look(self) -> None:
        """Once a second: prices have moved, and the day may be another."""
        self.refresh()
        for account in self._state.accounts.values():
            if account.position_e2 != 0:
                self._update_result(account)
        self.changed.update(scope for scope, _ in self.exposures.sums())

    def _roll(self) -> None:
        if self.day.roll(self._state.now().ms):
            self.day.forget(set(self._state.accounts))

    def _forget(self, ticker: str) -> None:
        self.exposures.remove(ticker)
        self.streak.forget(ticker)
        self._stored_e6.pop(ticker, None)
        self._unrealised_e6.pop(ticker, None)
        for is_yes in (True, False):
            self._bids_e4.pop((ticker, is_yes), None)

    # Exposure.

    def event(self, ticker: str) -> str:
        """The market's event: as the exchange says, else by the form of its ticker."""
        return self._state.events.get(ticker) or event_of(ticker)

    def scopes(self, ticker: str) -> tuple[RiskScope, ...]:
        """The sums that a market belongs to."""
        return scopes_of(ticker, self.event(ticker))

    def risk(self, ticker: str, without: Collection[str] = ()) -> MarketRisk:
        """A market's figures now.

        Args:
            ticker: The market.
            without: Client order ids of orders that are left out.
        """
        orders = self._state.orders.open_in(ticker)
        return self.risk_with(ticker, [o for o in orders if o.client_order_id not in without])

    def risk_with(
        self, ticker: str, orders: Iterable[TrackedOrder], *more: RestingOrder
    ) -> MarketRisk:
        """A market's figures with these orders, and no others, open."""
        account, now_ms = self._state.accounts.get(ticker), self._state.now().ms
        if account is None:
            return MarketRisk()
        fees = self._state.fees.bound(ticker, now_ms, now_ms + self._expiry_ms)
        resting = [RestingOrder(o.book_side, o.worst_yes_price_e4, o.most_e2) for o in orders]
        unexplained_e2 = self._unexplained_e2(account)
        position = (account.position_e2, account.cost_basis_e6)
        return market_risk(*position, [*resting, *more], fees, unexplained_e2)

    def _unexplained_e2(self, account: MarketAccount) -> int:
        """Contracts that the exchange showed, after all that is booked, beyond what is booked."""
        asked_mono_ns, positions = self._state.reported
        if not account.doubts & UNEXPLAINED or asked_mono_ns < account.changed_mono_ns:
            return 0
        reported_e2, booked_e2 = positions.get(account.ticker, 0), account.position_e2
        same_leg = reported_e2 * booked_e2 > 0
        return max(abs(reported_e2) - (abs(booked_e2) if same_leg else 0), 0)

    # Profit and loss.

    def _update_result(self, account: MarketAccount) -> None:
        """The market's result, once its fills have been read."""
        if account.doubts & UNREAD:
            return
        net_e6 = account.realized_e6 - account.fees_e6
        result_e6 = net_e6 + self._unrealised_of(account)
        if self.day.last_of(account.ticker) is None:
            began_ms = account.first_fill_ms
            is_of_today = began_ms is None or began_ms >= self.day.began_ms
            self.day.begin(account.ticker, 0 if is_of_today else result_e6)
        self.day.update(account.ticker, result_e6)
        self.streak.update(account.ticker, account.position_e2, net_e6)

    def _unrealised_of(self, account: MarketAccount) -> int:
        """What the position would bring beyond its cost, by the rules of `day_pnl`."""
        ticker, is_yes = account.ticker, account.position_e2 > 0
        stored_e6 = self._stored_e6.pop(ticker, None)
        if account.position_e2 == 0:
            self._unrealised_e6.pop(ticker, None)
            return 0
        if stored_e6 is not None:
            self._unrealised_e6[ticker] = stored_e6 - account.realized_e6 + account.fees_e6
        if (touch := self._touch(ticker)) is not None:
            self._bids_e4[ticker, is_yes] = touch.yes_bid_e4 if is_yes else touch.no_bid_e4
        bid_e4 = self._bids_e4.get((ticker, is_yes))
        if bid_e4 is None:
            return self._unrealised_e6.get(ticker, 0)
        return abs(account.position_e2) * bid_e4 - account.cost_basis_e6

    def unpriced(self) -> int:
        """Markets with a position of whose leg no bid was known in this run."""
        held = (a for a in self._state.accounts.values() if a.position_e2 != 0)
        return sum((a.ticker, a.position_e2 > 0) not in self._bids_e4 for a in held)
