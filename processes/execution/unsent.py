"""Execution mode `shadow`: what would have been sent, and would rest now. No I/O.

`RL_EXECUTION_MODE=shadow` decides every intent by all checks and sends nothing: the order is
recorded with the reason `SHADOW_MODE`. No fill is imagined, so the account stays the real one, and
every order is judged beside what really rests. What is remembered here is one order a market until
it would have expired, so that a repeated wish counts as kept and another one as a replacement.

This has nothing to do with the shadow of inference, a model that decides beside the live one.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from ipc.messages import Intent
from processes.execution.orders import OrderRefused, TrackedOrder, advance, message_of
from processes.execution.state import ExecutionState

__all__ = ["SHADOW_MODE", "UnsentOrders", "is_same"]

SHADOW_MODE: Final = "shadow_mode"  # reason of an order that only this mode kept from being sent


def is_same(order: TrackedOrder, intent: Intent) -> bool:
    """Whether what would rest is what is wanted."""
    terms = order.leg, order.is_buy, order.yes_price_e4
    return (
        terms == (intent.leg, intent.is_buy, intent.yes_price_e4)
        and order.remaining_e2 <= intent.count_e2
    )


class UnsentOrders:
    """The newest order of each market that would have been sent.

    Args:
        state: Gets the records; its counters have `unsent_orders` and `unsent_cancels`, which the
            limits of rates count like those that were sent.
    """

    def __init__(self, state: ExecutionState) -> None:
        self._state = state
        self._newest: dict[str, TrackedOrder] = {}

    def in_market(self, ticker: str, now_ms: int) -> TrackedOrder | None:
        """What would rest in a market.

        Args:
            ticker: The market.
            now_ms: Market time; what would have expired is forgotten.
        """
        order = self._newest.get(ticker)
        if order is not None and now_ms >= (order.expire_ms or 0):
            del self._newest[ticker]
            return None
        return order

    def keep(self, order: TrackedOrder, replaced: TrackedOrder | None) -> None:
        """Record what would be sent now.

        Args:
            order: Every check has passed.
            replaced: What would be canceled for it.
        """
        counters: Counter[str] = self._state.counters
        counters["unsent_orders"] += 1
        counters["unsent_cancels"] += replaced is not None
        after = f": would replace {replaced.client_order_id}" if replaced is not None else ""
        self._newest[order.market_ticker] = order
        recorded = advance(order, OrderRefused(f"{SHADOW_MODE}{after}"))
        self._state.orders.add(recorded)
        self._state.effects.note(message_of(recorded, self._state.now().ns))

    def leave(self, ticker: str) -> None:
        """The actor left the market: what would rest there would be canceled."""
        if self._newest.pop(ticker, None) is not None:
            self._state.counters["unsent_cancels"] += 1

    def clear(self) -> None:
        """Trading was stopped: nothing would rest."""
        for ticker in list(self._newest):
            self.leave(ticker)
