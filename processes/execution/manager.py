"""KalshiOrderManager: decides what is done for intents, given what `ExecutionState` knows. No I/O.

Per market one order of ours is wanted at a time, and one intent waits; a newer intent replaces the
waiting one (counted, refused as "superseded"). What is done with an order that rests is in
`order_plan`: it is amended with one request, or replaced while its cancel is on its way, where risk
and limits allow both to be open; else the new order waits until the old one has ended.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, Protocol

import msgspec

from ipc import account_table as a
from ipc.account_table import OpenOrder
from ipc.messages import ActorPnl, BookSide, Intent, Leg, TradingEventKind
from ipc.trading import TradingMode
from ipc.units import ONE_DOLLAR_E4
from processes.adapters.kalshi.stop.own_orders import OrderOwnership
from processes.execution.account import Doubt, ExchangeView, MarketAccount, Moment, ShardFunds
from processes.execution.account_limits import (
    AMEND_CHECKS,
    CANCEL_CHECKS,
    DECISION_CHECKS,
    ORDER_CHECKS,
    SUM_CHECKS,
    AccountGuard,
)
from processes.execution.limit_checks import LimitCheck
from processes.execution.order_facts import OrderRefused, PendingAmend
from processes.execution.order_plan import Amend, Cancel, Keep, Plan, Replace, Room, Wait, plan
from processes.execution.orders import TrackedOrder, advance, client_order_id
from processes.execution.reconcile_rounds import ReconcileRounds
from processes.execution.risk import (
    MEASURED,
    NO_MONEY,
    OFF_GRID,
    TOGETHER_CHECKS,
    RiskCase,
    RiskLimits,
    closing_refusal,
    compared,
    excess,
    refusal,
)
from processes.execution.state import ExecutionEffects, ExecutionState
from processes.execution.unsent import SHADOW_MODE, UnsentOrders, is_same

__all__ = ["KalshiOrderManager"]


LEFT: Final = "left"  # reason of an intent that waited in a market which the actor has left
SUPERSEDED: Final = "superseded"  # of one that waited when a newer came
REMEMBERED: Final = 10_000  # intents that became no order of their own
PASSING: Final = frozenset({Doubt.FILLS, Doubt.ORDER})  # doubts that an intent may outwait


class _Waiting(NamedTuple):
    intent: Intent
    received_mono_ns: int
    has_waited: bool = False


class _Amending(NamedTuple):
    """An intent whose amend is on its way.

    Attributes:
        waiting: The intent.
        name: The order's client order id.
        number: Of its change.
        dropped: Why it must become no order of its own if the change is refused; "" if it may.
    """

    waiting: _Waiting
    name: str
    number: int
    dropped: str = ""


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
        self._amending: dict[str, _Amending] = {}
        self._replaced: set[str] = set()  # orders that must go: another was sent in their place
        self._acted: OrderedDict[str, None] = OrderedDict()  # intents served by an older order
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
        if (
            self._name_of(intent) in self.state.orders
            or intent.intent_id in self._acted
            or (waiting is not None and waiting.intent.intent_id == intent.intent_id)
        ):
            counters["duplicate_intents"] += 1
            return
        if waiting is not None:
            del self._waiting[market]
            self._refuse(waiting, SUPERSEDED)
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
        if ticker in self._amending:
            self._amending[ticker] = self._amending[ticker]._replace(dropped=LEFT)
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
        for ticker, amending in self._amending.items():
            self._amending[ticker] = amending._replace(dropped=reason)

    def drain(self) -> ExecutionEffects:
        """Decide again in markets that changed, then the effects since the last call."""
        self._cancel_replaced()
        for ticker in {**self.state.effects.markets, **self._excess}:
            self._cancel_excess(ticker)
        for excess_order, _ in self.account_limits.excess() if self._has_limits else ():
            self.state.cancel(excess_order)
        for ticker in list(self._amending):
            self._finish_amend(ticker)
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
        if not any(order.own for order in orders):
            self._create(waiting, orders)
            return
        wanted = self._plan(intent, orders)
        if not (waiting.has_waited and isinstance(wanted, Wait)):
            word = wanted.reason.partition(":")[0]
            state.counters[f"planned_{type(wanted).__name__.lower()}_{word}"] += 1
        match wanted:
            case Keep():
                state.counters["kept"] += 1
                self._remember(intent)
            case Amend():
                self._amend(waiting, case, wanted)
            case Replace(own):
                self._replace(waiting, case, orders, own)
            case Cancel(own):
                self._cancel_first(waiting, case, own)
            case Wait():
                self._wait(waiting)

    def _plan(self, intent: Intent, orders: tuple[TrackedOrder, ...]) -> Plan:
        def to_amend(order: TrackedOrder) -> str | None:
            others = tuple(o for o in orders if o is not order)
            case = self._case(_worse_of(intent, order), others)
            return refusal(case, TOGETHER_CHECKS) or self.account_limits.misfit(case, SUM_CHECKS)

        def beside(own: tuple[TrackedOrder, ...]) -> str | None:
            case = self._case(intent, orders, own)
            return refusal(case, TOGETHER_CHECKS) or self.account_limits.misfit(case, ORDER_CHECKS)

        return plan(intent, orders, self._now().ms, self._expiry_ms, Room(to_amend, beside))

    def _wait(self, waiting: _Waiting) -> None:
        self._waiting[waiting.intent.market_ticker] = waiting._replace(has_waited=True)

    def _remember(self, intent: Intent) -> None:
        """It becomes no order of its own, however often it comes."""
        self._acted[intent.intent_id] = None
        if len(self._acted) > REMEMBERED:
            self._acted.popitem(last=False)

    def _amend(self, waiting: _Waiting, case: RiskCase, wanted: Amend) -> None:
        intent, order = waiting.intent, wanted.order
        if not wanted.is_renewal:
            if reason := self._limit_refusal(case, AMEND_CHECKS):
                self._refuse(waiting, reason, case)
                return
            pending = _Amending(waiting, order.client_order_id, order.amends + 1)
            self._amending[intent.market_ticker] = pending
        amend = PendingAmend(
            number=order.amends + 1,
            intent_id=intent.intent_id,
            yes_price_e4=wanted.yes_price_e4,
            total_e2=wanted.total_e2,
            expire_ms=self._expiry(),
            is_renewal=wanted.is_renewal,
        )
        self._remember(intent)
        self.state.amend(order, amend, intent.deadline_mono_ns)

    def _finish_amend(self, ticker: str) -> None:
        """Once it is answered: an intent whose change was refused may still be an order.

        Not while the old order rests (the exchange refused the new terms), not when it is not
        certain that nothing was changed, and not when it is not wanted any more.
        """
        waiting, name, number, dropped = self._amending[ticker]
        order = self.state.orders.get(name)
        if order is not None and order.amends < number:
            return
        del self._amending[ticker]
        if order is None or order.amended_by == waiting.intent.intent_id:
            return
        dropped = dropped or (SUPERSEDED if ticker in self._waiting else "")
        if order.open or order.total_unsure or dropped:
            self._refuse(waiting, dropped or order.amend_refusal)
        else:
            self._wait(waiting)

    def _replace(
        self,
        waiting: _Waiting,
        case: RiskCase,
        orders: tuple[TrackedOrder, ...],
        own: tuple[TrackedOrder, ...],
    ) -> None:
        """Cancel and create in one go; both fit, as if both filled."""
        if reason := self._limit_refusal(case, CANCEL_CHECKS):
            self._refuse(waiting, reason)
        elif all(self.state.cancel(order) for order in own):
            self._replaced.update(order.client_order_id for order in own)
            self.state.counters["replaced"] += 1
            self._create(waiting, orders, own)
        else:
            self._wait(waiting)

    def _cancel_replaced(self) -> None:
        """Again and again until they are gone."""
        for name in list(self._replaced):
            order = self.state.orders.get(name)
            if order is None or not order.open:
                self._replaced.discard(name)
            else:
                self.state.cancel(order)

    def _cancel_first(
        self, waiting: _Waiting, case: RiskCase, own: tuple[TrackedOrder, ...]
    ) -> None:
        if reason := self._limit_refusal(case, CANCEL_CHECKS):
            self._refuse(waiting, reason)
            return
        self._wait(waiting)
        for order in own:
            self.state.cancel(order)

    def _decide_unsent(self, waiting: _Waiting, case: RiskCase) -> None:
        """Execution mode `shadow`: as `_decide`, against what would rest; nothing is sent."""
        intent, state = waiting.intent, self.state
        before = self._unsent.in_market(intent.market_ticker, self._now().ms)
        if before is not None and is_same(before, intent):
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

    @property
    def _has_limits(self) -> bool:
        """Whether the limits of the account could refuse or cancel anything."""
        limits = self.account_limits
        return bool(limits.latched or limits.bounds.values) or limits.stopped is not None

    def _limit_refusal(self, case: RiskCase, checks: Iterable[LimitCheck]) -> str | None:
        return self.account_limits.refusal(case, checks) if self._has_limits else None

    def _create(
        self,
        waiting: _Waiting,
        others: tuple[TrackedOrder, ...],
        leaving: tuple[TrackedOrder, ...] = (),
    ) -> None:
        case = self._case(waiting.intent, others, leaving)
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

    def _case(
        self,
        intent: Intent,
        others: tuple[TrackedOrder, ...],
        leaving: tuple[TrackedOrder, ...] = (),
    ) -> RiskCase:
        """The intent beside `others`, of which `leaving` are canceled for it."""
        state, now_mono_ns, market = self.state, self._now().mono_ns, intent.market_ticker
        wait = state.refusals.is_backing_off(market, is_buy=intent.is_buy, mono_ns=now_mono_ns)
        return RiskCase(
            intent=intent,
            limits=self._limits_of(market),
            now_mono_ns=now_mono_ns,
            account=self.get_position_info(market),
            grid=state.grids.get(market),
            others=others,
            open_orders=self._open_beside(market, others),
            leaving=frozenset(order.client_order_id for order in leaving),
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
        if not any(order.own for order in orders):
            return False
        nothing = Room(lambda _order: "", lambda _orders: "")
        wanted = plan(intent, orders, self._now().ms, self._expiry_ms, nothing)
        return isinstance(wanted, Keep) or (isinstance(wanted, Amend) and wanted.is_renewal)

    def _open_beside(self, ticker: str, others: tuple[TrackedOrder, ...]) -> int:
        """Open orders of this stack, once those of the market beside `others` are gone."""
        gone = [o for o in self.state.orders.open_in(ticker) if o.own and o not in others]
        return self.state.orders.open_count - len(gone)

    def _funds(self, ticker: str, others: tuple[TrackedOrder, ...]) -> ShardFunds | None:
        """The money of the market's shard, once its own orders beside `others` are canceled."""
        funds = self.state.money.funds(ticker)
        if funds is None:
            return None
        own = [o for o in self.state.orders.open_in(ticker) if o.own and o.is_buy]
        held_e6 = sum(o.hold_e6 for o in own if o not in others)
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


def _worse_of(intent: Intent, order: TrackedOrder) -> Intent:
    """What an order may be while its change is on its way: the dearer price, the larger size."""
    dearer = max if intent.book_side is BookSide.BID else min
    yes_price_e4 = dearer(intent.yes_price_e4, order.yes_price_e4)
    return msgspec.structs.replace(
        intent,
        yes_price_e4=yes_price_e4,
        price_e4=yes_price_e4 if intent.leg is Leg.YES else ONE_DOLLAR_E4 - yes_price_e4,
        count_e2=max(intent.count_e2, order.remaining_e2),
    )


def _open_order(order: TrackedOrder) -> OpenOrder:
    return OpenOrder(
        is_buy=order.is_buy,
        leg=0 if order.leg is Leg.YES else 1,
        price_e4=order.price_e4,
        remaining_e2=order.remaining_e2,
        created_ns=order.created_ns,
        ahead_e2=order.ahead_e2,
    )
