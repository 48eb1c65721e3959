"""KalshiOrderManager: decides what is done for intents, given what `ExecutionState` knows. No I/O.

Per market at most one order of ours is open, one request is on its way and one intent waits; a
newer intent replaces the waiting one (counted, refused as "superseded"). Cancel and replace in two
steps: the new order waits until the old one has ended, so the two can never fill together.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from typing import Final, NamedTuple

import msgspec

from ipc import account_table as a
from ipc.account_table import OpenOrder
from ipc.messages import ActorPnl, Intent, Leg, OrderStatus
from processes.execution.account import Doubt, ExchangeView, MarketAccount, Moment
from processes.execution.orders import OrderRefused, TrackedOrder, advance, client_order_id
from processes.execution.risk import OFF_GRID, RiskCase, RiskLimits, excess, refusal
from processes.execution.state import ExecutionEffects, ExecutionState

__all__ = ["Cancel", "Create", "KalshiOrderManager", "Keep", "Plan", "Renew", "Wait", "plan"]

RENEW_BELOW: Final = 2  # renew an expiry when less than one half of it is left
PASSING: Final = frozenset({Doubt.FILLS, Doubt.ORDER})  # doubts that an intent may outwait


class Create(msgspec.Struct, frozen=True):
    """Nothing of ours is open: send the order."""


class Keep(msgspec.Struct, frozen=True):
    """What is wanted already rests; it keeps its place in the queue."""

    order: TrackedOrder


class Renew(msgspec.Struct, frozen=True):
    """As Keep, with the exchange-side expiry moved on."""

    order: TrackedOrder


class Cancel(msgspec.Struct, frozen=True):
    """Cancel these first; the intent waits."""

    orders: tuple[TrackedOrder, ...]


class Wait(msgspec.Struct, frozen=True):
    """A request is on its way; the intent waits for its outcome."""


Plan = Create | Keep | Renew | Cancel | Wait


def plan(
    intent: Intent,
    orders: Sequence[TrackedOrder],
    busy: Container[str],
    now_ms: int,
    expiry_ms: int,
) -> Plan:
    """What to do for an intent.

    Args:
        intent: what is wanted.
        orders: the market's open orders, whoever placed them.
        busy: client order ids of orders for which a request is on its way.
        now_ms: market time.
        expiry_ms: how long an order rests before the exchange ends it, unless renewed.
    """
    own = [order for order in orders if order.own and order.open]
    if not own:
        return Create()
    if any(o.status is not OrderStatus.RESTING or o.client_order_id in busy for o in own):
        return Wait()
    keep, *rest = own
    if rest or not _same(keep, intent):
        return Cancel(tuple(own))
    expires_ms = keep.expire_ms or now_ms
    return Renew(keep) if RENEW_BELOW * (expires_ms - now_ms) < expiry_ms else Keep(keep)


def _same(order: TrackedOrder, intent: Intent) -> bool:
    """Whether what rests is what is wanted; less may be left of it than is wanted, never more."""
    return (
        order.leg is intent.leg
        and order.is_buy == intent.is_buy
        and order.yes_price_e4 == intent.yes_price_e4
        and order.remaining_e2 <= intent.count_e2
    )


class _Waiting(NamedTuple):
    intent: Intent
    received_mono_ns: int


class KalshiOrderManager:
    """What is wanted, against the `state` of what is: the one boundary for orders and positions.

    Args:
        limits: bounds that hold whatever a policy asks for.
        start_cash_e6: cash of every market's sub-account, 1e-6 dollars.
        expiry_ms: after which the exchange ends an order that is not renewed.
        now: the present moment.
        version: where the versions of accounts begin.
    """

    def __init__(
        self,
        limits: RiskLimits,
        start_cash_e6: int,
        expiry_ms: int,
        now: Callable[[], Moment],
        version: int = 0,
    ) -> None:
        self.state = ExecutionState(start_cash_e6, now, version)
        self._limits = limits
        self._expiry_ms = expiry_ms
        self._now = now
        self._waiting: dict[str, _Waiting] = {}
        self._excess: dict[str, str] = {}  # markets in which too much rests, and why

    # Answers.

    def get_positions(self) -> dict[str, int]:
        """Signed positions of the followed markets, 1e-2 contracts, YES positive."""
        return {ticker: account.position_e2 for ticker, account in self.state.accounts.items()}

    def get_position_info(self, ticker: str) -> MarketAccount | None:
        """A market's sub-account; None when it is not followed."""
        return self.state.accounts.get(ticker)

    def get_order_features(self, ticker: str) -> list[OpenOrder]:
        """The market's resting orders of ours, oldest first, as the observation reads them."""
        return [_open_order(order) for order in self.state.resting(ticker)]

    def sync_positions_with_kalshi(self, view: ExchangeView) -> set[str]:
        """Reconcile with a round of REST reads -> markets whose whole fills must be read too."""
        return self.state.reconcile(view)

    def account_row(self, ticker: str) -> a.AccountRow:
        """The market's row of the account table; `KeyError` when it is not followed."""
        account = self.state.accounts[ticker]
        return account.row_for_table(self.get_order_features(ticker), self._now().ns)

    def pnl(self, balance_e6: int) -> ActorPnl:
        """The whole account; `balance_e6` is the exchange's own figure, 1e-6 dollars."""
        state, accounts = self.state, self.state.accounts.values()
        return ActorPnl(
            balance_e6=balance_e6,
            realized_e6=state.retired_realized_e6 + sum(a.realized_e6 for a in accounts),
            fees_e6=state.retired_fees_e6 + sum(a.fees_e6 for a in accounts),
            positions=sum(position_e2 != 0 for position_e2 in self.get_positions().values()),
            open_orders=state.orders.open_count,
            account_version=state.version,
            ts_ns=self._now().ns,
        )

    # Events.

    def on_intent(self, intent: Intent, received_mono_ns: int) -> None:
        """A journalled intent: refuse it, or decide what must be done for it."""
        counters, market = self.state.counters, intent.market_ticker
        counters["intents"] += 1
        waiting = self._waiting.get(market)
        if _name_of(intent) in self.state.orders or (
            waiting is not None and waiting.intent.intent_id == intent.intent_id
        ):
            counters["duplicate_intents"] += 1
            return
        if waiting is not None:
            del self._waiting[market]
            self._refuse(waiting, "superseded")
        self._decide(_Waiting(intent, received_mono_ns))

    def refuse(self, intent: Intent, received_mono_ns: int, reason: str) -> None:
        """Refuse an intent without looking at it any further."""
        if _name_of(intent) not in self.state.orders:
            self._refuse(_Waiting(intent, received_mono_ns), reason)

    def tick(self) -> None:
        """Regular work: intents that wait too long, fills that are missing, markets that ended."""
        for ticker in list(self._waiting):
            self._resume(ticker)
        self.state.request_overdue()
        self.state.retire(keep=self._waiting)

    def withdraw(self) -> None:
        """Before a stop: refuse what waits and cancel what rests."""
        while self._waiting:
            self._refuse(self._waiting.popitem()[1], "stopping")
        for order in self.state.orders.open_orders():
            if order.own:
                self.state.cancel(order)

    def drain(self) -> ExecutionEffects:
        """Decide again in markets that changed, then the effects since the last call."""
        for ticker in {**self.state.effects.markets, **self._excess}:
            self._cancel_excess(ticker)
        for ticker in [t for t in self.state.effects.markets if t in self._waiting]:
            self._resume(ticker)
        return self.state.drain()

    # Decisions.

    def _decide(self, waiting: _Waiting) -> None:
        """First refuse what would be refused even alone: nothing is canceled for its sake."""
        state, intent = self.state, waiting.intent
        if reason := refusal(self._case(intent, ())):
            self._refuse(waiting, reason)
            return
        orders = state.orders.open_in(intent.market_ticker)
        match plan(intent, orders, state.busy, self._now().ms, self._expiry_ms):
            case Create():
                self._create(waiting, orders)
            case Keep():
                state.counters["kept"] += 1
            case Renew(order):
                state.renew(order, self._expiry())
            case Wait():
                self._waiting[intent.market_ticker] = waiting
            case Cancel(own):
                self._waiting[intent.market_ticker] = waiting
                for order in own:
                    state.cancel(order)

    def _resume(self, ticker: str) -> None:
        """Decide again about the intent that waits, unless its outcome is still on its way."""
        waiting = self._waiting[ticker]
        doubts = self.state.accounts[ticker].doubts
        late = self._now().mono_ns > waiting.intent.deadline_mono_ns
        if doubts and doubts <= PASSING and not late:
            return
        del self._waiting[ticker]
        self._decide(waiting)

    def _cancel_excess(self, ticker: str) -> None:
        """Cancel what rests beyond the bounds, again and again until it is gone."""
        state, known_before = self.state, self._excess.pop(ticker, None)
        orders = state.orders.open_in(ticker)
        for order in state.resting(ticker):
            others = [other for other in orders if other is not order]
            reason = excess(order, state.accounts[ticker], others, self._limits)
            if reason is None:
                continue
            self._excess[ticker] = reason
            if state.cancel(order) and known_before is None:
                state.counters["excess_canceled"] += 1
                facts = {"ticker": ticker, "client_order_id": order.client_order_id}
                state.effects.warn("resting_order_exceeds_bounds", **facts, reason=reason)

    def _create(self, waiting: _Waiting, others: tuple[TrackedOrder, ...]) -> None:
        if reason := refusal(self._case(waiting.intent, others)):
            self._refuse(waiting, reason)
            return
        self.state.create(self._order_for(waiting), waiting.intent.deadline_mono_ns)

    def _refuse(self, waiting: _Waiting, reason: str) -> None:
        self.state.refuse(advance(self._order_for(waiting), OrderRefused(reason)))
        if reason == OFF_GRID:
            self.state.off_grid.add(waiting.intent.market_ticker)

    def _case(self, intent: Intent, others: tuple[TrackedOrder, ...]) -> RiskCase:
        state, now_mono_ns, market = self.state, self._now().mono_ns, intent.market_ticker
        wait = state.refusals.is_backing_off(market, is_buy=intent.is_buy, mono_ns=now_mono_ns)
        return RiskCase(
            intent=intent,
            limits=self._limits,
            now_mono_ns=now_mono_ns,
            account=self.get_position_info(market),
            grid=state.grids.get(market),
            others=others,
            open_orders=state.orders.open_count,
            session_uid=state.session_uid,
            environment_ok=state.environment_ok,
            backing_off=wait,
        )

    def _order_for(self, waiting: _Waiting) -> TrackedOrder:
        intent = waiting.intent
        return TrackedOrder(
            client_order_id=_name_of(intent),
            intent_id=intent.intent_id,
            market_ticker=intent.market_ticker,
            leg=intent.leg,
            is_buy=intent.is_buy,
            book_side=intent.book_side,
            yes_price_e4=intent.yes_price_e4,
            initial_e2=intent.count_e2,
            created_ns=self._now().ns,
            expire_ms=self._expiry(),
            received_mono_ns=waiting.received_mono_ns,
        )

    def _expiry(self) -> int:
        """Market time in ms, whole seconds: what the exchange takes."""
        return (self._now().ms + self._expiry_ms) // 1000 * 1000


def _name_of(intent: Intent) -> str:
    return client_order_id(intent.intent_id, is_buy=intent.is_buy, leg=intent.leg)


def _open_order(order: TrackedOrder) -> OpenOrder:
    return OpenOrder(
        is_buy=order.is_buy,
        leg=0 if order.leg is Leg.YES else 1,
        price_e4=order.price_e4,
        remaining_e2=order.remaining_e2,
        created_ns=order.created_ns,
        ahead_e2=order.ahead_e2,
    )
