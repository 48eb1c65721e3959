"""What is known: orders, sub-accounts and doubts of every followed market. Events in, effects out.

Events come from create answers, the private channel, REST and the collector, in any order, late or
twice. What follows from them is collected as `ExecutionEffects`; nothing here does I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container
from typing import Final, NamedTuple

from msgspec.structs import replace

from ipc.account_table import UNKNOWN_AHEAD
from ipc.clock import NS_PER_MS
from ipc.messages import ActorFill, Leg, Message, OrderStatus
from ipc.units import PriceGrid
from processes.adapters.kalshi.normalise import ExchangeOrder
from processes.execution.account import (
    ADOPT_VOTES,
    QUIET_NS,
    Doubt,
    ExchangeView,
    MarketAccount,
    Moment,
    Verdict,
    judge,
)
from processes.execution.orders import (
    OWN_PREFIX,
    TERMINAL,
    CancelOrder,
    CreateAccepted,
    CreateSent,
    FetchFills,
    LookUpOrder,
    OrderFact,
    OrderRefused,
    OrderReport,
    OrderRequest,
    OrderStore,
    QueuePlace,
    RenewOrder,
    SendOrder,
    TrackedOrder,
    message_of,
    parse_client_order_id,
)
from processes.execution.risk import RefusalMemory

__all__ = ["KEEP_CLOSED_MS", "ExecutionEffects", "ExecutionState", "LogNote"]

FETCH_AFTER_NS: Final = 500 * NS_PER_MS  # how long a fill may be on its way before REST is asked
KEEP_CLOSED_MS: Final = 600_000  # market time, for an account whose settlement is not reported


class LogNote(NamedTuple):
    """A message for the journal, and whether subscribers get it too."""

    message: Message
    publish: bool


class ExecutionEffects:
    """What follows from the events since the last call of `drain`, in order.

    Emptied after every event, so it holds what one event causes and needs no bound of its own.
    """

    def __init__(self) -> None:
        self.markets: dict[str, None] = {}  # whose row of the account table changed
        self.retired: list[str] = []  # markets whose row is not needed any more
        self.notes: list[LogNote] = []
        self.requests: list[OrderRequest] = []
        self.warnings: list[tuple[str, dict[str, object]]] = []  # actions and facts of log lines
        self.queue_wanted = False  # an order rests whose place in the queue is not known

    def note(self, message: Message, *, publish: bool = True) -> None:
        """Journal a message, and publish it."""
        self.notes.append(LogNote(message, publish))

    def warn(self, action: str, **facts: object) -> None:
        """Write a warning to the log."""
        self.warnings.append((action, facts))


class ExecutionState:
    """All that execution knows, and all that is in doubt.

    Args:
        start_cash_e6: cash of every sub-account before its first fill, 1e-6 dollars.
        now: the present moment.
        version: where the versions of accounts begin; they rise by one at each change.
    """

    def __init__(self, start_cash_e6: int, now: Callable[[], Moment], version: int = 0) -> None:
        self.accounts: dict[str, MarketAccount] = {}
        self.grids: dict[str, PriceGrid] = {}  # of the markets in which something can be ordered
        self.off_grid: set[str] = set()  # markets whose grid refused a price: it may have changed
        self.orders = OrderStore()
        self.refusals = RefusalMemory()
        self.busy: set[str] = set()  # orders with a cancel or a renewal on its way
        self.everywhere: set[Doubt] = set()  # doubts about every market
        self.effects = ExecutionEffects()
        self.counters: Counter[str] = Counter()
        self.version = version
        self.now = now
        self.retired_realized_e6 = self.retired_fees_e6 = 0
        self.session_uid: str | None = None  # the collector's; None while it has not spoken
        self.environment_ok = False  # whether the collector's data is of our environment
        self.listed: frozenset[str] = frozenset()  # markets that the collector follows
        self._start_cash_e6 = start_cash_e6
        self._closes_ms: dict[str, int] = {}
        self._retired: dict[str, MarketAccount] = {}  # with their fills: each counts once, ever
        self._leftovers: set[str] = set()  # open orders of an earlier run
        self._missing: dict[str, int] = {}  # orders with fills missing -> when to ask, mono ns
        self._votes: Counter[str] = Counter()

    def drain(self) -> ExecutionEffects:
        """The effects since the last call, the changed sub-accounts last."""
        effects, self.effects = self.effects, ExecutionEffects()
        for ticker in effects.markets:
            effects.note(self.accounts[ticker].message(len(self.resting(ticker)), self.now().ns))
        return effects

    def resting(self, ticker: str) -> list[TrackedOrder]:
        """Our resting orders in a market, oldest first."""
        return [order for order in self.orders.open_in(ticker) if _is_resting(order)]

    def queued_markets(self) -> set[str]:
        """Markets in which an order of ours rests that may not be at the front of its queue."""
        queued = (o for o in self.orders.open_orders() if _is_resting(o) and o.ahead_e2 != 0)
        return {order.market_ticker for order in queued}

    # Markets and doubts.

    def unread(self) -> set[str]:
        """Markets of which fills may have been missed: the whole list must be read."""
        gap = {Doubt.STARTING, Doubt.CHANNEL}
        return {ticker for ticker, account in self.accounts.items() if account.doubts & gap}

    def follow(self, ticker: str, grid: PriceGrid | None = None, close_ms: int = 0) -> None:
        """Keep an account of a market.

        Args:
            ticker: the market.
            grid: its prices; without them nothing can be ordered in it.
            close_ms: market time at which it closes, 0 unknown.
        """
        if grid is not None:
            self.grids[ticker] = grid
        if close_ms:
            self._closes_ms[ticker] = close_ms
        if ticker not in self.accounts:
            self.accounts[ticker] = account = self._account_for(ticker)
            account.doubts |= {Doubt.STARTING} | self.everywhere
            self._new_version(ticker)

    def _account_for(self, ticker: str) -> MarketAccount:
        """A new account, or the one of a market that was retired: its fills are booked already."""
        account = self._retired.pop(ticker, None)
        if account is None:
            return MarketAccount(ticker, self._start_cash_e6)
        self.retired_realized_e6 -= account.realized_e6
        self.retired_fees_e6 -= account.fees_e6
        return account

    def retire(self, keep: Container[str] = ()) -> None:
        """Give up the accounts of markets that are over, but for those in `keep`."""
        over = [t for t in self.accounts if t not in keep and self._is_over(t)]
        for ticker in over:
            self._retired[ticker] = account = self.accounts.pop(ticker)
            self.retired_realized_e6 += account.realized_e6
            self.retired_fees_e6 += account.fees_e6
            self._votes.pop(ticker, None)
            self.grids.pop(ticker, None)
            self.off_grid.discard(ticker)
            self.refusals.forget(ticker)
            self._closes_ms.pop(ticker, None)
            self.effects.retired.append(ticker)
        self.counters["accounts_retired"] += len(over)

    def _is_over(self, ticker: str) -> bool:
        """Settled or closed long ago, not listed any more, and nothing about it is on its way."""
        if ticker in self.listed:
            return False
        account, close_ms = self.accounts[ticker], self._closes_ms.get(ticker)
        closed = close_ms is not None and self.now().ms > close_ms + KEEP_CLOSED_MS
        return (
            (closed or account.settled_e4 is not None)
            and account.known
            and account.position_e2 == 0
            and not self.orders.open_in(ticker)
            and ticker not in self.effects.markets
            and self.now().mono_ns - account.changed_mono_ns > QUIET_NS
        )

    def doubt(self, doubt: Doubt) -> None:
        """Every market is in doubt."""
        self.everywhere.add(doubt)
        for ticker, account in self.accounts.items():
            if doubt not in account.doubts:
                account.doubts.add(doubt)
                self._new_version(ticker)

    def trust(self, doubt: Doubt) -> None:
        """That doubt is over; CHANNEL stays with each market until it is reconciled."""
        self.everywhere.discard(doubt)
        for ticker in self.accounts if doubt is not Doubt.CHANNEL else ():
            self._clear(ticker, doubt)

    def _clear(self, ticker: str, *doubts: Doubt) -> None:
        account = self.accounts[ticker]
        if gone := account.doubts & set(doubts):
            account.doubts -= gone
            self._new_version(ticker)

    def _new_version(self, ticker: str) -> None:
        """A new version of a market's account, and of its doubts."""
        account = self.accounts[ticker]
        self.version += 1
        account.version = self.version
        self._derive_doubts(account)
        self.effects.markets[ticker] = None

    def _on_activity(self, ticker: str) -> None:
        """The exchange did something: for a while its reads may lag behind."""
        if ticker not in self.accounts:  # a late report on an order of a market that is over
            return
        self.accounts[ticker].changed_mono_ns = self.now().mono_ns
        self._new_version(ticker)

    def _derive_doubts(self, account: MarketAccount) -> None:
        own = [o for o in self.orders.open_in(account.ticker) if o.own]
        missing = (self.orders.get(name) for name in self._missing)
        present = {
            Doubt.ORDER: any(o.status is OrderStatus.UNKNOWN for o in own),
            Doubt.LEFTOVER: any(o.client_order_id in self._leftovers for o in own),
            Doubt.FILLS: any(o and o.market_ticker == account.ticker for o in missing),
        }
        account.doubts -= set(present)
        account.doubts |= {doubt for doubt, there in present.items() if there}

    # Orders.

    def create(self, order: TrackedOrder, deadline_mono_ns: int) -> None:
        """Track a new order and send it, unless the deadline passes first."""
        self.orders.add(order)
        self.counters["sent"] += 1
        self.effects.note(message_of(order, self.now().ns))
        self.effects.requests.append(SendOrder(order, deadline_mono_ns))

    def refuse(self, order: TrackedOrder) -> None:
        """Track and publish an order that is not sent; its reason says why."""
        self.orders.add(order)
        self.counters["refused"] += 1
        self.counters[f"refused_{order.reason}"] += 1
        self.effects.note(message_of(order, self.now().ns))

    def renew(self, order: TrackedOrder, expire_ms: int) -> None:
        """Ask for a later expiry."""
        self.counters["renewed"] += 1
        self.busy.add(order.client_order_id)
        self.effects.requests.append(RenewOrder(order, expire_ms))

    def cancel(self, order: TrackedOrder) -> bool:
        """Ask for a cancel, unless a request for this order is on its way -> whether it is new."""
        if order.client_order_id in self.busy or order.order_id is None:
            return False
        self.busy.add(order.client_order_id)
        self.counters["cancels"] += 1
        self.effects.requests.append(CancelOrder(order))
        return True

    def release(self, name: str) -> None:
        """A request for this order is over and the order is still open: it may be asked again."""
        self.busy.discard(name)

    def on_fact(self, name: str, fact: OrderFact) -> None:
        """One more fact about the order of this name; facts about unknown orders are ignored."""
        order = self.orders.apply(name, fact)
        if order is not None and not isinstance(fact, CreateSent):
            self._on_order_changed(order)

        if order is not None and isinstance(fact, OrderRefused) and fact.by_exchange:
            self._on_refusal(order)
        elif order is not None and isinstance(fact, CreateAccepted):
            self.refusals.on_accepted(order)

    def _on_refusal(self, order: TrackedOrder) -> None:
        """Remember it; warn when it comes twice in a row."""
        self.counters["creates_refused_by_exchange"] += 1
        if self.refusals.on_refused(order, self.now().mono_ns) == 2:
            facts = {"ticker": order.market_ticker, "is_buy": order.is_buy, "error": order.reason}
            self.effects.warn("orders_refused", **facts)

    def _on_order_changed(self, order: TrackedOrder) -> None:
        name = order.client_order_id
        if not order.open:
            self.busy.discard(name)
            self._leftovers.discard(name)
        if order.missing_e2 > 0:
            self._missing.setdefault(name, self.now().mono_ns + FETCH_AFTER_NS)
        else:
            self._missing.pop(name, None)
        if order.own:
            self.effects.note(message_of(order, self.now().ns))
            self.effects.queue_wanted |= _is_resting(order) and order.ahead_e2 == UNKNOWN_AHEAD
        self._on_activity(order.market_ticker)

    def on_order(self, report: ExchangeOrder) -> None:
        """The exchange's report on an order, from the private channel or REST, fresh or stale."""
        if report.market_ticker not in self.accounts:
            return
        name = report.client_order_id or report.order_id
        if name not in self.orders:
            if report.status in TERMINAL:
                return  # long over
            self._adopt_order(name, report)
        status, fill_e2 = report.status, report.fill_count_e2
        fact = OrderReport(report.order_id, status, fill_e2, report.reason, report.expire_ms)
        self.on_fact(name, fact)
        order = self.orders.get(name)
        if order is not None and order.open and name in self._leftovers:
            self.cancel(order)

    def _adopt_order(self, name: str, report: ExchangeOrder) -> None:
        """An order that this run did not send: someone else's, or a leftover to be canceled."""
        parsed = parse_client_order_id(name)
        foreign_leg = Leg.YES if report.book_side == "bid" else Leg.NO
        if parsed:
            self._leftovers.add(name)
            self.counters["leftover_orders"] += 1
            facts = {"client_order_id": name, "ticker": report.market_ticker}
            self.effects.warn("leftover_order", **facts)
        self.orders.add(
            TrackedOrder(
                client_order_id=name,
                intent_id=parsed.intent_id if parsed else None,
                market_ticker=report.market_ticker,
                leg=parsed.leg if parsed else foreign_leg,
                is_buy=parsed.is_buy if parsed else True,
                book_side=report.book_side,
                yes_price_e4=report.yes_price_e4,
                initial_e2=report.initial_count_e2,
                created_ns=(report.created_ms or 0) * NS_PER_MS,
                expire_ms=report.expire_ms,
            )
        )

    def on_absent(self, name: str) -> None:
        """The exchange confirms that it has no such order (any more)."""
        order = self.orders.get(name)
        if order is not None and order.order_id is not None:
            self.on_fact(name, OrderReport(order.order_id, OrderStatus.CANCELED, 0, "not_found"))

    def on_queue(self, order_id: str, ahead_e2: int) -> None:
        """The exchange reports what trades before an order; the order itself does not change."""
        order = self.orders.by_order_id(order_id)
        if order is None or not _is_resting(order):
            return
        after = self.orders.apply(order.client_order_id, QueuePlace(ahead_e2))
        if after is not None and after.ahead_e2 != order.ahead_e2:
            self._new_version(order.market_ticker)

    # Fills.

    def on_fill(self, fill: ActorFill, *, live: bool = True) -> None:
        """Book an execution, once, whatever reports it.

        Args:
            fill: the execution.
            live: from the private channel, not from a read; a read repeats what is known, and is
                not kept for an order that is not known.
        """
        if fill.market_ticker in self._retired:
            self.follow(fill.market_ticker)
        account = self.accounts.get(fill.market_ticker)
        if account is None:
            self.counters["fills_elsewhere"] += 1
            return
        order = self.orders.trade(fill, keep=live)
        if account.book(fill):
            self.counters["fills"] += 1
            self.effects.note(self._named(fill), publish=Doubt.STARTING not in account.doubts)
            self._on_activity(fill.market_ticker)
        else:
            self.counters["duplicate_fills"] += live
        if order is not None:
            self._on_order_changed(order)

    def _named(self, fill: ActorFill) -> ActorFill:
        order = self.orders.by_order_id(fill.order_id)
        if order is None or fill.client_order_id is not None:
            return fill
        return replace(fill, client_order_id=order.client_order_id)

    def request_overdue(self) -> None:
        """Ask for fills that have not arrived in time, and again for cancels of leftovers."""
        now = self.now().mono_ns
        for name, due in list(self._missing.items()):
            order = self.orders.get(name)
            if order is not None and due <= now:
                self._missing[name] = now + 2 * FETCH_AFTER_NS
                self.effects.requests.append(FetchFills(order))
        for name in self._leftovers:
            if (order := self.orders.get(name)) is not None:
                self.cancel(order)

    # Reconciliation.

    def reconcile(self, view: ExchangeView) -> set[str]:
        """Compare with a round of REST reads.

        Returns:
            Markets whose whole list of fills must be read before they can be compared.
        """
        for ticker, position_e2 in view.positions.items():
            if position_e2 != 0 or ticker not in self._retired:
                self.follow(ticker)
        for report in view.resting:
            if report.client_order_id.startswith(OWN_PREFIX):
                self.follow(report.market_ticker)
            self.on_order(report)
        for fill in (fill for fills in view.fills.values() for fill in fills):
            self.on_fill(fill, live=False)
        for ticker, yes_value_e4 in view.settlements.items():
            self._on_settlement(ticker, yes_value_e4)
        self._look_up_absent(view)
        verdicts = {t: self._compare(account, view) for t, account in self.accounts.items()}
        return {ticker for ticker, verdict in verdicts.items() if verdict is Verdict.READ_FILLS}

    def _on_settlement(self, ticker: str, yes_value_e4: int) -> None:
        account = self.accounts.get(ticker)
        if account is not None and account.settle(yes_value_e4):
            self.counters["settled"] += 1
            self._on_activity(ticker)

    def _look_up_absent(self, view: ExchangeView) -> None:
        """Orders that are resting as far as we know, and that the exchange does not list."""
        listed = {report.order_id for report in view.resting}
        for order in self.orders.open_orders():
            changed = self.accounts[order.market_ticker].changed_mono_ns
            quiet = view.asked_mono_ns - changed >= QUIET_NS
            resting = order.status is OrderStatus.RESTING
            if resting and quiet and order.order_id not in listed:
                self.effects.requests.append(LookUpOrder(order))

    def _compare(self, account: MarketAccount, view: ExchangeView) -> Verdict:
        verdict = judge(account, view)
        ticker = account.ticker
        if verdict is not Verdict.ADOPT:
            self._votes.pop(ticker, None)
        if verdict is Verdict.AGREES:
            over = {Doubt.CHANNEL} - self.everywhere
            self._clear(ticker, Doubt.STARTING, Doubt.MISMATCH, *over)
        elif verdict is Verdict.UNREADABLE:
            account.doubts.add(Doubt.STARTING)  # as unknown as at the start
        elif verdict is Verdict.DISAGREES:
            self._on_mismatch(account, view)
        elif verdict is Verdict.ADOPT:
            self._on_mismatch(account, view)
            self._vote(account, view)
        return verdict

    def _on_mismatch(self, account: MarketAccount, view: ExchangeView) -> None:
        """Warn once, and do not trade the market until both sides agree."""
        if Doubt.MISMATCH in account.doubts:
            return
        account.doubts.add(Doubt.MISMATCH)
        self.counters["mismatches"] += 1
        self.effects.warn(
            "position_mismatch",
            ticker=account.ticker,
            booked_e2=account.position_e2,
            exchange_e2=view.positions.get(account.ticker, 0),
        )
        self._new_version(account.ticker)

    def _vote(self, account: MarketAccount, view: ExchangeView) -> None:
        """Take over the exchange's fills when they have added up to its position twice in a row.

        Once may be a late read.
        """
        self._votes[account.ticker] += 1
        if self._votes[account.ticker] < ADOPT_VOTES:
            return
        account.adopt(view.fills[account.ticker])
        self.counters["adopted"] += 1
        self.effects.warn("position_adopted", ticker=account.ticker, booked_e2=account.position_e2)
        self._new_version(account.ticker)


def _is_resting(order: TrackedOrder) -> bool:
    """Whether it is ours and stands in the exchange's book."""
    return order.own and order.status is OrderStatus.RESTING
