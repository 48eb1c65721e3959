"""One order's life: what is known of it after facts in any order, late, early or twice.

PENDING -> RESTING / EXECUTED / CANCELED / REJECTED / UNKNOWN. Knowledge only grows: each status has
a rank and the highest ever heard of wins, fills never decrease. So a stale read that still says
"resting" cannot reopen a canceled order, and every interleaving of the same facts ends alike.

The exchange sees bids and asks of YES only; whether an ask sold YES or bought NO is in the name:
`ka-<intent id>-{BY|SY|BN|SN}`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from ipc.account_table import UNKNOWN_AHEAD
from ipc.messages import ActorOrder, BookSide, Leg, OrderStatus
from ipc.units import ONE_DOLLAR_E4

__all__ = [
    "OWN_PREFIX",
    "TERMINAL",
    "Acknowledged",
    "Fact",
    "Lost",
    "Order",
    "OrderName",
    "Queued",
    "Refused",
    "Reported",
    "Sent",
    "Traded",
    "advance",
    "client_order_id",
    "message_of",
    "parse_client_order_id",
    "valid_intent_id",
]

OWN_PREFIX: Final = "ka-"
MAX_CLIENT_ORDER_ID: Final = 64  # characters, FIX limit of the exchange
_CODES: Final = {
    (True, Leg.YES): "BY",
    (False, Leg.YES): "SY",
    (True, Leg.NO): "BN",
    (False, Leg.NO): "SN",
}
_NAMES: Final = {code: key for key, code in _CODES.items()}
_OWN: Final = re.compile(r"ka-([A-Za-z0-9_+=:/-]+)-(BY|SY|BN|SN)")

TERMINAL: Final = frozenset({OrderStatus.EXECUTED, OrderStatus.CANCELED, OrderStatus.REJECTED})
# REJECTED stands below RESTING: an order that the exchange shows us was not rejected.
_RANK: Final = {
    OrderStatus.PENDING: 0,
    OrderStatus.UNKNOWN: 1,
    OrderStatus.REJECTED: 2,
    OrderStatus.RESTING: 3,
    OrderStatus.CANCELED: 4,
    OrderStatus.EXECUTED: 5,
}


class OrderName(NamedTuple):
    """What a client order id says."""

    intent_id: str
    is_buy: bool
    leg: Leg


def client_order_id(intent_id: str, *, is_buy: bool, leg: Leg) -> str:
    """The order's name; derived, so a repeat of the same intent is the same order."""
    return f"{OWN_PREFIX}{intent_id}-{_CODES[is_buy, leg]}"


def parse_client_order_id(text: str) -> OrderName | None:
    """None for an order that is not ours."""
    match = _OWN.fullmatch(text)
    return OrderName(match[1], *_NAMES[match[2]]) if match else None


def valid_intent_id(intent_id: str) -> bool:
    """Whether the exchange will accept the name made from it."""
    name = client_order_id(intent_id, is_buy=True, leg=Leg.YES)
    return len(name) <= MAX_CLIENT_ORDER_ID and bool(_OWN.fullmatch(name))


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """One order, ours or a stranger's (`intent_id` None) in the same account.

    `reported_e2` is the highest fill count the exchange told, `trades` what the fills add up to;
    either may run ahead of the other. `queued_e2` is the least that was ever told to trade before
    this order: its price never changes and its size never grows, so its place only gets better.
    """

    client_order_id: str
    intent_id: str | None
    market_ticker: str
    leg: Leg
    is_buy: bool
    book_side: BookSide
    yes_price_e4: int
    initial_e2: int
    created_ns: int
    expire_ms: int | None
    order_id: str | None = None
    status: OrderStatus = OrderStatus.PENDING
    reason: str = ""
    reported_e2: int = 0
    trades: dict[str, int] = {}
    queued_e2: int = UNKNOWN_AHEAD
    received_mono_ns: int = 0
    sent_mono_ns: int = 0
    acknowledged_mono_ns: int = 0

    @property
    def own(self) -> bool:
        """Whether this project placed it."""
        return self.intent_id is not None

    @property
    def open(self) -> bool:
        """Whether it may still fill."""
        return self.status not in TERMINAL

    @property
    def booked_e2(self) -> int:
        """Contracts whose fills have arrived."""
        return sum(self.trades.values())

    @property
    def fill_e2(self) -> int:
        """Contracts filled as far as anybody told."""
        return max(self.reported_e2, self.booked_e2)

    @property
    def missing_e2(self) -> int:
        """Contracts that are filled but whose fills have not arrived."""
        return self.fill_e2 - self.booked_e2

    @property
    def remaining_e2(self) -> int:
        """Contracts that may still fill."""
        return max(self.initial_e2 - self.fill_e2, 0) if self.open else 0

    @property
    def ahead_e2(self) -> int:
        """Contracts that trade before this order, -1 unknown; whoever fills is at the front."""
        return 0 if self.fill_e2 > 0 else self.queued_e2

    @property
    def price_e4(self) -> int:
        """The limit on its own leg's scale."""
        return self.yes_price_e4 if self.leg is Leg.YES else ONE_DOLLAR_E4 - self.yes_price_e4


class Sent(msgspec.Struct, frozen=True):
    """A create request went out."""

    mono_ns: int


class Acknowledged(msgspec.Struct, frozen=True):
    """The answer to a create. Nothing filled and nothing remaining means canceled on entry."""

    order_id: str
    fill_e2: int
    remaining_e2: int
    mono_ns: int


class Refused(msgspec.Struct, frozen=True):
    """The order does not exist: refused by us or by the exchange, or proven never to have come."""

    reason: str


class Lost(msgspec.Struct, frozen=True):
    """A create whose outcome is not known."""

    reason: str


class Reported(msgspec.Struct, frozen=True):
    """The exchange's word: a cancel's answer, the private channel, or a read, however stale."""

    order_id: str
    status: OrderStatus
    fill_e2: int
    reason: str = ""
    expire_ms: int | None = None


class Traded(msgspec.Struct, frozen=True):
    """One fill of this order."""

    trade_id: str
    count_e2: int


class Queued(msgspec.Struct, frozen=True):
    """What trades before this order at its price."""

    ahead_e2: int


Fact = Sent | Acknowledged | Refused | Lost | Reported | Traded | Queued


def advance(order: Order, fact: Fact) -> Order:
    """The order after one more fact; the same object when the fact says nothing new."""
    match fact:
        case Sent():
            return replace(order, sent_mono_ns=fact.mono_ns)
        case Acknowledged():
            return _acknowledged(order, fact)
        case Refused():
            return _raised(order, OrderStatus.REJECTED, fact.reason)
        case Lost():
            return _raised(order, OrderStatus.UNKNOWN, fact.reason)
        case Reported():
            return _reported(order, fact)
        case Traded():
            return _traded(order, fact)
        case Queued():
            return _queued(order, fact)


def _raised(order: Order, status: OrderStatus, reason: str) -> Order:
    """Raise the status, never lower it; an order whose contracts are all filled is EXECUTED."""
    if 0 < order.initial_e2 <= order.fill_e2:
        status = OrderStatus.EXECUTED
    if _RANK[status] <= _RANK[order.status]:
        return order
    return replace(order, status=status, reason=reason)


def _acknowledged(order: Order, fact: Acknowledged) -> Order:
    status = OrderStatus.RESTING if fact.remaining_e2 else OrderStatus.CANCELED
    order = replace(order, acknowledged_mono_ns=fact.mono_ns)
    return _reported(order, Reported(fact.order_id, status, fact.fill_e2))


def _reported(order: Order, fact: Reported) -> Order:
    fill_e2 = max(order.reported_e2, fact.fill_e2)
    expire_ms = max(fact.expire_ms or 0, order.expire_ms or 0) or None  # renewals only extend
    if (fact.order_id, fill_e2, expire_ms) != (order.order_id, order.reported_e2, order.expire_ms):
        order = replace(order, order_id=fact.order_id, reported_e2=fill_e2, expire_ms=expire_ms)
    return _raised(order, fact.status, fact.reason)


def _traded(order: Order, fact: Traded) -> Order:
    if fact.trade_id in order.trades:
        return order
    order = replace(order, trades={**order.trades, fact.trade_id: fact.count_e2})
    return _raised(order, OrderStatus.RESTING, "")


def _queued(order: Order, fact: Queued) -> Order:
    if 0 <= order.queued_e2 <= fact.ahead_e2:
        return order
    return replace(order, queued_e2=fact.ahead_e2)


def message_of(order: Order, ts_ns: int) -> ActorOrder:
    """What is published and journalled of an order."""
    return ActorOrder(
        order_id=order.order_id,
        client_order_id=order.client_order_id,
        intent_id=order.intent_id,
        market_ticker=order.market_ticker,
        leg=order.leg,
        is_buy=order.is_buy,
        book_side=order.book_side,
        yes_price_e4=order.yes_price_e4,
        initial_count_e2=order.initial_e2,
        fill_count_e2=order.fill_e2,
        remaining_count_e2=order.remaining_e2,
        status=order.status,
        reason=order.reason,
        expire_ms=order.expire_ms,
        ts_ns=ts_ns,
        received_mono_ns=order.received_mono_ns,
        sent_mono_ns=order.sent_mono_ns,
        acknowledged_mono_ns=order.acknowledged_mono_ns,
    )
