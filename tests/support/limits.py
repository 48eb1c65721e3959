"""Limits of the account for tests: a manager that has some, and the words to change them."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

from support.order_manager import ManagerRig, exchange_order
from support.orders import TICKER, fill, intent

from ipc.messages import ActorOrder, BookSide, Environment, Intent, OrderStatus
from ipc.units import LINEAR_CENT
from processes.execution.account_limits import AccountGuard
from processes.execution.day_pnl import DayRecord
from processes.execution.latches import Latch
from processes.execution.limits_file import (
    AccountBounds,
    LimitName,
    LimitsReading,
    LimitsStatus,
    parse_limits,
)
from processes.execution.orders import CancelOrder, CreateAccepted, TrackedOrder
from processes.execution.touch import Touch

__all__ = ["LimitsRig", "bounds", "count_of", "reading"]

CLOSE_MS = 4_000_000_000_000


def bounds(text: str) -> AccountBounds:
    """Limits as the file has them, such as `total_exposure = 10`."""
    return parse_limits(f"[simulated]\n{text}\n".encode())[Environment.SIMULATED]


def reading(text: str) -> LimitsReading:
    """A file that can be used."""
    return LimitsReading(LimitsStatus.VALID, bounds(text))


class LimitsRig(ManagerRig):
    """A manager with these limits, and touches that the test sets."""

    def __init__(
        self,
        text: str = "",
        *,
        latches: Iterable[Latch] = (),
        day: DayRecord | None = None,
        environment: Environment = Environment.SIMULATED,
        sends: bool = True,
        **more: Any,
    ) -> None:
        self.touches: dict[str, Touch] = {}
        self.saved: list[tuple[tuple[Latch, ...], DayRecord]] = []
        made = partial(
            AccountGuard,
            environment=environment,
            touch=self.touches.get,
            latches=latches,
            day=day or DayRecord(),
            save=lambda latches, day: self.saved.append((latches, day)),
            **more,
        )
        super().__init__(made, sends=sends)
        self.limits = self.manager.account_limits
        if text:
            self.limits.on_reading(reading(text))

    def market(self, ticker: str = TICKER, event: str = "", close_ms: int = CLOSE_MS) -> LimitsRig:
        """Follow a market that is flat on both sides."""
        self.state.follow(ticker, LINEAR_CENT, close_ms, 0, event)
        self.compare(fills={ticker: []})
        self.drain()
        return self

    def want(self, name: str, **fields: Any) -> str:
        """An intent -> why it was refused, empty when it was not."""
        wanted: Intent = intent(name, **fields)
        self.manager.on_intent(wanted, self.mono_ns)
        found = [o for o in self.told(ActorOrder) if o.intent_id == name]
        refused = [order.reason for order in found if order.status is OrderStatus.REJECTED]
        return refused[-1] if refused else ""

    def rests(self, name: str, **fields: Any) -> TrackedOrder:
        """An order that rests as `e-<name>`."""
        assert self.want(name, **fields) == ""
        (order,) = [o for o in self.state.orders.open_orders() if o.intent_id == name]
        answer = CreateAccepted(f"e-{name}", 0, order.initial_e2, 1)
        self.state.on_fact(order.client_order_id, answer)
        self.drain()
        found = self.state.orders.get(order.client_order_id)
        assert found is not None
        return found

    def ends(self, order: TrackedOrder) -> None:
        """An order that was canceled, or whose cancel was confirmed."""
        self.state.on_order(exchange_order(order, OrderStatus.CANCELED))
        self.state.release(order.client_order_id)
        self.drain()

    def trade(
        self,
        trade_id: str,
        side: BookSide,
        cents: int,
        contracts: int,
        ticker: str = TICKER,
        fee_e6: int = 0,
    ) -> LimitsRig:
        """A fill that no order of ours explains, at this moment."""
        self.state.on_fill(
            fill(
                trade_id,
                side,
                yes_price_e4=100 * cents,
                count_e2=100 * contracts,
                order_id=f"by-hand-{trade_id}",
                market_ticker=ticker,
                fee_e6=fee_e6,
                ts_ms=self.state.now().ms,
            )
        )
        self.drain()
        return self

    def canceled(self) -> list[str | None]:
        """The intents whose orders are to be canceled since the last call."""
        return [request.order.intent_id for request in self.requests(CancelOrder)]

    def all_canceled(self) -> list[str | None]:
        """The intents whose orders were to be canceled, ever."""
        self.drain()
        requests = (request for box in self.history for request in box.requests)
        return [r.order.intent_id for r in requests if isinstance(r, CancelOrder)]

    def warned(self, action: str) -> list[dict[str, object]]:
        """The facts of every line of this action so far."""
        self.drain()
        return [facts for box in self.history for said, facts in box.warnings if said == action]

    def second(self) -> LimitsRig:
        """The next second's regular work."""
        self.after(1.0)
        self.manager.tick()
        self.drain()
        return self

    def latched(self) -> list[str]:
        """The names of what is latched."""
        return [latch.name for latch in self.limits.latches]


def count_of(rig: LimitsRig, name: LimitName | str) -> int:
    """How often an intent was refused for this limit."""
    return rig.state.counters[f"limit_{name}"]
