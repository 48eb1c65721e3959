"""The exchange's own log of every change of every account's orders, in the order it happened.

A row is what stood afterwards, so any past moment of an account can be put together from the rows
up to it: what rested, what was held, what it had cost. No I/O; the admin port serves it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from itertools import islice
from typing import Any, Final

import msgspec

from processes.exchange.core.books import YES
from processes.exchange.core.events import Event, OrderChanged, OrderFilled
from processes.exchange.core.orders import OrderState

__all__ = ["LogRow", "OrderLog"]

KEPT: Final = 50_000  # rows, some 25 MB; the oldest are dropped


class LogRow(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """An order after it changed, or after it was filled.

    Attributes:
        number: Of the row, from 1 without a gap.
        mono_ns: Real time, CLOCK_MONOTONIC.
        ts_ms: Market time.
        what: `order` or `fill`.
        side: Of the YES book: `bid` or `ask`.
        remaining_e2: What may still fill, 1e-2 contracts; 0 once it rests no more.
        trade_id: Of a fill only, like all that follow.
        fill_yes_price_e4: On the YES scale, 1e-4 dollars.
        count_e2: Contracts of this fill.
        position_e2: The account's signed position in the market after it.
    """

    number: int
    mono_ns: int
    ts_ms: int
    what: str
    user_id: str
    subaccount: int
    order_id: str
    client_order_id: str
    ticker: str
    side: str
    yes_price_e4: int
    initial_e2: int
    remaining_e2: int
    status: str
    reason: str
    trade_id: str | None = None
    fill_yes_price_e4: int | None = None
    count_e2: int | None = None
    fee_e6: int | None = None
    is_taker: bool | None = None
    position_e2: int | None = None


class OrderLog:
    """A sink of the core's events, beside the one that sends frames.

    Args:
        now_ns: Real time, CLOCK_MONOTONIC.
    """

    def __init__(self, now_ns: Callable[[], int]) -> None:
        self._now_ns = now_ns
        self._rows: deque[LogRow] = deque(maxlen=KEPT)
        self._number = 0

    def __call__(self, event: Event) -> None:
        """Keep the event if it is about an account's order."""
        if type(event) is OrderFilled:
            self._keep(
                "fill",
                event,
                trade_id=event.trade_id,
                fill_yes_price_e4=event.yes_price_e4,
                count_e2=event.count_e2,
                fee_e6=event.fee_e6,
                is_taker=event.is_taker,
                position_e2=event.position_e2,
            )
        elif type(event) is OrderChanged:
            self._keep("order", event)

    def _keep(self, what: str, event: OrderFilled | OrderChanged, **of_fill: Any) -> None:
        order = event.order
        self._number += 1
        rests = order.status is OrderState.RESTING
        self._rows.append(
            LogRow(
                number=self._number,
                mono_ns=self._now_ns(),
                ts_ms=event.ts_ms,
                what=what,
                user_id=order.user_id,
                subaccount=order.account.number,
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                ticker=order.ticker,
                side="bid" if order.leg == YES else "ask",
                yes_price_e4=order.yes_price_e4,
                initial_e2=order.initial_e2,
                remaining_e2=order.remaining_e2 if rests else 0,
                status=str(order.status),
                reason=str(order.reason),
                **of_fill,
            )
        )

    def after(self, number: int, most: int) -> list[LogRow]:
        """The rows that follow a number.

        Args:
            number: Of the last row that is known, 0 for none.
            most: Rows at most.

        Returns:
            The next rows, oldest first; those that were dropped are missing.
        """
        first = self._rows[0].number if self._rows else 1
        start = max(number + 1 - first, 0)
        return list(islice(self._rows, start, start + most))
