"""What is done for an intent where an order of ours is open already: the order plan. No I/O.

| what is open | plan |
| --- | --- |
| what is wanted, at most as much of it | keep it; move its expiry when it is due |
| the same action, too much of it | amend: smaller, in its place in the queue |
| the same action at another price | amend with one request; cancel first where that does not fit |
| another action or side of the book | both at once; cancel first where both cannot be open |
| several orders | cancel them first |
| anything with a request on its way | wait for its outcome |

An amend is one order with old or new terms: the dearer price and the larger size must fit. Two
orders must fit together as if both filled, and must not be able to trade with each other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from ipc.messages import BookSide, Intent
from processes.execution.order_phases import AT_REST, phase_of
from processes.execution.orders import TrackedOrder

__all__ = ["Amend", "Cancel", "Keep", "Plan", "Replace", "Room", "Wait", "Why", "plan"]

RENEW_BELOW: Final = 2  # renew an expiry when less than one half of it is left


class Why(StrEnum):
    """Reasons of plans; others are phases of orders, and reasons of risk and limits.

    Attributes:
        AS_WANTED: What is wanted rests.
        EXPIRY: It would soon expire.
        SMALLER: Less is wanted.
        PRICE: Another price is wanted.
        OTHER_ACTION: Another leg, direction or side of the book is wanted.
        OWN_TRADE: The new order could trade with our own old one.
        SEVERAL: More than one order of ours is open.
        FILLED: Nothing is left of it, and the exchange has not said that it is over.
    """

    AS_WANTED = "as_wanted"
    EXPIRY = "expiry"
    SMALLER = "smaller"
    PRICE = "price"
    OTHER_ACTION = "other_action"
    OWN_TRADE = "own_trade"
    SEVERAL = "several_open"
    FILLED = "filled"


class Keep(msgspec.Struct, frozen=True):
    """What is wanted already rests; it keeps its place in the queue."""

    order: TrackedOrder
    reason: str = Why.AS_WANTED


class Amend(msgspec.Struct, frozen=True):
    """Change what rests with one request; its expiry moves too.

    Attributes:
        order: What rests.
        reason: `EXPIRY`, `SMALLER` or `PRICE`.
        yes_price_e4: The limit that is wanted.
        total_e2: What has filled and what is to rest.
    """

    order: TrackedOrder
    reason: str
    yes_price_e4: int
    total_e2: int

    @property
    def is_renewal(self) -> bool:
        """Whether only the expiry moves."""
        return self.reason == Why.EXPIRY


class Replace(msgspec.Struct, frozen=True):
    """Cancel these and create at once: until the cancel is done all of them may fill."""

    orders: tuple[TrackedOrder, ...]
    reason: str = Why.OTHER_ACTION


class Cancel(msgspec.Struct, frozen=True):
    """Cancel these first; the intent waits.

    Attributes:
        orders: This stack's open orders of the market.
        reason: Why they are neither amended nor replaced at once.
    """

    orders: tuple[TrackedOrder, ...]
    reason: str


class Wait(msgspec.Struct, frozen=True):
    """A request is on its way; the intent waits for its outcome.

    Attributes:
        reason: The phase of the order that it is about.
    """

    reason: str


Plan = Keep | Amend | Replace | Cancel | Wait


class Room(NamedTuple):
    """Why something does not fit risk and limits; None where it does.

    Attributes:
        to_amend: An order that has its old terms or those of the intent.
        beside: The intent's order beside the old ones, as if all filled.
    """

    to_amend: Callable[[TrackedOrder], str | None]
    beside: Callable[[tuple[TrackedOrder, ...]], str | None]


def plan(
    intent: Intent, orders: Sequence[TrackedOrder], now_ms: int, expiry_ms: int, room: Room
) -> Plan:
    """What to do for an intent where orders of this stack are open.

    Args:
        intent: What is wanted.
        orders: The market's open orders, of this stack and of others; one at least of this stack.
        now_ms: Market time.
        expiry_ms: How long an order rests before the exchange ends it, unless renewed.
        room: What risk and limits allow; asked only where it matters.
    """
    own = tuple(order for order in orders if order.own and order.open)
    phases = (phase_of(order) for order in own)
    if (busy := next((phase for phase in phases if phase not in AT_REST), None)) is not None:
        return Wait(busy.value)
    old, *more = own
    if more:
        return Cancel(own, Why.SEVERAL)
    if old.remaining_e2 == 0:
        return Wait(Why.FILLED)
    if (old.leg, old.is_buy, old.book_side) != (intent.leg, intent.is_buy, intent.book_side):
        return _beside(intent, old, room)
    if old.yes_price_e4 != intent.yes_price_e4:
        misfit = room.to_amend(old)
        return Cancel(own, misfit) if misfit else _amend(intent, old, Why.PRICE)
    if old.remaining_e2 > intent.count_e2:
        return _amend(intent, old, Why.SMALLER)
    left_ms = (old.expire_ms or now_ms) - now_ms
    if RENEW_BELOW * left_ms < expiry_ms:
        return Amend(old, Why.EXPIRY, old.yes_price_e4, old.initial_e2)
    return Keep(old)


def _amend(intent: Intent, old: TrackedOrder, reason: Why) -> Amend:
    """What fills meanwhile is part of the total: less may rest than is wanted, never more."""
    return Amend(old, reason, intent.yes_price_e4, old.fill_e2 + intent.count_e2)


def _beside(intent: Intent, old: TrackedOrder, room: Room) -> Replace | Cancel:
    if _can_trade(intent, old):
        return Cancel((old,), Why.OWN_TRADE)
    misfit = room.beside((old,))
    return Cancel((old,), misfit) if misfit else Replace((old,))


def _can_trade(intent: Intent, old: TrackedOrder) -> bool:
    """Whether both are on opposite sides of the book and cross."""
    if intent.book_side is old.book_side:
        return False
    if intent.book_side is BookSide.BID:
        return intent.yes_price_e4 >= old.yes_price_e4
    return intent.yes_price_e4 <= old.yes_price_e4
