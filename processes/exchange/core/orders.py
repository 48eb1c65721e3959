"""Orders: what a request asks for, and an order's life at the exchange."""

from __future__ import annotations

from copy import copy
from enum import StrEnum

import msgspec

from ipc.units import ONE_DOLLAR_E4
from models.trading.fees import FeeSchedule, OrderFees
from processes.exchange.core.books import YES
from processes.exchange.core.ledger import Account

__all__ = [
    "Amendment",
    "NewOrder",
    "Order",
    "SelfTrade",
    "Status",
    "TimeInForce",
    "UpdateReason",
]


class TimeInForce(StrEnum):
    """How long an order may wait."""

    GOOD_TILL_CANCELED = "good_till_canceled"
    IMMEDIATE_OR_CANCEL = "immediate_or_cancel"
    FILL_OR_KILL = "fill_or_kill"


class SelfTrade(StrEnum):
    """Whose order goes when an account would trade with itself."""

    TAKER_AT_CROSS = "taker_at_cross"
    MAKER = "maker"


class Status(StrEnum):
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
    """A create request, checked for form. `leg` is what it buys: YES for a bid, NO for an ask."""

    ticker: str
    client_order_id: str
    leg: int
    leg_price_e4: int
    count_e2: int
    time_in_force: TimeInForce
    self_trade: SelfTrade
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


class Order:
    """One order. It rests as a bid of `leg` at `leg_price_e4`; `rank` is its place in time."""

    def __init__(
        self,
        order_id: str,
        account: Account,
        asked: NewOrder,
        fees: FeeSchedule,
        now_ms: int,
        rank: int,
        exchange_index: int = 0,
    ) -> None:
        self.order_id = order_id
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
        self.status = Status.RESTING
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
            self.status = Status.EXECUTED

    def copy(self) -> Order:
        """The order as it is now, for those who look later."""
        kept = copy(self)
        kept.cost_e6, kept.paid_e6 = dict(self.cost_e6), dict(self.paid_e6)
        return kept

    def end(self, reason: UpdateReason, now_ms: int) -> int:
        """Cancel what remains -> how much that was."""
        remaining, self.remaining_e2 = self.remaining_e2, 0
        self.status, self.reason, self.updated_ms = Status.CANCELED, reason, now_ms
        return remaining
