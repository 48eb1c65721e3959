"""Matching in one market: the accounts' orders against the published book and each other.

Two kinds of market share these rules.

- A *recorded* market (`shadow`): the published book is exactly the recording's, whatever the
  accounts do. Their orders are not in it. They queue behind the size that is visible at their price
  when they arrive; recorded trades at their price use up what is ahead, then fill them in order of
  time; a trade at a worse price, or liquidity added across them, fills them at once. Cancels never
  move an order back, and it is never further back than its level is long. What we take stays taken
  until the recording changes that level.
- A *synthetic* market: the accounts' orders are in the book and the flow trades with them.

Prices here are of the leg that an order buys (bids of YES, bids of NO); two legs meet when their
prices add up to a dollar or more. The maker's price is the price of the trade. No I/O, no clock.
"""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterator
from typing import Protocol

from ipc.units import ONE_DOLLAR_E4
from processes.exchange.core.books import Level, PublishedBook
from processes.exchange.core.orders import (
    AccountOrder,
    OrderState,
    SelfTradePrevention,
    UpdateReason,
)

__all__ = ["Clearing", "Matcher"]


class Clearing(Protocol):
    """What matching does to the world: money, and the published book."""

    def pays(self, order: AccountOrder, price_e4: int, count_e2: int, *, is_taker: bool) -> bool:
        """Whether the order's account can pay for a fill.

        Args:
            order: Not changed.
            price_e4: Of the order's own leg.
            count_e2: Contracts of the fill.
            is_taker: Decides the fee.
        """
        ...

    def execute(
        self,
        maker: AccountOrder | None,
        taker: AccountOrder | None,
        leg: int,
        price_e4: int,
        count_e2: int,
    ) -> None:
        """Book one execution.

        Args:
            maker: The resting order; None is the flow's.
            taker: The arriving order; None is the flow's.
            leg: The maker's.
            price_e4: Of the maker's leg; the taker pays one dollar less this.
            count_e2: Contracts.
        """
        ...

    def cancel(self, order: AccountOrder, reason: UpdateReason) -> None:
        """The matcher took an order out of the market."""
        ...

    def publish(self, leg: int, price_e4: int, delta_e2: int, order: AccountOrder | None) -> None:
        """Change the published book; `order` is whose change it is."""
        ...


def _priority(order: AccountOrder) -> tuple[int, int]:
    return -order.leg_price_e4, order.rank


class Matcher:
    """One market's resting orders of the accounts, and the rules by which they fill.

    Legs are YES (0) and NO (1); prices are 1e-4 dollars of the leg that an order buys, counts 1e-2
    contracts.

    Args:
        book: The published book.
        clearing: Books executions and publishes changes.
        shadow: Whether the market is recorded: its book never contains the accounts' orders.

    Attributes:
        resting: The accounts' resting orders by leg, best price first, then first come.
    """

    def __init__(self, book: PublishedBook, clearing: Clearing, *, shadow: bool) -> None:
        self.book = book
        self.shadow = shadow
        self.resting: tuple[list[AccountOrder], list[AccountOrder]] = ([], [])
        self._clearing = clearing
        self._taken: dict[tuple[int, int], int] = {}

    # What stands in the market

    def anonymous(self, leg: int, price_e4: int) -> int:
        """Contracts at a price that belong to no account and are still available."""
        count = self.book.count(leg, price_e4)
        if self.shadow:
            return max(count - self._taken.get((leg, price_e4), 0), 0)
        return count - sum(o.remaining_e2 for o in self._at(leg, price_e4))

    def _at(self, leg: int, price_e4: int) -> list[AccountOrder]:
        return [o for o in self.resting[leg] if o.leg_price_e4 == price_e4]

    def _crossed(self, leg: int, limit_e4: int) -> Iterator[int]:
        """Prices of the other leg that a buyer of `leg` at `limit_e4` meets, best first."""
        other = 1 - leg
        lowest = ONE_DOLLAR_E4 - limit_e4
        own = (o.leg_price_e4 for o in self.resting[other])
        prices = {*self.book.legs[other], *own}
        return iter(sorted((p for p in prices if p >= lowest), reverse=True))

    def crosses(self, leg: int, limit_e4: int) -> bool:
        """Whether a buyer of `leg` would trade at once."""
        return self.obtainable(leg, limit_e4) > 0

    def obtainable(self, leg: int, limit_e4: int) -> int:
        """How much a buyer of `leg` could get at once."""
        return sum(
            self.anonymous(1 - leg, p) + sum(o.remaining_e2 for o in self._at(1 - leg, p))
            for p in self._crossed(leg, limit_e4)
        )

    # The accounts' orders

    def take(self, taker: AccountOrder) -> None:
        """Fill an arriving order with what it crosses, best price first, then first come."""
        for price_e4 in self._crossed(taker.leg, taker.leg_price_e4):
            if taker.remaining_e2 and not self._sweep(price_e4, taker, taker.leg):
                return

    def take_anonymously(self, leg: int, limit_e4: int, count_e2: int) -> int:
        """Let the synthetic flow buy from whatever stands in its way.

        Args:
            leg: What it buys.
            limit_e4: The highest price that it pays.
            count_e2: Contracts.

        Returns:
            Contracts that were left over.
        """
        for price_e4 in self._crossed(leg, limit_e4):
            if count_e2:
                count_e2 -= self._sweep_for_flow(price_e4, 1 - leg, count_e2)
        return count_e2

    def rest(self, order: AccountOrder) -> None:
        """Put an order at the end of its price's queue, and into the book of a synthetic market."""
        order.ahead_e2 = self.anonymous(order.leg, order.leg_price_e4)
        insort(self.resting[order.leg], order, key=_priority)
        self._show(order, order.remaining_e2)

    def remove(self, order: AccountOrder) -> None:
        """Take an order out of its queue, if it stands there."""
        if order in self.resting[order.leg]:
            self.resting[order.leg].remove(order)
            self._show(order, -order.remaining_e2)

    def shrink(self, order: AccountOrder, by_e2: int) -> None:
        """Reduce a resting order in its place."""
        self._show(order, -by_e2)
        order.remaining_e2 -= by_e2

    def queue_position(self, order: AccountOrder) -> int:
        """Contracts at an order's price that trade before it, the flow's and the accounts'."""
        earlier = (o for o in self._at(order.leg, order.leg_price_e4) if o.rank < order.rank)
        return order.ahead_e2 + sum(o.remaining_e2 for o in earlier)

    def _show(self, order: AccountOrder, delta_e2: int) -> None:
        if not self.shadow and delta_e2:
            self._clearing.publish(order.leg, order.leg_price_e4, delta_e2, order)

    def _sweep(self, price_e4: int, taker: AccountOrder, leg: int) -> bool:
        """Walk one price's queue -> whether the taker may go on to the next."""
        maker_leg = 1 - leg
        for maker in self._at(maker_leg, price_e4):
            ahead = min(maker.ahead_e2, self.anonymous(maker_leg, price_e4))
            if not self._take_anonymous(maker_leg, price_e4, ahead, taker):
                return False
            if not taker.remaining_e2:
                return True
            if not self._meet(maker, taker):
                return False
        rest = self.anonymous(maker_leg, price_e4)
        return self._take_anonymous(maker_leg, price_e4, rest, taker)

    def _take_anonymous(self, leg: int, price_e4: int, count_e2: int, taker: AccountOrder) -> bool:
        count_e2 = min(count_e2, taker.remaining_e2)
        if count_e2 <= 0:
            return True
        if not self._clearing.pays(taker, ONE_DOLLAR_E4 - price_e4, count_e2, is_taker=True):
            self._clearing.cancel(taker, UpdateReason.MARGIN_CANCEL)
            return False
        self._use_up(leg, price_e4, count_e2)
        self._clearing.execute(None, taker, leg, price_e4, count_e2)
        return True

    def _use_up(self, leg: int, price_e4: int, count_e2: int) -> None:
        """Anonymous contracts at the front of a level are gone."""
        if self.shadow:
            key = leg, price_e4
            self._taken[key] = self._taken.get(key, 0) + count_e2
        else:
            self._clearing.publish(leg, price_e4, -count_e2, None)
        for order in self._at(leg, price_e4):
            order.ahead_e2 = max(order.ahead_e2 - count_e2, 0)

    def _meet(self, maker: AccountOrder, taker: AccountOrder) -> bool:
        """Two accounts' orders meet -> whether the taker may go on."""
        if maker.status is not OrderState.RESTING:  # gone with its group by an earlier execution
            return True
        if maker.user_id == taker.user_id:
            if taker.self_trade is SelfTradePrevention.TAKER_AT_CROSS:
                self._clearing.cancel(taker, UpdateReason.SELF_TRADE_CANCEL)
                return False
            self._drop(maker, UpdateReason.SELF_TRADE_CANCEL)
            return True
        price_e4, count_e2 = maker.leg_price_e4, min(maker.remaining_e2, taker.remaining_e2)
        if not self._clearing.pays(maker, price_e4, count_e2, is_taker=False):
            self._drop(maker, UpdateReason.MARGIN_CANCEL)
            return True
        if not self._clearing.pays(taker, ONE_DOLLAR_E4 - price_e4, count_e2, is_taker=True):
            self._clearing.cancel(taker, UpdateReason.MARGIN_CANCEL)
            return False
        self._fill_maker(maker, taker, count_e2)
        return True

    def _drop(self, order: AccountOrder, reason: UpdateReason) -> None:
        self.remove(order)
        self._clearing.cancel(order, reason)

    def _fill_maker(self, maker: AccountOrder, taker: AccountOrder | None, count_e2: int) -> None:
        self._show(maker, -count_e2)
        self._clearing.execute(maker, taker, maker.leg, maker.leg_price_e4, count_e2)
        if maker.status is OrderState.EXECUTED:
            self.resting[maker.leg].remove(maker)

    def _give(self, maker: AccountOrder, count_e2: int) -> int:
        """An account's resting order trades with the anonymous flow -> contracts filled."""
        count_e2 = min(count_e2, maker.remaining_e2)
        if count_e2 <= 0:  # nothing to give, or gone with its group by an earlier execution
            return 0
        if not self._clearing.pays(maker, maker.leg_price_e4, count_e2, is_taker=False):
            self._drop(maker, UpdateReason.MARGIN_CANCEL)
            return 0
        self._fill_maker(maker, None, count_e2)
        return count_e2

    def _sweep_for_flow(self, price_e4: int, maker_leg: int, count_e2: int) -> int:
        """The flow takes from one price's queue -> what it got."""
        left = count_e2
        for maker in self._at(maker_leg, price_e4):
            left -= self._flow_takes(maker_leg, price_e4, min(maker.ahead_e2, left))
            left -= self._give(maker, left)
        left -= self._flow_takes(maker_leg, price_e4, left)
        return count_e2 - left

    def _flow_takes(self, leg: int, price_e4: int, count_e2: int) -> int:
        count_e2 = min(count_e2, self.anonymous(leg, price_e4))
        if count_e2 <= 0:
            return 0
        self._use_up(leg, price_e4, count_e2)
        self._clearing.execute(None, None, leg, price_e4, count_e2)
        return count_e2

    # The market's own events

    def on_replaced(self, levels: tuple[Level, ...]) -> None:
        """The published book was replaced by a snapshot."""
        self._taken.clear()
        for leg in (0, 1):
            for order in self.resting[leg]:
                order.ahead_e2 = min(order.ahead_e2, self.anonymous(leg, order.leg_price_e4))
        for leg, price_e4, count_e2 in levels:
            self._across(leg, price_e4, count_e2)

    def on_change(self, leg: int, price_e4: int, delta_e2: int, ts_ms: int) -> None:
        """The published book has changed at a price, not by an account.

        Added liquidity may fill orders across it. A removal shortens the queue only as far as the
        level has become shorter than what stood ahead: cancels never move an order back, and come
        from behind it first.

        Args:
            leg: Of the level.
            price_e4: Of that leg.
            delta_e2: Signed contracts.
            ts_ms: Market time, which joins a removal with the trade that explains it.
        """
        if self._taken:
            self._taken.pop((leg, price_e4), None)
        if not self.resting[1 - leg if delta_e2 > 0 else leg]:
            return
        if delta_e2 > 0:
            self._across(leg, price_e4, delta_e2)
            return
        left = self.anonymous(leg, price_e4)
        for order in self._at(leg, price_e4):
            gone = order.ahead_e2 - left
            if gone > 0:
                if order.explained_ms != ts_ms:
                    order.explained_e2, order.explained_ms = 0, ts_ms
                order.explained_e2 += gone
                order.ahead_e2 = left

    def on_trade(self, maker_leg: int, price_e4: int, count_e2: int, ts_ms: int) -> None:
        """A recorded trade took contracts from the bids at a price.

        Its removal from the book is usually seen just before it, in the same millisecond: what that
        already took off the queue is not taken off again.

        Args:
            maker_leg: Leg of the bids that were traded with.
            price_e4: Of that leg.
            count_e2: Contracts.
            ts_ms: Market time.
        """
        for order in [o for o in self.resting[maker_leg] if o.leg_price_e4 > price_e4]:
            count_e2 -= self._give(order, count_e2)
        passed = 0  # what earlier account orders at this price took of the trade
        for order in self._at(maker_leg, price_e4):
            known = order.explained_e2 if order.explained_ms == ts_ms else 0
            use = min(known, count_e2)
            order.explained_e2 = known - use
            ahead = order.ahead_e2
            order.ahead_e2 = max(ahead - (count_e2 - use), 0)
            passed += self._give(order, count_e2 - use - ahead - passed)

    def _across(self, leg: int, price_e4: int, count_e2: int) -> None:
        """New bids of `leg` that cross resting account orders fill them, best first."""
        lowest = ONE_DOLLAR_E4 - price_e4
        for order in [o for o in self.resting[1 - leg] if o.leg_price_e4 >= lowest]:
            given = self._give(order, count_e2)
            count_e2 -= given
            if given and self.shadow:
                key = leg, price_e4
                self._taken[key] = self._taken.get(key, 0) + given
