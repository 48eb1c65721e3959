"""Orders: what is known of each after facts in any order, late, early or twice; and all of them.

PENDING -> RESTING / EXECUTED / CANCELED / REJECTED / UNKNOWN. Knowledge only grows: each status has
a rank and the highest that was ever reported wins, fills never decrease, and the newest price and
size by the exchange's clock count. So a stale read that still says "resting" cannot reopen what is
canceled, and every interleaving of the same facts ends alike. What leads where: `order_phases`.

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
from processes.adapters.kalshi.stop.own_orders import ACTION_CODES, AFTER_PREFIX, OrderName
from processes.execution.order_facts import (
    AmendAccepted,
    AmendRefused,
    AmendSent,
    AmendUnknown,
    CancelFailed,
    CancelSent,
    CreateAccepted,
    CreateSent,
    FillReport,
    OrderFact,
    OrderRefused,
    OrderReport,
    OutcomeUnknown,
    PendingAmend,
    QueuePlace,
    ReportedTerms,
)

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
    "SendAmend",
    "SendOrder",
    "TrackedOrder",
    "advance",
    "client_order_id",
    "found_order",
    "message_of",
    "report_of",
    "valid_intent_id",
]

MAX_CLIENT_ORDER_ID: Final = 64  # characters, FIX limit of the exchange
LONGEST_PREFIX: Final = len("ka-5e0c9a17-")
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


def client_order_id(intent_id: str, *, is_buy: bool, leg: Leg, prefix: str) -> str:
    """The order's name; derived, so a repeat of the same intent is the same order.

    Args:
        intent_id: Of the intent.
        is_buy: Whether its leg is bought.
        leg: The leg that is bought or sold.
        prefix: Of this stack.

    Returns:
        Such as `ka-5e0c9a17-20260803T120000-1a2b3c4d-17-BY`.
    """
    return f"{prefix}{intent_id}-{ACTION_CODES[is_buy, leg]}"


def valid_intent_id(intent_id: str) -> bool:
    """Whether the exchange will accept the name made from it, whatever the mark."""
    name = f"{intent_id}-{ACTION_CODES[True, Leg.YES]}"
    return LONGEST_PREFIX + len(name) <= MAX_CLIENT_ORDER_ID and bool(AFTER_PREFIX.fullmatch(name))


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
        yes_price_e4: Limit, as last proven.
        initial_e2: Size, as last proven: filled and resting together.
        created_ns: When it was made, or lost its place in the queue.
        expire_ms: When the exchange ends it, None without expiry.
        order_id: The exchange's, None until it has answered.
        status: The highest that was ever reported.
        reason: Why it has that status.
        reported_e2: The highest fill count that the exchange reported.
        trades: Fills that arrived, by trade id; either may run ahead of the other.
        queued_e2: The smallest count reported to trade before it since it has its place: another
            price or a larger size loses it, else it only gets better.
        received_mono_ns: When its intent was received.
        sent_mono_ns: When the create went out.
        acknowledged_mono_ns: When the exchange answered it.
        immediate: Whether it closes a position by a command: it never rests, and never opens one.
        adopted: Whether it is someone else's and treated as our own (`RL_ADOPT`).
        amend: A change that was asked for and is not answered.
        amends: The number of the newest change that was answered.
        amended_by: The intent of the newest change that was accepted.
        amend_refusal: Why the newest change was refused.
        terms: By what price and size are proven: (exchange time in ms, number of the change).
        place_ms: Exchange time when it lost its place, 0 while it has its first.
        place_mono_ns: When that was learned.
        total_unsure: The answer to a change was lost, so `initial_e2` filled need not be all.
        canceling: Whether a cancel is on its way.
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
    amend: PendingAmend | None = None
    amends: int = 0
    amended_by: str = ""
    amend_refusal: str = ""
    terms: tuple[int, int] = (0, 0)
    place_ms: int = 0
    place_mono_ns: int = 0
    total_unsure: bool = False
    canceling: bool = False

    @property
    def own(self) -> bool:
        """Whether this stack placed it, or treats it as its own."""
        return self.intent_id is not None or self.adopted

    @property
    def open(self) -> bool:
        """Whether it may still fill."""
        return self.status not in TERMINAL

    @property
    def rests(self) -> bool:
        """Whether it is this stack's and stands in the exchange's book."""
        return self.own and self.status is OrderStatus.RESTING

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
    def is_unclear(self) -> bool:
        """Whether it is not known if it exists, or at what price and size it rests."""
        amend = self.amend
        lost = amend is not None and amend.is_unknown and not amend.is_renewal
        return self.status is OrderStatus.UNKNOWN or (lost and self.open)

    @property
    def most_e2(self) -> int:
        """Contracts that may still fill at worst, by its terms or by those that were asked for."""
        if self.amend is None or not self.open:
            return self.remaining_e2
        return max(self.initial_e2 - self.fill_e2, self.amend.total_e2 - self.fill_e2, 0)

    @property
    def worst_yes_price_e4(self) -> int:
        """The dearer limit of its terms and of those that were asked for."""
        if self.amend is None:
            return self.yes_price_e4
        dearer = max if self.book_side is BookSide.BID else min
        return dearer(self.yes_price_e4, self.amend.yes_price_e4)

    @property
    def hold_e6(self) -> int:
        """What a purchase may still cost at worst, fees apart, micro-dollars."""
        worst_e4 = self.worst_yes_price_e4
        return (worst_e4 if self.leg is Leg.YES else ONE_DOLLAR_E4 - worst_e4) * self.most_e2

    @property
    def ahead_e2(self) -> int:
        """Contracts that trade before this order, -1 unknown, 0 once it fills where it began."""
        return 0 if self.fill_e2 > 0 and not self.place_ms else self.queued_e2

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
    rests = report.status is OrderStatus.RESTING
    total_e2 = report.fill_count_e2 + report.remaining_count_e2  # an amend may have changed it
    foreign_leg = Leg.YES if report.book_side is BookSide.BID else Leg.NO
    return TrackedOrder(
        client_order_id=name,
        intent_id=parsed.intent_id if parsed else None,
        market_ticker=report.market_ticker,
        leg=parsed.leg if parsed else foreign_leg,
        is_buy=parsed.is_buy if parsed else True,
        book_side=report.book_side,
        yes_price_e4=report.yes_price_e4,
        initial_e2=total_e2 if rests else report.initial_count_e2,
        created_ns=(report.created_ms or 0) * NS_PER_MS,
        expire_ms=report.expire_ms,
        adopted=parsed is None and adopts,
    )


def report_of(report: ExchangeOrder, mono_ns: int) -> OrderReport:
    """What the exchange's words on an order say; without the time of its change no price or size.

    Args:
        report: From the private channel or a read.
        mono_ns: When it came.
    """
    status, fill_e2, terms = report.status, report.fill_count_e2, None
    if status is OrderStatus.RESTING and report.updated_ms is not None:
        total_e2 = fill_e2 + report.remaining_count_e2
        terms = ReportedTerms(report.yes_price_e4, total_e2, report.updated_ms, mono_ns)
    why, expire_ms = report.reason, report.expire_ms
    return OrderReport(report.order_id, status, fill_e2, why, expire_ms, terms)


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
        case AmendSent() | AmendUnknown() | AmendAccepted() | AmendRefused():
            return _amended(order, fact)
        case CancelSent() | CancelFailed():
            canceling = isinstance(fact, CancelSent) and order.open
            return order if order.canceling is canceling else replace(order, canceling=canceling)
        case OrderReport():
            return _reported(order, fact)
        case FillReport():
            return _traded(order, fact)
        case QueuePlace():
            return _queued(order, fact)


def _raised(order: TrackedOrder, status: OrderStatus, reason: str) -> TrackedOrder:
    """Raise the status, never lower it; an order whose contracts are all filled is EXECUTED.

    While a change is on its way the larger size must be filled; where the answer to one was lost,
    only the exchange can say that it is over.
    """
    total_e2 = max(order.initial_e2, order.amend.total_e2 if order.amend else 0)
    if 0 < total_e2 <= order.fill_e2 and not order.total_unsure:
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
    if fact.terms is not None:
        order = _with_terms(order, fact.terms, 0)
    return _raised(order, fact.status, fact.reason)


def _with_terms(order: TrackedOrder, terms: ReportedTerms, number: int) -> TrackedOrder:
    """Price and size, if they are newer than those known; another place in the queue follows."""
    proven = (terms.updated_ms, number)
    if proven <= order.terms:
        return order
    price_e4, total_e2 = terms.yes_price_e4, terms.total_e2
    if price_e4 != order.yes_price_e4 or total_e2 > order.initial_e2:
        order = replace(
            order,
            queued_e2=UNKNOWN_AHEAD,
            created_ns=terms.updated_ms * NS_PER_MS,
            place_ms=terms.updated_ms,
            place_mono_ns=terms.mono_ns,
        )
    if (price_e4, total_e2) == (order.yes_price_e4, order.initial_e2) and number == 0:
        return order if order.amends == 0 else replace(order, terms=proven)
    return replace(order, yes_price_e4=price_e4, initial_e2=total_e2, terms=proven)


def _amended(
    order: TrackedOrder, fact: AmendSent | AmendUnknown | AmendAccepted | AmendRefused
) -> TrackedOrder:
    """What is learned of one change; what was answered once is not open again."""
    amend = fact.amend
    if amend.number <= order.amends:
        return order
    if isinstance(fact, AmendSent | AmendUnknown) and not order.open:
        return order
    if isinstance(fact, AmendSent):
        is_new = order.amend is None or order.amend.number < amend.number
        return replace(order, amend=amend, amend_refusal="") if is_new else order
    if isinstance(fact, AmendUnknown):
        if order.amend is not None and order.amend.number > amend.number:
            return order
        return replace(order, amend=replace(amend, is_unknown=True))
    order = replace(order, amend=None, amends=amend.number)
    if isinstance(fact, AmendRefused):
        unsure = order.total_unsure or fact.is_inferred
        order = replace(order, amend_refusal=fact.reason, total_unsure=unsure)
        return _raised(order, order.status, order.reason)
    word = "renewed" if amend.is_renewal else "amended"
    order = replace(
        order,
        amended_by=amend.intent_id,
        reason=f"{word}: {amend.intent_id}" if order.open else order.reason,
        expire_ms=max(amend.expire_ms, order.expire_ms or 0),
    )
    if fact.remaining_e2 is not None:
        fill_e2 = max(order.reported_e2, amend.total_e2 - fact.remaining_e2)
        order = replace(order, reported_e2=fill_e2)
    asked = ReportedTerms(amend.yes_price_e4, amend.total_e2, fact.ts_ms, fact.mono_ns)
    return _raised(_with_terms(order, asked, amend.number), OrderStatus.RESTING, "")


def _traded(order: TrackedOrder, fact: FillReport) -> TrackedOrder:
    if fact.trade_id in order.trades:
        return order
    order = replace(order, trades={**order.trades, fact.trade_id: fact.count_e2})
    if 0 < order.place_ms < fact.ts_ms:  # it fills in its present place: nothing is before it
        order = replace(order, queued_e2=0)
    return _raised(order, OrderStatus.RESTING, "")


def _queued(order: TrackedOrder, fact: QueuePlace) -> TrackedOrder:
    if 0 <= order.queued_e2 <= fact.ahead_e2 or fact.asked_mono_ns < order.place_mono_ns:
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


class SendAmend(msgspec.Struct, frozen=True):
    """Change price, size or expiry of this order, unless the deadline has passed."""

    order: TrackedOrder
    amend: PendingAmend
    deadline_mono_ns: int


class FindOrder(msgspec.Struct, frozen=True):
    """Find out whether a create of unknown outcome arrived."""

    order: TrackedOrder


class LookUpOrder(msgspec.Struct, frozen=True):
    """Ask what has become of an order whose id is known."""

    order: TrackedOrder


class FetchFills(msgspec.Struct, frozen=True):
    """Read the fills of an order that has more contracts filled than fills arrived."""

    order: TrackedOrder


OrderRequest = SendOrder | CancelOrder | SendAmend | FindOrder | LookUpOrder | FetchFills


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
            return self.apply(
                order.client_order_id, FillReport(fill.trade_id, fill.count_e2, fill.ts_ms)
            )
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
            self.apply(order.client_order_id, FillReport(fill.trade_id, fill.count_e2, fill.ts_ms))

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
