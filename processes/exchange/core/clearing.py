"""Clearing of one market's executions: cash, positions, fees, and what resting orders hold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from ipc.units import ONE_DOLLAR_E4
from processes.exchange.core.books import NO, YES, PublishedBook
from processes.exchange.core.collateral_return import CollateralReturn
from processes.exchange.core.events import (
    BookChanged,
    OrderChanged,
    OrderFilled,
    PositionChanged,
    TradePrinted,
)
from processes.exchange.core.ledger import ShardCollateral, TradingAccount, hold_e6
from processes.exchange.core.markets import ListedMarket
from processes.exchange.core.matching import Matcher
from processes.exchange.core.orders import AccountOrder, UpdateReason
from processes.exchange.core.venue import Venue

__all__ = ["Bookkeeper", "FillRecord", "MarketClearing"]


class FillRecord(msgspec.Struct, frozen=True):
    """One execution of one order, kept for `GET /portfolio/fills`."""

    trade_id: str
    order_id: str
    ticker: str
    leg: int
    yes_price_e4: int
    count_e2: int
    fee_e6: int
    is_taker: bool
    ts_ms: int
    exchange_index: int
    subaccount: int
    number: int = 0  # its place among all fills


class Bookkeeper(Protocol):
    """Receives what was executed."""

    def record(self, fill: FillRecord, user_id: str) -> None:
        """Keep a fill."""
        ...

    def executed(self, order: AccountOrder, count_e2: int) -> None:
        """An execution of an order is complete, the other side's part of it too."""
        ...


class MarketClearing:
    """The matcher's `Clearing` of one market: books executions and holds, publishes changes.

    Args:
        venue: Receives events and public trades.
        market: The market.
        keeper: Receives fills.
        returns: Brought up to date as positions change.
        new_id: Makes trade ids; a trade and its fills share one.
        shadow: Whether the market is recorded: its book and public trades are the recording's.
    """

    def __init__(
        self,
        venue: Venue,
        market: ListedMarket,
        keeper: Bookkeeper,
        returns: CollateralReturn,
        new_id: Callable[[], str],
        *,
        shadow: bool,
    ) -> None:
        self.matcher = Matcher(market.book, self, shadow=shadow)
        self._venue = venue
        self._market = market
        self._keeper = keeper
        self._returns = returns
        self._new_id = new_id
        self._shadow = shadow

    def hold(
        self,
        account: TradingAccount,
        *,
        beside: AccountOrder | None = None,
        with_order: AccountOrder | None = None,
    ) -> int:
        """What an account's resting orders hold in this market, 1e-6 dollars.

        Args:
            account: Whose orders.
            beside: An order to leave out.
            with_order: An order to add.
        """
        resting = [*self.matcher.resting[YES], *self.matcher.resting[NO]]
        own = [o for o in resting if o.account is account and o is not beside]
        if with_order is not None:
            own.append(with_order)
        return account.hold_for(self._market.ticker, _wanted(own, YES), _wanted(own, NO))

    def rehold(self, account: TradingAccount) -> None:
        """Bring the account's hold up to date."""
        self.collateral(account).hold(self._market.ticker, self.hold(account))

    def collateral(self, account: TradingAccount) -> ShardCollateral:
        """The account's money on this market's shard."""
        return account.collateral(self._market.facts.exchange_index)

    def pays(self, order: AccountOrder, price_e4: int, count_e2: int, *, is_taker: bool) -> bool:
        """Whether cash and holds still cover everything after this fill."""
        account, ticker = order.account, self._market.ticker
        position = account.position(ticker)
        fees = self._venue.fees.of(self._market, self._venue.now_ms())
        fee_e6 = fees.fee_e6(price_e4, count_e2, is_buy=True, is_taker=is_taker)
        cash_e6 = self.collateral(account).available_beside(ticker) - fee_e6
        cash_e6 += position.cash_flow_e6(order.leg, price_e4, count_e2)
        cash_e6 -= self._returns.taken_back_e6(account, self._market, order.leg, count_e2)
        after = position.count_e2 + (count_e2 if order.leg == YES else -count_e2)
        return cash_e6 >= self._hold_after(order, count_e2, after)

    def _hold_after(self, order: AccountOrder, count_e2: int, position_e2: int) -> int:
        wanted: tuple[list[tuple[int, int]], list[tuple[int, int]]] = ([], [])
        for leg in (YES, NO):
            for other in self.matcher.resting[leg]:
                if other.account is order.account:
                    left = other.remaining_e2 - (count_e2 if other is order else 0)
                    wanted[leg].append((other.leg_price_e4, left))
        return hold_e6(-position_e2, wanted[YES]) + hold_e6(position_e2, wanted[NO])

    def execute(
        self,
        maker: AccountOrder | None,
        taker: AccountOrder | None,
        leg: int,
        price_e4: int,
        count_e2: int,
    ) -> None:
        """Book an execution for each side that is an account's; print the trade if synthetic."""
        trade_id, now_ms = self._new_id(), self._venue.now_ms()  # of the trade and of its fills
        if not self._shadow:
            self._print(trade_id, leg, price_e4, count_e2, now_ms)
        if maker is not None:
            self._fill(maker, trade_id, price_e4, count_e2, now_ms, is_taker=False)
        if taker is not None:
            other_e4 = ONE_DOLLAR_E4 - price_e4
            self._fill(taker, trade_id, other_e4, count_e2, now_ms, is_taker=True)
        for order in (maker, taker):
            if order is not None:
                self._keeper.executed(order, count_e2)

    def _print(self, trade_id: str, leg: int, price_e4: int, count_e2: int, now_ms: int) -> None:
        yes_price_e4 = price_e4 if leg == YES else ONE_DOLLAR_E4 - price_e4
        trade = TradePrinted(
            self._market, trade_id, yes_price_e4, count_e2, 1 - leg, now_ms, now_ms
        )
        self._venue.print_trade(trade)

    def _fill(
        self,
        order: AccountOrder,
        trade_id: str,
        price_e4: int,
        count_e2: int,
        now_ms: int,
        *,
        is_taker: bool,
    ) -> None:
        account = order.account
        order.fees.schedule = self._venue.fees.of(self._market, now_ms)
        charged = order.fees.charge(price_e4, count_e2, is_buy=True, is_taker=is_taker)
        fee_e6 = charged.net_e6
        position = account.position(order.ticker)
        flow_e6 = position.buy(order.leg, price_e4, count_e2, fee_e6, now_ms)
        self.collateral(account).cash_e6 += flow_e6
        self._returns.update(account, self._market.facts.event_ticker)
        order.fill(price_e4, count_e2, fee_e6, is_taker=is_taker, now_ms=now_ms)
        self.rehold(account)
        yes_price_e4 = price_e4 if order.leg == YES else ONE_DOLLAR_E4 - price_e4
        record = FillRecord(
            trade_id=trade_id,
            order_id=order.order_id,
            ticker=order.ticker,
            leg=order.leg,
            yes_price_e4=yes_price_e4,
            count_e2=count_e2,
            fee_e6=fee_e6,
            is_taker=is_taker,
            ts_ms=now_ms,
            exchange_index=self._market.facts.exchange_index,
            subaccount=account.number,
        )
        self._keeper.record(record, order.user_id)
        self._venue.emit(
            OrderFilled(
                account=account,
                order=order,
                trade_id=trade_id,
                yes_price_e4=yes_price_e4,
                count_e2=count_e2,
                fee_e6=fee_e6,
                is_taker=is_taker,
                position_e2=position.count_e2,
                ts_ms=now_ms,
            )
        )
        self._venue.emit(OrderChanged(account, order, now_ms))
        self._venue.emit(PositionChanged(account, order.ticker, now_ms))

    def cancel(self, order: AccountOrder, reason: UpdateReason) -> None:
        """End an order that is in no queue any more."""
        account, now_ms = order.account, self._venue.now_ms()
        order.end(reason, now_ms)
        self.rehold(account)
        self._venue.emit(OrderChanged(account, order, now_ms))

    def publish(self, leg: int, price_e4: int, delta_e2: int, order: AccountOrder | None) -> None:
        """Change the published book; only synthetic markets do this."""
        now_ms, now_us = self._venue.now_ms(), self._venue.step_us
        change = BookChanged(self._market, leg, price_e4, delta_e2, now_ms, now_ms, order, now_us)
        self._venue.change_book(change)

    @property
    def book(self) -> PublishedBook:
        """The published book."""
        return self._market.book


def _wanted(orders: list[AccountOrder], leg: int) -> list[tuple[int, int]]:
    return [(o.leg_price_e4, o.remaining_e2) for o in orders if o.leg == leg]
