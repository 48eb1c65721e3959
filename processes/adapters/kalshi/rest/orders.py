"""Order entry over REST: creates, amendments, decreases, cancels, one by one and in batches.

Every request is sent once. Signatures are made in advance (see `SignaturePool`): of creates at
all times, of an order's cancel and amendment once its id is known. Prices are in 1e-4 dollars on
the YES scale, counts in hundredths of a contract.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NoReturn

import msgspec

from ipc.messages import BookSide
from ipc.units import format_count, format_price, parse_count
from processes.adapters.kalshi.errors import (
    ORDER_ALREADY_EXISTS,
    ApiError,
    NotFound,
    WireError,
    api_error,
)
from processes.adapters.kalshi.rest.http import KalshiHttp, Params, RestResource, segment
from processes.adapters.kalshi.rest.rate_budget import Call
from processes.adapters.kalshi.schemas.enums import BookSideText, SelfTrade, TimeInForce
from processes.adapters.kalshi.schemas.normalise import amount
from processes.adapters.kalshi.schemas.rest_orders import (
    AmendBody,
    AmendReply,
    BatchCancelBody,
    BatchCancelItem,
    BatchCancelReply,
    BatchCancelRow,
    BatchCreateBody,
    BatchCreateReply,
    BatchCreateRow,
    CancelReply,
    CreateBody,
    CreateReply,
    DecreaseBody,
    DecreaseReply,
)

__all__ = [
    "AmendOrder",
    "AmendedOrder",
    "CanceledOrder",
    "CreateOrder",
    "CreatedOrder",
    "DecreasedOrder",
    "OrderResource",
    "SelfTrade",
    "TimeInForce",
]

EVENT_ORDERS: Final = "/portfolio/events/orders"
BATCH: Final = f"{EVENT_ORDERS}/batched"
CREATES_AHEAD: Final = 8  # signatures kept ready
ORDER_MS: Final = 120_000  # how long an order's signatures are kept after its last change
BAD_REQUEST: Final = 400
_STATUSES: Final = {"not_found": 404, ORDER_ALREADY_EXISTS: 409}  # as a single call would answer
_encoder: Final = msgspec.json.Encoder()


class CreateOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A new limit order on the YES book: buying NO at q is an ask at one dollar less q.

    The exchange never takes a `client_order_id` a second time, not even after the order has ended.

    Attributes:
        market_ticker: The market.
        client_order_id: 1 to 64 characters.
        book_side: `BID` buys YES or sells NO, `ASK` the reverse.
        yes_price_e4: Limit on the YES scale, on the market's grid.
        count_e2: Size in 1e-2 contracts.
        time_in_force: How long it waits.
        expire_s: Unix seconds; goes with GOOD_TILL_CANCELED only. None: never.
        post_only: Refused rather than filled at once.
        reduce_only: Never opens a position; goes with IMMEDIATE_OR_CANCEL only.
        cancel_order_on_pause: Cancelled when the market or the exchange pauses.
        self_trade: Which of two orders of this account yields when they would meet.
        order_group_id: The group that it belongs to, None for none.
        exchange_index: Its market's shard; None lets the exchange find it.
    """

    market_ticker: str
    client_order_id: str
    book_side: BookSide
    yes_price_e4: int
    count_e2: int
    time_in_force: TimeInForce = TimeInForce.GOOD_TILL_CANCELED
    expire_s: int | None = None
    post_only: bool = False
    reduce_only: bool = False
    cancel_order_on_pause: bool = True
    self_trade: SelfTrade = SelfTrade.TAKER_AT_CROSS
    order_group_id: str | None = None
    exchange_index: int | None = None

    def body(self, subaccount: int | None = None) -> CreateBody:
        """The request's body, amounts as text."""
        return CreateBody(
            ticker=self.market_ticker,
            client_order_id=self.client_order_id,
            side=BookSideText(self.book_side.value),
            count=format_count(self.count_e2),
            price=format_price(self.yes_price_e4),
            time_in_force=self.time_in_force,
            self_trade_prevention_type=self.self_trade,
            expiration_time=self.expire_s,
            post_only=self.post_only,
            reduce_only=self.reduce_only,
            cancel_order_on_pause=self.cancel_order_on_pause,
            order_group_id=self.order_group_id,
            subaccount=subaccount,
            exchange_index=self.exchange_index,
        )


class CreatedOrder(msgspec.Struct, frozen=True):
    """The exchange accepted an order.

    Nothing filled and nothing remaining means that it was cancelled at once.

    Attributes:
        order_id: The exchange's.
        client_order_id: As sent.
        fill_count_e2: Filled at once.
        remaining_count_e2: What rests.
        ts_ms: Exchange time.
        average_price: Of the fills, the exchange's text; what counts are the fills.
        average_fee: Per contract, likewise.
    """

    order_id: str
    client_order_id: str
    fill_count_e2: int
    remaining_count_e2: int
    ts_ms: int
    average_price: str | None = None
    average_fee: str | None = None

    @classmethod
    def of(cls, reply: CreateReply, client_order_id: str) -> CreatedOrder:
        """From the reply."""
        return cls(
            order_id=reply.order_id,
            client_order_id=reply.client_order_id or client_order_id,
            fill_count_e2=amount(parse_count, reply.fill_count),
            remaining_count_e2=amount(parse_count, reply.remaining_count),
            ts_ms=reply.ts_ms,
            average_price=reply.average_fill_price,
            average_fee=reply.average_fee_paid,
        )


class AmendOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A change of a resting order.

    The order keeps its place in the queue when only the expiry changes or the size shrinks.

    Attributes:
        order_id: The exchange's.
        market_ticker: Its market.
        book_side: Its side of the YES book.
        yes_price_e4: New limit on the YES scale.
        count_e2: What has filled plus what is to rest.
        client_order_id: Its present one, None to leave it out.
        updated_client_order_id: Its new one, None to keep it.
        expire_s: Unix seconds; None keeps the expiry, 0 removes it.
        exchange_index: Its shard.
    """

    order_id: str
    market_ticker: str
    book_side: BookSide
    yes_price_e4: int
    count_e2: int
    client_order_id: str | None = None
    updated_client_order_id: str | None = None
    expire_s: int | None = None
    exchange_index: int | None = None

    def body(self) -> AmendBody:
        """The request's body, amounts as text."""
        return AmendBody(
            ticker=self.market_ticker,
            side=BookSideText(self.book_side.value),
            price=format_price(self.yes_price_e4),
            count=format_count(self.count_e2),
            client_order_id=self.client_order_id,
            updated_client_order_id=self.updated_client_order_id,
            expiration_time=self.expire_s,
            exchange_index=self.exchange_index,
        )


class AmendedOrder(msgspec.Struct, frozen=True):
    """The order was changed.

    Attributes:
        order_id: The exchange's.
        ts_ms: Exchange time.
        fill_count_e2: Filled so far; None when neither size nor fills changed.
        remaining_count_e2: What rests; None likewise.
    """

    order_id: str
    ts_ms: int
    fill_count_e2: int | None
    remaining_count_e2: int | None

    @classmethod
    def of(cls, reply: AmendReply) -> AmendedOrder:
        """From the reply."""
        fill, rest = reply.fill_count, reply.remaining_count
        return cls(
            reply.order_id,
            reply.ts_ms,
            None if fill is None else amount(parse_count, fill),
            None if rest is None else amount(parse_count, rest),
        )


class CanceledOrder(msgspec.Struct, frozen=True):
    """What a cancel took off the book.

    Attributes:
        order_id: The exchange's.
        reduced_by_e2: Contracts that had still rested.
        ts_ms: Exchange time.
    """

    order_id: str
    reduced_by_e2: int
    ts_ms: int

    @classmethod
    def of(cls, reply: CancelReply) -> CanceledOrder:
        """From the reply."""
        return cls(reply.order_id, amount(parse_count, reply.reduced_by), reply.ts_ms)


class DecreasedOrder(msgspec.Struct, frozen=True):
    """What still rests after a decrease.

    Attributes:
        order_id: The exchange's.
        remaining_count_e2: What rests.
        ts_ms: Exchange time.
    """

    order_id: str
    remaining_count_e2: int
    ts_ms: int

    @classmethod
    def of(cls, reply: DecreaseReply) -> DecreasedOrder:
        """From the reply."""
        return cls(reply.order_id, amount(parse_count, reply.remaining_count), reply.ts_ms)


class OrderResource(RestResource):
    """New orders, amendments, cancels: V2 of order entry (PROTOCOL.md, 6.1).

    Every write may end in `UnknownOutcome`: look the order up before acting again.
    """

    def __init__(self, http: KalshiHttp) -> None:
        super().__init__(http)
        http.want_signatures("POST", EVENT_ORDERS, CREATES_AHEAD)
        http.want_signatures("DELETE", EVENT_ORDERS)

    async def keep_signatures(self) -> NoReturn:
        """Make signatures in advance until cancelled; without it each is made when it is needed."""
        await self._http.signatures.keep()

    def _want_signatures(self, order_id: str) -> None:
        for method, path in _changes(order_id):
            self._http.want_signatures(method, path, for_ms=ORDER_MS)

    def _unwant_signatures(self, order_id: str) -> None:
        for method, path in _changes(order_id):
            self._http.unwant_signatures(method, path)

    async def create_order(self, order: CreateOrder) -> CreatedOrder:
        """Send a new order (`CreateOrderV2`).

        Args:
            order: The order; amounts are sent as text, in dollars and contracts.

        Returns:
            What the exchange made of it.

        Raises:
            OrderRejected: Refused; `code` is `ORDER_ALREADY_EXISTS` for a `client_order_id` that
                was used before.
            RateLimited: Not sent, or refused: too many requests.
            ExchangeUnavailable: Not sent.
            UnknownOutcome: Sent, and it may exist.
        """
        body = _encoder.encode(order.body(self._subaccount))

        def made(reply: CreateReply) -> CreatedOrder:
            return CreatedOrder.of(reply, order.client_order_id)

        created = await self._http.write(
            CreateReply, made, Call.CREATE, "POST", EVENT_ORDERS, body=body
        )
        if created.remaining_count_e2:
            self._want_signatures(created.order_id)
        return created

    async def create_orders(self, orders: Sequence[CreateOrder]) -> list[CreatedOrder | ApiError]:
        """Send several at once (`BatchCreateOrdersV2`); each is accepted or refused by itself.

        Args:
            orders: They cost as many tokens as when sent one by one.

        Returns:
            For each order, in order, what was made or why it was refused.

        Raises:
            RateLimited: They cost more than the write bucket holds, and none was made.
            ExchangeUnavailable: Not sent.
            UnknownOutcome: Sent, and any of them may exist.
        """
        bodies = [order.body(self._subaccount) for order in orders]
        body = _encoder.encode(BatchCreateBody(orders=bodies))
        names = [order.client_order_id for order in orders]

        def made(reply: BatchCreateReply) -> list[CreatedOrder | ApiError]:
            return _created_orders(reply, names)

        return await self._http.write(
            BatchCreateReply, made, Call.CREATE, "POST", BATCH, body=body, items=len(orders)
        )

    async def amend_order(self, order: AmendOrder) -> AmendedOrder:
        """Change a resting order (`AmendOrderV2`).

        Args:
            order: The order and what it is to be.

        Raises:
            NotFound: It no longer rests.
            OrderRejected: Refused; the order is as it was.
            UnknownOutcome: Sent, and it may have been changed.
        """
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
            self._unwant_signatures(order.order_id)
            raise
        self._want_signatures(order.order_id)
        return amended

    async def decrease_order(
        self,
        order_id: str,
        ticker: str,
        *,
        by_e2: int | None = None,
        to_e2: int | None = None,
    ) -> DecreasedOrder:
        """Make a resting order smaller; it keeps its place in the queue (`DecreaseOrderV2`).

        Args:
            order_id: The order.
            ticker: Its market, which leads to its shard.
            by_e2: Take off so much, or
            to_e2: leave so much.

        Raises:
            ValueError: Not exactly one of `by_e2` and `to_e2` was given.
            NotFound: It no longer rests.
            UnknownOutcome: Sent, and it may have been decreased.
        """
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
        """Cancel an order (`CancelOrderV2`).

        Args:
            order_id: The order.
            ticker: Its market, which leads to its shard.

        Raises:
            NotFound: It no longer rests: filled, cancelled or expired.
            UnknownOutcome: Sent, and it may have been cancelled.
        """
        path = f"{EVENT_ORDERS}/{segment(order_id)}"
        params: Params = {"market_ticker": ticker, "subaccount": self._subaccount}
        try:
            canceled = await self._http.write(
                CancelReply, CanceledOrder.of, Call.CANCEL, "DELETE", path, params=params
            )
        except NotFound:
            self._unwant_signatures(order_id)
            raise
        self._unwant_signatures(order_id)
        return canceled

    async def cancel_orders(
        self, orders: Sequence[tuple[str, str]]
    ) -> list[CanceledOrder | ApiError]:
        """Cancel several orders (`BatchCancelOrdersV2`); each by itself.

        Args:
            orders: Each as (order_id, ticker).

        Returns:
            For each order, in order, what was cancelled or why it was not.

        Raises:
            UnknownOutcome: Sent, and any of them may have been cancelled.
        """
        items = [
            BatchCancelItem(order_id=i, market_ticker=ticker, subaccount=self._subaccount)
            for i, ticker in orders
        ]

        def made(reply: BatchCancelReply) -> list[CanceledOrder | ApiError]:
            return _canceled_orders(reply, [order_id for order_id, _ in orders])

        body = _encoder.encode(BatchCancelBody(orders=items))
        return await self._http.write(
            BatchCancelReply, made, Call.CANCEL, "DELETE", BATCH, body=body, items=len(orders)
        )

    async def cancel_all(self) -> None:
        """Cancel all resting orders (`CancelAllOrders`).

        The exchange may cancel orders of the next minute too.
        """
        params: Params = {"subaccount": self._subaccount}
        await self._http.write(object, type, Call.CANCEL_ALL, "DELETE", EVENT_ORDERS, params=params)


def _changes(order_id: str) -> tuple[tuple[str, str], ...]:
    """The requests that change an order."""
    path = f"{EVENT_ORDERS}/{segment(order_id)}"
    return ("DELETE", path), ("POST", f"{path}/amend")


def _created_orders(reply: BatchCreateReply, names: list[str]) -> list[CreatedOrder | ApiError]:
    """Each item's order or error, in the order of the request."""
    _check_length(len(reply.orders), len(names))
    return [_created_order(row, name) for row, name in zip(reply.orders, names, strict=True)]


def _created_order(row: BatchCreateRow, name: str) -> CreatedOrder | ApiError:
    if row.error is not None:
        return _item_error(row.error)
    if row.order_id is None or row.fill_count is None or row.remaining_count is None:
        raise WireError(f"order {name}: neither created nor refused")
    return CreatedOrder(
        order_id=row.order_id,
        client_order_id=row.client_order_id or name,
        fill_count_e2=amount(parse_count, row.fill_count),
        remaining_count_e2=amount(parse_count, row.remaining_count),
        ts_ms=row.ts_ms or 0,
        average_price=row.average_fill_price,
        average_fee=row.average_fee_paid,
    )


def _canceled_orders(
    reply: BatchCancelReply, order_ids: list[str]
) -> list[CanceledOrder | ApiError]:
    """Each item's cancellation or error, in the order of the request."""
    _check_length(len(reply.orders), len(order_ids))
    return [_canceled_order(row) for row in reply.orders]


def _canceled_order(row: BatchCancelRow) -> CanceledOrder | ApiError:
    if row.error is not None:
        return _item_error(row.error)
    return CanceledOrder(row.order_id, amount(parse_count, row.reduced_by), row.ts_ms or 0)


def _check_length(rows: int, asked: int) -> None:
    if rows != asked:
        raise WireError(f"a batch of {asked} was answered with {rows} rows")


def _item_error(error: dict[str, Any]) -> ApiError:
    """An item's error, as a single call would have raised it."""
    body = msgspec.json.encode({"error": error})
    return api_error(_STATUSES.get(str(error.get("code")), BAD_REQUEST), body)
