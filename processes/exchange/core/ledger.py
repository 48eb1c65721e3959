"""The money of the exchange's accounts: cash, positions, holds for resting orders, settlement.

Every shard of the exchange has collateral of its own: an account has a purse on each, and a market
takes from and pays into the purse of its shard only.

One signed position per market: contracts of the other outcome net against what is held and every
pair pays its dollar at once. Always, to the micro-dollar:

    cash = start + moved + realized - fees - cost basis, over all markets, settled ones included.

A resting order holds what its fill would cost. Over a market's bids the worst that can happen is
that all of them fill: they cost sum(price x count), and each contract that nets a held one of the
other outcome returns a dollar. So hold = max(0, sum(price x count) - min(netting, count) dollars),
for bids and asks alike, whatever the order in which they fill.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec

from ipc.units import ONE_DOLLAR_E4
from processes.exchange.core.books import NO, YES

__all__ = ["Account", "Position", "Purse", "Settlement", "hold_e6"]

CENT_E6: Final = 10_000


def hold_e6(held_e2: int, orders: Iterable[tuple[int, int]]) -> int:
    """What resting orders of one side hold: (leg price, count) each, `held_e2` that they net."""
    cost_e6 = count_e2 = 0
    for price_e4, remaining_e2 in orders:
        cost_e6 += price_e4 * remaining_e2
        count_e2 += remaining_e2
    return max(0, cost_e6 - min(max(held_e2, 0), count_e2) * ONE_DOLLAR_E4)


class Settlement(msgspec.Struct, frozen=True):
    """One market's end for one account."""

    ticker: str
    event_ticker: str
    result: str
    yes_value_e4: int
    position_e2: int
    cost_e6: int
    revenue_e6: int
    fees_e6: int
    settled_ms: int
    exchange_index: int


class Position:
    """One account in one market."""

    def __init__(self) -> None:
        self.count_e2 = 0  # signed, YES positive
        self.cost_e6 = 0
        self.realized_e6 = 0
        self.fees_e6 = 0
        self.volume_e2 = 0
        self.traded_e6 = 0
        self.updated_ms = 0
        self.settled = False

    def held_e2(self, leg: int) -> int:
        """Contracts held of a leg."""
        return max(self.count_e2 if leg == YES else -self.count_e2, 0)

    def cash_flow_e6(self, leg: int, price_e4: int, count_e2: int) -> int:
        """What buying `count_e2` of a leg does to cash before fees: netting pays, opening costs."""
        netting = min(self.held_e2(1 - leg), count_e2)
        return netting * (ONE_DOLLAR_E4 - price_e4) - (count_e2 - netting) * price_e4

    def buy(self, leg: int, price_e4: int, count_e2: int, fee_e6: int, now_ms: int) -> int:
        """Book a purchase of a leg -> the change of cash, fee included."""
        self.settled = False  # a market that begins anew will settle anew
        flow_e6 = self.cash_flow_e6(leg, price_e4, count_e2)
        netting = min(self.held_e2(1 - leg), count_e2)
        if netting:
            basis = self.cost_e6 * netting // abs(self.count_e2)
            self.cost_e6 -= basis
            self.realized_e6 += netting * (ONE_DOLLAR_E4 - price_e4) - basis
        self.cost_e6 += (count_e2 - netting) * price_e4
        self.count_e2 += count_e2 if leg == YES else -count_e2
        self.fees_e6 += fee_e6
        self.volume_e2 += count_e2
        self.traded_e6 += price_e4 * count_e2
        self.updated_ms = now_ms
        return flow_e6 - fee_e6

    def settle(self, yes_value_e4: int, now_ms: int) -> int:
        """Pay out at the market's value -> the payout, in whole cents for a value in between.

        What that cuts off is a fee. A dollar a contract, or nothing, is paid to the last hundredth.
        """
        value = yes_value_e4 if self.count_e2 >= 0 else ONE_DOLLAR_E4 - yes_value_e4
        payout = abs(self.count_e2) * value
        fee = 0 if value in (0, ONE_DOLLAR_E4) else payout % CENT_E6
        self.realized_e6 += payout - self.cost_e6
        self.fees_e6 += fee
        self.count_e2 = self.cost_e6 = 0
        self.updated_ms, self.settled = now_ms, True
        return payout - fee


class Purse:
    """One account's money on one shard: what it has and what its resting orders hold."""

    def __init__(self, cash_e6: int = 0) -> None:
        self.cash_e6 = cash_e6
        self._holds: dict[str, int] = {}

    @property
    def held_e6(self) -> int:
        """What resting orders hold, all markets."""
        return sum(self._holds.values())

    @property
    def available_e6(self) -> int:
        """What a new order may use; the exchange calls it the balance."""
        return self.cash_e6 - self.held_e6

    def hold(self, ticker: str, amount_e6: int) -> None:
        """Set what a market's resting orders hold."""
        if amount_e6:
            self._holds[ticker] = amount_e6
        else:
            self._holds.pop(ticker, None)

    def available_beside(self, ticker: str) -> int:
        """Cash that no other market's orders hold."""
        return self.available_e6 + self._holds.get(ticker, 0)


class Account:
    """Purses by shard, positions by market. It starts with all its cash on shard 0.

    A user's primary account has number 0, its subaccounts those from 1.
    """

    def __init__(self, user_id: str, start_cash_e6: int, number: int = 0) -> None:
        self.user_id = user_id
        self.number = number
        self.start_cash_e6 = start_cash_e6
        self.moved_e6 = 0  # from other accounts, less what went there
        self.purses = {0: Purse(start_cash_e6)}
        self.positions: dict[str, Position] = {}
        self.settlements: list[Settlement] = []

    @property
    def key(self) -> tuple[str, int]:
        """Which account this is."""
        return self.user_id, self.number

    def purse(self, shard: int) -> Purse:
        """The money on a shard, nothing at the first look."""
        return self.purses.setdefault(shard, Purse())

    def position(self, ticker: str) -> Position:
        """The position in a market, made at the first look."""
        return self.positions.setdefault(ticker, Position())

    @property
    def cash_e6(self) -> int:
        """All shards' cash."""
        return sum(p.cash_e6 for p in self.purses.values())

    @property
    def held_e6(self) -> int:
        """What resting orders hold on all shards."""
        return sum(p.held_e6 for p in self.purses.values())

    @property
    def available_e6(self) -> int:
        """What new orders may use, if it lay on their shards."""
        return self.cash_e6 - self.held_e6

    def hold_for(
        self, ticker: str, bids: Iterable[tuple[int, int]], asks: Iterable[tuple[int, int]]
    ) -> int:
        """What these orders of one market would hold: (leg price, count), bids buy YES, asks NO."""
        position = self.positions.get(ticker) or Position()
        return hold_e6(position.held_e2(NO), bids) + hold_e6(position.held_e2(YES), asks)

    def settle(
        self,
        ticker: str,
        event_ticker: str,
        result: str,
        yes_value_e4: int,
        now_ms: int,
        shard: int = 0,
    ) -> Settlement | None:
        """Pay out a market; `None` when nothing was held or traded in it."""
        position = self.positions.get(ticker)
        if position is None or position.settled:
            return None
        count_e2, cost_e6 = position.count_e2, position.cost_e6
        revenue_e6 = position.settle(yes_value_e4, now_ms)
        self.purse(shard).cash_e6 += revenue_e6
        done = Settlement(
            ticker=ticker,
            event_ticker=event_ticker,
            result=result,
            yes_value_e4=yes_value_e4,
            position_e2=count_e2,
            cost_e6=cost_e6,
            revenue_e6=revenue_e6,
            fees_e6=position.fees_e6,
            settled_ms=now_ms,
            exchange_index=shard,
        )
        if count_e2:
            self.settlements.append(done)
        return done
