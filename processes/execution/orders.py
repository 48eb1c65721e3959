"""Orders: what is known of each after facts in any order, late, early or twice; and all of them.

PENDING -> RESTING / EXECUTED / CANCELED / REJECTED / UNKNOWN. Knowledge only grows: each status has
a rank and the highest that was ever reported wins, fills never decrease. So a stale read that still
says "resting" cannot reopen a canceled order, and every interleaving of the same facts ends alike.

`OrderStore` is bounded: it remembers `remember` ended orders, so that late facts fit (the oldest is
forgotten), and keeps `waiting` fills whose order is not known yet (the oldest is dropped and
counted; reconciliation brings its facts again).
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

import msgspec
from msgspec.structs import replace

from ipc.account_table import UNKNOWN_AHEAD
from ipc.clock import NS_PER_MS
from ipc.messages import ActorFill, ActorOrder, BookSide, Leg, OrderStatus
from ipc.units import ONE_DOLLAR_E4
from processes.adapters.kalshi.schemas.normalise import ExchangeOrder
from processes.adapters.kalshi.stop.own_orders import OrderName

__all__ = [
    "TERMINAL",
    "CancelOrder",
    "CreateAccepted",
    "CreateSent",
    "FetchFills",
    "FillReport",
    "FindOrder",
    "LookUpOrder",
    "OrderFact",
    "OrderRefused",
    "OrderReport",
    "OrderRequest",
    "OrderStore",
    "OutcomeUnknown",
    "QueuePlace",
    "RenewOrder",
    "SendOrder",
    "TrackedOrder",
    "advance",
    "found_order",
    "message_of",
]

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


class TrackedOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One order of the account: placed by this program, or by someone else.

    Prices are 1e-4 dollars on the YES scale, counts 1e-2 contracts, `*_ns` and `expire_ms` market
    time, `*_mono_ns` this machine's monotonic clock (0: has not happened).

    Attributes:
        client_order_id: Its name.
        intent_id: The intent that it came of; None for an order of someone else.
        market_ticker: The market.
        leg: The leg that is bought or sold; of someone else's order, taken to be a purchase.
        is_buy: Whether the leg is bought.
        book_side: The side of the YES book.
        yes_price_e4: Limit.
        initial_e2: Size.
        created_ns: When it was made.
        expire_ms: When the exchange ends it, None without expiry.
        order_id: The exchange's, None until it has answered.
        status: The highest that was ever reported.
        reason: Why it has that status.
        reported_e2: The highest fill count that the exchange reported.
        trades: Fills that arrived, by trade id; either may run ahead of the other.
        queued_e2: The smallest count ever reported to trade before it: its price never changes and
            its size never grows, so its place only gets better.
        received_mono_ns: When its intent was received.
        sent_mono_ns: When the create went out.
        acknowledged_mono_ns: When the exchange answered it.
        immediate: Whether it closes a position by a command: it never rests, and never opens one.
        adopted: Whether it is someone else's and treated as our own (`RL_ADOPT`).
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
    immediate: bool = False
    adopted: bool = False

    @property
    def own(self) -> bool:
        """Whether this stack placed it, or treats it as its own."""
        return self.intent_id is not None or self.adopted

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
        """Contracts filled, by the highest count known."""
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
        """Contracts that trade before this order, -1 unknown, 0 once it fills."""
        return 0 if self.fill_e2 > 0 else self.queued_e2

    @property
    def price_e4(self) -> int:
        """The limit on its own leg's scale."""
        return self.yes_price_e4 if self.leg is Leg.YES else ONE_DOLLAR_E4 - self.yes_price_e4


def found_order(
    name: str, report: ExchangeOrder, parsed: OrderName | None, *, adopts: bool = False
) -> TrackedOrder:
    """An order that this run did not send, as the exchange reports it.

    Args:
        name: Its client order id, or the exchange's own where it has none.
        report: Of the exchange; what it says of fills is a fact of its own.
        parsed: What the name of an order of this stack says, None for someone else's.
        adopts: Whether someone else's is treated as our own.
    """
    foreign_leg = Leg.YES if report.book_side is BookSide.BID else Leg.NO
    return TrackedOrder(
        client_order_id=name,
        intent_id=parsed.intent_id if parsed else None,
        market_ticker=report.market_ticker,
        leg=parsed.leg if parsed else foreign_leg,
        is_buy=parsed.is_buy if parsed else True,
        book_side=report.book_side,
        yes_price_e4=report.yes_price_e4,
        initial_e2=report.initial_count_e2,
        created_ns=(report.created_ms or 0) * NS_PER_MS,
        expire_ms=report.expire_ms,
        adopted=parsed is None and adopts,
    )


class CreateSent(msgspec.Struct, frozen=True):
    """A create request went out."""

    mono_ns: int


class CreateAccepted(msgspec.Struct, frozen=True):
    """The answer to a create. Nothing filled and nothing remaining means canceled on entry.

    Attributes:
        order_id: The exchange's.
        fill_e2: Filled at once.
        remaining_e2: What rests.
        mono_ns: When the answer came.
    """

    order_id: str
    fill_e2: int
    remaining_e2: int
    mono_ns: int


class OrderRefused(msgspec.Struct, frozen=True):
    """The order does not exist: refused here or by the exchange, or proven never to have come.

    Attributes:
        reason: Why, for its record.
        by_exchange: The exchange read it and refused it, so the same order is refused again.
    """

    reason: str
    by_exchange: bool = False


class OutcomeUnknown(msgspec.Struct, frozen=True):
    """A create whose outcome is not known."""

    reason: str


class OrderReport(msgspec.Struct, frozen=True):
    """What the exchange reports: in a cancel's answer, on the private channel, or in a read.

    Attributes:
        order_id: The exchange's.
        status: As reported, fresh or stale.
        fill_e2: Filled so far.
        reason: Of the last change, empty where it was not given.
        expire_ms: When the exchange ends it, None where it was not given.
    """

    order_id: str
    status: OrderStatus
    fill_e2: int
    reason: str = ""
    expire_ms: int | None = None


class FillReport(msgspec.Struct, frozen=True):
    """One fill of this order."""

    trade_id: str
    count_e2: int


class QueuePlace(msgspec.Struct, frozen=True):
    """What trades before this order at its price."""

    ahead_e2: int


OrderFact = (
    CreateSent
    | CreateAccepted
    | OrderRefused
    | OutcomeUnknown
    | OrderReport
    | FillReport
    | QueuePlace
)


def advance(order: TrackedOrder, fact: OrderFact) -> TrackedOrder:
    """Apply one fact to an order, in any order of arrival and any number of times.

    Args:
        order: As known so far; not changed.
        fact: What was learned.

    Returns:
        The order after it; the same object when the fact says nothing new.
    """
    match fact:
        case CreateSent():
            return replace(order, sent_mono_ns=fact.mono_ns)
        case CreateAccepted():
            return _acknowledged(order, fact)
        case OrderRefused():
            return _raised(order, OrderStatus.REJECTED, fact.reason)
        case OutcomeUnknown():
            return _raised(order, OrderStatus.UNKNOWN, fact.reason)
        case OrderReport():
            return _reported(order, fact)
        case FillReport():
            return _traded(order, fact)
        case QueuePlace():
            return _queued(order, fact)


def _raised(order: TrackedOrder, status: OrderStatus, reason: str) -> TrackedOrder:
    """Raise the status, never lower it; an order whose contracts are all filled is EXECUTED."""
    if 0 < order.initial_e2 <= order.fill_e2:
        status = OrderStatus.EXECUTED
    if _RANK[status] <= _RANK[order.status]:
        return order
    return replace(order, status=status, reason=reason)


def _acknowledged(order: TrackedOrder, fact: CreateAccepted) -> TrackedOrder:
    status = OrderStatus.RESTING if fact.remaining_e2 else OrderStatus.CANCELED
    order = replace(order, acknowledged_mono_ns=fact.mono_ns)
    return _reported(order, OrderReport(fact.order_id, status, fact.fill_e2))


def _reported(order: TrackedOrder, fact: OrderReport) -> TrackedOrder:
    fill_e2 = max(order.reported_e2, fact.fill_e2)
    expire_ms = max(fact.expire_ms or 0, order.expire_ms or 0) or None  # renewals only extend
    if (fact.order_id, fill_e2, expire_ms) != (order.order_id, order.reported_e2, order.expire_ms):
        order = replace(order, order_id=fact.order_id, reported_e2=fill_e2, expire_ms=expire_ms)
    return _raised(order, fact.status, fact.reason)


def _traded(order: TrackedOrder, fact: FillReport) -> TrackedOrder:
    if fact.trade_id in order.trades:
        return order
    order = replace(order, trades={**order.trades, fact.trade_id: fact.count_e2})
    return _raised(order, OrderStatus.RESTING, "")


def _queued(order: TrackedOrder, fact: QueuePlace) -> TrackedOrder:
    if 0 <= order.queued_e2 <= fact.ahead_e2:
        return order
    return replace(order, queued_e2=fact.ahead_e2)


def message_of(order: TrackedOrder, ts_ns: int) -> ActorOrder:
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


# What may be asked of the exchange about an order.


class SendOrder(msgspec.Struct, frozen=True):
    """Create this order, unless the deadline has passed."""

    order: TrackedOrder
    deadline_mono_ns: int


class CancelOrder(msgspec.Struct, frozen=True):
    """Cancel what is left of this order."""

    order: TrackedOrder


class RenewOrder(msgspec.Struct, frozen=True):
    """Move this order's exchange-side expiry; price, size and place in the queue stay."""

    order: TrackedOrder
    expire_ms: int


class FindOrder(msgspec.Struct, frozen=True):
    """Find out whether a create of unknown outcome arrived."""

    order: TrackedOrder


class LookUpOrder(msgspec.Struct, frozen=True):
    """Ask what has become of an order whose id is known."""

    order: TrackedOrder


class FetchFills(msgspec.Struct, frozen=True):
    """Read the fills of an order that has more contracts filled than fills arrived."""

    order: TrackedOrder


OrderRequest = SendOrder | CancelOrder | RenewOrder | FindOrder | LookUpOrder | FetchFills


class OrderStore:
    """Orders by name and by the exchange's id.

    Args:
        remember: Ended orders that are remembered, so that late facts fit.
        waiting: Fills that are kept while their order is not known.

    Attributes:
        dropped_fills: Fills beyond that; reconciliation brings them again.
    """

    def __init__(self, remember: int = 10_000, waiting: int = 1_000) -> None:
        self._orders: dict[str, TrackedOrder] = {}
        self._names: dict[str, str] = {}  # order id -> client order id
        self._open: dict[str, dict[str, None]] = {}  # market -> client order ids, oldest first
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._waiting: OrderedDict[str, list[ActorFill]] = OrderedDict()
        self._remember = remember
        self._wait_limit = waiting
        self._waiting_count = 0
        self.dropped_fills = 0

    def __contains__(self, client_order_id: str) -> bool:
        return client_order_id in self._orders

    def get(self, client_order_id: str) -> TrackedOrder | None:
        """The order of this name."""
        return self._orders.get(client_order_id)

    def by_order_id(self, order_id: str) -> TrackedOrder | None:
        """The order that the exchange calls so."""
        return self._orders.get(self._names.get(order_id, ""))

    def open_in(self, market_ticker: str) -> tuple[TrackedOrder, ...]:
        """The market's open orders, of this stack or not, oldest first."""
        return tuple(self._orders[name] for name in self._open.get(market_ticker, ()))

    def open_orders(self) -> tuple[TrackedOrder, ...]:
        """Every open order."""
        return tuple(self._orders[name] for names in self._open.values() for name in names)

    @property
    def open_count(self) -> int:
        """Open orders of this stack."""
        return sum(order.own for order in self.open_orders())

    def add(self, order: TrackedOrder) -> None:
        """Add a new order.

        Raises:
            ValueError: Its name is taken.
        """
        if order.client_order_id in self._orders:
            raise ValueError(f"{order.client_order_id} is known already")
        self._put(order)

    def apply(self, client_order_id: str, fact: OrderFact) -> TrackedOrder | None:
        """Apply a fact to an order.

        Returns:
            The order after it; None when the order is not known or the fact changed nothing.
        """
        order = self._orders.get(client_order_id)
        after = advance(order, fact) if order else None
        if after is None or after is order:
            return None
        self._put(after)
        if isinstance(fact, CreateAccepted | OrderReport):
            self._claim(after)
        return self._orders[client_order_id]

    def trade(self, fill: ActorFill, *, keep: bool = True) -> TrackedOrder | None:
        """Apply a fill to its order, which is found by either id.

        Args:
            fill: the fill, whose order may not be known yet.
            keep: keep a fill without an order until its order is known.

        Returns:
            The order after it; None when there is none or the fill was known.
        """
        order = self.by_order_id(fill.order_id) or self._orders.get(fill.client_order_id or "")
        if order is not None:
            return self.apply(order.client_order_id, FillReport(fill.trade_id, fill.count_e2))
        if not keep:
            return None
        self._waiting.setdefault(fill.order_id, []).append(fill)
        self._waiting_count += 1
        while self._waiting_count > self._wait_limit:
            _, dropped = self._waiting.popitem(last=False)
            self._waiting_count -= len(dropped)
            self.dropped_fills += len(dropped)
        return None

    def _claim(self, order: TrackedOrder) -> None:
        """Fills that came before their order."""
        fills = self._waiting.pop(order.order_id or "", [])
        self._waiting_count -= len(fills)
        for fill in fills:
            self.apply(order.client_order_id, FillReport(fill.trade_id, fill.count_e2))

    def _put(self, order: TrackedOrder) -> None:
        name = order.client_order_id
        self._orders[name] = order
        if order.order_id is not None:
            self._names[order.order_id] = name
        names = self._open.setdefault(order.market_ticker, {})
        if order.open:
            names[name] = None
            self._ended.pop(name, None)
            return
        names.pop(name, None)
        if not names:
            del self._open[order.market_ticker]
        self._ended[name] = None
        self._forget()

    def _forget(self) -> None:
        while len(self._ended) > self._remember:
            name, _ = self._ended.popitem(last=False)
            order = self._orders.pop(name)
            self._names.pop(order.order_id or "", None)
