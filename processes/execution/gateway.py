"""Where a change leaves execution: records, the shared row, messages, requests to the exchange.

`EffectRunner` carries out the effects of events: journal first, then table, subscribers, exchange.
So no reader can see an account, an order or a fill that was not offered to the journal.

`Gateway` makes the requests, and facts of what their answers mean.

A create is repeated only under its own name, which the exchange takes once: so a repeat cannot
double anything. Any other request that fails is made again by the manager, for as long as it is
wanted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator
from typing import Any, Final, NoReturn

from ipc import account_table as a
from ipc.account_table import LAYOUT, AccountTableWriter, words_of
from ipc.clock import NS_PER_S, mono_ns
from ipc.journal import RunJournal
from ipc.messages import (
    AccountVersion,
    ActorFill,
    ActorOrder,
    ActorPnl,
    ActorPosition,
    Intent,
    Message,
    OrderStatus,
    ProcessStats,
    TradingEvent,
    TradingState,
)
from ipc.sockets import Bell, Publisher
from ipc.trading import TradingMode
from processes.adapters.kalshi.errors import (
    ApiError,
    ExchangeUnavailable,
    KalshiError,
    NotFound,
    OrderRejected,
    RateLimited,
    UnknownOutcome,
)
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.orders import AmendOrder, CreateOrder, TimeInForce
from processes.adapters.kalshi.rest.rate_budget import OWN_BUDGET
from processes.adapters.kalshi.schemas.decoding import whole
from processes.adapters.kalshi.schemas.normalise import ExchangeOrder
from processes.execution.account import Doubt
from processes.execution.exchange_stop import NO_ORDER_GROUP
from processes.execution.manager import KalshiOrderManager
from processes.execution.order_facts import (
    AmendAccepted,
    AmendRefused,
    AmendUnknown,
    CreateAccepted,
    CreateSent,
    OrderRefused,
    OrderReport,
    OutcomeUnknown,
    PendingAmend,
)
from processes.execution.orders import (
    TERMINAL,
    CancelOrder,
    FetchFills,
    FindOrder,
    LookUpOrder,
    OrderRequest,
    SendAmend,
    SendOrder,
    TrackedOrder,
)
from processes.execution.state import ExecutionState
from processes.runtime.log import Log
from processes.runtime.tasks import Backoff

__all__ = ["CHUNK", "RETRY", "EffectRunner", "Gateway", "chunks", "pause_of"]

RETRY: Final = 0.05  # seconds between two attempts of one create, doubled at each 429 in a row
LIMITED: Final = Backoff(first_s=RETRY, longest_s=16 * RETRY)
CANCEL_RETRY: Final = 0.25  # seconds before a cancel that failed may be asked for again
FIND_PAUSE: Final = 0.5  # seconds between two looks for an order of unknown outcome
FIND_NS: Final = 5 * NS_PER_S  # how long the order list must not know it
FIND_LOOKS: Final = 5  # and how often it must have been asked
AMEND_LAG_NS: Final = 1_500_000_000  # after which a read shows a change whose answer was lost
LOOK_UPS: Final = (0.0, 0.3, 0.6, 1.2)  # seconds before each: a read may lag a cancel
IMMEDIATE: Final = TimeInForce.IMMEDIATE_OR_CANCEL
ALREADY_EXISTS: Final = "order_already_exists"
CHUNK: Final = 100  # tickers in one request
TOPICS: Final[dict[type[Message], str]] = {
    ActorOrder: "order",
    ActorFill: "fill",
    ActorPosition: "position",
    ActorPnl: "pnl",
    TradingEvent: "trading_event",
    ProcessStats: "stats",
}


def chunks(tickers: Collection[str]) -> Iterator[list[str]]:
    """The tickers in sorted lists of at most `CHUNK`, as many as one request takes."""
    names = sorted(tickers)
    for first in range(0, len(names), CHUNK):
        yield names[first : first + CHUNK]


class Gateway:
    """Runs requests; at most one of a kind for an order, so their number is bounded by orders.

    Args:
        state: what answers mean is applied to it.
        act: carries out the effects of an answer.
        log: of this run.
        sleep: the pause between attempts of one create.
    """

    def __init__(
        self,
        state: ExecutionState,
        act: Callable[[], None],
        log: Log,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self.client: KalshiTradingClient | None = None
        self.closing = False  # from then on no create is tried, or tried again
        self.create_ended_mono_ns = mono_ns()  # when the last create, or an earlier run, ended
        self._state = state
        self._act = act
        self._log = log
        self._sleep = sleep
        self._running: dict[tuple[type, str], asyncio.Task[None]] = {}
        self._broken: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()

    def start(self, request: OrderRequest) -> None:
        """Run a request in the background, unless the same is under way.

        Args:
            request: Of one kind for an order there is one at a time.
        """
        key = (type(request), request.order.client_order_id)
        if key in self._running:
            return
        self._running[key] = task = asyncio.create_task(self._run(key, request))
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        error = None if task.cancelled() else task.exception()
        if error is not None and not self._broken.done():
            self._broken.set_exception(error)

    async def watch(self) -> NoReturn:
        """Raise the first error of a request that is no answer: its order would wait for ever."""
        await self._broken

    @property
    def running(self) -> int:
        """Requests under way."""
        return len(self._running)

    async def drop(self) -> None:
        """Stop waiting for any answer."""
        tasks = list(self._running.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _run(self, key: tuple[type, str], request: OrderRequest) -> None:
        try:
            await self._answer(request)
        finally:
            del self._running[key]  # before the same can be requested again
        self._act()

    def _answer(self, request: OrderRequest) -> Coroutine[Any, Any, None]:
        order = request.order
        match request:
            case SendOrder():
                return self._send(order, request.deadline_mono_ns)
            case CancelOrder():
                return self._cancel(order)
            case SendAmend():
                return self._amend(order, request.amend, request.deadline_mono_ns)
            case FindOrder():
                return self._find(order)
            case LookUpOrder():
                return self._look_up(order)
            case FetchFills():
                return self._fetch_fills(order)

    def _client(self) -> KalshiTradingClient:
        if self.client is None:
            raise ExchangeUnavailable("no credentials yet")
        return self.client

    # Creating.

    async def _send(self, order: TrackedOrder, deadline_mono_ns: int) -> None:
        try:
            await self._create(order, deadline_mono_ns)
        finally:
            self.create_ended_mono_ns = mono_ns()

    async def _create(self, order: TrackedOrder, deadline_mono_ns: int) -> None:
        name = order.client_order_id
        lost = False  # an attempt had no known outcome: only the exchange's answer counts now
        answered = False  # the exchange read the order and refused it
        reason, limited = "", 0  # how often in a row the exchange said 429
        busy = False  # whether it said so, and nothing else since
        while mono_ns() <= deadline_mono_ns and self._may_send(order):
            trading = self._state.trading_state(order.market_ticker)
            if trading is not TradingState.TRADING and not lost:
                reason = f"not_trading_{trading}"
                break
            try:
                if await self._attempt(order):
                    return
            except UnknownOutcome:
                lost, reason = True, "unknown_outcome"
            except OrderRejected as error:
                lost, reason = lost or error.code == ALREADY_EXISTS, _reason(error)
                answered = True
                self._state.exchange_stop.on_refusal(self._shard(order), error.code)
                break
            except (RateLimited, ExchangeUnavailable) as error:
                # Nothing was done: try until the deadline. A budget that a 429 has emptied does not
                # hide that the exchange said so.
                limited = limited + 1 if _is_rate_limited(error) else 0
                if limited or isinstance(error, ExchangeUnavailable) or not busy:
                    reason = _reason(error)
                busy = bool(limited) or (busy and isinstance(error, RateLimited))
            except ApiError as error:
                answered, reason = True, _reason(error)
                break
            except KalshiError as error:  # an answer that cannot be read
                lost, reason = True, _reason(error)
                break
            if lost:
                self._state.on_fact(name, OutcomeUnknown(reason))
                self._act()
            await self._sleep(pause_of(limited, deadline_mono_ns - mono_ns()))
            if lost and not self._unknown(name):
                return
        if not lost:
            reason = reason or self._reason_not_sent(deadline_mono_ns)
            self._state.on_fact(name, OrderRefused(reason, by_exchange=answered))
            return
        self._state.on_fact(name, OutcomeUnknown(reason))
        self._act()
        await self._find(order)

    def _may_send(self, order: TrackedOrder) -> bool:
        """What closes a position by a command can neither rest nor open: it needs no group."""
        stop = self._state.exchange_stop
        has_group = order.immediate or not stop.is_required or self._shard(order) in stop.groups
        return has_group and not self.closing and self._state.may_send(order)

    def _shard(self, order: TrackedOrder) -> int:
        """Of the exchange, -1 unknown."""
        return self._state.money.shards.get(order.market_ticker, -1)

    def _reason_not_sent(self, deadline_mono_ns: int) -> str:
        if mono_ns() > deadline_mono_ns:
            return "deadline"
        if self.closing:
            return "stopping"
        is_on = self._state.mode in (TradingMode.ON, TradingMode.FLATTENING)
        return NO_ORDER_GROUP if is_on else f"trading_{self._state.mode}"

    async def _attempt(self, order: TrackedOrder) -> bool:
        client = self._client()
        self._state.on_fact(order.client_order_id, CreateSent(mono_ns()))
        created = await client.create_order(
            CreateOrder(
                market_ticker=order.market_ticker,
                client_order_id=order.client_order_id,
                book_side=order.book_side,
                yes_price_e4=order.yes_price_e4,
                count_e2=order.initial_e2,
                time_in_force=IMMEDIATE if order.immediate else TimeInForce.GOOD_TILL_CANCELED,
                expire_s=None if order.immediate else (order.expire_ms or 0) // 1000,
                reduce_only=order.immediate,
                order_group_id=self._state.exchange_stop.groups.get(self._shard(order)),
            )
        )
        fill_e2, remaining_e2 = created.fill_count_e2, created.remaining_count_e2
        fact = CreateAccepted(created.order_id, fill_e2, remaining_e2, mono_ns())
        self._state.on_fact(order.client_order_id, fact)
        return True

    async def _find(self, order: TrackedOrder) -> None:
        """Read the order list until it shows the order, or long enough that it cannot be there."""
        name, asked_ns, looks = order.client_order_id, mono_ns(), 0
        while mono_ns() - asked_ns < FIND_NS or looks < FIND_LOOKS:
            await asyncio.sleep(FIND_PAUSE)
            try:
                listing = await self._client().orders(status=None, ticker=order.market_ticker)
                listed = whole(listing, "orders")  # one that cannot be read may be this one
            except KalshiError as error:
                self._log.warning("order_not_found_yet", client_order_id=name, error=error)
                continue
            looks += 1
            report = next((o for o in listed if o.client_order_id == name), None)
            if report is not None or not self._unknown(name):
                if report is not None:
                    self._state.on_order(report)
                return
        self._state.on_fact(name, OrderRefused("never_arrived"))
        self._log.error("order_never_arrived", client_order_id=name)

    def _unknown(self, name: str) -> bool:
        """Whether its outcome is still unknown."""
        order = self._state.orders.get(name)
        return order is not None and order.order_id is None

    # Changing.

    async def _cancel(self, order: TrackedOrder) -> None:
        name, order_id = order.client_order_id, order.order_id or ""
        try:
            canceled = await self._client().cancel_order(order_id, order.market_ticker)
        except NotFound:
            await self._look_up(order)
        except KalshiError as error:
            self._state.counters["cancels_failed"] += 1
            self._log.warning("cancel_failed", client_order_id=name, error=error)
            await asyncio.sleep(CANCEL_RETRY)
        else:
            await self._canceled(order, canceled.reduced_by_e2)
        self._state.release(name)

    async def _canceled(self, order: TrackedOrder, reduced_by_e2: int) -> None:
        """What was not taken off the book had filled, of a size that is certain."""
        now = self._state.orders.get(order.client_order_id) or order
        sizes = (now.initial_e2, now.amend, now.total_unsure)
        if reduced_by_e2 == 0 or sizes != (order.initial_e2, None, False):
            await self._look_up(order)
            return
        fill_e2 = order.initial_e2 - reduced_by_e2
        status = OrderReport(order.order_id or "", OrderStatus.CANCELED, fill_e2, "canceled")
        self._state.on_fact(order.client_order_id, status)

    async def _amend(self, order: TrackedOrder, amend: PendingAmend, deadline_mono_ns: int) -> None:
        """One request; an answer that is lost is not asked for again but looked up."""
        name = order.client_order_id
        if not amend.is_renewal and (mono_ns() > deadline_mono_ns or not self._may_send(order)):
            reason = self._reason_not_sent(deadline_mono_ns)
            self._state.on_fact(name, AmendRefused(amend, reason))
            return
        try:
            amended = await self._client().amend_order(
                AmendOrder(
                    order_id=order.order_id or "",
                    market_ticker=order.market_ticker,
                    book_side=order.book_side,
                    yes_price_e4=amend.yes_price_e4,
                    count_e2=amend.total_e2,
                    expire_s=amend.expire_ms // 1000,
                )
            )
        except NotFound as error:  # it has ended: first how, then what its change came to
            await self._look_up(order)
            self._on_amend_failed(name, amend, error)
        except (ApiError, RateLimited, ExchangeUnavailable) as error:
            self._on_amend_failed(name, amend, error)
        except KalshiError as error:  # sent, and its answer was lost or cannot be read
            self._note_failed_amend(name, amend, error)
            self._state.on_fact(name, AmendUnknown(amend))
            self._act()
            await self._find_amend(order, amend, mono_ns())
        else:
            left_e2 = amended.remaining_count_e2
            self._state.on_fact(name, AmendAccepted(amend, amended.ts_ms, left_e2, mono_ns()))

    def _on_amend_failed(self, name: str, amend: PendingAmend, error: KalshiError) -> None:
        self._note_failed_amend(name, amend, error)
        read = isinstance(error, ApiError) and not isinstance(error, NotFound | RateLimited)
        by_exchange = read and not amend.is_renewal
        self._state.on_fact(name, AmendRefused(amend, _reason(error), by_exchange=by_exchange))

    def _note_failed_amend(self, name: str, amend: PendingAmend, error: KalshiError) -> None:
        what = "renewal" if amend.is_renewal else "amend"
        self._state.counters[f"{what}s_failed"] += 1
        self._log.warning(f"{what}_failed", client_order_id=name, error=error)

    async def _find_amend(
        self, order: TrackedOrder, amend: PendingAmend, unknown_mono_ns: int
    ) -> None:
        """Read the order until it shows the new terms, or the old ones late enough, or its end."""
        name, wanted = order.client_order_id, (amend.yes_price_e4, amend.total_e2)
        while True:
            await asyncio.sleep(LOOK_UPS[1])
            asked_mono_ns = mono_ns()
            try:
                report = await self._client().order(order.order_id or "")
            except NotFound:
                self._state.on_absent(name)
            except KalshiError:
                self._state.counters["look_ups_failed"] += 1
                continue
            else:
                self._state.on_order(report)
                shown = (report.yes_price_e4, report.fill_count_e2 + report.remaining_count_e2)
                is_new = report.expire_ms in (None, amend.expire_ms) and shown == wanted
                if report.status not in TERMINAL and is_new:
                    left_e2, ts_ms = report.remaining_count_e2, report.updated_ms or 0
                    fact = AmendAccepted(amend, ts_ms, left_e2, mono_ns())
                    self._state.on_fact(name, fact)
                    return
            now = self._state.orders.get(name)
            is_over = now is None or not now.open
            if is_over or asked_mono_ns - unknown_mono_ns >= AMEND_LAG_NS:
                refused = AmendRefused(amend, "unknown_outcome", is_inferred=True)
                self._state.on_fact(name, refused)
                return

    # Reading.

    async def _look_up(self, order: TrackedOrder) -> None:
        """Poll until the order is in a final state, at most `len(LOOK_UPS)` times."""
        for pause in LOOK_UPS:
            await asyncio.sleep(pause)
            try:
                report: ExchangeOrder = await self._client().order(order.order_id or "")
            except NotFound:
                self._state.on_absent(order.client_order_id)
                return
            except KalshiError:
                self._state.counters["look_ups_failed"] += 1
                continue
            self._state.on_order(report)
            if report.status in TERMINAL:
                return

    async def _fetch_fills(self, order: TrackedOrder) -> None:
        try:
            fills = await self._client().fills(order_id=order.order_id)
        except KalshiError:
            self._state.counters["fetches_failed"] += 1
            return
        if fills.left_out:
            self._state.counters["fetches_failed"] += 1
        for fill in reversed(fills.items):  # oldest first
            self._state.on_fill(fill, live=False)


class EffectRunner:
    """The one place where a change leaves execution.

    Args:
        manager: whose effects are carried out.
        table: the accounts as other processes read them.
        journal: of this run.
        publisher: to subscribers.
        bell: reports to the recorder that the journal has grown.
        log: of this run.
    """

    def __init__(
        self,
        manager: KalshiOrderManager,
        table: AccountTableWriter,
        journal: RunJournal,
        publisher: Publisher,
        bell: Bell,
        log: Log,
    ) -> None:
        self.gateway = Gateway(manager.state, self.act, log)
        self.queue_wanted = asyncio.Event()  # an order's place in the queue is to be read
        self._manager = manager
        self.state = manager.state
        self._table = table
        self._journal = journal
        self._publisher = publisher
        self._bell = bell
        self._log = log

    def act(self) -> None:
        """Carry out all effects since the last call."""
        self._check_journal()
        effects = self._manager.drain()
        for note in effects.notes:
            self._journal.keep(note.message)
        rows = {ticker: self._manager.account_row(ticker) for ticker in effects.markets}
        for ticker, row in rows.items():
            version, words = int(row[a.ACCOUNT_VERSION]), words_of(row)
            self._journal.keep(
                AccountVersion(
                    market_ticker=ticker, account_version=version, words=words, layout=LAYOUT
                )
            )
        for ticker, row in rows.items():
            self._write(ticker, row)
        for ticker in effects.retired:
            self._table.remove(ticker)
        for note in effects.notes:
            if note.publish:
                self.publish(note.message)
        for action, facts in effects.warnings:
            self._log.warning(action, **facts)
        for request in effects.requests:
            self.gateway.start(request)
        if effects.queue_wanted:
            self.queue_wanted.set()
        if effects.notes:
            self._bell.ring()

    def keep_intent(self, intent: Intent) -> bool:
        """Journal what is wanted before it is acted upon -> whether the journal accepted it."""
        return self._journal.append(intent)

    def publish(self, message: Message) -> None:
        """Send a message to subscribers."""
        self._publisher.send(TOPICS[type(message)], message)

    def _write(self, ticker: str, row: a.AccountRow) -> None:
        try:
            self._table.write(ticker, row)
        except ValueError as error:  # the table is full: this market is not traded
            self.state.counters["table_full"] += 1
            self._log.error("account_table_full", ticker=ticker, error=error)

    def _check_journal(self) -> None:
        """What cannot be journalled cannot be traded."""
        doubted = Doubt.JOURNAL in self.state.everywhere
        if self._journal.flush() == doubted:
            change = self.state.trust if doubted else self.state.doubt
            change(Doubt.JOURNAL)
            if doubted:
                self._log("journal_accepts_again")
            else:
                self._log.error("journal_refuses")


def _is_rate_limited(error: KalshiError) -> bool:
    """Whether the exchange said 429; what our own budget held back waits for room only."""
    return isinstance(error, RateLimited) and error.code != OWN_BUDGET


def pause_of(limited: int, left_ns: int) -> float:
    """Seconds before the next attempt; a long one ends at the deadline.

    Args:
        limited: How often in a row the exchange answered 429.
        left_ns: Time until the deadline.
    """
    return max(RETRY, min(LIMITED.after(limited), left_ns / NS_PER_S))


def _reason(error: KalshiError) -> str:
    """A short reason for the order's record."""
    if not isinstance(error, ApiError):
        return type(error).__name__
    words = [error.code or str(error.http_status), error.details or error.message]
    return ": ".join(dict.fromkeys(w for w in words if w))
