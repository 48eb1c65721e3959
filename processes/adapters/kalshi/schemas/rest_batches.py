"""REST bodies of batches, decreases, places in the queue and order groups, as on the wire.

Fields without a default are required: an answer that lacks one is refused by name.
"""

from __future__ import annotations

from typing import Any

import msgspec

from processes.adapters.kalshi.schemas.rest import CreateBody

__all__ = [
    "BatchCancelBody",
    "BatchCancelItem",
    "BatchCancelReply",
    "BatchCancelRow",
    "BatchCreateBody",
    "BatchCreateReply",
    "BatchCreateRow",
    "DecreaseBody",
    "DecreaseReply",
    "GroupBody",
    "GroupCreatedReply",
    "GroupReply",
    "GroupRow",
    "GroupsReply",
    "QueuePositionReply",
    "QueuePositionRow",
    "QueuePositionsReply",
]


class _Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of all bodies."""


class BatchCreateBody(_Body, frozen=True):
    """`POST /portfolio/events/orders/batched`."""

    orders: list[CreateBody]


class BatchCreateRow(_Body, frozen=True):
    """One order of the answer: nulls beside an `error`."""

    order_id: str | None = None
    client_order_id: str | None = None
    fill_count: str | None = None
    remaining_count: str | None = None
    average_fill_price: str | None = None
    average_fee_paid: str | None = None
    ts_ms: int | None = None
    error: dict[str, Any] | None = None


class BatchCreateReply(_Body, frozen=True):
    """In the order of the request."""

    orders: list[BatchCreateRow]


class BatchCancelItem(_Body, frozen=True):
    """Which order; its market leads to its shard."""

    order_id: str
    market_ticker: str | None = None
    subaccount: int | None = None
    exchange_index: int | None = None


class BatchCancelBody(_Body, frozen=True):
    """`DELETE /portfolio/events/orders/batched`: a DELETE with a body."""

    orders: list[BatchCancelItem]


class BatchCancelRow(_Body, frozen=True):
    """One order of the answer; `reduced_by` is zero beside an `error`."""

    order_id: str
    reduced_by: str
    ts_ms: int | None = None
    error: dict[str, Any] | None = None


class BatchCancelReply(_Body, frozen=True):
    """In the order of the request."""

    orders: list[BatchCancelRow]


class DecreaseBody(_Body, frozen=True):
    """`POST .../{order_id}/decrease`: exactly one of the two counts."""

    reduce_by: str | None = None
    reduce_to: str | None = None
    market_ticker: str | None = None
    exchange_index: int | None = None


class DecreaseReply(_Body, frozen=True):
    """What rests now."""

    order_id: str
    remaining_count: str
    ts_ms: int


class QueuePositionRow(_Body, frozen=True):
    """How much stands before an order."""

    order_id: str
    market_ticker: str
    queue_position_fp: str


class QueuePositionsReply(_Body, frozen=True):
    """`GET /portfolio/orders/queue_positions`."""

    queue_positions: list[QueuePositionRow]


class QueuePositionReply(_Body, frozen=True):
    """`GET /portfolio/orders/{order_id}/queue_position`."""

    queue_position_fp: str


class GroupBody(_Body, frozen=True):
    """A new group, or another limit of one."""

    contracts_limit_fp: str
    subaccount: int | None = None
    exchange_index: int | None = None


class GroupCreatedReply(_Body, frozen=True):
    """`POST /portfolio/order_groups/create`."""

    order_group_id: str
    exchange_index: int = 0


class GroupRow(_Body, frozen=True):
    """One group of `GET /portfolio/order_groups`."""

    id: str
    is_auto_cancel_enabled: bool
    contracts_limit_fp: str | None = None
    exchange_index: int = 0


class GroupsReply(_Body, frozen=True):
    """`GET /portfolio/order_groups`."""

    order_groups: list[GroupRow] = []


class GroupReply(_Body, frozen=True):
    """`GET /portfolio/order_groups/{id}`: with its resting orders."""

    is_auto_cancel_enabled: bool
    orders: list[str]
    contracts_limit_fp: str | None = None
    exchange_index: int = 0
