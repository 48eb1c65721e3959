"""The loop of execution: intents in, orders out, and the account kept equal to the exchange's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Final, NoReturn

import numpy as np

from ipc.account_table import AccountTableWriter
from ipc.clock import NS_PER_S, Clock, mono_ns
from ipc.journal import run_number
from ipc.messages import Intent, ProcessStats, SessionInfo, SessionStarted
from ipc.shared_file import NO_ROOM, shared_path
from ipc.sockets import Bell
from processes.adapters.kalshi.auth.credentials import wait_for_credentials
from processes.adapters.kalshi.auth.environments import KalshiTarget, data_environment_of
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.errors import ApiError, KalshiError, WireError
from processes.adapters.kalshi.normalise import market_of
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.portfolio import QueuePosition
from processes.adapters.kalshi.rest.rate_budget import RateBudget
from processes.adapters.kalshi.schemas.decoding import LeftOut
from processes.adapters.kalshi.schemas.rest_public import Market
from processes.adapters.kalshi.stream.socket import KalshiSocket
from processes.execution.account import Doubt
from processes.execution.effects import Effects
from processes.execution.manager import KalshiOrderManager
from processes.execution.outbox import Moment
from processes.execution.private_channel import PrivateChannel
from processes.execution.queue_positions import QueuePositions
from processes.execution.reads import chunks, read_view
from processes.execution.risk import Limits
from processes.runtime.config import ConfigError, Settings
from processes.runtime.journal import RunJournal
from processes.runtime.log import Log
from processes.runtime.tasks import Backoff, serve
from processes.runtime.wires import Wires

__all__ = ["PRODUCER", "ExecutionService"]

PRODUCER: Final = "execution"
BEAT: Final = 0.1  # seconds between heartbeats and looks at what waits
STATS_BEATS: Final = 10
SETTLE_NS: Final = NS_PER_S  # reads lag: what was asked sooner after a gap proves nothing
DOUBT_PAUSE: Final = 0.5  # seconds between reconciliations while anything is in doubt
BALANCE_PAUSE: Final = 1.05  # seconds: the exchange answers once a second
RECONNECT: Final = Backoff(first_s=0.1, longest_s=2.0)
DOUBTFUL: Final = Backoff(DOUBT_PAUSE, longest_s=3_600.0)
WITHDRAW_SECONDS: Final = 4.0  # at a stop, for canceling what rests
WITHDRAW_PAUSE: Final = 0.01  # seconds between looks at what still rests
CHECKED_INTENT: Final = range(1, 10_000)  # leg prices that the record of an intent may hold


class ExecutionService:
    """Everything of one run, from its first record to its last."""

    def __init__(
        self,
        settings: Settings,
        target: KalshiTarget,
        clock: Clock,
        stream: SessionStarted,
        log: Log,
    ) -> None:
        self._settings = settings
        self._target = target
        self._clock = clock
        self._log = log
        self._environment = data_environment_of(settings)
        self._table = AccountTableWriter.create(shared_path(settings.data_dir, "accounts"))
        if self._table.on_disk:
            log.warning("table_on_disk", table="accounts", reason=NO_ROOM)
        self._table.heartbeat(mono_ns())
        max_bytes = settings.books.journal_max_bytes
        self._journal = RunJournal(settings.data_dir, PRODUCER, stream, max_bytes)
        self._run_number = run_number(stream.session_uid)
        self._rng = np.random.default_rng(self._run_number)
        self._wires = Wires(settings.data_dir, settings.environ, self._run_number)
        self._collector = self._wires.subscriber("collector", topics=("session",))
        self._intents = self._wires.puller("intents")  # bounded: beyond it inference is refused
        publisher = self._wires.publisher(PRODUCER)
        self._bell = Bell(self._wires.pusher("doorbell"), self._journal.stream)
        actor = settings.actor
        self._manager = KalshiOrderManager(
            Limits(enabled=actor.enabled, count_e2=actor.contract_size_e2),
            actor.market_cash_e6,
            1000 * settings.execution.order_expiry_s,
            lambda: Moment(clock.now_ns(), mono_ns()),
            version=mono_ns() // 1000,  # rises over the lives of this machine's boot
        )
        self._ledger = self._manager.ledger
        parts = (self._manager, self._table, self._journal, publisher, self._bell)
        self._effects = Effects(*parts, log)
        self._gateway = self._effects.gateway
        self._ledger.doubt(Doubt.CHANNEL)
        self._budget = RateBudget(max_wait=0.0)  # a create that has to wait asks again, in time
        self._unlearned: set[str] = set()
        self._news = asyncio.Event()  # something to reconcile
        self._doubtful = 0  # rounds of reconciliation in a row that left a doubt
        self._channel_up_ns = 0
        self._agreed_ns = mono_ns()

    async def run(self, stop: asyncio.Event) -> None:
        """Until asked to stop; then what rests is canceled, and the journal ends with its mark."""
        self._bell.ring()
        tasks = {
            "intents": self._take_intents(),  # ends first, and cancels what rests
            "requests": self._gateway.watch(),
            "channel": self._channel(stop),
            "reconciliation": self._reconcile(),
            "session": self._follow_session(),
            "markets": self._learn_markets(),
            "balance": self._balance(),
            "signatures": self._sign_ahead(),
            "queues": self._follow_queues(),
            "beat": self._beat(),
        }
        try:
            await serve(tasks, stop)
        finally:
            await self._close()

    async def _withdraw(self) -> None:
        """Send nothing new; cancel what rests, and what was on its way as soon as it rests."""
        self._gateway.closing = True
        until_ns = mono_ns() + int(WITHDRAW_SECONDS * NS_PER_S)
        while mono_ns() < until_ns:
            self._manager.withdraw()
            self._effects.act()
            if not (self._ledger.orders.open_count or self._gateway.running):
                break
            await asyncio.sleep(WITHDRAW_PAUSE)
        await self._gateway.drop()
        if left := [o.client_order_id for o in self._ledger.orders.open_orders() if o.own]:
            facts = {"after_s": WITHDRAW_SECONDS, "orders": len(left), "client_order_ids": left}
            self._log.error("orders_not_confirmed_canceled", **facts)

    async def _close(self) -> None:
        self._effects.act()
        self._journal.end(self._clock.now_ns())
        self._bell.close()
        self._report()
        self._wires.close()
        self._table.close()
        if self._gateway.client is not None:
            await self._gateway.client.close()

    # Intents.

    async def _take_intents(self) -> None:
        """Until the end; what rests then is canceled while everything else still runs."""
        try:
            while True:
                message = await self._intents.recv()
                received_mono_ns = mono_ns()
                if isinstance(message, Intent):
                    self._on_intent(message, received_mono_ns)
                    self._effects.act()
        finally:
            await self._withdraw()

    def _on_intent(self, intent: Intent, received_mono_ns: int) -> None:
        """Nothing is acted on that the journal has not accepted."""
        if intent.count_e2 <= 0 or intent.price_e4 not in CHECKED_INTENT:
            self._manager.refuse(intent, received_mono_ns, "malformed")
        elif self._journal.append(intent):
            self._manager.on_intent(intent, received_mono_ns)
        else:
            self._manager.refuse(intent, received_mono_ns, "journal")

    # Markets.

    async def _follow_session(self) -> None:
        """The collector says which session it is and which markets it follows."""
        while True:
            _, message = await self._collector.recv()
            if isinstance(message, SessionInfo):
                self._manager.session_uid = message.session_uid
                self._manager.environment_ok = message.environment is self._environment
                self._manager.listed = frozenset(message.markets)
                self._unlearned |= self._manager.listed - self._manager.markets

    async def _learn_markets(self) -> None:
        """Read the price grids of new markets, then account for them."""
        while True:
            await asyncio.sleep(BEAT)
            if not self._unlearned or self._gateway.client is None:
                continue
            try:
                await self._learn(self._gateway.client)
            except KalshiError as error:
                self._log.warning("markets_not_read", error=error)
                await asyncio.sleep(DOUBT_PAUSE)

    async def _learn(self, client: KalshiTradingClient) -> None:
        for tickers in chunks(self._unlearned):
            markets, left_out = await client.markets(tickers=tickers)
            for market in markets:
                self._learn_market(market)
            if left_out:
                self._log.warning("markets_left_out", count=left_out.count, error=left_out.reason)
            self._unlearned -= set(tickers)
        self._effects.act()
        self._news.set()

    def _learn_market(self, market: Market) -> None:
        """Follow one market; one whose grid or times cannot be read is not traded."""
        try:
            info = market_of(market)
        except WireError as error:
            self._log.warning("market_refused", ticker=market.ticker, error=error)
            return
        self._manager.follow(info.ticker, info.grid, info.close_ms)

    # The exchange.

    async def _sign_ahead(self) -> NoReturn:
        """Have signatures ready before an intent comes."""
        while True:
            if self._gateway.client is not None:
                await self._gateway.client.keep_signatures()
            await asyncio.sleep(BEAT)

    async def _channel(self, stop: asyncio.Event) -> None:
        """Keep the private channel; without it every account is in doubt."""
        failures = 0
        while True:
            try:
                socket = await self._connect(stop)
                try:
                    subaccount = self._settings.execution.subaccount
                    channel = PrivateChannel(socket, self._ledger, self._effects.act, subaccount)
                    await channel.open()
                    self._channel_up()
                    failures = 0
                    await channel.follow()
                finally:
                    await socket.close()
            except KalshiError as error:
                self._channel_down(error)
            await asyncio.sleep(RECONNECT.jittered(failures, self._rng))
            failures += 1

    async def _connect(self, stop: asyncio.Event) -> KalshiSocket:
        """With the credentials of now: a local exchange that starts anew may have made others."""
        signer = Signer(await wait_for_credentials(self._settings, stop))
        if self._gateway.client is None:
            client = KalshiTradingClient.at(
                self._target,
                signer,
                self._budget,
                subaccount=self._settings.execution.subaccount,
                seed=self._run_number,
            )
            async with AsyncExitStack() as unless_taken:
                unless_taken.push_async_callback(client.close)
                await self._check_subaccount(client)
                unless_taken.pop_all()
            self._gateway.client = client
        self._gateway.client.sign_with(signer)  # not a new client: requests may be under way
        return await KalshiSocket.connect(self._target, signer)

    async def _check_subaccount(self, client: KalshiTradingClient) -> None:
        """`ConfigError` when the key sees several and none is named: they must not be mixed."""
        if self._settings.execution.subaccount is not None or not self._settings.actor.enabled:
            return
        try:
            seen = {number for number, _ in await client.subaccount_balances()}
        except ApiError as error:
            if error.http_status not in (HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND):
                raise
            return  # who may not ask has none
        if len(seen) > 1:
            raise ConfigError(
                "KALSHI_SUBACCOUNT is empty, and the key sees several subaccounts; allowed: "
                f"the one to trade in: {', '.join(map(str, sorted(seen)))}"
            )

    def _channel_up(self) -> None:
        self._channel_up_ns = mono_ns()
        self._ledger.counters["channel_ups"] += 1
        self._ledger.trust(Doubt.CHANNEL)
        self._log("private_channel_up")
        self._news.set()

    def _channel_down(self, error: KalshiError) -> None:
        if Doubt.CHANNEL not in self._ledger.everywhere:
            self._ledger.counters["channel_downs"] += 1
        self._ledger.doubt(Doubt.CHANNEL)
        self._effects.act()
        self._log.warning("private_channel_down", error=error)

    async def _reconcile(self) -> None:
        """Compare with REST: soon while anything is in doubt, else now and then."""
        while True:
            await self._until_due()
            if Doubt.CHANNEL in self._ledger.everywhere or self._gateway.client is None:
                await asyncio.sleep(BEAT)
                continue
            since_up_ns = mono_ns() - self._channel_up_ns
            await asyncio.sleep(max(0, SETTLE_NS - since_up_ns) / NS_PER_S)
            try:
                await self._compare(self._gateway.client)
            except KalshiError as error:
                self._log.warning("reconciliation_failed", error=error)
                await asyncio.sleep(DOUBT_PAUSE)

    async def _until_due(self) -> None:
        """Wait for news, or for the next round; a doubt that stays is looked at less and less."""
        doubted = any(not account.known for account in self._ledger.accounts.values())
        self._doubtful = self._doubtful + 1 if doubted else 0
        pause = self._settings.execution.reconcile_s
        if doubted:
            pause = min(pause, DOUBTFUL.after(self._doubtful // 4))
        try:
            async with asyncio.timeout(pause):
                await self._news.wait()
        except TimeoutError:
            return
        self._news.clear()
        self._doubtful = 0
        self._left_out = LeftOut()

    async def _compare(self, client: KalshiTradingClient) -> None:
        """Positions and orders of all; then the whole fills of those that need them."""
        up_ns, wanted = self._channel_up_ns, self._ledger.unread()
        for _ in range(2):
            view = await read_view(client, wanted)
            self._report_left_out(view.left_out)
            if up_ns != self._channel_up_ns or Doubt.CHANNEL in self._ledger.everywhere:
                return  # the channel fell meanwhile: this view proves nothing
            wanted = self._manager.sync_positions_with_kalshi(view)
            self._agreed_ns = mono_ns()
            self._effects.act()
            if not wanted:
                return

    def _report_left_out(self, left_out: LeftOut) -> None:
        """Once for each change: rows of the account that cannot be read."""
        if left_out != self._left_out:
            self._left_out = left_out
            self._log.warning("rows_left_out", count=left_out.count, error=left_out.reason)

    async def _balance(self) -> None:
        """The account as the exchange reports it: once a second while it changes, else less."""
        told, due_ns = -1, 0
        while True:
            await asyncio.sleep(BALANCE_PAUSE)
            client = self._gateway.client
            if client is None or (told == self._ledger.version and mono_ns() < due_ns):
                continue
            version = self._ledger.version
            try:
                balance = await client.balance()
            except KalshiError:
                self._ledger.counters["balances_not_read"] += 1
                continue
            self._effects.publish(self._manager.pnl(balance.balance_e6))
            told = version
            due_ns = mono_ns() + int(self._settings.execution.reconcile_s * NS_PER_S)

    async def _follow_queues(self) -> None:
        """Our places in the queues, unless nobody wants to know them."""
        interval = self._settings.execution.queue_position_s
        if interval == 0:
            await asyncio.Event().wait()
        wanted = self._effects.queue_wanted
        queues = QueuePositions(self._ledger, self._effects.act, wanted, interval)
        await queues.follow(self._queues_of)

    async def _queues_of(self, tickers: list[str]) -> list[QueuePosition]:
        client = self._gateway.client
        return [] if client is None else (await client.queue_positions(tickers=tickers)).items

    # Time.

    async def _beat(self) -> None:
        beats = 0
        while True:
            self._table.heartbeat(mono_ns())
            self._judge_rest()
            self._manager.tick()
            self._effects.act()
            if beats % STATS_BEATS == 0:
                self._report()
            beats += 1
            await asyncio.sleep(BEAT)

    def _judge_rest(self) -> None:
        """An exchange that has not answered for three reconciliations is not known any more."""
        late_ns = (
            mono_ns() - self._agreed_ns - int(3 * NS_PER_S * self._settings.execution.reconcile_s)
        )
        doubted = Doubt.REST in self._ledger.everywhere
        if (late_ns > 0) != doubted:
            change: Callable[[Doubt], None]
            change = self._ledger.doubt if late_ns > 0 else self._ledger.trust
            change(Doubt.REST)

    def _report(self) -> None:
        accounts = self._ledger.accounts.values()
        counters = dict(self._ledger.counters) | {
            "markets": len(accounts),
            "markets_known": sum(account.known for account in accounts),
            "open_orders": self._ledger.orders.open_count,
            "requests": self._gateway.running,
            "fills_dropped": self._ledger.orders.dropped_fills,
            "records_dropped": self._journal.dropped,
            "budget_waits": self._budget.waits,
            "budget_refusals": self._budget.refusals,
        }
        if (client := self._gateway.client) is not None:
            counters["signed_ahead"] = client.signatures.hits
            counters["signed_late"] = client.signatures.misses
        stats = ProcessStats(process=PRODUCER, mono_ns=mono_ns(), counters=counters)
        self._effects.publish(stats)
