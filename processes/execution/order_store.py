"""All orders that matter: the open ones by market, and lately ended ones so that late facts fit.

Bounds: `remember` ended orders (the oldest is forgotten), `waiting` fills whose order is not known
yet (the oldest is dropped and counted; reconciliation brings its facts again).
"""

from __future__ import annotations

from collections import OrderedDict

from ipc.messages import ActorFill
from processes.execution.orders import Acknowledged, Fact, Order, Reported, Traded, advance

__all__ = ["OrderStore"]


class OrderStore:
    """Orders by name and by the exchange's id."""

    def __init__(self, remember: int = 10_000, waiting: int = 1_000) -> None:
        self._orders: dict[str, Order] = {}
        self._names: dict[str, str] = {}  # order id -> client order id
        self._open: dict[str, dict[str, None]] = {}  # market -> client order ids, oldest first
        self._ended: OrderedDict[str, None] = OrderedDict()
        self._waiting: OrderedDict[str, list[ActorFill]] = OrderedDict()
        self._remember = remember
        self._wait_limit = waiting
        self._waiting_count = 0
        self.dropped_fills = 0

    def __contains__(self, client_order_id: str) -> bool:
        return client_order_id in self._orders

    def get(self, client_order_id: str) -> Order | None:
        """The order of this name."""
        return self._orders.get(client_order_id)

    def by_order_id(self, order_id: str) -> Order | None:
        """The order that the exchange calls so."""
        return self._orders.get(self._names.get(order_id, ""))

    def open_in(self, market_ticker: str) -> tuple[Order, ...]:
        """The market's open orders, ours and strangers', oldest first."""
        return tuple(self._orders[name] for name in self._open.get(market_ticker, ()))

    def open_orders(self) -> tuple[Order, ...]:
        """Every open order."""
        return tuple(self._orders[name] for names in self._open.values() for name in names)

    @property
    def open_count(self) -> int:
        """Open orders of ours."""
        return sum(order.own for order in self.open_orders())

    def add(self, order: Order) -> None:
        """A new order; `ValueError` when its name is taken."""
        if order.client_order_id in self._orders:
            raise ValueError(f"{order.client_order_id} is known already")
        self._put(order)

    def apply(self, client_order_id: str, fact: Fact) -> Order | None:
        """Tell an order a fact -> the order if that changed it."""
        order = self._orders.get(client_order_id)
        after = advance(order, fact) if order else None
        if after is None or after is order:
            return None
        self._put(after)
        if isinstance(fact, Acknowledged | Reported):
            self._claim(after)
        return self._orders[client_order_id]

    def trade(self, fill: ActorFill, *, keep: bool = True) -> Order | None:
        """Tell the order of a fill -> the order if that changed it; `keep` it if there is none."""
        order = self.by_order_id(fill.order_id) or self._orders.get(fill.client_order_id or "")
        if order is not None:
            return self.apply(order.client_order_id, Traded(fill.trade_id, fill.count_e2))
        if not keep:
            return None
        self._waiting.setdefault(fill.order_id, []).append(fill)
        self._waiting_count += 1
        while self._waiting_count > self._wait_limit:
            _, dropped = self._waiting.popitem(last=False)
            self._waiting_count -= len(dropped)
            self.dropped_fills += len(dropped)
        return None

    def _claim(self, order: Order) -> None:
        """Fills that came before their order."""
        fills = self._waiting.pop(order.order_id or "", [])
        self._waiting_count -= len(fills)
        for fill in fills:
            self.apply(order.client_order_id, Traded(fill.trade_id, fill.count_e2))

    def _put(self, order: Order) -> None:
        name = order.client_order_id
        self._orders[name] = order
        if order.order_id is not None:
            self._names[order.order_id] = name
        names = self._open.setdefault(order.market_ticker, {})
        if order.open:
            names[name] = None
            self._ended.pop(name, None)
            return
        names.pop(name, None)
        if not names:
            del self._open[order.market_ticker]
        self._ended[name] = None
        self._forget()

    def _forget(self) -> None:
        while len(self._ended) > self._remember:
            name, _ = self._ended.popitem(last=False)
            order = self._orders.pop(name)
            self._names.pop(order.order_id or "", None)
