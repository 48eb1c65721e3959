"""What is known: orders, sub-accounts and doubts of every followed market. Events in, effects out.

Events come from create answers, the private channel, REST and the collector, in any order, late or
twice. What follows from them is collected as `ExecutionEffects`; nothing here does I/O.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Mapping, Sequence
from typing import Final, NamedTuple

from msgspec.structs import replace

from ipc.account_table import UNKNOWN_AHEAD
from ipc.clock import NS_PER_MS, NS_PER_S
from ipc.messages import (
    ActorFill,
    Message,
    OrderStatus,
    TradingEvent,
    TradingEventKind,
    TradingState,
    TradingStatus,
)
from ipc.trading import TradingMode
from ipc.units import ONE_DOLLAR_E4, PriceGrid
from processes.adapters.kalshi.schemas.normalise import ExchangeOrder
from processes.adapters.kalshi.stop.own_orders import FAMILY, OrderOwnership
from processes.execution.account import (
    QUIET_NS,
    Doubt,
    ExchangeView,
    MarketAccount,
    Moment,
    ReportedFees,
    ShardMoney,
)
from processes.execution.exchange_stop import ExchangeStop
from processes.execution.order_facts import (
    AmendAccepted,
    AmendRefused,
    AmendSent,
    CancelFailed,
    CancelSent,
    CreateAccepted,
    CreateSent,
    OrderFact,
    OrderRefused,
    OrderReport,
    PendingAmend,
    QueuePlace,
)
from processes.execution.orders import (
    TERMINAL,
    CancelOrder,
    FetchFills,
    OrderRequest,
    OrderStore,
    SendAmend,
    SendOrder,
    TrackedOrder,
    found_order,
    message_of,
    report_of,
)
from processes.execution.risk import RefusalMemory

__all__ = ["KEEP_CLOSED_MS", "KEEP_RETIRED", "ExecutionEffects", "ExecutionState", "LogNote"]

FETCH_AFTER_NS: Final = 500 * NS_PER_MS  # how long a fill may be on its way before REST is asked
LATE_CREATE_NS: Final = 10 * NS_PER_S  # how late a create of an earlier run may show
PAUSE_CODES: Final = ("trading_paused", "exchange_paused")
ENDS_ORDERS: Final = (TradingMode.STOPPED, TradingMode.FLATTENING)
KEEP_CLOSED_MS: Final = 600_000  # market time, for an account whose settlement is not reported
KEEP_RETIRED: Final = 1_000  # accounts of markets that are over, with their fills


class LogNote(NamedTuple):
    """A message for the journal, and whether subscribers get it too."""

    message: Message
    publish: bool


class ExecutionEffects:
    """What follows from the events since the last call of `drain`, in order.

    Emptied after every event, so it holds what one event causes and needs no bound of its own.

    Attributes:
        markets: Tickers whose row of the account table changed, in order.
        retired: Tickers whose row is not needed any more.
        notes: Messages for the journal and for subscribers.
        requests: What to ask of the exchange.
        warnings: (action, facts) of log lines.
        queue_wanted: Whether an order rests whose place in the queue is not known.
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
        start_cash_e6: Cash of every sub-account before its first fill, 1e-6 dollars.
        now: The present moment.
        version: Where the versions of accounts begin; they rise by one at each change.
        ownership: Which orders are this stack's.

    Attributes:
        accounts: Sub-accounts of the followed markets, by ticker.
        grids: Prices of the markets in which something can be ordered.
        off_grid: Markets whose grid refused a price: it may have changed.
        orders: All orders that are remembered.
        refusals: What the exchange refused lately.
        everywhere: Doubts about every market.
        effects: What follows from the events so far.
        counters: What was done and refused.
        session_uid: The collector's session, None before it has reported.
        environment_ok: Whether the collector's data is of the environment that is traded in.
        listed: Markets that the collector follows.
        unrecorded: Why what happens now may not get into the database; "" while it does.
        mode: What is done with intents, as it was commanded.
        sends: False in execution mode `shadow`: nothing is created, changed or canceled.
        differing: Markets that differ from the exchange's view for so long that nothing is opened
            in them, with what differs.
        cash_mono_ns: When a fill or a payout was booked last.
        ownership: Which orders are this stack's.
        retired: Accounts of markets that are over, with their fills.
    """

    def __init__(
        self,
        start_cash_e6: int,
        now: Callable[[], Moment],
        version: int = 0,
        *,
        ownership: OrderOwnership,
    ) -> None:
        self.accounts: dict[str, MarketAccount] = {}
        self.grids: dict[str, PriceGrid] = {}  # of the markets in which something can be ordered
        self.off_grid: set[str] = set()  # markets whose grid refused a price: it may have changed
        self.orders = OrderStore()
        self.money = ShardMoney()
        self.refusals = RefusalMemory()
        self.fees = ReportedFees()
        self.everywhere: set[Doubt] = set()  # doubts about every market
        self.effects, self.exchange_stop = ExecutionEffects(), ExchangeStop()
        self.counters: Counter[str] = Counter()
        self.touched: set[str] = set()  # markets whose account or orders the limits must look at
        self.events: dict[str, str] = {}  # of markets whose event is known
        self.reported: tuple[int, Mapping[str, int]] = (0, {})  # the exchange's: when asked, mono
        self.version = version
        self.now = now
        self.ownership = ownership
        self.retired_realized_e6 = self.retired_fees_e6 = 0
        self.session_uid: str | None = None  # the collector's; None while it has not spoken
        self.environment_ok = False  # whether the collector's data is of our environment
        self.listed: frozenset[str] = frozenset()  # markets that the collector follows
        self.mode = TradingMode.ON
        self.sends = True
        self.trading: TradingStatus | None = None  # as the collector says; None before it has
        self.differing: dict[str, str] = {}  # markets in which the exchange differs for long: how
        self.elsewhere_e6 = 0  # the most that fills of markets without an account may have moved
        self.cash_mono_ns = 0  # when a fill or a payout was booked last
        self.unrecorded = ""  # why what happens now may not get into the database
        self._resumed_mono_ns = 0  # when any market last began to trade again
        self._pause_seen_mono_ns = 0  # when the exchange last refused an order for a pause
        self.start_cash_e6 = start_cash_e6
        self._closes_ms: dict[str, int] = {}
        self.retired: dict[str, MarketAccount] = {}  # with their fills: each counts once
        self._leftovers: set[str] = set()  # open orders of an earlier run
        self._leftovers_until_ns: int | None = None  # after it only someone else has our mark
        self._missing: dict[str, int] = {}  # orders with fills missing -> when to ask, mono ns

    def drain(self) -> ExecutionEffects:
        """The effects since the last call, the changed sub-accounts last."""
        effects, self.effects = self.effects, ExecutionEffects()
        for ticker in effects.markets:
            effects.note(self.accounts[ticker].message(len(self.resting(ticker)), self.now().ns))
        return effects

    def resting(self, ticker: str) -> list[TrackedOrder]:
        """Our resting orders in a market, oldest first."""
        return [order for order in self.orders.open_in(ticker) if order.rests]

    def queued_markets(self) -> set[str]:
        """Markets in which an order of ours rests that may not be at the front of its queue."""
        queued = (o for o in self.orders.open_orders() if o.rests and o.ahead_e2 != 0)
        return {order.market_ticker for order in queued}

    # Markets and doubts.

    def close_ms(self, ticker: str) -> int | None:
        """When a market closes, market time; None when that is not known."""
        return self._closes_ms.get(ticker)

    def unread(self) -> set[str]:
        """Markets of which fills may have been missed: the whole list must be read."""
        gap = {Doubt.STARTING, Doubt.CHANNEL}
        return {
            ticker
            for ticker, account in self.accounts.items()
            if account.doubts & gap or (Doubt.PAUSE in account.doubts and self.trades(ticker))
        }

    def trading_state(self, ticker: str) -> TradingState:
        """Whether orders may be placed in a market now; UNKNOWN while the collector is silent."""
        status = self.trading
        if status is None:
            return TradingState.UNKNOWN
        state = status.of(ticker, self.now().mono_ns)
        refused_since = status.checked_mono_ns <= self._pause_seen_mono_ns
        if state is TradingState.TRADING and refused_since:
            return TradingState.PAUSED  # a refusal is newer than what the collector says
        return state

    @property
    def since_pause_mono_ns(self) -> int:
        """When a pause was seen, or ended, last."""
        return max(self._resumed_mono_ns, self._pause_seen_mono_ns)

    def trades(self, ticker: str) -> bool:
        """Whether the exchange takes orders in a market now."""
        return self.trading_state(ticker) is TradingState.TRADING

    def takes_cancels(self) -> bool:
        """Whether a cancel would be taken: only a pause of the whole exchange refuses it."""
        return self.sends and (self.trading is None or self.trading.takes_cancels)

    def on_trading(self, status: TradingStatus) -> bool:
        """What the collector says about trading -> whether accounts must be compared again.

        A pause puts every account of it in doubt: its orders were canceled by the exchange, and its
        connections may have been cut. The doubt ends with a comparison that began after the pause.
        """
        before, self.trading = self.trading, status
        now_ns = self.now().mono_ns
        lapsed = before is None or now_ns > before.valid_until_mono_ns
        refused = before is not None and before.checked_mono_ns <= self._pause_seen_mono_ns
        if before is not None and not lapsed and not refused and _say_alike(before, status):
            return False
        for ticker in self.accounts:
            if lapsed or not self.trades(ticker):  # what happened meanwhile is not known
                self._doubt_market(ticker, Doubt.PAUSE)
        self._resumed_mono_ns = now_ns
        return True

    def on_pause_refusal(self) -> None:
        """The exchange refused an order for a pause: nothing trades until it says otherwise."""
        self._pause_seen_mono_ns = self.now().mono_ns
        for ticker in self.accounts:
            self._doubt_market(ticker, Doubt.PAUSE)

    def _doubt_market(self, ticker: str, doubt: Doubt) -> None:
        account = self.accounts[ticker]
        if doubt not in account.doubts:
            account.doubts.add(doubt)
            self.new_version(ticker)

    def doubtful_count(self) -> int:
        """Accounts in doubt for another reason than that their market does not trade now."""
        return sum(
            bool(account.doubts - (set() if self.trades(ticker) else {Doubt.PAUSE}))
            for ticker, account in self.accounts.items()
        )

    def follow(
        self,
        ticker: str,
        grid: PriceGrid | None = None,
        close_ms: int = 0,
        shard: int | None = None,
        event: str = "",
    ) -> None:
        """Keep an account of a market.

        Args:
            ticker: the market.
            grid: its prices; without them nothing can be ordered in it.
            close_ms: market time at which it closes, 0 unknown.
            shard: the exchange's shard (`exchange_index`) whose money it takes, None unknown.
            event: its event, empty unknown.
        """
        if event:
            self.events[ticker] = event
            self.touched.add(ticker)
        if shard is not None:
            self.money.shards[ticker] = shard
        if grid is not None:
            self.grids[ticker] = grid
        if close_ms:
            self._closes_ms[ticker] = close_ms
        if ticker not in self.accounts:
            self.accounts[ticker] = account = self._account_for(ticker)
            account.doubts |= {Doubt.STARTING} | self.everywhere
            if not self.trades(ticker):
                account.doubts.add(Doubt.PAUSE)
            self.new_version(ticker)

    def _account_for(self, ticker: str) -> MarketAccount:
        """A new account, or the one of a market that was retired: its fills are booked already."""
        account = self.retired.pop(ticker, None)
        if account is None:
            return MarketAccount(ticker, self.start_cash_e6, adopts=self.ownership.adopts)
        self.retired_realized_e6 -= account.realized_e6
        self.retired_fees_e6 -= account.fees_e6
        return account

    def retire(self, keep: Container[str] = ()) -> None:
        """Give up the accounts of markets that are over, but for those in `keep`."""
        over = [t for t in self.accounts if t not in keep and self._is_over(t)]
        for ticker in over:
            self.retired[ticker] = account = self.accounts.pop(ticker)
            self.retired_realized_e6 += account.realized_e6
            self.retired_fees_e6 += account.fees_e6
            self.grids.pop(ticker, None)
            self.off_grid.discard(ticker)
            self.refusals.forget(ticker)
            self.fees.forget(ticker)
            for known in (self._closes_ms, self.events):
                known.pop(ticker, None)
            self.touched.add(ticker)
            self.money.forget(ticker)
            self.effects.retired.append(ticker)
        self.counters["accounts_retired"] += len(over)
        self._forget_retired()

    def _forget_retired(self) -> None:
        """Keep the newest; settled ones go first, which the exchange does not list as positions."""
        while len(self.retired) > KEEP_RETIRED:
            settled = (t for t, account in self.retired.items() if account.payout is not None)
            del self.retired[next(settled, next(iter(self.retired)))]
            self.counters["accounts_forgotten"] += 1

    def _is_over(self, ticker: str) -> bool:
        """Settled or closed long ago, not listed any more, and nothing about it is on its way."""
        if ticker in self.listed:
            return False
        account, close_ms = self.accounts[ticker], self._closes_ms.get(ticker)
        closed = close_ms is not None and self.now().ms > close_ms + KEEP_CLOSED_MS
        closed |= ticker not in self.grids  # never traded here: something of it was found
        return (
            (closed or account.payout is not None)
            and account.known
            and account.position_e2 == 0
            and not self.orders.open_in(ticker)
            and ticker not in self.effects.markets
            and self.now().mono_ns - account.changed_mono_ns > QUIET_NS
        )

    def on_fees(self, fees: Mapping[str, Sequence[tuple[int, str, int]]]) -> None:
        """Take what the collector reports that its markets charge, as `SessionInfo.fees`."""
        for ticker in self.fees.report(fees, self.now().ms):
            self.effects.warn("fees_assumed", ticker=ticker, fees=fees[ticker])
        self.show_fees()

    def show_fees(self) -> None:
        """Give accounts whose market charges otherwise than before a new version."""
        for ticker in self.fees.changed(self.now().ms):
            if ticker in self.accounts:
                self.new_version(ticker)

    def doubt(self, doubt: Doubt) -> None:
        """Every market is in doubt."""
        self.everywhere.add(doubt)
        for ticker in self.accounts:
            self._doubt_market(ticker, doubt)

    def trust(self, doubt: Doubt) -> None:
        """That doubt is over; CHANNEL stays with each market until it is reconciled."""
        self.everywhere.discard(doubt)
        for ticker in self.accounts if doubt is not Doubt.CHANNEL else ():
            self.clear(ticker, doubt)

    def clear(self, ticker: str, *doubts: Doubt) -> None:
        """These doubts about a market are over."""
        account = self.accounts[ticker]
        if gone := account.doubts & set(doubts):
            account.doubts -= gone
            self.new_version(ticker)

    def new_version(self, ticker: str) -> None:
        """A new version of a market's account, and of its doubts."""
        account = self.accounts[ticker]
        self.version += 1
        account.version = self.version
        self._derive_doubts(account)
        self._note_worth(account)
        self.effects.markets[ticker] = None

    def _note_worth(self, account: MarketAccount) -> None:
        """What the market takes of its shard's money changes with its cash and its orders."""
        self.touched.add(account.ticker)
        own = (o for o in self.orders.open_in(account.ticker) if o.own and o.is_buy)
        worth_e6 = account.cash_e6 - sum(o.hold_e6 for o in own)
        self.money.update(account.ticker, worth_e6, is_known=account.known)

    def on_balance(self, by_shard_e6: Mapping[int, int], begun: Mapping[int, int]) -> None:
        """The exchange's balance was read; `begun` is what `money.begin_read` gave before."""
        self.money.on_balance(by_shard_e6, begun)
        if Doubt.MONEY in self.everywhere:
            self.trust(Doubt.MONEY)

    def on_activity(self, ticker: str) -> None:
        """The exchange did something: for a while its reads may lag behind."""
        if ticker not in self.accounts:  # a late report on an order of a market that is over
            return
        self.accounts[ticker].changed_mono_ns = self.now().mono_ns
        self.new_version(ticker)

    def _derive_doubts(self, account: MarketAccount) -> None:
        own = [o for o in self.orders.open_in(account.ticker) if o.own]
        missing = (self.orders.get(name) for name in self._missing)
        present = {
            Doubt.ORDER: any(o.is_unclear for o in own),
            Doubt.LEFTOVER: any(o.client_order_id in self._leftovers for o in own),
            Doubt.FILLS: any(o and o.market_ticker == account.ticker for o in missing),
        }
        account.doubts -= set(present)
        account.doubts |= {doubt for doubt, there in present.items() if there}

    # Orders.

    def create(self, order: TrackedOrder, deadline_mono_ns: int) -> None:
        """Track a new order and ask for it to be sent.

        Args:
            order: PENDING.
            deadline_mono_ns: After which it is not sent any more.

        Raises:
            ValueError: Its name is taken.
        """
        self.orders.add(order)
        self._note_worth(self.accounts[order.market_ticker])
        self.counters["sent"] += 1
        self.effects.note(message_of(order, self.now().ns))
        self.effects.requests.append(SendOrder(order, deadline_mono_ns))

    def may_send(self, order: TrackedOrder) -> bool:
        """Whether the mode lets a create go out, also one that was begun in another mode."""
        wanted = TradingMode.FLATTENING if order.immediate else TradingMode.ON
        return self.mode is wanted

    def refuse(self, order: TrackedOrder) -> None:
        """Track and publish an order that is not sent; its reason says why."""
        self.orders.add(order)
        self.counters["refused"] += 1
        self.counters[f"refused_{order.reason.partition(':')[0]}"] += 1
        self.effects.note(message_of(order, self.now().ns))

    def amend(self, order: TrackedOrder, amend: PendingAmend, deadline_mono_ns: int) -> None:
        """Ask for other terms of an order without a change on its way; until then both may hold."""
        self.counters["renewed" if amend.is_renewal else "amended"] += 1
        self.orders.apply(order.client_order_id, AmendSent(amend))
        self._note_worth(self.accounts[order.market_ticker])
        self.effects.requests.append(SendAmend(order, amend, deadline_mono_ns))

    def cancel(self, order: TrackedOrder) -> bool:
        """Ask for a cancel.

        Args:
            order: Open.

        Returns:
            False when one is on its way, its id is not known or no cancels are taken: ask again.
        """
        named = order.order_id is not None and self.takes_cancels()
        if not named or self.orders.apply(order.client_order_id, CancelSent()) is None:
            return False
        self.counters["cancels"] += 1
        self.effects.requests.append(CancelOrder(order))
        return True

    def cancel_unrecorded(self) -> None:
        """While what happens may not get into the database: cancel what would open a position."""
        for order in self.orders.open_orders() if self.unrecorded else ():
            if order.own and order.is_buy and self.cancel(order):
                self.counters["unrecorded_canceled"] += 1

    def release(self, name: str) -> None:
        """A cancel of this order is over and the order is still open: it may be asked again."""
        self.orders.apply(name, CancelFailed())

    def on_fact(self, name: str, fact: OrderFact) -> None:
        """One more fact about the order of this name; facts about unknown orders are ignored."""
        order = self.orders.apply(name, fact)
        if order is None:
            return
        if not isinstance(fact, CreateSent):
            self._on_order_changed(order)
        if isinstance(fact, OrderRefused | AmendRefused) and fact.by_exchange:
            self._on_refusal(replace(order, reason=fact.reason))
        elif isinstance(fact, CreateAccepted | AmendAccepted):
            self.refusals.on_accepted(order)

    def _on_refusal(self, order: TrackedOrder) -> None:
        """Remember it; warn when it comes twice in a row."""
        self.counters["creates_refused_by_exchange"] += 1
        if order.reason.lower().startswith(PAUSE_CODES):
            self.on_pause_refusal()
            return
        if self.refusals.on_refused(order, self.now().mono_ns) == 2:
            facts = {"ticker": order.market_ticker, "is_buy": order.is_buy, "error": order.reason}
            self.effects.warn("orders_refused", **facts)

    def _on_order_changed(self, order: TrackedOrder) -> None:
        name = order.client_order_id
        if not order.open:
            self._leftovers.discard(name)
        if order.missing_e2 > 0:
            self._missing.setdefault(name, self.now().mono_ns + FETCH_AFTER_NS)
        else:
            self._missing.pop(name, None)
        self.effects.note(message_of(order, self.now().ns))
        self.effects.queue_wanted |= order.rests and order.ahead_e2 == UNKNOWN_AHEAD
        if order.trades and order.market_ticker in self.accounts:
            self.accounts[order.market_ticker].claim(order.order_id or "", own=order.own)
        self.on_activity(order.market_ticker)

    def on_order(self, report: ExchangeOrder) -> None:
        """Take the exchange's report on an order, from the private channel or REST, fresh or stale.

        An order that this run did not send is someone else's or was left by an earlier run, which
        is canceled. Either way its market is followed: it counts against the account's limits.
        """
        name = report.client_order_id or report.order_id
        if name not in self.orders:
            if report.status in TERMINAL:
                return  # long over
            if report.market_ticker not in self.accounts:
                self.follow(report.market_ticker)
            self._adopt_order(name, report)
        self.on_fact(name, report_of(report, self.now().mono_ns))
        order = self.orders.get(name)
        if order is not None and order.open and name in self._leftovers:
            self.cancel(order)

    def _adopt_order(self, name: str, report: ExchangeOrder) -> None:
        """An order that this run did not send: someone else's, or a leftover to be canceled.

        What has our mark is a leftover at the start, and while everything is canceled anyway; later
        only a stack with a copy of this data folder can have sent it. In execution mode `shadow`
        leftovers are someone else's: nothing is canceled.
        """
        parsed, adopts = self.ownership.parse(name), self.ownership.adopts and self.sends
        until_ns = self._leftovers_until_ns
        is_start = until_ns is None or self.now().mono_ns <= until_ns
        is_leftover = parsed is not None and (is_start or self.mode in ENDS_ORDERS)
        is_canceled = is_leftover and self.sends
        order = found_order(name, report, parsed if is_canceled else None, adopts=adopts)
        facts = {"client_order_id": name, "ticker": report.market_ticker}
        if is_leftover:
            self.counters["leftover_orders"] += 1
            self.effects.warn(
                "leftover_order" if self.sends else "leftover_order_not_touched", **facts
            )
            if is_canceled:
                self._leftovers.add(name)
        else:
            self.counters["foreign_orders"] += 1
            kind = "other" if not name.startswith(FAMILY) else "kalshi-actor"
            facts["placed_by"] = "a copy of this data folder" if parsed else kind
            self.effects.warn("foreign_order", **facts, adopted=adopts)
        self.orders.add(order)

    def on_absent(self, name: str) -> None:
        """The exchange confirms that it has no such order (any more)."""
        order = self.orders.get(name)
        if order is not None and order.order_id is not None:
            self.on_fact(name, OrderReport(order.order_id, OrderStatus.CANCELED, 0, "not_found"))

    def on_queue(self, order_id: str, ahead_e2: int, asked_mono_ns: int | None = None) -> None:
        """The exchange reports what trades before an order; the order itself does not change."""
        order = self.orders.by_order_id(order_id)
        if order is None or not order.rests:
            return
        asked_mono_ns = self.now().mono_ns if asked_mono_ns is None else asked_mono_ns
        after = self.orders.apply(order.client_order_id, QueuePlace(ahead_e2, asked_mono_ns))
        if after is not None and after.ahead_e2 != order.ahead_e2:
            self.new_version(order.market_ticker)

    # Fills.

    def on_fill(self, fill: ActorFill, *, live: bool = True) -> None:
        """Book an execution, once, whatever reports it.

        Args:
            fill: the execution.
            live: from the private channel, not from a read; a read repeats what is known, and is
                not kept for an order that is not known.
        """
        if fill.market_ticker in self.retired:
            self.follow(fill.market_ticker)
        account = self.accounts.get(fill.market_ticker)
        if account is None:
            self.counters["fills_elsewhere"] += 1
            self.cash_mono_ns = self.now().mono_ns
            self.elsewhere_e6 += fill.count_e2 * ONE_DOLLAR_E4 + abs(fill.fee_e6)
            return
        order = self.orders.trade(fill, keep=live)
        if account.book(fill):
            self.counters["fills"] += 1
            self.cash_mono_ns = self.now().mono_ns
            self._claim(account, fill)
            self.effects.note(self._named(fill), publish=Doubt.STARTING not in account.doubts)
            self.on_activity(fill.market_ticker)
        else:
            self.counters["duplicate_fills"] += live
        if order is not None:
            self._on_order_changed(order)

    def _claim(self, account: MarketAccount, fill: ActorFill) -> None:
        """Note whose order was filled, where that is known."""
        order = self.orders.by_order_id(fill.order_id)
        if order is not None:
            account.claim(fill.order_id, own=order.own)
        elif fill.client_order_id is not None:
            own = self.ownership.parse(fill.client_order_id) is not None
            account.claim(fill.order_id, own=own)

    def end_start(self) -> None:
        """The account's list of orders was read: what an earlier run left is known, or soon is."""
        if self._leftovers_until_ns is None:
            self._leftovers_until_ns = self.now().mono_ns + LATE_CREATE_NS

    def audit(
        self,
        kind: TradingEventKind,
        name: str,
        why: str,
        ticker: str | None,
        numbers: dict[str, int],
    ) -> None:
        """A line of the audit of trading, of the program itself.

        Args:
            kind: What sort of line.
            name: The limit or the quantity that it is about.
            why: For people.
            ticker: The market, None when it concerns all.
            numbers: What was compared; names end in their unit.
        """
        self.effects.note(
            TradingEvent(
                kind=kind,
                name=name,
                who="execution",
                why=why,
                market_ticker=ticker,
                numbers=numbers,
                ts_ns=self.now().ns,
            )
        )

    def unclaimed(self, view: ExchangeView) -> dict[str, str]:
        """Orders, with their markets, that made what is held and of which nobody is known yet."""
        if self.ownership.adopts:
            return {}
        held = {t: a for t, a in self.accounts.items() if a.position_e2 or view.positions.get(t)}
        return {
            order_id: ticker
            for ticker, account in held.items()
            for order_id in account.unclaimed(view.fills.get(ticker, ()))
            if self.orders.by_order_id(order_id) is None
        }

    def claim(self, ticker: str, order_id: str, client_order_id: str) -> None:
        """Whose an order was, by its name; empty for one that has none."""
        if ticker in self.accounts:
            own = self.ownership.parse(client_order_id) is not None
            self.accounts[ticker].claim(order_id, own=own)

    def _named(self, fill: ActorFill) -> ActorFill:
        order = self.orders.by_order_id(fill.order_id)
        if order is None or fill.client_order_id is not None:
            return fill
        return replace(fill, client_order_id=order.client_order_id)

    def short_of_fills(self) -> list[TrackedOrder]:
        """Orders of which more is filled than fills have arrived."""
        return [order for name in self._missing if (order := self.orders.get(name)) is not None]

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


def _say_alike(status: TradingStatus, other: TradingStatus) -> bool:
    """Whether all markets have the same state in both."""
    return status.state is other.state and status.markets == other.markets
