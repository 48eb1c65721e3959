"""What REST reads see of orders and positions: the truth of a moment ago.

The exchange answers reads from a copy that follows. An order canceled 300 ms ago may still rest
there, one just made may not be there yet. The lag is real time; without any, reads are live.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Container, Iterable
from typing import Generic, TypeVar

from ipc.clock import NS_PER_MS
from processes.exchange.core.events import Event, OrderChanged, PositionChanged
from processes.exchange.core.ledger import Account, Position
from processes.exchange.core.orders import Order

__all__ = ["Replica"]

Value = TypeVar("Value", Order, Position)
Key = TypeVar("Key")


class _Past(Generic[Key, Value]):
    """Copies by the time they were made; of those that are old enough only the newest is kept."""

    def __init__(self) -> None:
        self._copies: dict[Key, list[tuple[int, Value]]] = {}

    def note(self, key: Key, value: Value, now_ns: int, lag_ns: int) -> None:
        """A value has changed."""
        kept = self._copies.setdefault(key, [])
        while len(kept) > 1 and kept[1][0] <= now_ns - lag_ns:
            kept.pop(0)
        kept.append((now_ns, value))

    def keep(self, keys: Container[Key]) -> None:
        """Forget all others."""
        self._copies = {key: kept for key, kept in self._copies.items() if key in keys}

    def at(self, key: Key, then_ns: int, now: Value) -> Value | None:
        """The value as it was; one that was never noted is as it is."""
        kept = self._copies.get(key)
        if kept is None:
            return now
        return next((value for at_ns, value in reversed(kept) if at_ns <= then_ns), None)


class Replica:
    """A sink of the core's events; lags may be changed while it runs."""

    def __init__(
        self, orders_lag_ms: int, positions_lag_ms: int, now_ns: Callable[[], int]
    ) -> None:
        self.orders_lag_ms = orders_lag_ms
        self.positions_lag_ms = positions_lag_ms
        self._now_ns = now_ns
        self._orders: _Past[str, Order] = _Past()
        self._positions: _Past[tuple[str, int, str], Position] = _Past()

    def __call__(self, event: Event) -> None:
        """Note what changed, while reads lag."""
        if not (self.orders_lag_ms or self.positions_lag_ms):
            return
        now_ns = self._now_ns()
        if isinstance(event, OrderChanged) and self.orders_lag_ms:
            lag_ns = self.orders_lag_ms * NS_PER_MS
            self._orders.note(event.order.order_id, event.order.copy(), now_ns, lag_ns)
        elif isinstance(event, PositionChanged) and self.positions_lag_ms:
            position = copy.copy(event.account.position(event.ticker))
            key = *event.account.key, event.ticker
            self._positions.note(key, position, now_ns, self.positions_lag_ms * NS_PER_MS)

    def keep(self, orders: Container[str], accounts: Iterable[Account]) -> None:
        """Forget the orders and the positions that are not there any more."""
        self._orders.keep(orders)
        self._positions.keep({(*a.key, ticker) for a in accounts for ticker in a.positions})

    def order(self, order: Order) -> Order | None:
        """An order as reads see it; None when they do not see it yet."""
        if not self.orders_lag_ms:
            return order
        return self._orders.at(
            order.order_id, self._now_ns() - self.orders_lag_ms * NS_PER_MS, order
        )

    def position(self, account: Account, ticker: str) -> Position | None:
        """A position as reads see it; None when they do not see it yet."""
        position = account.position(ticker)
        if not self.positions_lag_ms:
            return position
        then_ns = self._now_ns() - self.positions_lag_ms * NS_PER_MS
        return self._positions.at((*account.key, ticker), then_ns, position)
