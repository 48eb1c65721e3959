"""The limits of the whole account, held against what is measured: refuse, cancel, latch, warn.

No I/O: `limits_watch` reads the file and keeps the record. The limits themselves are in
`limits_file`, the checks of an intent in `limit_checks`, what is measured in `account_measures`.

A limit that latches and was hit stops opening until `resume`. While nothing may be opened, because
of a latch or because the file cannot be used, our resting purchases are canceled too; so is what no
longer fits since the account or the file changed, the newest first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final, NamedTuple

from ipc.clock import NS_PER_S
from ipc.messages import Environment, OrderStatus, TradingEventKind
from ipc.units import format_count
from processes.execution.account_measures import AccountMeasures
from processes.execution.day_pnl import DayRecord
from processes.execution.exposure import TOTAL, MarketRisk, RestingOrder, RiskScope, ScopeKind
from processes.execution.latches import GROUP_TRIGGERED, UNREADABLE, Latch
from processes.execution.limit_checks import (
    AMEND_CHECKS,
    CANCEL_CHECKS,
    DECISION_CHECKS,
    ORDER_CHECKS,
    SUM_CHECKS,
    SUMMED,
    LimitBreach,
    LimitCase,
    LimitCheck,
    breaches,
    standing_losses,
    sum_breaches,
)
from processes.execution.limits_file import (
    LIMITS,
    AccountBounds,
    LimitName,
    LimitsReading,
    LimitsStatus,
)
from processes.execution.orders import TrackedOrder
from processes.execution.risk import RiskCase
from processes.execution.state import ExecutionState
from processes.execution.touch import Touch

__all__ = [
    "AMEND_CHECKS",
    "CANCEL_CHECKS",
    "DECISION_CHECKS",
    "ORDER_CHECKS",
    "SUM_CHECKS",
    "AccountGuard",
    "Excess",
]

LOOK_NS: Final = NS_PER_S  # between looks at what changes by itself: prices, the day, closing times
WHOLE_E4: Final = 10_000
NEED_TOUCH: Final = (LimitName.PRICE_COLLAR_CENTS, LimitName.DATA_AGE_MS)
NOT_READ: Final = LimitsReading(LimitsStatus.MISSING)


class Excess(NamedTuple):
    """A purchase that rests and must not.

    Attributes:
        order: The order.
        reason: Why.
    """

    order: TrackedOrder
    reason: str


class AccountGuard:
    """All limits of the account, and what was hit.

    Args:
        state: What is known of accounts and orders.
        expiry_ms: How long an order may rest, for the fees that it may be charged meanwhile.
        environment: Outside of `simulated` nothing is traded without a valid file.
        touch: The best prices of a market, None when they are not known.
        latches: Of an earlier run.
        day: The day so far, of an earlier run.
        record_error: Why the record of an earlier run could not be read, empty when it could.
        save: Stores latches and day; called at once when either kind of latch changes.

    Attributes:
        bounds: The newest that were valid.
        latched: Limits that were hit and not resumed, by name.
        stopped: The newest reading of the file, if for its sake nothing may be opened.
    """

    def __init__(
        self,
        state: ExecutionState,
        expiry_ms: int,
        *,
        environment: Environment = Environment.SIMULATED,
        touch: Callable[[str], Touch | None] = lambda _ticker: None,
        latches: Iterable[Latch] = (),
        day: DayRecord = DayRecord(),  # noqa: B008  frozen
        record_error: str = "",
        save: Callable[[tuple[Latch, ...], DayRecord], None] = lambda _latches, _day: None,
    ) -> None:
        self.bounds = AccountBounds()
        self._state = state
        self._touch = touch
        self._measures = AccountMeasures(state, expiry_ms, touch, day)
        self._is_simulated = environment is Environment.SIMULATED
        self._save = save
        self._reading = NOT_READ
        self.stopped = self._stopped_by(NOT_READ)
        self._was_valid = False
        self.latched = {latch.name: latch for latch in latches}
        self._looked_ns: int | None = None
        self._near: set[tuple[LimitName, str]] = set()  # warned of
        self._excess: set[str] = set()  # names of orders whose cancel was asked for
        if record_error:
            self.latch(UNREADABLE, record_error, "a record that can be read", str(TOTAL), {})

    # What others ask.

    @property
    def latches(self) -> tuple[Latch, ...]:
        """Limits that were hit and not resumed."""
        return tuple(self.latched.values())

    @property
    def record(self) -> DayRecord:
        """The day so far, to be stored."""
        return self._measures.record

    def _stopped_by(self, reading: LimitsReading) -> LimitsReading | None:
        status = reading.status
        fine = status is LimitsStatus.VALID or (
            self._is_simulated and status is LimitsStatus.MISSING
        )
        return None if fine else reading

    @property
    def _active(self) -> bool:
        """Whether anything is measured: without limits nothing is."""
        return bool(self.bounds.values)

    def counters(self) -> dict[str, int]:
        """Gauges for the process's counters; of what is measured only while there are limits."""
        found = {
            "latched": len(self.latched),
            "limits_valid": int(self.stopped is None),
            "limits_checked": len(self.bounds.values),
        }
        if self._active:
            total, now = self._measures.exposures.of(TOTAL), self._measures.now()
            found |= {
                "exposure_e6": total.exposure_e6,
                "worst_case_loss_e6": total.worst_e6,
                "daily_loss_e6": now.daily_loss_e6,
                "drawdown_e6": now.drawdown_e6,
                "losses_in_a_row": now.losses,
                "positions_without_price": self._measures.unpriced(),
            }
        return found

    # What others bring.

    def on_reading(self, reading: LimitsReading) -> dict[str, str]:
        """Take what the file says now.

        Args:
            reading: Of a file that is new, or has changed.

        Returns:
            What is allowed otherwise than before, by name: `old -> new`.
        """
        self._reading, before = reading, self.bounds
        self.stopped = self._stopped_by(reading)
        if reading.status is LimitsStatus.VALID:
            self._was_valid, self.bounds = True, reading.bounds
        elif reading.status is LimitsStatus.MISSING and self._is_simulated:
            self.bounds = AccountBounds()
        if not before.values:
            self._measures.begin()
        self._looked_ns = None
        return self.bounds.changes_from(before)

    def resume(self, by: str, why: str) -> list[Latch]:
        """Clear all latches.

        A limit that is still passed latches again at once; `latches` says so afterwards. Losses in
        a row are counted from 0 again if they latched, and a drawdown from the present profit.

        Args:
            by: Who resumes.
            why: For the log.

        Returns:
            What was latched.
        """
        cleared = self.latches
        self.latched.clear()
        if any(latch.name == LimitName.LOSS_STREAK for latch in cleared):
            self._measures.streak.losses = 0
        if any(latch.name == LimitName.DRAWDOWN for latch in cleared):
            self._measures.day.peak_e6 = self._measures.day.profit_e6
        names = ",".join(latch.name for latch in cleared)
        self._state.effects.warn("limits_resumed", by=by, reason=why, limits=names)
        self._save(self.latches, self.record)
        self._latch_losses()
        return list(cleared)

    def on_group_stopped(self, what: str, limit_e2: int | None, shard: int) -> None:
        """The exchange stopped an order group of ours: nothing is opened until somebody resumes.

        Args:
            what: What was done to it.
            limit_e2: Its limit, 1e-2 contracts; None unknown.
            shard: Of the exchange.
        """
        allowed, numbers = "unknown", {"shard": shard}
        if limit_e2 is not None:
            allowed = f"{format_count(limit_e2)} contracts in 15 s"
            numbers["limit_e2"] = limit_e2
        self.latch(GROUP_TRIGGERED, what, allowed, f"shard {shard}", numbers)

    def look(self) -> None:
        """Regular work; once a second prices, the day, latches, warnings and closing times."""
        if not self._active:
            self._state.touched.clear()
            return
        mono_ns = self._state.now().mono_ns
        if self._looked_ns is not None and mono_ns - self._looked_ns < LOOK_NS:
            return
        self._looked_ns = mono_ns
        self._measures.look()
        self._latch_losses()
        self._warn()

    # Intents.

    def refusal(self, case: RiskCase, checks: Iterable[LimitCheck]) -> str | None:
        """Why an intent must not be acted on.

        Args:
            case: As the checks of `risk` see it.
            checks: `DECISION_CHECKS`, `ORDER_CHECKS`, `AMEND_CHECKS` or `CANCEL_CHECKS`.

        Returns:
            Every limit that it would pass, with what was measured; None when it fits.
        """
        opens, stopped = case.intent.is_buy, self.stopped
        if stopped is not None and (opens or not self._was_valid):
            return self._counted(stopped.status.value, [stopped.status.removeprefix("limits_")])
        if opens and self.latched:
            return self._counted(self._latched_text(), self.latched)
        if not self._active:
            return None
        self._refresh()
        found = breaches(self._case(case), checks)
        for breach in found:
            if LIMITS[breach.name].latches:
                self._latch_breach(breach)
        return self._counted("; ".join(map(str, found)), [b.name for b in found])

    def misfit(self, case: RiskCase, checks: Iterable[LimitCheck]) -> str | None:
        """Which limits something would pass that need not be done; nothing is counted or latched.

        Args:
            case: As the checks of `risk` see it.
            checks: `ORDER_CHECKS` or `SUM_CHECKS`.

        Returns:
            As `refusal`.
        """
        if not self._active:
            return None
        self._refresh()
        return "; ".join(map(str, breaches(self._case(case), checks))) or None

    def _counted(self, reason: str, names: Iterable[str]) -> str | None:
        for name in names:
            self._state.counters[f"limit_{name}"] += 1
        return reason or None

    def _latched_text(self) -> str:
        return "; ".join(
            f"{x.name}: latched at {x.measured}, limit {x.limit}" for x in self.latches
        )

    def _case(self, case: RiskCase) -> LimitCase:
        intent, measures = case.intent, self._measures
        wanted = RestingOrder(intent.book_side, intent.yes_price_e4, intent.count_e2)
        risk = measures.risk_with(intent.market_ticker, case.others, wanted)
        event = measures.event(intent.market_ticker)
        needs_touch = any(self.bounds.of(name) is not None for name in NEED_TOUCH)
        return LimitCase(
            risk=case,
            bounds=self.bounds,
            measures=measures.now(),
            sums=measures.exposures.with_market(intent.market_ticker, event, risk),
            touch=self._touch(intent.market_ticker) if needs_touch else None,
            close_ms=self._state.close_ms(intent.market_ticker),
            now_ms=self._state.now().ms,
        )

    # Latches and warnings.

    def _refresh(self) -> None:
        """Measure what changed; a loss that was reached latches at once."""
        if self._state.touched and self._measures.refresh():
            self._latch_losses()

    def _latch_losses(self) -> None:
        if self._active:
            for breach in standing_losses(self.bounds, self._measures.now()):
                self._latch_breach(breach)

    def _latch_breach(self, breach: LimitBreach) -> None:
        texts = breach.measured_text, breach.limit_text
        self.latch(breach.name.value, *texts, breach.scope, breach.numbers)

    def latch(
        self, name: str, measured: str, limit: str, scope: str, numbers: dict[str, int]
    ) -> None:
        """Stop opening, once for a limit, until somebody resumes.

        Args:
            name: Of the limit, or of what else stops.
            measured: What was measured, with its unit.
            limit: What it was measured against.
            scope: Of what.
            numbers: Both as integers, for the audit; names end in their unit.
        """
        if name in self.latched:
            return
        self.latched[name] = Latch(name, measured, limit, scope, self._state.now().ms)
        self._state.counters["latches"] += 1
        facts = {"limit": name, "measured": measured, "allowed": limit, "scope": scope}
        self._state.effects.warn("limit_latched", **facts)
        self._state.audit(TradingEventKind.LATCH, name, str(self.latched[name]), None, numbers)
        self._save(self.latches, self.record)

    def _warn(self) -> None:
        """One line when a measure comes near its limit, once until it falls below again."""
        near = set()
        for name, scope, measured in self._standing():
            limit = self.bounds.of(name)
            if limit is None or not self._is_near(name, measured, limit):
                continue
            near.add((name, scope))
            if (name, scope) not in self._near:
                text = LIMITS[name].unit.text
                facts = {"limit": name.value, "measured": text(measured), "allowed": text(limit)}
                self._state.effects.warn("limit_near", **facts, scope=scope)
                breach = LimitBreach(name, measured, limit, scope)
                self._state.audit(TradingEventKind.WARNING, name, str(breach), None, breach.numbers)
        self._near = near

    def _is_near(self, name: LimitName, measured: int, limit: int) -> bool:
        if name is LimitName.CASH_RESERVE:  # a least amount, not a most
            return measured * self.bounds.warn_at_e4 <= limit * WHOLE_E4
        return measured > 0 and measured * WHOLE_E4 >= limit * self.bounds.warn_at_e4

    def _standing(self) -> Iterator[tuple[LimitName, str, int]]:
        """(limit, scope, measured) of all that is measured without an order."""
        for scope, risk in self._measures.exposures.sums():
            for name, field in SUMMED[scope.kind]:
                yield name, str(scope), getattr(risk, field)
        now, total = self._measures.now(), str(TOTAL)
        yield LimitName.DAILY_LOSS, total, now.daily_loss_e6
        yield LimitName.DRAWDOWN, total, now.drawdown_e6
        yield LimitName.LOSS_STREAK, total, now.losses
        yield LimitName.OPEN_ORDERS, total, now.open_orders
        yield LimitName.ORDERS_PER_SECOND, total, now.orders_second
        yield LimitName.ORDERS_PER_MINUTE, total, now.orders_minute
        yield LimitName.CANCELS_PER_SECOND, total, now.cancels_second
        yield LimitName.CANCELS_PER_MINUTE, total, now.cancels_minute
        for shard, free_e6 in self._state.money.by_shard_e6().items():
            yield LimitName.CASH_RESERVE, f"shard {shard}", free_e6

    # What rests.

    def excess(self) -> list[Excess]:
        """Purchases of ours that rest and must not: all of them until they are gone."""
        if self._active:
            self._refresh()
        if self.latched or self.stopped is not None:
            why = self._latched_text() or self._reading.status.value
            found = [Excess(order, why) for order in self._resting_buys()]
        elif self._active:
            found = [*self._beyond_sums(), *self._beyond_time()]
        else:
            found = []
        self._report(found)
        return found

    def _resting_buys(self) -> list[TrackedOrder]:
        """The newest first."""
        own = (o for o in self._state.orders.open_orders() if o.own and o.is_buy)
        resting = [order for order in own if order.status is OrderStatus.RESTING]
        return sorted(resting, key=lambda order: order.created_ns, reverse=True)

    def _beyond_sums(self) -> list[Excess]:
        """The newest purchases, until what is left fits every sum that changed."""
        found: dict[str, Excess] = {}
        for scope in sorted(self._measures.changed):
            if self._first_breach(scope) is None:
                self._measures.changed.discard(scope)
                continue
            for order in self._resting_buys():
                if (breach := self._first_breach(scope, found)) is None:
                    break
                name, inside = order.client_order_id, self._measures.scopes(order.market_ticker)
                if name in found or scope not in inside:
                    continue
                less = {**found, name: Excess(order, str(breach))}
                if self._sum(scope, less) != self._sum(scope, found):
                    found = less
        return list(found.values())

    def _first_breach(
        self, scope: RiskScope, without: dict[str, Excess] | None = None
    ) -> LimitBreach | None:
        return next(sum_breaches(self.bounds, scope, self._sum(scope, without or {})), None)

    def _sum(self, scope: RiskScope, without: dict[str, Excess]) -> MarketRisk:
        """The sum of a scope as if some orders were gone."""
        measures, total = self._measures, self._measures.exposures.of(scope)
        for ticker in {excess.order.market_ticker for excess in without.values()}:
            if scope in measures.scopes(ticker):
                less = measures.risk(ticker, without)
                total = total.plus(measures.risk(ticker), -1).plus(less)
        return total

    def _beyond_time(self) -> list[Excess]:
        """Purchases in markets that are about to close."""
        limit_ms, now_ms = self.bounds.of(LimitName.MINUTES_TO_CLOSE), self._state.now().ms
        if limit_ms is None:
            return []
        found = []
        for order in self._resting_buys():
            close_ms = self._state.close_ms(order.market_ticker)
            left_ms = None if close_ms is None else close_ms - now_ms
            if left_ms is None or left_ms < limit_ms:
                scope = str(RiskScope(ScopeKind.MARKET, order.market_ticker))
                breach = LimitBreach(LimitName.MINUTES_TO_CLOSE, left_ms, limit_ms, scope)
                found.append(Excess(order, str(breach)))
        return found

    def _report(self, found: list[Excess]) -> None:
        """One line for each order, however often its cancel is asked for."""
        for order, why in found:
            if order.client_order_id not in self._excess:
                self._state.counters["limit_excess_canceled"] += 1
                facts = {"ticker": order.market_ticker, "client_order_id": order.client_order_id}
                self._state.effects.warn("resting_order_exceeds_limits", **facts, reason=why)
        self._excess = {order.client_order_id for order, _ in found}
