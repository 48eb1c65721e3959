"""What may be learned of an order, each a fact that `orders.advance` applies. No behaviour here."""

from __future__ import annotations

import msgspec

from ipc.messages import OrderStatus

__all__ = [
    "AmendAccepted",
    "AmendRefused",
    "AmendSent",
    "AmendUnknown",
    "CancelFailed",
    "CancelSent",
    "CreateAccepted",
    "CreateSent",
    "FillReport",
    "OrderFact",
    "OrderRefused",
    "OrderReport",
    "OutcomeUnknown",
    "PendingAmend",
    "QueuePlace",
    "ReportedTerms",
]


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


class PendingAmend(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a resting order that was asked for.

    Attributes:
        number: 1 for the order's first, rising by one.
        intent_id: The intent that wants it.
        yes_price_e4: Limit on the YES scale.
        total_e2: What was filled when it was asked for, and what is to rest.
        expire_ms: When the exchange ends it, market time.
        is_renewal: Only the expiry moves.
        is_unknown: It was sent, and whether it happened is not known.
    """

    number: int
    intent_id: str
    yes_price_e4: int
    total_e2: int
    expire_ms: int
    is_renewal: bool = False
    is_unknown: bool = False


class AmendSent(msgspec.Struct, frozen=True):
    """An amend was asked for; until it is answered old and new terms may hold."""

    amend: PendingAmend


class AmendAccepted(msgspec.Struct, frozen=True):
    """The order has these terms.

    Attributes:
        amend: What was asked for.
        ts_ms: Exchange time.
        remaining_e2: What rests; None when it was not said: nothing filled at once.
        mono_ns: When the answer came.
    """

    amend: PendingAmend
    ts_ms: int
    remaining_e2: int | None = None
    mono_ns: int = 0


class AmendRefused(msgspec.Struct, frozen=True):
    """The old terms stand.

    Attributes:
        amend: What was asked for.
        reason: Why, for the record of its intent.
        by_exchange: The exchange read it and refused it, so the same is refused again.
        is_inferred: Not refused: the order was read with its old terms after the answer was lost.
    """

    amend: PendingAmend
    reason: str
    by_exchange: bool = False
    is_inferred: bool = False


class AmendUnknown(msgspec.Struct, frozen=True):
    """It was sent, and its answer was lost."""

    amend: PendingAmend


class CancelSent(msgspec.Struct, frozen=True):
    """A cancel was asked for."""


class CancelFailed(msgspec.Struct, frozen=True):
    """The cancel is over and did not end the order: it may be asked for again."""


class ReportedTerms(msgspec.Struct, frozen=True):
    """Price and size of an order that rests, as the exchange reports them.

    Attributes:
        yes_price_e4: Limit on the YES scale.
        total_e2: Filled and resting together.
        updated_ms: When the order last changed, exchange time: newer terms win.
        mono_ns: When it was reported.
    """

    yes_price_e4: int
    total_e2: int
    updated_ms: int
    mono_ns: int = 0


class OrderReport(msgspec.Struct, frozen=True):
    """What the exchange reports: in a cancel's answer, on the private channel, or in a read.

    Attributes:
        order_id: The exchange's.
        status: As reported, fresh or stale.
        fill_e2: Filled so far.
        reason: Of the last change, empty where it was not given.
        expire_ms: When the exchange ends it, None where it was not given.
        terms: None where the report cannot prove any: it has no time, or the order does not rest.
    """

    order_id: str
    status: OrderStatus
    fill_e2: int
    reason: str = ""
    expire_ms: int | None = None
    terms: ReportedTerms | None = None


class FillReport(msgspec.Struct, frozen=True):
    """One fill of this order, at an exchange time; 0 where it is not known."""

    trade_id: str
    count_e2: int
    ts_ms: int = 0


class QueuePlace(msgspec.Struct, frozen=True):
    """What trades before this order at its price, asked for at a moment of the monotonic clock."""

    ahead_e2: int
    asked_mono_ns: int = 0


OrderFact = (
    CreateSent
    | CreateAccepted
    | OrderRefused
    | OutcomeUnknown
    | AmendSent
    | AmendAccepted
    | AmendRefused
    | AmendUnknown
    | CancelSent
    | CancelFailed
    | OrderReport
    | FillReport
    | QueuePlace
)
