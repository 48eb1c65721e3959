"""What batches, decreases, queues and groups give, in integers; a batch's items fail one by one."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ipc.units import parse_count
from processes.adapters.kalshi.errors import ORDER_ALREADY_EXISTS, ApiError, WireError, api_error
from processes.adapters.kalshi.rest.order_types import CanceledOrder, CreatedOrder, amount
from processes.adapters.kalshi.schemas.rest_batches import (
    BatchCancelReply,
    BatchCancelRow,
    BatchCreateReply,
    BatchCreateRow,
    DecreaseReply,
    GroupReply,
    GroupRow,
    QueuePositionRow,
)

__all__ = [
    "DecreasedOrder",
    "OrderGroup",
    "QueuePosition",
    "canceled_of",
    "created_of",
]

BAD_REQUEST: Final = 400
_STATUSES: Final = {"not_found": 404, ORDER_ALREADY_EXISTS: 409}  # as the call alone would have


class DecreasedOrder(msgspec.Struct, frozen=True):
    """What still rests."""

    order_id: str
    remaining_count_e2: int
    ts_ms: int

    @classmethod
    def of(cls, reply: DecreaseReply) -> DecreasedOrder:
        """From the answer."""
        return cls(reply.order_id, amount(parse_count, reply.remaining_count), reply.ts_ms)


class QueuePosition(msgspec.Struct, frozen=True):
    """How much stands before an order at its price."""

    order_id: str
    market_ticker: str
    ahead_e2: int

    @classmethod
    def of(cls, row: QueuePositionRow) -> QueuePosition:
        """From one row."""
        return cls(row.order_id, row.market_ticker, amount(parse_count, row.queue_position_fp))


class OrderGroup(msgspec.Struct, frozen=True):
    """Orders that are cancelled together once more than `limit_e2` filled within 15 seconds.

    `order_ids` is None where the exchange did not list them.
    """

    group_id: str
    limit_e2: int | None
    exchange_index: int
    auto_cancel: bool
    order_ids: tuple[str, ...] | None = None

    @classmethod
    def of_row(cls, row: GroupRow) -> OrderGroup:
        """From the list."""
        return cls(row.id, _limit(row), row.exchange_index, row.is_auto_cancel_enabled)

    @classmethod
    def of(cls, group_id: str, reply: GroupReply) -> OrderGroup:
        """From the answer about one."""
        orders, auto = tuple(reply.orders), reply.is_auto_cancel_enabled
        return cls(group_id, _limit(reply), reply.exchange_index, auto, orders)


def _limit(row: GroupRow | GroupReply) -> int | None:
    text = row.contracts_limit_fp
    return None if text is None else amount(parse_count, text)


def _error_of(error: dict[str, Any]) -> ApiError:
    """An item's error as the call alone would have raised it."""
    body = msgspec.json.encode({"error": error})
    return api_error(_STATUSES.get(str(error.get("code")), BAD_REQUEST), body)


def _matched(rows: int, asked: int) -> None:
    if rows != asked:
        raise WireError(f"a batch of {asked} was answered with {rows} rows")


def created_of(reply: BatchCreateReply, names: list[str]) -> list[CreatedOrder | ApiError]:
    """Each item's order or error, in the order of the request."""
    _matched(len(reply.orders), len(names))
    return [_created(row, name) for row, name in zip(reply.orders, names, strict=True)]


def _created(row: BatchCreateRow, name: str) -> CreatedOrder | ApiError:
    if row.error is not None:
        return _error_of(row.error)
    if row.order_id is None or row.fill_count is None or row.remaining_count is None:
        raise WireError(f"order {name}: neither made nor refused")
    return CreatedOrder(
        order_id=row.order_id,
        client_order_id=row.client_order_id or name,
        fill_count_e2=amount(parse_count, row.fill_count),
        remaining_count_e2=amount(parse_count, row.remaining_count),
        ts_ms=row.ts_ms or 0,
        average_price=row.average_fill_price,
        average_fee=row.average_fee_paid,
    )


def canceled_of(reply: BatchCancelReply, order_ids: list[str]) -> list[CanceledOrder | ApiError]:
    """Each item's cancellation or error, in the order of the request."""
    _matched(len(reply.orders), len(order_ids))
    return [_canceled(row) for row in reply.orders]


def _canceled(row: BatchCancelRow) -> CanceledOrder | ApiError:
    if row.error is not None:
        return _error_of(row.error)
    return CanceledOrder(row.order_id, amount(parse_count, row.reduced_by), row.ts_ms or 0)
