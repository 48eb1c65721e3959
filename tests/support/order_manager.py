"""An order manager with hand-moved time, and the exchange's words for its tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from support.orders import SESSION, TICKER
from support.trading import trading_status

from ipc.messages import ActorFill, ActorOrder, BookSide, OrderStatus
from ipc.units import LINEAR_CENT
from processes.adapters.kalshi.schemas.normalise import ExchangeOrder
from processes.adapters.kalshi.stop.own_orders import FAMILY, OrderOwnership
from processes.execution.account import ExchangeView, Moment
from processes.execution.account_limits import AccountGuard
from processes.execution.manager import KalshiOrderManager
from processes.execution.orders import TrackedOrder
from processes.execution.risk import RiskLimits
from processes.execution.state import ExecutionEffects, ExecutionState

SECOND = 1_000_000_000
START_NS = 1_800_000_000 * SECOND
CASH_E6 = 100_000_000
EXPIRY_MS = 60_000

Kind = TypeVar("Kind")


class ManagerRig:
    """The manager, its clock, and all that it has wanted so far."""

    def __init__(
        self,
        account_limits: Callable[[ExecutionState, int], AccountGuard] = AccountGuard,
        *,
        sends: bool = True,
        adopts: bool = False,
        **limits: Any,
    ) -> None:
        self.mono_ns = 10 * SECOND
        self.manager = KalshiOrderManager(
            RiskLimits(**limits),
            CASH_E6,
            EXPIRY_MS,
            lambda: Moment(START_NS + self.mono_ns, self.mono_ns),
            account_limits=account_limits,
            sends=sends,
            ownership=OrderOwnership(FAMILY, adopts),
        )
        self.state = self.manager.state
        self.state.session_uid, self.state.environment_ok = SESSION, True
        self.state.on_trading(trading_status(checked_mono_ns=self.mono_ns))
        self.history: list[ExecutionEffects] = []

    def known(self, ticker: str = TICKER) -> ManagerRig:
        """Follow a market and reconcile it: empty on both sides."""
        self.state.follow(ticker, LINEAR_CENT)
        self.compare(fills={ticker: []})
        self.drain()
        return self

    def after(self, seconds: float) -> ManagerRig:
        """Let time pass."""
        self.mono_ns += int(seconds * SECOND)
        return self

    def compare(self, **view: Any) -> set[str]:
        """Reconcile with a view that is empty but for `view`."""
        empty: dict[str, Any] = {"positions": {}, "resting": [], "fills": {}, "settlements": {}}
        whole = ExchangeView(**{"asked_mono_ns": self.mono_ns, **empty, **view})
        return self.manager.sync_positions_with_kalshi(whole)

    def drain(self) -> ExecutionEffects:
        """What is wanted since the last call."""
        outbox = self.manager.drain()
        self.history.append(outbox)
        return outbox

    def requests(self, kind: type[Kind]) -> list[Kind]:
        """The new requests of a kind."""
        return [r for r in self.drain().requests if isinstance(r, kind)]

    def told(self, kind: type[Kind]) -> list[Kind]:
        """All messages of a kind so far."""
        self.drain()
        return [n.message for box in self.history for n in box.notes if isinstance(n.message, kind)]

    def last_order(self) -> ActorOrder:
        """The newest word on any order."""
        return self.told(ActorOrder)[-1]

    def fills(self) -> list[ActorFill]:
        """All fills told so far."""
        return self.told(ActorFill)


def exchange_order(order: TrackedOrder, status: OrderStatus, **fields: Any) -> ExchangeOrder:
    """An order of ours as the exchange shows it."""
    standard: dict[str, Any] = {
        "order_id": order.order_id or f"e-{order.client_order_id}",
        "client_order_id": order.client_order_id,
        "market_ticker": order.market_ticker,
        "book_side": order.book_side,
        "yes_price_e4": order.yes_price_e4,
        "initial_count_e2": order.initial_e2,
        "fill_count_e2": order.fill_e2,
        "remaining_count_e2": order.remaining_e2,
        "status": status,
        "fees_e6": 0,
        "cost_e6": 0,
        "expire_ms": None,
        "created_ms": 1,
        "updated_ms": None,
    }
    return ExchangeOrder(**{**standard, **fields})


def strange_order(order_id: str, side: BookSide, count_e2: int) -> ExchangeOrder:
    """A resting order that a human placed in the same account."""
    return ExchangeOrder(
        order_id=order_id,
        client_order_id="",
        market_ticker=TICKER,
        book_side=side,
        yes_price_e4=5_000,
        initial_count_e2=count_e2,
        fill_count_e2=0,
        remaining_count_e2=count_e2,
        status=OrderStatus.RESTING,
        fees_e6=0,
        cost_e6=0,
        expire_ms=None,
        created_ms=1,
        updated_ms=None,
    )
