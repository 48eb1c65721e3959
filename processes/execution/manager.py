"""KalshiOrderManager: the one boundary for orders and positions. Events in, effects out, no I/O.

Per market at most one order of ours is open, one request is on its way and one intent waits; a
newer intent replaces the waiting one (counted, refused as "superseded").
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ipc import account_table as a
from ipc.account_table import OpenOrder
from ipc.messages import ActorPnl, Intent, Leg
from ipc.units import PriceGrid
from processes.execution.account import Doubt, MarketAccount
from processes.execution.ledger import Ledger
from processes.execution.orders import Order, Refused, advance, client_order_id, message_of
from processes.execution.outbox import Moment, Outbox, RenewOrder, SendOrder
from processes.execution.plan import Cancel, Create, Keep, Renew, Wait, plan
from processes.execution.reconcile import ExchangeView
from processes.execution.risk import Case, Limits, refusal

__all__ = ["KalshiOrderManager"]

KEEP_CLOSED_MS: Final = 600_000  # market time, for an account that no settlement is told of
PASSING: Final = frozenset({Doubt.FILLS, Doubt.ORDER})  # doubts that an intent may outwait


class _Waiting(NamedTuple):
    intent: Intent
    received_mono_ns: int


class KalshiOrderManager:
    """What is wanted, against the `ledger` of what is."""

    def __init__(
        self,
        limits: Limits,
        start_cash_e6: int,
        expiry_ms: int,
        now: Callable[[], Moment],
        version: int = 0,
    ) -> None:
        self.ledger = Ledger(start_cash_e6, now, version)
        self.ledger.on_change = self._resume
        self.session_uid: str | None = None
        self.environment_ok = False
        self._limits = limits
        self._expiry_ms = expiry_ms
        self._now = now
        self.listed: frozenset[str] = frozenset()  # markets that the collector follows
        self._grids: dict[str, PriceGrid] = {}
        self._closes_ms: dict[str, int] = {}
        self._waiting: dict[str, _Waiting] = {}

    # What others may ask.

    def get_positions(self) -> dict[str, int]:
        """Signed positions of the followed markets, 1e-2 contracts, YES positive."""
        return {ticker: acc.position_e2 for ticker, acc in self.ledger.accounts.items()}

    def get_position_info(self, ticker: str) -> MarketAccount | None:
        """A market's sub-account; None when it is not followed."""
        return self.ledger.accounts.get(ticker)

    def get_order_features(self, ticker: str) -> list[OpenOrder]:
        """The market's resting orders of ours, oldest first, as the observation reads them."""
        return [_open_order(order) for order in self.ledger.resting(ticker)]

    def sync_positions_with_kalshi(self, view: ExchangeView) -> set[str]:
        """Reconcile with REST -> markets whose whole list of fills must be read too."""
        return self.ledger.reconcile(view)

    def account_row(self, ticker: str) -> a.AccountRow:
        """The row of the account table."""
        account = self.ledger.accounts[ticker]
        return account.row_for_table(self.get_order_features(ticker), self._now().ns)

    def pnl(self, balance_e6: int) -> ActorPnl:
        """The whole account."""
        accounts = self.ledger.accounts.values()
        return ActorPnl(
            balance_e6=balance_e6,
            realized_e6=self.ledger.retired_realized_e6 + sum(a.realized_e6 for a in accounts),
            fees_e6=self.ledger.retired_fees_e6 + sum(a.fees_e6 for a in accounts),
            positions=sum(account.position_e2 != 0 for account in accounts),
            open_orders=self.ledger.orders.open_count,
            account_version=self.ledger.version,
            ts_ns=self._now().ns,
        )

    @property
    def markets(self) -> set[str]:
        """Those in which something can be ordered: their price grids are known."""
        return set(self._grids)

    # Events.

    def drain(self) -> Outbox:
        """The effects since the last call."""
        return self.ledger.drain()

    def follow(self, ticker: str, grid: PriceGrid | None = None, close_ms: int = 0) -> None:
        """Keep an account of this market; without a grid nothing can be ordered in it."""
        if grid is not None:
            self._grids[ticker] = grid
        if close_ms:
            self._closes_ms[ticker] = close_ms
        self.ledger.follow(ticker)

    def on_intent(self, intent: Intent, received_mono_ns: int) -> None:
        """A journalled intent: refuse it, or turn it into what must be done for it."""
        ledger, market = self.ledger, intent.market_ticker
        ledger.counters["intents"] += 1
        waiting = self._waiting.get(market)
        if _name_of(intent) in ledger.orders or (
            waiting is not None and waiting.intent.intent_id == intent.intent_id
        ):
            ledger.counters["duplicate_intents"] += 1
            return
        if waiting is not None:
            del self._waiting[market]
            self._refuse(waiting, "superseded")
        self._consider(_Waiting(intent, received_mono_ns))

    def refuse(self, intent: Intent, received_mono_ns: int, reason: str) -> None:
        """An intent that must not be acted on."""
        if _name_of(intent) not in self.ledger.orders:
            self._refuse(_Waiting(intent, received_mono_ns), reason)

    def tick(self) -> None:
        """Once in a while: intents that wait too long, fills that are missing, leftovers."""
        for ticker in list(self._waiting):
            self._resume(ticker)
        self.ledger.chase()
        for ticker in self.ledger.retire(t for t in list(self.ledger.accounts) if self._is_over(t)):
            self._grids.pop(ticker, None)
            self._closes_ms.pop(ticker, None)

    def _is_over(self, ticker: str) -> bool:
        """Settled, or closed long ago, and nobody looks at it any more."""
        if ticker in self.listed or ticker in self._waiting:
            return False
        if self.ledger.accounts[ticker].settled_e4 is not None:
            return True
        close_ms = self._closes_ms.get(ticker)
        return close_ms is not None and self._now().ms > close_ms + KEEP_CLOSED_MS

    def withdraw(self) -> None:
        """Before a stop: nothing more is wanted, and what rests shall go."""
        while self._waiting:
            self._refuse(self._waiting.popitem()[1], "stopping")
        for order in self.ledger.orders.open_orders():
            if order.own:
                self.ledger.cancel(order)

    # Inside.

    def _case(self, intent: Intent, others: tuple[Order, ...]) -> Case:
        return Case(
            intent=intent,
            limits=self._limits,
            now_mono_ns=self._now().mono_ns,
            account=self.ledger.accounts.get(intent.market_ticker),
            grid=self._grids.get(intent.market_ticker),
            others=others,
            open_orders=self.ledger.orders.open_count,
            session_uid=self.session_uid,
            environment_ok=self.environment_ok,
        )

    def _consider(self, waiting: _Waiting) -> None:
        """First refuse what would be refused even alone: nothing is canceled for its sake."""
        intent, counters = waiting.intent, self.ledger.counters
        if reason := refusal(self._case(intent, ())):
            self._refuse(waiting, reason)
            return
        orders = self.ledger.orders.open_in(intent.market_ticker)
        match plan(intent, orders, self.ledger.busy, self._now().ms, self._expiry_ms):
            case Create():
                self._create(waiting, orders)
            case Keep():
                counters["kept"] += 1
            case Renew(order):
                counters["renewed"] += 1
                self.ledger.busy.add(order.client_order_id)
                self.ledger.outbox.request(RenewOrder(order, self._expiry()))
            case Wait():
                self._waiting[intent.market_ticker] = waiting
            case Cancel(own):
                self._waiting[intent.market_ticker] = waiting
                for order in own:
                    self.ledger.cancel(order)

    def _create(self, waiting: _Waiting, others: tuple[Order, ...]) -> None:
        if reason := refusal(self._case(waiting.intent, others)):
            self._refuse(waiting, reason)
            return
        order = self._order_for(waiting)
        self.ledger.orders.add(order)
        self.ledger.counters["sent"] += 1
        self.ledger.outbox.note(message_of(order, self._now().ns))
        self.ledger.outbox.request(SendOrder(order, waiting.intent.deadline_mono_ns))

    def _refuse(self, waiting: _Waiting, reason: str) -> None:
        order = advance(self._order_for(waiting), Refused(reason))
        self.ledger.orders.add(order)
        self.ledger.counters["refused"] += 1
        self.ledger.counters[f"refused_{reason}"] += 1
        self.ledger.outbox.note(message_of(order, self._now().ns))

    def _order_for(self, waiting: _Waiting) -> Order:
        intent = waiting.intent
        return Order(
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

    def _resume(self, ticker: str) -> None:
        """Take up the intent that waits, unless what it waits for is still on its way."""
        waiting = self._waiting.get(ticker)
        if waiting is None:
            return
        doubts = self.ledger.accounts[ticker].doubts
        late = self._now().mono_ns > waiting.intent.deadline_mono_ns
        if doubts and doubts <= PASSING and not late:
            return
        del self._waiting[ticker]
        self._consider(waiting)


def _name_of(intent: Intent) -> str:
    return client_order_id(intent.intent_id, is_buy=intent.is_buy, leg=intent.leg)


def _open_order(order: Order) -> OpenOrder:
    return OpenOrder(
        is_buy=order.is_buy,
        leg=0 if order.leg is Leg.YES else 1,
        price_e4=order.price_e4,
        remaining_e2=order.remaining_e2,
        created_ns=order.created_ns,
        ahead_e2=order.ahead_e2,
    )
