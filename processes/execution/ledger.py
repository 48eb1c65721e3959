"""What is: orders, sub-accounts and doubts of every followed market, moved by facts alone.

Facts come from create answers, the private channel and REST, in any order, late or twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from msgspec.structs import replace

from ipc.account_table import UNKNOWN_AHEAD
from ipc.clock import NS_PER_MS
from ipc.messages import ActorFill, Leg, OrderStatus
from processes.adapters.kalshi.normalise import ExchangeOrder
from processes.execution.account import Doubt, MarketAccount
from processes.execution.order_store import OrderStore
from processes.execution.orders import (
    OWN_PREFIX,
    TERMINAL,
    Fact,
    Order,
    Queued,
    Reported,
    Sent,
    message_of,
    parse_client_order_id,
)
from processes.execution.outbox import CancelOrder, FetchFills, LookUpOrder, Moment, Outbox
from processes.execution.reconcile import ADOPT_VOTES, QUIET_NS, ExchangeView, Verdict, judge

__all__ = ["Ledger"]

FETCH_AFTER_NS: Final = 500 * NS_PER_MS  # how long a fill may be on its way before REST is asked


class Ledger:
    """The state of execution. `on_change` hears of every market in which something happened."""

    def __init__(self, start_cash_e6: int, now: Callable[[], Moment], version: int = 0) -> None:
        self.accounts: dict[str, MarketAccount] = {}
        self.orders = OrderStore()
        self.counters: Counter[str] = Counter()
        self.outbox = Outbox()
        self.busy: set[str] = set()  # orders with a cancel or a renewal on its way
        self.version = version
        self.now = now
        self.on_change: Callable[[str], None] = lambda _: None
        self.retired_realized_e6 = self.retired_fees_e6 = 0
        self._start_cash_e6 = start_cash_e6
        self.everywhere: set[Doubt] = set()
        self._inherited: set[str] = set()
        self._missing: dict[str, int] = {}  # orders with fills missing -> when to ask, mono ns
        self._votes: Counter[str] = Counter()

    def drain(self) -> Outbox:
        """The effects since the last call, the changed sub-accounts last."""
        outbox, self.outbox = self.outbox, Outbox()
        for ticker in outbox.markets:
            outbox.note(self.accounts[ticker].message(len(self.resting(ticker)), self.now().ns))
        return outbox

    def resting(self, ticker: str) -> list[Order]:
        """Our resting orders in a market, oldest first."""
        return [order for order in self.orders.open_in(ticker) if _is_resting(order)]

    def queued_markets(self) -> set[str]:
        """Markets in which an order of ours rests that may not be at the front of its queue."""
        queued = (o for o in self.orders.open_orders() if _is_resting(o) and o.ahead_e2 != 0)
        return {order.market_ticker for order in queued}

    # Markets and doubts.

    def unread(self) -> set[str]:
        """Markets of which something may have happened that nobody told us."""
        gap = {Doubt.STARTING, Doubt.CHANNEL}
        return {ticker for ticker, account in self.accounts.items() if account.doubts & gap}

    def follow(self, ticker: str) -> None:
        """Keep an account of this market."""
        if ticker not in self.accounts:
            self.accounts[ticker] = MarketAccount(ticker, self._start_cash_e6)
            self.accounts[ticker].doubts |= self.everywhere
            self._changed(ticker)

    def retire(self, over: Iterable[str]) -> list[str]:
        """Give up the accounts of markets that are over -> those in which nothing is open."""
        retired = [ticker for ticker in over if self._is_done(self.accounts[ticker])]
        for ticker in retired:
            account = self.accounts.pop(ticker)
            self.retired_realized_e6 += account.realized_e6
            self.retired_fees_e6 += account.fees_e6
            self._votes.pop(ticker, None)
            self.outbox.retired.append(ticker)
        self.counters["accounts_retired"] += len(retired)
        return retired

    def _is_done(self, account: MarketAccount) -> bool:
        """Flat, beyond doubt, told and quiet: no fact about it is on its way."""
        return (
            account.known
            and account.position_e2 == 0
            and not self.orders.open_in(account.ticker)
            and account.ticker not in self.outbox.markets
            and self.now().mono_ns - account.changed_mono_ns > QUIET_NS
        )

    def doubt(self, doubt: Doubt) -> None:
        """Every market is in doubt."""
        self.everywhere.add(doubt)
        for ticker, account in self.accounts.items():
            if doubt not in account.doubts:
                account.doubts.add(doubt)
                self._changed(ticker)

    def trust(self, doubt: Doubt) -> None:
        """That doubt is over; CHANNEL stays with each market until it is reconciled."""
        self.everywhere.discard(doubt)
        for ticker in self.accounts if doubt is not Doubt.CHANNEL else ():
            self._clear(ticker, doubt)

    def _clear(self, ticker: str, *doubts: Doubt) -> None:
        account = self.accounts[ticker]
        if gone := account.doubts & set(doubts):
            account.doubts -= gone
            self._changed(ticker)

    def _changed(self, ticker: str) -> None:
        """A new version of a market's account, and of its doubts."""
        account = self.accounts[ticker]
        self.version += 1
        account.version = self.version
        self._derive_doubts(account)
        self.outbox.markets[ticker] = None
        self.on_change(ticker)

    def _happened(self, ticker: str) -> None:
        """The exchange did something: for a while its reads may lag behind."""
        if ticker not in self.accounts:  # a late word on an order of a market that is over
            return
        self.accounts[ticker].changed_mono_ns = self.now().mono_ns
        self._changed(ticker)

    def _derive_doubts(self, account: MarketAccount) -> None:
        own = [o for o in self.orders.open_in(account.ticker) if o.own]
        missing = (self.orders.get(name) for name in self._missing)
        present = {
            Doubt.ORDER: any(o.status is OrderStatus.UNKNOWN for o in own),
            Doubt.LEFTOVER: any(o.client_order_id in self._inherited for o in own),
            Doubt.FILLS: any(o and o.market_ticker == account.ticker for o in missing),
        }
        account.doubts -= set(present)
        account.doubts |= {doubt for doubt, there in present.items() if there}

    # Orders.

    def cancel(self, order: Order) -> None:
        """Ask for it, unless something is on its way for this order already."""
        if order.client_order_id not in self.busy and order.order_id is not None:
            self.busy.add(order.client_order_id)
            self.counters["cancels"] += 1
            self.outbox.request(CancelOrder(order))

    def release(self, name: str) -> None:
        """A request for this order is over without settling it: whoever cares asks again."""
        self.busy.discard(name)

    def tell(self, name: str, fact: Fact) -> None:
        """One more fact about an order."""
        order = self.orders.apply(name, fact)
        if order is not None and not isinstance(fact, Sent):
            self._told(order)

    def _told(self, order: Order) -> None:
        name = order.client_order_id
        if not order.open:
            self.busy.discard(name)
            self._inherited.discard(name)
        if order.missing_e2 > 0:
            self._missing.setdefault(name, self.now().mono_ns + FETCH_AFTER_NS)
        else:
            self._missing.pop(name, None)
        if order.own:
            self.outbox.note(message_of(order, self.now().ns))
            self.outbox.queue_wanted |= _is_resting(order) and order.ahead_e2 == UNKNOWN_AHEAD
        self._happened(order.market_ticker)

    def on_order(self, told: ExchangeOrder) -> None:
        """The exchange's word on an order, from the private channel or REST, fresh or stale."""
        if told.market_ticker not in self.accounts:
            return
        name = told.client_order_id or told.order_id
        if name not in self.orders:
            if told.status in TERMINAL:
                return  # long over
            self._adopt_order(name, told)
        fact = Reported(told.order_id, told.status, told.fill_count_e2, told.reason, told.expire_ms)
        self.tell(name, fact)
        order = self.orders.get(name)
        if order is not None and order.open and name in self._inherited:
            self.cancel(order)

    def _adopt_order(self, name: str, told: ExchangeOrder) -> None:
        """An order that this life did not send: a stranger's, or a leftover to be canceled."""
        ours = parse_client_order_id(name)
        strange_leg = Leg.YES if told.book_side == "bid" else Leg.NO
        if ours:
            self._inherited.add(name)
            self.counters["leftover_orders"] += 1
            facts = {"client_order_id": name, "ticker": told.market_ticker}
            self.outbox.warn("leftover_order", **facts)
        self.orders.add(
            Order(
                client_order_id=name,
                intent_id=ours.intent_id if ours else None,
                market_ticker=told.market_ticker,
                leg=ours.leg if ours else strange_leg,
                is_buy=ours.is_buy if ours else True,
                book_side=told.book_side,
                yes_price_e4=told.yes_price_e4,
                initial_e2=told.initial_count_e2,
                created_ns=(told.created_ms or 0) * NS_PER_MS,
                expire_ms=told.expire_ms,
            )
        )

    def on_absent(self, name: str) -> None:
        """The exchange confirms that it has no such order (any more)."""
        order = self.orders.get(name)
        if order is not None and order.order_id is not None:
            self.tell(name, Reported(order.order_id, OrderStatus.CANCELED, 0, "not_found"))

    def on_queue(self, order_id: str, ahead_e2: int) -> None:
        """The exchange's word on what trades before an order; no news of the order itself."""
        order = self.orders.by_order_id(order_id)
        if order is None or not _is_resting(order):
            return
        after = self.orders.apply(order.client_order_id, Queued(ahead_e2))
        if after is not None and after.ahead_e2 != order.ahead_e2:
            self._changed(order.market_ticker)

    # Fills.

    def on_fill(self, fill: ActorFill, *, live: bool = True) -> None:
        """An execution; booked once, whoever tells it. Old ones are news to the journal only."""
        account = self.accounts.get(fill.market_ticker)
        if account is None:
            self.counters["fills_elsewhere"] += 1
            return
        order = self.orders.trade(fill, keep=live)
        if account.book(fill):
            self.counters["fills"] += 1
            self.outbox.note(self._named(fill), publish=Doubt.STARTING not in account.doubts)
            self._happened(fill.market_ticker)
        else:
            self.counters["duplicate_fills"] += live
        if order is not None:
            self._told(order)

    def _named(self, fill: ActorFill) -> ActorFill:
        order = self.orders.by_order_id(fill.order_id)
        if order is None or fill.client_order_id is not None:
            return fill
        return replace(fill, client_order_id=order.client_order_id)

    def chase(self) -> None:
        """Once in a while: ask for fills that do not come, cancel leftovers again."""
        now = self.now().mono_ns
        for name, due in list(self._missing.items()):
            order = self.orders.get(name)
            if order is not None and due <= now:
                self._missing[name] = now + 2 * FETCH_AFTER_NS
                self.outbox.request(FetchFills(order))
        for name in self._inherited:
            if (order := self.orders.get(name)) is not None:
                self.cancel(order)

    # Reconciliation.

    def reconcile(self, view: ExchangeView) -> set[str]:
        """Compare with what REST says -> markets whose whole list of fills must be read too."""
        for ticker in view.positions:
            self.follow(ticker)
        for told in view.resting:
            if told.client_order_id.startswith(OWN_PREFIX):
                self.follow(told.market_ticker)
            self.on_order(told)
        for fill in (fill for fills in view.fills.values() for fill in fills):
            self.on_fill(fill, live=False)
        for ticker, yes_value_e4 in view.settlements.items():
            self._settle(ticker, yes_value_e4)
        self._look_up_absent(view)
        verdicts = {t: self._conclude(account, view) for t, account in self.accounts.items()}
        return {ticker for ticker, verdict in verdicts.items() if verdict is Verdict.READ_FILLS}

    def _settle(self, ticker: str, yes_value_e4: int) -> None:
        account = self.accounts.get(ticker)
        if account is not None and account.settle(yes_value_e4):
            self.counters["settled"] += 1
            self._happened(ticker)

    def _look_up_absent(self, view: ExchangeView) -> None:
        """Orders that we hold for resting and the exchange does not list."""
        listed = {told.order_id for told in view.resting}
        for order in self.orders.open_orders():
            changed = self.accounts[order.market_ticker].changed_mono_ns
            quiet = view.asked_mono_ns - changed >= QUIET_NS
            resting = order.status is OrderStatus.RESTING
            if resting and quiet and order.order_id not in listed:
                self.outbox.request(LookUpOrder(order))

    def _conclude(self, account: MarketAccount, view: ExchangeView) -> Verdict:
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
            self._mismatch(account, view)
        elif verdict is Verdict.ADOPT:
            self._mismatch(account, view)
            self._vote(account, view)
        return verdict

    def _mismatch(self, account: MarketAccount, view: ExchangeView) -> None:
        """Say it once, and do not trade the market until both sides agree."""
        if Doubt.MISMATCH in account.doubts:
            return
        account.doubts.add(Doubt.MISMATCH)
        self.counters["mismatches"] += 1
        told_e2 = view.positions.get(account.ticker, 0)
        facts = {"ticker": account.ticker, "ours_e2": account.position_e2, "exchange_e2": told_e2}
        self.outbox.warn("position_mismatch", **facts)
        self._changed(account.ticker)

    def _vote(self, account: MarketAccount, view: ExchangeView) -> None:
        """The exchange's fills and position agree with each other and not with us: once may be a
        late read, twice is the truth."""
        self._votes[account.ticker] += 1
        if self._votes[account.ticker] < ADOPT_VOTES:
            return
        account.adopt(view.fills[account.ticker])
        self.counters["adopted"] += 1
        self.outbox.warn("position_adopted", ticker=account.ticker, ours_e2=account.position_e2)
        self._changed(account.ticker)


def _is_resting(order: Order) -> bool:
    """Whether it is ours and stands in the exchange's book."""
    return order.own and order.status is OrderStatus.RESTING
