"""Writes over REST: orders one by one and in batches. Each is sent once.

Signatures are wanted ahead (see `signature_pool`): of creates always, of an order's cancel and
amendment from the moment that its id is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NoReturn

import msgspec

from ipc.units import format_count
from processes.adapters.kalshi.errors import ApiError, NotFound
from processes.adapters.kalshi.rest.batch_types import DecreasedOrder, canceled_of, created_of
from processes.adapters.kalshi.rest.http import KalshiHttp, Params
from processes.adapters.kalshi.rest.order_types import (
    AmendedOrder,
    AmendOrder,
    CanceledOrder,
    CreatedOrder,
    CreateOrder,
)
from processes.adapters.kalshi.rest.rate_budget import Call
from processes.adapters.kalshi.rest.resource import EVENT_ORDERS, RestPart, segment
from processes.adapters.kalshi.schemas.rest import AmendReply, CancelReply, CreateReply
from processes.adapters.kalshi.schemas.rest_batches import (
    BatchCancelBody,
    BatchCancelItem,
    BatchCancelReply,
    BatchCreateBody,
    BatchCreateReply,
    DecreaseBody,
    DecreaseReply,
)

__all__ = ["OrderPart"]

BATCH: Final = f"{EVENT_ORDERS}/batched"
CREATES_AHEAD: Final = 8  # signatures kept ready
ORDER_MS: Final = 120_000  # how long an order's signatures are kept, from its last news

_encoder: Final = msgspec.json.Encoder()


class OrderPart(RestPart):
    """New orders, changes, cancels; `UnknownOutcome`: then look it up before acting again."""

    def __init__(self, http: KalshiHttp) -> None:
        super().__init__(http)
        http.want_signatures("POST", EVENT_ORDERS, CREATES_AHEAD)
        http.want_signatures("DELETE", EVENT_ORDERS)

    async def keep_signatures(self) -> NoReturn:
        """Make signatures in advance until cancelled; without it each is made when needed."""
        await self._http.signatures.keep()

    def _rests(self, order_id: str) -> None:
        for method, path in _changes(order_id):
            self._http.want_signatures(method, path, for_ms=ORDER_MS)

    def _ended(self, order_id: str) -> None:
        for method, path in _changes(order_id):
            self._http.unwant_signatures(method, path)

    async def create_order(self, order: CreateOrder) -> CreatedOrder:
        """Send a new order, once. `OrderRejected`, or `UnknownOutcome`: then look it up."""
        body = _encoder.encode(order.body(self._subaccount))

        def made(reply: CreateReply) -> CreatedOrder:
            return CreatedOrder.of(reply, order.client_order_id)

        created = await self._http.write(
            CreateReply, made, Call.CREATE, "POST", EVENT_ORDERS, body=body
        )
        if created.remaining_count_e2:
            self._rests(created.order_id)
        return created

    async def create_orders(self, orders: Sequence[CreateOrder]) -> list[CreatedOrder | ApiError]:
        """Send several at once; each is made or refused by itself.

        `RateLimited` when they cost more than the write bucket holds: nothing was done.
        """
        bodies = [order.body(self._subaccount) for order in orders]
        body = _encoder.encode(BatchCreateBody(orders=bodies))
        names = [order.client_order_id for order in orders]

        def made(reply: BatchCreateReply) -> list[CreatedOrder | ApiError]:
            return created_of(reply, names)

        return await self._http.write(
            BatchCreateReply, made, Call.CREATE, "POST", BATCH, body=body, items=len(orders)
        )

    async def amend_order(self, order: AmendOrder) -> AmendedOrder:
        """Change a resting order; `NotFound` when it no longer rests."""
        path = f"{EVENT_ORDERS}/{segment(order.order_id)}/amend"
        body = _encoder.encode(order.body())
        try:
            amended = await self._http.write(
                AmendReply,
                AmendedOrder.of,
                Call.AMEND,
                "POST",
                path,
                params={"subaccount": self._subaccount},
                body=body,
            )
        except NotFound:
            self._ended(order.order_id)
            raise
        self._rests(order.order_id)
        return amended

    async def decrease_order(
        self,
        order_id: str,
        ticker: str,
        *,
        by_e2: int | None = None,
        to_e2: int | None = None,
    ) -> DecreasedOrder:
        """Take off `by_e2`, or all but `to_e2`; it keeps its place. `NotFound`."""
        if (by_e2 is None) == (to_e2 is None):
            raise ValueError("exactly one of by_e2 and to_e2 is needed")
        body = DecreaseBody(
            reduce_by=None if by_e2 is None else format_count(by_e2),
            reduce_to=None if to_e2 is None else format_count(to_e2),
            market_ticker=ticker,
        )
        path = f"{EVENT_ORDERS}/{segment(order_id)}/decrease"
        return await self._http.write(
            DecreaseReply,
            DecreasedOrder.of,
            Call.AMEND,
            "POST",
            path,
            params={"subaccount": self._subaccount},
            body=_encoder.encode(body),
        )

    async def cancel_order(self, order_id: str, ticker: str) -> CanceledOrder:
        """Cancel; `NotFound` when it no longer rests. The market leads to its shard."""
        path = f"{EVENT_ORDERS}/{segment(order_id)}"
        params: Params = {"market_ticker": ticker, "subaccount": self._subaccount}
        try:
            canceled = await self._http.write(
                CancelReply, CanceledOrder.of, Call.CANCEL, "DELETE", path, params=params
            )
        except NotFound:
            self._ended(order_id)
            raise
        self._ended(order_id)
        return canceled

    async def cancel_orders(
        self, orders: Sequence[tuple[str, str]]
    ) -> list[CanceledOrder | ApiError]:
        """Cancel several, (order_id, ticker) each; each succeeds or fails by itself."""
        items = [
            BatchCancelItem(order_id=i, market_ticker=ticker, subaccount=self._subaccount)
            for i, ticker in orders
        ]

        def made(reply: BatchCancelReply) -> list[CanceledOrder | ApiError]:
            return canceled_of(reply, [order_id for order_id, _ in orders])

        body = _encoder.encode(BatchCancelBody(orders=items))
        return await self._http.write(
            BatchCancelReply, made, Call.CANCEL, "DELETE", BATCH, body=body, items=len(orders)
        )

    async def cancel_all(self) -> None:
        """Cancel all resting orders; orders of the next minute may be cancelled too."""
        params: Params = {"subaccount": self._subaccount}
        await self._http.write(object, type, Call.CANCEL_ALL, "DELETE", EVENT_ORDERS, params=params)


def _changes(order_id: str) -> tuple[tuple[str, str], ...]:
    """The requests that change an order."""
    path = f"{EVENT_ORDERS}/{segment(order_id)}"
    return ("DELETE", path), ("POST", f"{path}/amend")
