"""What the REST client takes and gives, in integers: orders, positions, balance, settlements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from ipc.messages import BookSide
from ipc.units import format_count, format_price, parse_count, parse_money
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.normalise import ms_of_rfc3339
from processes.adapters.kalshi.schemas.enums import BookSideText, Result, SelfTrade, TimeInForce
from processes.adapters.kalshi.schemas.rest import (
    AmendBody,
    AmendReply,
    BalanceReply,
    CancelReply,
    CreateBody,
    CreateReply,
    MarketPositionRow,
    SettlementRow,
)

__all__ = [
    "AmendOrder",
    "AmendedOrder",
    "Balance",
    "CanceledOrder",
    "CreateOrder",
    "CreatedOrder",
    "Position",
    "SelfTrade",
    "Settlement",
    "TimeInForce",
    "amount",
]

CENT_E6: Final = 10_000
CENT_E4: Final = 100


def amount(parse: Callable[[str], int], text: str) -> int:
    """An amount of the wire; `WireError` when it is none."""
    try:
        return parse(text)
    except ValueError as error:
        raise WireError(str(error)) from None


class CreateOrder(msgspec.Struct, frozen=True, kw_only=True):
    """A new limit order on the YES book: buying NO at q is an ask at one dollar less q.

    `expire_s` is Unix seconds and belongs to GOOD_TILL_CANCELED only; `reduce_only` to
    IMMEDIATE_OR_CANCEL only. The exchange never takes a `client_order_id` a second time.
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
        """As the exchange wants it: amounts as text."""
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
    """The exchange took it; `average_price` and `average_fee` are its own words, fills the truth.

    Nothing filled and nothing remaining means that the rest was cancelled at once.
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
        """From the answer."""
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
    """Change a resting order; `count_e2` is what has filled plus what shall rest.

    The place in the queue is kept when only the expiry changes or the size shrinks.
    `expire_s` None keeps the expiry, 0 removes it.
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
        """As the exchange wants it."""
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
    """The change was made; counts are None when neither size nor fills changed."""

    order_id: str
    ts_ms: int
    fill_count_e2: int | None
    remaining_count_e2: int | None

    @classmethod
    def of(cls, reply: AmendReply) -> AmendedOrder:
        """From the answer."""
        fill, rest = reply.fill_count, reply.remaining_count
        return cls(
            reply.order_id,
            reply.ts_ms,
            None if fill is None else amount(parse_count, fill),
            None if rest is None else amount(parse_count, rest),
        )


class CanceledOrder(msgspec.Struct, frozen=True):
    """What a cancel took off the book."""

    order_id: str
    reduced_by_e2: int
    ts_ms: int

    @classmethod
    def of(cls, reply: CancelReply) -> CanceledOrder:
        """From the answer."""
        return cls(reply.order_id, amount(parse_count, reply.reduced_by), reply.ts_ms)


class Balance(msgspec.Struct, frozen=True):
    """Cash over all shards; `by_exchange_e6` is what each shard can spend."""

    balance_e6: int
    portfolio_value_e6: int
    updated_s: int
    by_exchange_e6: dict[int, int]

    @classmethod
    def of(cls, reply: BalanceReply) -> Balance:
        """From the answer."""
        shards = {
            row.exchange_index: amount(parse_money, row.balance) for row in reply.balance_breakdown
        }
        return cls(
            balance_e6=amount(parse_money, reply.balance_dollars),
            portfolio_value_e6=reply.portfolio_value * CENT_E6,
            updated_s=reply.updated_ts,
            by_exchange_e6=shards,
        )


class Position(msgspec.Struct, frozen=True):
    """One market's position, YES positive."""

    market_ticker: str
    position_e2: int
    exposure_e6: int
    realized_e6: int
    fees_e6: int
    traded_e6: int
    exchange_index: int

    @classmethod
    def of(cls, row: MarketPositionRow) -> Position:
        """From one row."""
        return cls(
            market_ticker=row.ticker,
            position_e2=amount(parse_count, row.position_fp),
            exposure_e6=amount(parse_money, row.market_exposure_dollars),
            realized_e6=amount(parse_money, row.realized_pnl_dollars),
            fees_e6=amount(parse_money, row.fees_paid_dollars),
            traded_e6=amount(parse_money, row.total_traded_dollars),
            exchange_index=row.exchange_index,
        )


class Settlement(msgspec.Struct, frozen=True):
    """What a settled market paid us; `value_e4` is the price of YES, None when not said."""

    market_ticker: str
    result: Result
    yes_count_e2: int
    no_count_e2: int
    cost_e6: int
    revenue_e6: int
    fee_e6: int
    value_e4: int | None
    settled_ms: int

    @classmethod
    def of(cls, row: SettlementRow) -> Settlement:
        """From one row; `revenue` and `value` are whole cents."""
        costs = (row.yes_total_cost_dollars, row.no_total_cost_dollars)
        return cls(
            market_ticker=row.ticker,
            result=row.market_result,
            yes_count_e2=amount(parse_count, row.yes_count_fp),
            no_count_e2=amount(parse_count, row.no_count_fp),
            cost_e6=sum(amount(parse_money, c) for c in costs),
            revenue_e6=row.revenue * CENT_E6,
            fee_e6=amount(parse_money, row.fee_cost),
            value_e4=None if row.value is None else row.value * CENT_E4,
            settled_ms=ms_of_rfc3339(row.settled_time),
        )
