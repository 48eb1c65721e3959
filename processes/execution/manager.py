"""KalshiOrderManager: decides what is done for intents, given what `ExecutionState` knows. No I/O.

Per market at most one order of ours is open, one request is on its way and one intent waits; a
newer intent replaces the waiting one (counted, refused as "superseded"). Cancel and replace in two
steps: the new order waits until the old one has ended, so the two can never fill together.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Final, NamedTuple, Protocol

import msgspec

from ipc import account_table as a
from ipc.account_table import OpenOrder
from ipc.messages import ActorPnl, Intent, Leg, OrderStatus, TradingEventKind
from ipc.trading import TradingMode
from processes.adapters.kalshi.stop.own_orders import OrderOwnership, client_order_id
from processes.execution.account import Doubt, ExchangeView, MarketAccount, Moment, ShardFunds
from processes.execution.account_limits import (
    CANCEL_CHECKS,
    DECISION_CHECKS,
    ORDER_CHECKS,
    AccountGuard,
)
from processes.execution.limit_checks import LimitCheck
from processes.execution.orders import OrderRefused, TrackedOrder, advance
from processes.execution.reconcile_rounds import ReconcileRounds
from processes.execution.risk import (
    MEASURED,
    NO_MONEY,
    OFF_GRID,
    RiskCase,
    RiskLimits,
    closing_refusal,
    compared,
    excess,
    refusal,
)
from processes.execution.state import ExecutionEffects, ExecutionState
from processes.execution.unsent import SHADOW_MODE, UnsentOrders

__all__ = ["Cancel", "Create", "KalshiOrderManager", "Keep", "Plan", "Renew", "Wait", "plan"]

RENEW_BELOW: Final = 2  # renew an expiry when less than one half of it is left
LEFT: Final = "left"  # reason of an intent that waited in a market which the actor has left
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
    """Cancel these first; the intent waits.

    Attributes:
        orders: This stack's open orders of the market.
    """

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
        intent: What is wanted.
        orders: The market's open orders, of this stack and of others.
        busy: Client order ids of orders for which a request is on its way.
        now_ms: Market time.
        expiry_ms: How long an order rests before the exchange ends it, unless renewed.

    Returns:
        `Create` when no order of this stack is open, `Keep` or `Renew` when exactly what is wanted
        rests, `Cancel` when something else does, `Wait` while a request is on its way.
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


class StartNeeds(Protocol):
    """What must be so before the first order of a run (`production_start`)."""

    def refusal(self) -> str:
        """What is missing; empty when orders may be sent."""
        ...

    def before_order(self, intent: Intent) -> None:
        """An order is about to be sent for this intent."""
        ...


class KalshiOrderManager:
    """What is wanted, against the `state` of what is: the one boundary for orders and positions.

    Events in (`on_intent`, `tick`, and those of `state`), effects out (`drain`); the caller carries
    the effects out after every event.

    Args:
        limits: Bounds that hold whatever a policy asks for.
        start_cash_e6: Cash of every market's sub-account, 1e-6 dollars.
        expiry_ms: After which the exchange ends an order that is not renewed.
        now: The present moment.
        version: Where the versions of accounts begin.
        account_limits: Makes the limits of the whole account; without it there are none.
        ownership: Which orders are this stack's.

    Attributes:
        state: What is known.
        account_limits: The limits of the whole account.
        rounds: The comparisons with the exchange.
        start_needs: What must be so before the first order; None where nothing must.
    """

    def __init__(
        self,
        limits: RiskLimits,
        start_cash_e6: int,
        expiry_ms: int,
        now: Callable[[], Moment],
        version: int = 0,
        account_limits: Callable[[ExecutionState, int], AccountGuard] = AccountGuard,
        *,
        ownership: OrderOwnership,
        sends: bool = True,
        model_rule: Callable[[Intent], str] | None = None,
    ) -> None:
        self.state = ExecutionState(start_cash_e6, now, version, ownership=ownership)
        self.state.sends = sends
        self._unsent = UnsentOrders(self.state)
        self._model_rule = model_rule
        self.start_needs: StartNeeds | None = None
        self.account_limits = account_limits(self.state, expiry_ms)
        self.rounds = ReconcileRounds(self.state)
        self._limits = limits
        self._expiry_ms = expiry_ms
        self._now = now
        self._waiting: dict[str, _Waiting] = {}
        self._excess: dict[str, str] = {}  # markets in which too much rests, and why
        self._short: set[int] = set()  # shards without money for what was wanted last

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
        """Reconcile with a round of REST reads.

        Args:
            view: What was read.

        Returns:
            Markets whose whole list of fills must be read before they can be compared.
        """
        return self.rounds.reconcile(view)

    def account_row(self, ticker: str) -> a.AccountRow:
        """The market's row of the account table; `KeyError` when it is not followed."""
        account, now = self.state.accounts[ticker], self._now()
        row = account.row_for_table(self.get_order_features(ticker), now.ns)
        if (fees := self.state.fees.in_force(ticker, now.ms)) is not None:
            rates = (fees.code + 1, fees.taker_rate_e6, fees.maker_rate_e6)
            row[a.FEE_CODE : a.MAKER_RATE_E6 + 1] = rates
        return row

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
            shards_e6=tuple(state.money.by_shard_e6().items()),
        )

    # Events.

    def on_intent(self, intent: Intent, received_mono_ns: int) -> None:
        """Take a journalled intent: refuse it, or decide what must be done for it.

        An intent that is known already, by its id, changes nothing. One that waits in the same
        market is refused as `superseded`.

        Args:
            intent: What a decision wants.
            received_mono_ns: When it was received.
        """
        counters, market = self.state.counters, intent.market_ticker
        counters["intents"] += 1
        waiting = self._waiting.get(market)
        if self._name_of(intent) in self.state.orders or (
            waiting is not None and waiting.intent.intent_id == intent.intent_id
        ):
            counters["duplicate_intents"] += 1
            return
        if waiting is not None:
            del self._waiting[market]
            self._refuse(waiting, "superseded")
        self._decide(_Waiting(intent, received_mono_ns))

    def refuse(self, intent: Intent, received_mono_ns: int, reason: str) -> None:
        """Refuse an intent without looking at it any further.

        Args:
            intent: What a decision wants.
            received_mono_ns: When it was received.
            reason: Goes into the order's record, and into the counter `refused_<reason>`.
        """
        if self._name_of(intent) not in self.state.orders:
            self._refuse(_Waiting(intent, received_mono_ns), reason)

    def set_mode(self, mode: TradingMode) -> None:
        """Trading is in another mode: what waits is refused, what rests is cancelled by its rules.

        Args:
            mode: What is done with intents from now on.
        """
        self.state.mode = mode
        if mode is not TradingMode.ON:
            self._refuse_waiting(f"trading_{mode}")
        self._cancel_if_stopped()

    def _cancel_if_stopped(self) -> None:
        """Again and again until nothing of this program is open."""
        if self.state.mode in (TradingMode.STOPPED, TradingMode.FLATTENING):
            self._unsent.clear()
            for order in self.state.orders.open_orders():
                if order.own and not order.immediate:
                    self.state.cancel(order)

    def close_position(self, intent: Intent) -> str | None:
        """Send an order that closes a position, by a command: it fills at once or ends.

        Args:
            intent: Journalled; a sale of the leg that is held.

        Returns:
            Why it was not sent, None when it was.
        """
        if not self.state.sends:
            return SHADOW_MODE
        market = intent.market_ticker
        orders = self.state.orders.open_in(market)
        if reason := closing_refusal(self._case(intent, orders)):
            return reason
        order = self._order_for(_Waiting(intent, self._now().mono_ns))
        order = msgspec.structs.replace(order, immediate=True, expire_ms=None)
        self.state.create(order, intent.deadline_mono_ns)
        return None

    def tick(self) -> None:
        """Regular work: intents that wait too long, fills that are missing, markets that ended."""
        self._cancel_if_stopped()
        for ticker in list(self._waiting):
            self._resume(ticker)
        self.account_limits.look()
        self.state.request_overdue()
        self.state.cancel_unrecorded()
        self._cancel_unwatched()
        self.state.show_fees()
        self.state.retire(keep=self._waiting)

    def _cancel_unwatched(self) -> None:
        """While nobody would stop our orders: cancel what would open a position."""
        for order in self.state.orders.open_orders() if self.state.exchange_stop.unwatched else ():
            if order.own and order.is_buy and self.state.cancel(order):
                self.state.counters["unwatched_canceled"] += 1

    def leave(self, ticker: str) -> None:
        """The actor left a market: refuse what waits there, cancel what rests there.

        An order whose request is on its way is left alone; inference asks again while it rests.
        """
        if ticker in self._waiting:
            self._refuse(self._waiting.pop(ticker), LEFT)
        self._unsent.leave(ticker)
        for order in self.state.orders.open_in(ticker):
            if order.own and self.state.cancel(order):
                self.state.counters["left_canceled"] += 1

    def withdraw(self) -> None:
        """Before a stop: refuse what waits and cancel what rests."""
        self._refuse_waiting("stopping")
        for order in self.state.orders.open_orders():
            if order.own:
                self.state.cancel(order)

    def _refuse_waiting(self, reason: str) -> None:
        while self._waiting:
            self._refuse(self._waiting.popitem()[1], reason)

    def drain(self) -> ExecutionEffects:
        """Decide again in markets that changed, then the effects since the last call."""
        for ticker in {**self.state.effects.markets, **self._excess}:
            self._cancel_excess(ticker)
        in_force = self.account_limits.in_force
        for excess_order, _ in self.account_limits.excess() if in_force else ():
            self.state.cancel(excess_order)
        for ticker in [t for t in self.state.effects.markets if t in self._waiting]:
            self._resume(ticker)
        return self.state.drain()

    # Decisions.

    def _decide(self, waiting: _Waiting) -> None:
        """First refuse what would be refused even alone: nothing is canceled for its sake."""
        state, intent = self.state, waiting.intent
        case = self._case(intent, ())
        if reason := refusal(case) or self._limit_refusal(case, DECISION_CHECKS):
            self._refuse(waiting, reason, case)
            return
        if not state.sends:
            self._decide_unsent(waiting, case)
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
                if reason := self._limit_refusal(case, CANCEL_CHECKS):
                    self._refuse(waiting, reason)
                    return
                self._waiting[intent.market_ticker] = waiting
                for order in own:
                    state.cancel(order)

    def _decide_unsent(self, waiting: _Waiting, case: RiskCase) -> None:
        """Execution mode `shadow`: as `_decide`, against what would rest; nothing is sent."""
        intent, state = waiting.intent, self.state
        before = self._unsent.in_market(intent.market_ticker, self._now().ms)
        if before is not None and _same(before, intent):
            state.counters["kept"] += 1
            return
        reason = None if before is None else self._limit_refusal(case, CANCEL_CHECKS)
        case = self._case(intent, state.orders.open_in(intent.market_ticker))
        reason = reason or refusal(case) or self._limit_refusal(case, ORDER_CHECKS)
        if reason:
            self._refuse(waiting, reason)
        else:
            self._unsent.keep(self._order_for(waiting), before)

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
            reason = excess(order, state.accounts[ticker], others, self._limits_of(ticker))
            if reason is None:
                continue
            self._excess[ticker] = reason
            if state.cancel(order) and known_before is None:
                state.counters["excess_canceled"] += 1
                facts = {"ticker": ticker, "client_order_id": order.client_order_id}
                state.effects.warn("resting_order_exceeds_bounds", **facts, reason=reason)

    def _limit_refusal(self, case: RiskCase, checks: Iterable[LimitCheck]) -> str | None:
        limits = self.account_limits
        return limits.refusal(case, checks) if limits.in_force else None

    def _create(self, waiting: _Waiting, others: tuple[TrackedOrder, ...]) -> None:
        case = self._case(waiting.intent, others)
        if reason := refusal(case) or self._limit_refusal(case, ORDER_CHECKS):
            self._refuse(waiting, reason, case)
            return
        if self.start_needs is not None:
            self.start_needs.before_order(waiting.intent)
        self._short.discard(self.state.money.shards.get(waiting.intent.market_ticker, -1))
        self.state.create(self._order_for(waiting), waiting.intent.deadline_mono_ns)

    def _refuse(self, waiting: _Waiting, reason: str, case: RiskCase | None = None) -> None:
        """Refuse, with the numbers in the audit where some were compared."""
        name = reason.partition(":")[0]
        if case is not None and name in MEASURED:
            why = f"{waiting.intent.intent_id}: {reason}"
            ticker, numbers = waiting.intent.market_ticker, compared(case)
            self.state.audit(TradingEventKind.LIMIT, name, why, ticker, numbers)
        self.state.refuse(advance(self._order_for(waiting), OrderRefused(reason)))
        ticker = waiting.intent.market_ticker
        if reason == OFF_GRID:
            self.state.off_grid.add(ticker)
        elif reason.startswith(NO_MONEY):
            self._warn_of_shard(ticker, reason)

    def _warn_of_shard(self, ticker: str, reason: str) -> None:
        """Once, until an order is sent there again."""
        shard = self.state.money.shards[ticker]
        if shard not in self._short:
            self._short.add(shard)
            self.state.effects.warn(NO_MONEY, shard=shard, ticker=ticker, error=reason)

    def _limits_of(self, ticker: str) -> RiskLimits:
        """The bounds, with the most that the market may charge while an order of now rests."""
        now_ms = self._now().ms
        fees = self.state.fees.bound(ticker, now_ms, now_ms + self._expiry_ms)
        return msgspec.structs.replace(self._limits, fees=fees)

    def _case(self, intent: Intent, others: tuple[TrackedOrder, ...]) -> RiskCase:
        state, now_mono_ns, market = self.state, self._now().mono_ns, intent.market_ticker
        wait = state.refusals.is_backing_off(market, is_buy=intent.is_buy, mono_ns=now_mono_ns)
        return RiskCase(
            intent=intent,
            limits=self._limits_of(market),
            now_mono_ns=now_mono_ns,
            account=self.get_position_info(market),
            grid=state.grids.get(market),
            others=others,
            open_orders=state.orders.open_count,
            session_uid=state.session_uid,
            environment_ok=state.environment_ok,
            trading=state.trading_state(market),
            backing_off=wait,
            mode=state.mode,
            keeps=state.mode is TradingMode.PAUSED and self._is_kept(intent),
            funds=self._funds(market, others),
            unrecorded=state.unrecorded,
            needs_missing="" if self.start_needs is None else self.start_needs.refusal(),
            model_error="" if self._model_rule is None else self._model_rule(intent),
            has_group=not state.exchange_stop.is_required
            or state.money.shards.get(market, -1) in state.exchange_stop.groups,
            unwatched=state.exchange_stop.unwatched,
            differs=state.differing.get(market, ""),
        )

    def _is_kept(self, intent: Intent) -> bool:
        """Whether what is wanted rests already."""
        orders = self.state.orders.open_in(intent.market_ticker)
        wanted = plan(intent, orders, self.state.busy, self._now().ms, self._expiry_ms)
        return isinstance(wanted, Keep | Renew)

    def _funds(self, ticker: str, others: tuple[TrackedOrder, ...]) -> ShardFunds | None:
        """The money of the market's shard, once its own orders beside `others` are canceled."""
        funds = self.state.money.funds(ticker)
        if funds is None:
            return None
        own = [o for o in self.state.orders.open_in(ticker) if o.own and o.is_buy]
        held_e6 = sum(o.price_e4 * o.remaining_e2 for o in own if o not in others)
        return funds._replace(free_e6=funds.free_e6 + held_e6)

    def _name_of(self, intent: Intent) -> str:
        prefix = self.state.ownership.prefix
        return client_order_id(
            intent.intent_id, is_buy=intent.is_buy, leg=intent.leg, prefix=prefix
        )

    def _order_for(self, waiting: _Waiting) -> TrackedOrder:
        intent = waiting.intent
        return TrackedOrder(
            client_order_id=self._name_of(intent),
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


def _open_order(order: TrackedOrder) -> OpenOrder:
    return OpenOrder(
        is_buy=order.is_buy,
        leg=0 if order.leg is Leg.YES else 1,
        price_e4=order.price_e4,
        remaining_e2=order.remaining_e2,
        created_ns=order.created_ns,
        ahead_e2=order.ahead_e2,
    )
