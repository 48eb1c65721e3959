"""The states of an order, and which facts lead from one to another: the whole table.

What is known of an order is in `orders.TrackedOrder`, and `orders.advance` applies facts to it;
`phase_of` says in which state that is. A fact that a state does not name leaves it as it is: it is
old, or it says what is known already. Tests hold every transition of `advance` against the table.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from ipc.messages import OrderStatus
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
)
from processes.execution.orders import TrackedOrder

__all__ = ["AT_REST", "LEADS", "OrderPhase", "phase_of"]


class OrderPhase(StrEnum):
    """Where an order is.

    Attributes:
        INTENT: Decided and journalled; its create waits to be sent.
        SENT: The create is on its way.
        UNKNOWN: The create was sent and its answer is lost.
        RESTING: At the exchange, nothing filled.
        PARTIALLY_FILLED: At the exchange, some of it filled.
        AMENDING: A change is on its way, or its answer is lost: old and new terms may hold.
        CANCEL_PENDING: A cancel is on its way.
        DONE: Executed, canceled or rejected; nothing leads out of it.
    """

    INTENT = "intent"
    SENT = "sent"
    UNKNOWN = "unknown"
    RESTING = "resting"
    PARTIALLY_FILLED = "partially_filled"
    AMENDING = "amending"
    CANCEL_PENDING = "cancel_pending"
    DONE = "done"


INTENT, SENT, UNKNOWN = OrderPhase.INTENT, OrderPhase.SENT, OrderPhase.UNKNOWN
RESTING, PARTLY = OrderPhase.RESTING, OrderPhase.PARTIALLY_FILLED
AMENDING, CANCELING, DONE = OrderPhase.AMENDING, OrderPhase.CANCEL_PENDING, OrderPhase.DONE
AT_REST: Final = frozenset({RESTING, PARTLY})  # in which it may be kept, amended or replaced

_FOUND: Final = {RESTING, PARTLY, DONE}  # what proves that the exchange has it
_BEFORE: Final[Mapping[type[OrderFact], set[OrderPhase]]] = {
    CreateAccepted: _FOUND,
    OrderReport: _FOUND,
    FillReport: {PARTLY, DONE},
    OrderRefused: {DONE},
    OutcomeUnknown: {UNKNOWN},
    AmendAccepted: _FOUND,
}
_FILLS: Final[Mapping[type[OrderFact], set[OrderPhase]]] = {
    CreateAccepted: {PARTLY, DONE},
    OrderReport: {PARTLY, DONE},
    FillReport: {PARTLY, DONE},
    AmendSent: {AMENDING},
    AmendUnknown: {AMENDING},
    AmendAccepted: {PARTLY, DONE},
    CancelSent: {CANCELING},
}

LEADS: Final[Mapping[OrderPhase, Mapping[type[OrderFact], set[OrderPhase]]]] = {
    INTENT: {CreateSent: {SENT}, **_BEFORE},
    SENT: _BEFORE,
    UNKNOWN: {k: v for k, v in _BEFORE.items() if k is not OutcomeUnknown},
    RESTING: _FILLS,
    PARTLY: _FILLS,
    AMENDING: {
        AmendAccepted: _FOUND,
        AmendRefused: _FOUND,
        CreateAccepted: {DONE},
        OrderReport: {DONE},
        FillReport: {DONE},
        CancelSent: {CANCELING},
    },
    CANCELING: {
        CancelFailed: {RESTING, PARTLY, AMENDING},
        CreateAccepted: {DONE},
        OrderReport: {DONE},
        FillReport: {DONE},
        AmendAccepted: {DONE},
        AmendRefused: {DONE},
    },
    DONE: {},
}


def phase_of(order: TrackedOrder) -> OrderPhase:
    """The state of an order; a cancel on its way counts before a change on its way."""
    if not order.open:
        return DONE
    if order.status is OrderStatus.PENDING:
        return SENT if order.sent_mono_ns else INTENT
    if order.status is OrderStatus.UNKNOWN:
        return UNKNOWN
    if order.canceling:
        return CANCELING
    if order.amend is not None:
        return AMENDING
    return PARTLY if order.fill_e2 else RESTING
