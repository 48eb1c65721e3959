"""Orders and order groups: what a request asks for, and the order as the exchange keeps it."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from copy import copy
from enum import StrEnum
from typing import Final

import msgspec

from ipc.units import ONE_DOLLAR_E4
from models.trading.fees import FeeSchedule, OrderFees
from processes.exchange.core.books import YES
from processes.exchange.core.ledger import TradingAccount
from processes.exchange.core.rejections import Rejection, not_found

__all__ = [
    "WINDOW_MS",
    "AccountOrder",
    "Amendment",
    "ExchangeOrderGroup",
    "NewOrder",
    "OrderGroups",
    "OrderState",
    "OrderTimeInForce",
    "SelfTradePrevention",
    "UpdateReason",
]


class OrderTimeInForce(StrEnum):
    """How long an order may wait."""

    GOOD_TILL_CANCELED = "good_till_canceled"
    IMMEDIATE_OR_CANCEL = "immediate_or_cancel"
    FILL_OR_KILL = "fill_or_kill"


class SelfTradePrevention(StrEnum):
    """Whose order goes when an account would trade with itself."""

    TAKER_AT_CROSS = "taker_at_cross"
    MAKER = "maker"


class OrderState(StrEnum):
    """An order's state as the exchange reports it."""

    RESTING = "resting"
    CANCELED = "canceled"
    EXECUTED = "executed"


class UpdateReason(StrEnum):
    """Why an order changed last."""

    NONE = ""
    DECREASE = "Decrease"
    AMEND = "Amend"
    MARGIN_CANCEL = "MarginCancel"
    SELF_TRADE_CANCEL = "SelfTradeCancel"
    EXPIRY_CANCEL = "ExpiryCancel"
    CLOSE_CANCEL = "CloseCancel"
    HALT_CANCEL = "HaltCancel"
    TRADE = "Trade"
    REDUCE_ONLY_CANCEL = "ReduceOnlyCancel"


class NewOrder(msgspec.Struct, frozen=True):
    """A create request, checked for form.

    Attributes:
        ticker: The market.
        client_order_id: Empty where the client gave none.
        leg: What it buys: YES for a bid, NO for an ask.
        leg_price_e4: Limit on that leg's scale.
        count_e2: Contracts.
        time_in_force: How long it may wait.
        self_trade: Whose order goes if the user would trade with itself.
        post_only: Refused if it would trade at once.
        reduce_only: Cut to what is held of the other leg.
        expiration_s: Unix seconds, None without an expiry.
        cancel_on_pause: Whether a pause of trading cancels it.
        group_id: Its order group, empty without one.
        exchange_index: The shard; None and -1: the ticker's.
    """

    ticker: str
    client_order_id: str
    leg: int
    leg_price_e4: int
    count_e2: int
    time_in_force: OrderTimeInForce
    self_trade: SelfTradePrevention
    post_only: bool = False
    reduce_only: bool = False
    expiration_s: int | None = None
    cancel_on_pause: bool = False
    group_id: str = ""
    exchange_index: int | None = None  # None and -1: the ticker says it


class Amendment(msgspec.Struct, frozen=True):
    """An amend request; `count_e2` is the total, filled contracts included."""

    ticker: str
    leg: int
    leg_price_e4: int
    count_e2: int
    client_order_id: str = ""
    updated_client_order_id: str = ""
    expiration_s: int | None = None
    keeps_expiry: bool = True
    exchange_index: int | None = None


class AccountOrder:
    """One order. It rests as a bid of `leg` at `leg_price_e4`.

    Attributes:
        rank: Its place in time among those of one price; an amendment may move it to the end.
        initial_e2: Contracts asked for, as last amended.
        remaining_e2: Contracts neither filled nor cancelled.
    """

    def __init__(
        self,
        order_id: str,
        account: TradingAccount,
        asked: NewOrder,
        fees: FeeSchedule,
        now_ms: int,
        rank: int,
        exchange_index: int = 0,
    ) -> None:
        self.order_id = order_id
        self.number = rank  # its place among all orders, for ever
        self.account = account
        self.client_order_id = asked.client_order_id
        self.ticker = asked.ticker
        self.leg = asked.leg
        self.leg_price_e4 = asked.leg_price_e4
        self.initial_e2 = asked.count_e2
        self.remaining_e2 = asked.count_e2
        self.filled_e2 = 0
        self.self_trade = asked.self_trade
        self.expiration_ms = None if asked.expiration_s is None else asked.expiration_s * 1000
        self.created_ms = self.updated_ms = now_ms
        self.status = OrderState.RESTING
        self.reason = UpdateReason.NONE
        self.rank = rank
        self.exchange_index = exchange_index
        self.group_id = asked.group_id
        self.cancel_on_pause = asked.cancel_on_pause
        self.fees = OrderFees(fees)
        self.cost_e6 = {True: 0, False: 0}  # by is_taker, of the order's leg
        self.paid_e6 = {True: 0, False: 0}  # fees, by is_taker
        self.ahead_e2 = 0  # anonymous contracts that trade before this order
        self.explained_e2 = 0  # of them, taken off by a removal that a trade will explain
        self.explained_ms = 0

    @property
    def user_id(self) -> str:
        """Whose account it is."""
        return self.account.user_id

    @property
    def yes_price_e4(self) -> int:
        """The limit on the YES scale."""
        return self.leg_price_e4 if self.leg == YES else ONE_DOLLAR_E4 - self.leg_price_e4

    def fill(
        self, price_e4: int, count_e2: int, fee_e6: int, *, is_taker: bool, now_ms: int
    ) -> None:
        """Book one execution at a price of the order's leg."""
        self.filled_e2 += count_e2
        self.remaining_e2 -= count_e2
        self.cost_e6[is_taker] += price_e4 * count_e2
        self.paid_e6[is_taker] += fee_e6
        self.updated_ms, self.reason = now_ms, UpdateReason.TRADE
        if not self.remaining_e2:
            self.status = OrderState.EXECUTED

    def copy(self) -> AccountOrder:
        """A snapshot of the order, for lagging reads."""
        kept = copy(self)
        kept.cost_e6, kept.paid_e6 = dict(self.cost_e6), dict(self.paid_e6)
        return kept

    def end(self, reason: UpdateReason, now_ms: int) -> int:
        """Cancel what remains -> how much that was."""
        remaining, self.remaining_e2 = self.remaining_e2, 0
        self.status, self.reason, self.updated_ms = OrderState.CANCELED, reason, now_ms
        return remaining


WINDOW_MS: Final = 15_000
MOST_GROUPS: Final = 100_000  # of one account


class ExchangeOrderGroup:
    """Orders whose fills within 15 seconds share a limit.

    Once the limit is reached, or on request, its orders are cancelled and it takes none until it is
    reset (PROTOCOL 6.4).
    """

    def __init__(
        self, group_id: str, account: TradingAccount, limit_e2: int, exchange_index: int
    ) -> None:
        self.group_id = group_id
        self.account = account
        self.limit_e2 = limit_e2
        self.exchange_index = exchange_index
        self.triggered = False
        self._matched: deque[tuple[int, int]] = deque()

    def match(self, count_e2: int, now_ms: int) -> None:
        """Note an execution."""
        self._matched.append((now_ms, count_e2))

    def matched_e2(self, now_ms: int) -> int:
        """What has matched in the window that ends now."""
        while self._matched and self._matched[0][0] <= now_ms - WINDOW_MS:
            self._matched.popleft()
        return sum(count for _, count in self._matched)

    def is_exhausted(self, now_ms: int) -> bool:
        """Whether the limit is reached."""
        return self.matched_e2(now_ms) >= self.limit_e2

    def reset(self) -> None:
        """Start a new count and take orders again."""
        self.triggered = False
        self._matched.clear()


class OrderGroups:
    """The groups of all accounts."""

    def __init__(self) -> None:
        self._groups: dict[str, ExchangeOrderGroup] = {}

    def add(self, group: ExchangeOrderGroup) -> None:
        """Take in a new group; `Rejection` when the account has too many."""
        if len(self.of(group.account)) >= MOST_GROUPS:
            raise Rejection.nested(400, "too_many_order_groups")
        self._groups[group.group_id] = group

    def of(self, account: TradingAccount) -> list[ExchangeOrderGroup]:
        """An account's groups, oldest first."""
        return [g for g in self._groups.values() if g.account is account]

    def get(
        self, accounts: Collection[TradingAccount], group_id: str, exchange_index: int | None = None
    ) -> ExchangeOrderGroup:
        """A group of one of these accounts.

        Args:
            accounts: Those that the caller may see.
            group_id: The group.
            exchange_index: Where it must be; None: anywhere.

        Raises:
            Rejection: 404 `not_found`.
        """
        group = self._groups.get(group_id)
        elsewhere = group is not None and exchange_index not in (None, group.exchange_index)
        if group is None or group.account not in accounts or elsewhere:
            raise not_found()
        return group

    def remove(self, group: ExchangeOrderGroup) -> None:
        """Forget a group."""
        del self._groups[group.group_id]

    def admit(
        self, account: TradingAccount, group_id: str, exchange_index: int, now_ms: int
    ) -> None:
        """Check that a group takes a new order.

        Raises:
            Rejection: 400 `order_group_not_found`, also on another shard; 400
                `exceeded_order_group_risk_limit` when it has been triggered or is exhausted.
        """
        group = self._groups.get(group_id)
        if group is None or group.account is not account or group.exchange_index != exchange_index:
            raise Rejection.nested(400, "order_group_not_found")
        if group.triggered or group.is_exhausted(now_ms):
            raise Rejection.nested(400, "exceeded_order_group_risk_limit")

    def exhausted(self, group_id: str, count_e2: int, now_ms: int) -> ExchangeOrderGroup | None:
        """Note an execution of a group's order -> the group, if that reached its limit."""
        group = self._groups.get(group_id)
        if group is None:
            return None
        group.match(count_e2, now_ms)
        return group if group.is_exhausted(now_ms) and not group.triggered else None
