"""REST bodies of order entry: creates, amendments, decreases, cancels, batches, order groups.

As on the wire (openapi.yaml, the V2 operations): amounts are text, unknown fields are ignored.
Fields without a default are required: a reply that lacks one is refused by name.
"""

from __future__ import annotations

from typing import Any

import msgspec

from processes.adapters.kalshi.schemas.decoding import Count, Millis
from processes.adapters.kalshi.schemas.enums import BookSideText, SelfTrade, TimeInForce

__all__ = [
    "AmendBody",
    "AmendReply",
    "BatchCancelBody",
    "BatchCancelItem",
    "BatchCancelReply",
    "BatchCancelRow",
    "BatchCreateBody",
    "BatchCreateReply",
    "BatchCreateRow",
    "CancelReply",
    "CreateBody",
    "CreateReply",
    "DecreaseBody",
    "DecreaseReply",
    "GroupBody",
    "GroupCreatedReply",
    "GroupReply",
    "GroupRow",
    "GroupsReply",
]


class _Body(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Base of what we send: fields that are not set are left out."""


class _OrderReply(msgspec.Struct, frozen=True, kw_only=True):
    """Base of what the exchange answers."""


class CreateBody(_Body, frozen=True):
    """`POST /portfolio/events/orders`: price on the YES scale; `expiration_time` in seconds."""

    ticker: str
    client_order_id: str
    side: BookSideText
    count: str
    price: str
    time_in_force: TimeInForce
    self_trade_prevention_type: SelfTrade
    expiration_time: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    cancel_order_on_pause: bool = False
    order_group_id: str | None = None
    subaccount: int | None = None
    exchange_index: int | None = None


class CreateReply(_OrderReply, frozen=True):
    """The exchange's answer to a new order; there is no status in it."""

    order_id: str
    fill_count: str
    remaining_count: str
    ts_ms: Millis
    client_order_id: str = ""
    average_fill_price: str | None = None
    average_fee_paid: str | None = None


class AmendBody(_Body, frozen=True):
    """`POST .../{order_id}/amend`: `count` is what is filled plus what shall rest."""

    ticker: str
    side: BookSideText
    price: str
    count: str
    client_order_id: str | None = None
    updated_client_order_id: str | None = None
    expiration_time: int | None = None
    exchange_index: int | None = None


class AmendReply(_OrderReply, frozen=True):
    """The counts are there only when something filled or changed size."""

    order_id: str
    ts_ms: Millis
    remaining_count: str | None = None
    fill_count: str | None = None


class DecreaseBody(_Body, frozen=True):
    """`POST .../{order_id}/decrease`: exactly one of the two counts."""

    reduce_by: str | None = None
    reduce_to: str | None = None
    market_ticker: str | None = None
    exchange_index: int | None = None


class DecreaseReply(_OrderReply, frozen=True):
    """What rests now."""

    order_id: str
    remaining_count: str
    ts_ms: Millis


class CancelReply(_OrderReply, frozen=True):
    """What a cancel took off the book."""

    order_id: str
    reduced_by: str
    ts_ms: Millis
    client_order_id: str | None = None


class BatchCreateBody(_Body, frozen=True):
    """`POST /portfolio/events/orders/batched`."""

    orders: list[CreateBody]


class BatchCreateRow(_OrderReply, frozen=True):
    """One order of the answer: nulls beside an `error`."""

    order_id: str | None = None
    client_order_id: str | None = None
    fill_count: str | None = None
    remaining_count: str | None = None
    average_fill_price: str | None = None
    average_fee_paid: str | None = None
    ts_ms: Millis | None = None
    error: dict[str, Any] | None = None


class BatchCreateReply(_OrderReply, frozen=True):
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


class BatchCancelRow(_OrderReply, frozen=True):
    """One order of the answer; `reduced_by` is zero beside an `error`."""

    order_id: str
    reduced_by: str
    ts_ms: Millis | None = None
    error: dict[str, Any] | None = None


class BatchCancelReply(_OrderReply, frozen=True):
    """In the order of the request."""

    orders: list[BatchCancelRow]


class GroupBody(_Body, frozen=True):
    """A new group, or another limit of one."""

    contracts_limit_fp: str
    subaccount: int | None = None
    exchange_index: int | None = None


class GroupCreatedReply(_OrderReply, frozen=True):
    """`POST /portfolio/order_groups/create`."""

    order_group_id: str
    exchange_index: Count = 0


class GroupRow(_OrderReply, frozen=True):
    """One group of `GET /portfolio/order_groups`."""

    id: str
    is_auto_cancel_enabled: bool
    contracts_limit_fp: str | None = None
    exchange_index: Count = 0


class GroupsReply(_OrderReply, frozen=True):
    """`GET /portfolio/order_groups`."""

    order_groups: list[GroupRow] = []


class GroupReply(_OrderReply, frozen=True):
    """`GET /portfolio/order_groups/{id}`: with its resting orders."""

    is_auto_cancel_enabled: bool
    orders: list[str]
    contracts_limit_fp: str | None = None
    exchange_index: Count = 0
