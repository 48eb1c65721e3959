"""Order entry: create, amend, decrease, cancel, expire, close, settle; and order groups. No I/O.

Rules and error codes: PROTOCOL 3.2 and 6.1 (orders), 6.4 (order groups), 6.5 (shards)."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Mapping

import msgspec

from ipc.units import ONE_DOLLAR_E4
from processes.exchange.core.books import NO, YES
from processes.exchange.core.clearing import FillRecord, MarketClearing
from processes.exchange.core.collateral_return import CollateralReturn
from processes.exchange.core.events import GroupChanged, GroupEvent, OrderChanged, PositionChanged
from processes.exchange.core.ledger import TradingAccount
from processes.exchange.core.markets import ListedMarket
from processes.exchange.core.orders import (
    AccountOrder,
    Amendment,
    ExchangeOrderGroup,
    NewOrder,
    OrderGroups,
    OrderState,
    OrderTimeInForce,
    UpdateReason,
)
from processes.exchange.core.rejections import Halts, Rejection, not_found
from processes.exchange.core.venue import Venue, shard_of

__all__ = ["GroupCommands", "OrderEntry", "OrderResult"]


class OrderResult(msgspec.Struct, frozen=True):
    """What a create or an amend did at once.

    Attributes:
        order: As it is afterwards.
        filled_e2: Contracts filled by this request alone.
        yes_cost_e6: What they cost at the YES price, whichever leg was bought.
        fee_e6: Fees of these fills.
        ts_ms: Market time.
    """

    order: AccountOrder
    filled_e2: int
    yes_cost_e6: int
    fee_e6: int
    ts_ms: int


class OrderEntry:
    """Every order of every account, and the clearing of every market.

    Methods that a request reaches raise `Rejection` with the status and error code of the real
    exchange, and then have changed nothing.

    Args:
        venue: Holds the markets.
        new_id: Makes ids of orders and trades.
        shadow: Whether the markets are recorded, so that orders queue behind the published book
            without being in it (`core.matching`).

    Attributes:
        orders: By order id, ended ones too until `forget`.
        fills: By user id, oldest first.
        clearings: By ticker.
        groups: The order groups of all accounts.
        halts: Pauses of trading and of the exchange.
        returns: Collateral that mutually exclusive markets have returned.
    """

    def __init__(self, venue: Venue, new_id: Callable[[], str], *, shadow: bool) -> None:
        self.venue = venue
        self.orders: dict[str, AccountOrder] = {}
        self.fills: dict[str, list[FillRecord]] = {user: [] for user in venue.members}
        self.clearings: dict[str, MarketClearing] = {}
        self.groups = OrderGroups()
        self.halts = Halts()
        self.returns = CollateralReturn(venue)
        self._client_ids: dict[tuple[str, str], str] = {}  # to the order
        self._expiries: list[tuple[int, str]] = []
        self._new_id = new_id
        self._shadow = shadow
        self._rank = 0
        self._fill_numbers = 0

    def open(self, market: ListedMarket) -> MarketClearing:
        """Start taking orders for a market."""
        venue, returns = self.venue, self.returns
        clearing = MarketClearing(venue, market, self, returns, self._new_id, shadow=self._shadow)
        self.clearings[market.ticker] = clearing
        return clearing

    # Reports of the clearing

    def record(self, fill: FillRecord, user_id: str) -> None:
        """Keep a fill."""
        self._fill_numbers += 1
        self.fills[user_id].append(msgspec.structs.replace(fill, number=self._fill_numbers))

    def executed(self, order: AccountOrder, count_e2: int) -> None:
        """An order's group may have reached its limit."""
        group = self.groups.exhausted(order.group_id, count_e2, self.venue.now_ms())
        if group is not None:
            self.trigger(group)
            if order.status is OrderState.RESTING:  # a taker on its way, in no queue yet
                self._end(order, UpdateReason.NONE)

    def trigger(self, group: ExchangeOrderGroup) -> None:
        """Cancel a group's orders; it takes no more until it is reset."""
        group.triggered = True
        self.end_where(lambda o: o.group_id == group.group_id, UpdateReason.NONE)
        now_ms = self.venue.now_ms()
        event_type = GroupEvent.TRIGGERED
        self.venue.emit(GroupChanged(group.account, group.group_id, event_type, None, now_ms))

    # Create

    def create(self, account: TradingAccount, asked: NewOrder) -> OrderResult:
        """Place an order, fill what crosses, rest or cancel the remainder (PROTOCOL 6.1).

        Args:
            account: Whose order it is.
            asked: The request, checked for form.

        Returns:
            The order and what it filled at once.

        Raises:
            Rejection: 404 `market_not_found`; 400 `trading_paused`, `exchange_paused`,
                `market_inactive`, `invalid_price`, `invalid_order_size`, `invalid_order`,
                `order_group_not_found`, `exceeded_order_group_risk_limit`,
                `exceeded_per_market_risk_limit`, `insufficient_balance`; 409
                `order_already_exists`, `fill_or_kill_insufficient_resting_volume`.
        """
        clearing, asked = self._checked(account, asked)
        now_ms = self.venue.now_ms()
        self._rank += 1
        market = self.venue.markets[asked.ticker]
        shard = market.facts.exchange_index
        fees = self.venue.fees.of(market, now_ms)
        order = AccountOrder(self._new_id(), account, asked, fees, now_ms, self._rank, shard)
        self.orders[order.order_id] = order
        if order.client_order_id:
            self._client_ids[account.user_id, order.client_order_id] = order.order_id
        if order.expiration_ms is not None:
            heapq.heappush(self._expiries, (order.expiration_ms, order.order_id))
        rests = asked.time_in_force is OrderTimeInForce.GOOD_TILL_CANCELED
        return self._enter(clearing, order, rests=rests, reduce_only=asked.reduce_only)

    def _checked(self, account: TradingAccount, asked: NewOrder) -> tuple[MarketClearing, NewOrder]:
        """The rules that refuse an order before it exists, in the exchange's order."""
        clearing = self._trading(asked.ticker, asked.exchange_index)
        if self.venue.markets[asked.ticker].facts.grid.index(asked.leg_price_e4) < 0:
            raise Rejection.nested(400, "invalid_price")
        if asked.count_e2 < max(self.venue.markets[asked.ticker].minimum_e2, 1):
            raise Rejection.nested(400, "invalid_order_size")
        if (account.user_id, asked.client_order_id) in self._client_ids:
            raise Rejection.nested(409, "order_already_exists")
        self._check_expiry(asked.time_in_force, asked.expiration_s)
        if asked.group_id:
            shard = self.venue.markets[asked.ticker].facts.exchange_index
            self.groups.admit(account, asked.group_id, shard, self.venue.now_ms())
        if asked.reduce_only:
            asked = self._reduced(account, asked)
        matcher = clearing.matcher
        if asked.post_only and matcher.crosses(asked.leg, asked.leg_price_e4):
            raise Rejection.nested(400, "invalid_order", "post only cross")
        self._check_position_limit(clearing, account, asked)
        self._check_balance(clearing, account, asked)
        if asked.time_in_force is OrderTimeInForce.FILL_OR_KILL:
            obtainable = matcher.obtainable(asked.leg, asked.leg_price_e4)
            if obtainable < asked.count_e2:
                raise Rejection.nested(409, "fill_or_kill_insufficient_resting_volume")
        return clearing, asked

    def _trading(self, ticker: str, exchange_index: int | None = None) -> MarketClearing:
        """A market of the shard that is asked, open for orders."""
        market = self.venue.markets.get(ticker)
        shard = shard_of(self.venue, exchange_index, ticker)
        if market is None or market.facts.exchange_index != shard:
            raise Rejection.nested(404, "market_not_found")
        self.halts.check_entry()
        if not market.is_open:
            raise Rejection.nested(400, "market_inactive")
        return self.clearings[ticker]

    def _check_cancel(self, ticker: str) -> None:
        """A paused market lets go of orders, a closed one does not."""
        self.halts.check_cancel()
        if not self.venue.markets[ticker].is_running:
            raise Rejection.nested(400, "market_inactive")

    def _check_expiry(self, time_in_force: OrderTimeInForce, expiration_s: int | None) -> None:
        if expiration_s is None:
            return
        if time_in_force is not OrderTimeInForce.GOOD_TILL_CANCELED:
            text = f"Cannot specify both {time_in_force} and expiration_ts"
            raise Rejection.nested(400, "invalid_order", text)
        if expiration_s * 1000 <= self.venue.now_ms():
            text = "Expiration timestamp must be in the future"
            raise Rejection.nested(400, "invalid_order", text)

    @staticmethod
    def _reduced(account: TradingAccount, asked: NewOrder) -> NewOrder:
        """A reduce-only order is capped at what is held of the other leg."""
        if asked.time_in_force is not OrderTimeInForce.IMMEDIATE_OR_CANCEL:
            raise Rejection.nested(400, "invalid_order", "reduce_only requires immediate_or_cancel")
        position = account.positions.get(asked.ticker)
        held = position.held_e2(1 - asked.leg) if position else 0
        return msgspec.structs.replace(asked, count_e2=min(asked.count_e2, held))

    def _check_position_limit(
        self, clearing: MarketClearing, account: TradingAccount, asked: NewOrder
    ) -> None:
        """Worst case: everything that rests on this side fills, and this order too."""
        limit_e2 = self.venue.markets[asked.ticker].position_limit_e2
        if limit_e2 is None:
            return
        queue = clearing.matcher.resting[asked.leg]
        resting_e2 = sum(o.remaining_e2 for o in queue if o.account is account)
        position = account.position(asked.ticker)
        held_e2 = position.held_e2(asked.leg) - position.held_e2(1 - asked.leg)
        if held_e2 + resting_e2 + asked.count_e2 > limit_e2:
            raise Rejection.nested(400, "exceeded_per_market_risk_limit")

    def _check_balance(
        self,
        clearing: MarketClearing,
        account: TradingAccount,
        asked: NewOrder,
        old: AccountOrder | None = None,
    ) -> None:
        """Worst case: everything fills at the limit; the fee is paid on what it opens."""
        fees = self.venue.fees.of(self.venue.markets[asked.ticker], self.venue.now_ms())
        probe = AccountOrder("", account, asked, fees, 0, 0)
        hold = clearing.hold(account, beside=old, with_order=probe)
        netting = account.position(asked.ticker).held_e2(1 - asked.leg)
        opening = max(asked.count_e2 - netting, 0)
        fee = fees.fee_e6(asked.leg_price_e4, opening, is_buy=True, is_taker=True) if opening else 0
        market = self.venue.markets[asked.ticker]
        back = self.returns.taken_back_e6(account, market, asked.leg, asked.count_e2)
        if clearing.collateral(account).available_beside(asked.ticker) < hold + fee + back:
            raise Rejection.nested(400, "insufficient_balance")

    def _enter(
        self,
        clearing: MarketClearing,
        order: AccountOrder,
        *,
        rests: bool,
        reduce_only: bool = False,
    ) -> OrderResult:
        """Take what crosses; rest or cancel the remainder."""
        before = order.filled_e2, sum(order.cost_e6.values()), sum(order.paid_e6.values())
        clearing.matcher.take(order)
        if order.status is OrderState.RESTING and not rests:
            reason = UpdateReason.REDUCE_ONLY_CANCEL if reduce_only else UpdateReason.NONE
            clearing.cancel(order, reason)
        elif order.status is OrderState.RESTING:
            clearing.matcher.rest(order)
            account = order.account
            clearing.rehold(account)
            self.venue.emit(OrderChanged(account, order, self.venue.now_ms()))
        filled = order.filled_e2 - before[0]
        cost = sum(order.cost_e6.values()) - before[1]
        yes_cost = cost if order.leg == YES else filled * ONE_DOLLAR_E4 - cost
        fee = sum(order.paid_e6.values()) - before[2]
        return OrderResult(order, filled, yes_cost, fee, self.venue.now_ms())

    # Change

    def resting(
        self, account: TradingAccount, order_id: str, shard: int | None = None
    ) -> AccountOrder:
        """An order that can still be changed; canceled, executed and unknown ones are not found."""
        order = self.orders.get(order_id)
        if order is None or order.account is not account or order.status is not OrderState.RESTING:
            raise not_found()
        if shard not in (None, order.exchange_index):
            raise not_found()
        return order

    def cancel(
        self, account: TradingAccount, order_id: str, shard: int | None = None
    ) -> tuple[AccountOrder, int]:
        """Cancel an order of `account`.

        Args:
            account: Whose order it must be.
            order_id: The exchange's id.
            shard: Where it must be; None: anywhere.

        Returns:
            The order and the contracts (1e-2) that were cancelled.

        Raises:
            Rejection: 404 `not_found` for an order that is unknown, elsewhere, executed or
                cancelled; 400 for a closed market or a paused exchange.
        """
        order = self.resting(account, order_id, shard)
        self._check_cancel(order.ticker)
        remaining = order.remaining_e2
        self._end(order, UpdateReason.NONE)
        return order, remaining

    def cancel_all(self, accounts: Collection[TradingAccount]) -> int:
        """Cancel every resting order of these accounts -> how many."""
        self.halts.check_cancel()
        return self.end_where(lambda o: o.account in accounts, UpdateReason.NONE)

    def end_where(self, chosen: Callable[[AccountOrder], bool], reason: UpdateReason) -> int:
        """Cancel the resting orders that are chosen -> how many."""
        orders = [o for o in self.live_orders() if chosen(o)]
        for order in orders:
            self._end(order, reason)
        return len(orders)

    def decrease(self, account: TradingAccount, order_id: str, to_e2: int) -> AccountOrder:
        """Reduce what remains of an order, in its place in the queue.

        Args:
            account: Whose order it must be.
            order_id: The exchange's id.
            to_e2: Contracts (1e-2) that remain; 0 cancels.

        Raises:
            Rejection: 404 `not_found`; 400 `invalid_order_size` when that is no reduction; as for
                `create` when the market takes no orders.
        """
        order = self.resting(account, order_id)
        clearing = self._trading(order.ticker)
        if not 0 <= to_e2 < order.remaining_e2:
            raise Rejection.nested(400, "invalid_order_size")
        if to_e2 == 0:
            self._end(order, UpdateReason.DECREASE)
            return order
        self._shrink(clearing, order, order.remaining_e2 - to_e2, UpdateReason.DECREASE)
        return order

    def _shrink(
        self, clearing: MarketClearing, order: AccountOrder, by_e2: int, reason: UpdateReason
    ) -> None:
        if by_e2:
            clearing.matcher.shrink(order, by_e2)
        order.reason, order.updated_ms = reason, self.venue.now_ms()
        account = order.account
        clearing.rehold(account)
        self.venue.emit(OrderChanged(account, order, order.updated_ms))

    def amend(self, account: TradingAccount, order_id: str, asked: Amendment) -> OrderResult:
        """Change price, size, expiry or client id.

        A larger size or another price loses the place in the queue (PROTOCOL 6.1).

        Args:
            account: Whose order it must be.
            order_id: The exchange's id.
            asked: Its `count_e2` is the total: what has been filled counts.

        Returns:
            The order and what it filled at once.

        Raises:
            Rejection: 404 `not_found`; 400 `order_ticker_mismatch`, `order_side_mismatch`,
                `order_id_and_client_order_id_mismatch`, `invalid_price`, `invalid_order_size`,
                `invalid_order`, `insufficient_balance`; 409 `order_already_exists`.
        """
        order = self.resting(account, order_id)
        if asked.ticker != order.ticker:
            raise Rejection.nested(400, "order_ticker_mismatch")
        clearing = self._trading(order.ticker, asked.exchange_index)
        self._check_amendment(account, order, asked)
        remaining = asked.count_e2 - order.filled_e2
        if remaining == 0:
            self._end(order, UpdateReason.AMEND)
            return OrderResult(order, 0, 0, 0, self.venue.now_ms())
        new = self._amended(order, asked, remaining)
        self._check_balance(clearing, account, new, order)
        self._rename(account, order, asked)
        if asked.leg_price_e4 == order.leg_price_e4 and remaining <= order.remaining_e2:
            self._shrink(clearing, order, order.remaining_e2 - remaining, UpdateReason.AMEND)
            return OrderResult(order, 0, 0, 0, order.updated_ms)
        clearing.matcher.remove(order)
        self._rank += 1
        order.rank, order.remaining_e2 = self._rank, remaining
        order.leg_price_e4, order.reason = asked.leg_price_e4, UpdateReason.AMEND
        order.updated_ms = self.venue.now_ms()
        clearing.rehold(account)
        return self._enter(clearing, order, rests=True)

    def _check_amendment(
        self, account: TradingAccount, order: AccountOrder, asked: Amendment
    ) -> None:
        if asked.leg != order.leg:
            raise Rejection.nested(400, "order_side_mismatch")
        if asked.client_order_id and asked.client_order_id != order.client_order_id:
            raise Rejection.nested(400, "order_id_and_client_order_id_mismatch")
        if self.venue.markets[order.ticker].facts.grid.index(asked.leg_price_e4) < 0:
            raise Rejection.nested(400, "invalid_price")
        if asked.count_e2 < max(order.filled_e2, 1):
            raise Rejection.nested(400, "invalid_order_size")
        renamed = asked.updated_client_order_id
        taken = (account.user_id, renamed) in self._client_ids
        if renamed and renamed != order.client_order_id and taken:
            raise Rejection.nested(409, "order_already_exists")
        if not asked.keeps_expiry:
            self._check_expiry(OrderTimeInForce.GOOD_TILL_CANCELED, asked.expiration_s)

    @staticmethod
    def _amended(order: AccountOrder, asked: Amendment, remaining_e2: int) -> NewOrder:
        return NewOrder(
            ticker=order.ticker,
            client_order_id="",
            leg=order.leg,
            leg_price_e4=asked.leg_price_e4,
            count_e2=remaining_e2,
            time_in_force=OrderTimeInForce.GOOD_TILL_CANCELED,
            self_trade=order.self_trade,
        )

    def _rename(self, account: TradingAccount, order: AccountOrder, asked: Amendment) -> None:
        """Give the order its new client id, size and expiry."""
        order.initial_e2 = asked.count_e2
        if asked.updated_client_order_id:
            order.client_order_id = asked.updated_client_order_id
            self._client_ids[account.user_id, order.client_order_id] = order.order_id
        if not asked.keeps_expiry:
            seconds = asked.expiration_s
            order.expiration_ms = None if seconds is None else seconds * 1000
            if order.expiration_ms is not None:
                heapq.heappush(self._expiries, (order.expiration_ms, order.order_id))

    # By time

    def live_orders(self) -> list[AccountOrder]:
        """Every resting order; one that fills just now may still stand in its queue."""
        queues = [q for c in self.clearings.values() for q in c.matcher.resting]
        return [o for queue in queues for o in queue if o.status is OrderState.RESTING]

    def expire(self, now_ms: int) -> None:
        """Cancel what has expired by market time `now_ms`."""
        while self._expiries and self._expiries[0][0] <= now_ms:
            expiry_ms, order_id = heapq.heappop(self._expiries)
            order = self.orders.get(order_id)
            if order is None:  # forgotten with its market
                continue
            if order.status is OrderState.RESTING and order.expiration_ms == expiry_ms:
                self._end(order, UpdateReason.EXPIRY_CANCEL)

    def close(self, market: ListedMarket) -> None:
        """The market closes: what rests there is canceled."""
        self.end_all(market, UpdateReason.CLOSE_CANCEL)

    def end_all(self, market: ListedMarket, reason: UpdateReason) -> None:
        """Cancel what rests in a market."""
        resting = self.clearings[market.ticker].matcher.resting
        for order in [*resting[YES], *resting[NO]]:
            self._end(order, reason)

    def _end(self, order: AccountOrder, reason: UpdateReason) -> None:
        clearing = self.clearings[order.ticker]
        clearing.matcher.remove(order)
        clearing.cancel(order, reason)

    def settle(self, market: ListedMarket, sent_ms: int) -> None:
        """Pay every account out at the market's value.

        Args:
            market: Determined.
            sent_ms: Market time of the payment.

        Raises:
            ValueError: The market has no value yet.
        """
        value_e4 = market.value_e4
        if value_e4 is None:
            raise ValueError(f"{market.ticker} has no result to settle by")
        facts = market.facts
        for account in self.venue.accounts:
            paid = account.settle(
                facts.ticker,
                facts.event_ticker,
                market.result,
                value_e4,
                sent_ms,
                facts.exchange_index,
            )
            if paid is not None:
                self.returns.update(account, facts.event_ticker)
                self.venue.emit(PositionChanged(account, facts.ticker, sent_ms))

    def correct(self, market: ListedMarket, result: str, value_e4: int, sent_ms: int) -> None:
        """Pay every account the difference to the right result of a settled market.

        Args:
            market: Settled.
            result: The right one, such as `yes`.
            value_e4: What a YES contract pays, 1e-4 dollars.
            sent_ms: Market time.
        """
        self.venue.correct_market(market, result, value_e4, sent_ms)
        for account in self.venue.accounts:
            if account.correct(market.ticker, result, value_e4, sent_ms) is not None:
                self.venue.emit(PositionChanged(account, market.ticker, sent_ms))

    def forget(self, until_ms: Mapping[str, float]) -> None:
        """Drop orders, fills and settlements of markets up to a time; of one that is gone, all.

        Args:
            until_ms: Market time by ticker, infinite for a market that is gone.
        """

        def kept(ticker: str, at_ms: int) -> bool:
            return at_ms > until_ms.get(ticker, -1)

        self.orders = {i: o for i, o in self.orders.items() if kept(o.ticker, o.updated_ms)}
        self._client_ids = {c: i for c, i in self._client_ids.items() if i in self.orders}
        for fills in self.fills.values():
            fills[:] = [f for f in fills if kept(f.ticker, f.ts_ms)]
        for account in self.venue.accounts:
            account.settlements[:] = [
                s for s in account.settlements if kept(s.ticker, s.settled_ms)
            ]
            for ticker in account.positions.keys() & until_ms.keys() - self.venue.markets.keys():
                del account.positions[ticker]
        for ticker in self.clearings.keys() & until_ms.keys() - self.venue.markets.keys():
            del self.clearings[ticker]


class GroupCommands:
    """Commands of an account on its order groups; each is reported as an event."""

    def __init__(self, order_entry: OrderEntry, new_id: Callable[[], str]) -> None:
        self._order_entry = order_entry
        self._new_id = new_id

    def create(
        self, account: TradingAccount, limit_e2: int, exchange_index: int
    ) -> ExchangeOrderGroup:
        """A new group; `Rejection` when the account has too many."""
        group = ExchangeOrderGroup(self._new_id(), account, limit_e2, exchange_index)
        self._order_entry.groups.add(group)
        self._emit(group, GroupEvent.CREATED, limit_e2)
        return group

    def change_limit(self, group: ExchangeOrderGroup, limit_e2: int) -> None:
        """Another limit; what has matched already may exhaust it at once."""
        group.limit_e2 = limit_e2
        self._emit(group, GroupEvent.LIMIT_UPDATED, limit_e2)
        if not group.triggered and group.is_exhausted(self._order_entry.venue.now_ms()):
            self._order_entry.trigger(group)

    def trigger(self, group: ExchangeOrderGroup) -> None:
        """Cancel its orders and take no more."""
        self._order_entry.trigger(group)

    def reset(self, group: ExchangeOrderGroup) -> None:
        """Take orders again."""
        group.reset()
        self._emit(group, GroupEvent.RESET)

    def delete(self, group: ExchangeOrderGroup) -> None:
        """Cancel its orders and forget it."""
        self._order_entry.end_where(lambda o: o.group_id == group.group_id, UpdateReason.NONE)
        self._order_entry.groups.remove(group)
        self._emit(group, GroupEvent.DELETED)

    def orders_of(self, group: ExchangeOrderGroup) -> list[AccountOrder]:
        """Its resting orders."""
        return [o for o in self._order_entry.live_orders() if o.group_id == group.group_id]

    def _emit(
        self, group: ExchangeOrderGroup, event: GroupEvent, limit_e2: int | None = None
    ) -> None:
        venue = self._order_entry.venue
        now_ms = venue.now_ms()
        venue.emit(GroupChanged(group.account, group.group_id, event, limit_e2, now_ms))
