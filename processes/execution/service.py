"""One run of execution: its parts, its tasks, the intents that come in, and its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final, NoReturn

from ipc.account_heartbeat import ENDED
from ipc.account_table import AccountTableWriter
from ipc.clock import MS_PER_S, NS_PER_S, Clock, mono_ns
from ipc.journal import RunJournal, run_number
from ipc.messages import Environment, Intent, LeaveMarket, ProcessStats, SessionStarted
from ipc.shared_file import NO_ROOM, shared_path
from ipc.sockets import Bell
from ipc.trading import TradingMode
from processes.adapters.kalshi.auth.clock_offset import ClockOffset
from processes.adapters.kalshi.auth.environments import KalshiTarget, data_environment_of
from processes.adapters.kalshi.rest.limits import follow_limits, shared_budget
from processes.adapters.kalshi.rest.portfolio import QueuePosition
from processes.adapters.kalshi.rest.rate_budget import Rank, RateBudget
from processes.adapters.kalshi.schemas.drift import report_drift
from processes.adapters.kalshi.stop.own_orders import OrderOwnership
from processes.adapters.kalshi.stop.stack_mark import own_prefix
from processes.execution.account import Doubt, Moment
from processes.execution.flattening import Flattening
from processes.execution.gateway import EffectRunner
from processes.execution.limits_watch import LimitsWatch
from processes.execution.manager import KalshiOrderManager
from processes.execution.market_learning import MarketLearning
from processes.execution.model_rule import ModelRule
from processes.execution.order_groups import OrderGroupKeeper
from processes.execution.private_channel import ExchangeConnection
from processes.execution.production_start import ProductionStart
from processes.execution.queue_positions import QueuePositions
from processes.execution.reconciliation import Reconciliation
from processes.execution.request_probe import RequestProbe
from processes.execution.risk import RiskLimits
from processes.execution.stopping import Stopping
from processes.execution.trading_control import TradingControl
from processes.execution.watchdog_gate import WatchdogGate
from processes.runtime.config import Settings
from processes.runtime.log import Log
from processes.runtime.owned_files import OwnedFiles
from processes.runtime.persistence import JOURNAL_BYTES, PersistenceGate
from processes.runtime.tasks import serve
from processes.runtime.wires import Wires

__all__ = ["PRODUCER", "ExecutionService"]

PRODUCER: Final = "execution"
BEAT: Final = 0.1  # seconds between heartbeats and looks at what waits
STATS_BEATS: Final = 10
WITHDRAW_SECONDS: Final = 4.0  # at a stop, for canceling what rests
WITHDRAW_PAUSE: Final = 0.01  # seconds between looks at what still rests
ALLOWED_PRICES: Final = range(1, 10_000)  # leg prices that the record of an intent may hold


class ExecutionService:
    """Everything of one run, from its first record to its last.

    Args:
        settings: of the whole stack.
        target: the exchange's addresses.
        clock: market time.
        stream: the first record of this run's journal.
        log: of this run.

    Raises:
        WriterActiveError: another execution writes the table of accounts.
    """

    def __init__(
        self,
        settings: Settings,
        target: KalshiTarget,
        clock: Clock,
        stream: SessionStarted,
        log: Log,
    ) -> None:
        self._clock = clock
        self._log = log
        table = shared_path(settings.data_dir, "accounts")
        self._table = AccountTableWriter.create(table)
        if self._table.on_disk:
            log.warning("table_on_disk", table="accounts", reason=NO_ROOM)
        self._table.heartbeat(mono_ns())
        max_bytes = settings.books.journal_max_bytes
        self._journal = RunJournal(settings.data_dir, PRODUCER, stream, max_bytes)
        epoch = run_number(stream.session_uid)
        self._wires = Wires(settings.data_dir, settings.environ, epoch)
        self._collector = self._wires.subscriber("collector", topics=("session", "trading"))
        self._recorder = self._wires.subscriber("recorder", topics=("stats",))
        self._watchdog = self._wires.subscriber("watchdog", topics=("stats",))
        self._intents = self._wires.puller("intents")  # bounded: beyond it inference is refused
        publisher = self._wires.publisher(PRODUCER)
        self._bell = Bell(self._wires.pusher("doorbell"), self._journal.stream)
        made = (table, self._journal.folder, *self._wires.bound)
        self._files = OwnedFiles(made, lambda: self._journal.path)
        self._clock_offset = ClockOffset()
        self._budget = _budget(settings, target, log)
        self._limits_watch = LimitsWatch(settings, target.environment, log)
        self._manager = _manager(settings, target, clock, self._limits_watch)
        self._state = self._manager.state
        self._is_enabled = settings.actor.enabled
        self._persistence = _persistence_gate(settings, target, log)
        parts = (self._manager, self._table, self._journal, publisher, self._bell)
        self._effects = effects = EffectRunner(*parts, log)
        self._gateway = effects.gateway
        self._start = self._production_start(settings, target)
        interval_s = settings.execution.reconcile_s
        self._reconciliation = Reconciliation(self._manager, effects, interval_s, log)
        self._watchdog_gate = WatchdogGate(mono_ns(), log)
        self._is_simulated = target.environment is Environment.SIMULATED
        self._groups = groups = OrderGroupKeeper(
            settings, target.environment, self._manager, effects, log
        )
        exchange = settings, target, self._budget, self._clock_offset, epoch
        parts_above = effects, self._reconciliation, groups
        self._connection = ExchangeConnection(*exchange, *parts_above, log)
        environment, soon = data_environment_of(settings), self._reconciliation.soon
        learning = self._state, effects, environment, soon, groups.ensure
        self._markets = MarketLearning(*learning, log)
        self._probe = RequestProbe(lambda: self._gateway.client, self._report, log)
        self._take_commands(settings, stream.session_uid)
        self._queues = self._make_queues(settings)

    def _make_queues(self, settings: Settings) -> QueuePositions:
        wanted, pause = self._effects.queue_wanted, settings.execution.queue_position_s
        return QueuePositions(self._state, self._effects.act, wanted, pause)

    def _take_commands(self, settings: Settings, uid: str) -> None:
        effects, soon, log = self._effects, self._reconciliation.soon, self._log
        self._commands = self._wires.commands()
        self._control = TradingControl(settings.data_dir, self._manager, effects, log)
        self._stopping = Stopping(self._control, self._state, effects, log)
        most_e2 = settings.actor.contract_size_e2
        self._flattening = Flattening(self._control, self._manager, effects, soon, most_e2, uid)

    def _production_start(self, settings: Settings, target: KalshiTarget) -> ProductionStart | None:
        """Where real money is at risk: what must be so before the first order."""
        sends = settings.actor.enabled and not settings.execution.is_shadow
        if target.environment is not Environment.PRODUCTION or not sends:
            return None
        guard = self._manager.account_limits
        start = ProductionStart(settings, guard, lambda: self._gateway.client, self._log)
        self._manager.start_needs = start
        return start

    async def run(self, stop: asyncio.Event) -> None:
        """Until asked to stop; then what rests is canceled, and the journal gets its last record.

        Raises:
            TaskFailed: a task ended before; see `serve` for what else it raises.
        """
        self._bell.ring()
        self._control.announce()
        tasks = {
            "intents": self._take_intents(),  # ends first, and cancels what rests
            "requests": self._gateway.watch(),
            "channel": self._connection.run(stop),
            "reconciliation": self._reconciliation.run(),
            "session": self._markets.follow_session(self._collector),
            "markets": self._markets.run(),
            "balance": self._reconciliation.follow_balance(),
            "limits": follow_limits(lambda: self._gateway.client, self._budget, self._log),
            "signatures": self._connection.sign_ahead(),
            "account limits": self._limits_watch.run(),
            "commands": self._control.serve(self._commands),
            "stopping": self._stopping.run(),
            "flattening": self._flattening.run(),
            "queues": self._queues.follow(self._read_queues),
            "persistence": self._persistence.follow(self._recorder),
            "watchdog": self._watchdog_gate.follow(self._watchdog),
            "order groups": self._groups.run(),
            "probe": self._probe.run(),
            "files": self._files.watch(),
            "beat": self._beat(),
        }
        if self._start is not None:
            tasks["production"] = self._start.run()
        try:
            await serve(tasks, stop)
        finally:
            await self._close()

    # Intents.

    async def _take_intents(self) -> NoReturn:
        """Until the end; what rests then is canceled while everything else still runs."""
        try:
            while True:
                message = await self._intents.recv()
                received_mono_ns = mono_ns()
                if isinstance(message, Intent):
                    self._on_intent(message, received_mono_ns)
                    self._effects.act()
                elif isinstance(message, LeaveMarket):
                    self._manager.leave(message.market_ticker)
                    self._effects.act()
        finally:
            await self._withdraw()

    def _on_intent(self, intent: Intent, received_mono_ns: int) -> None:
        """Nothing is acted on that the journal has not accepted."""
        if intent.count_e2 <= 0 or intent.price_e4 not in ALLOWED_PRICES:
            self._manager.refuse(intent, received_mono_ns, "malformed")
        elif self._effects.keep_intent(intent):
            self._manager.on_intent(intent, received_mono_ns)
        else:
            self._manager.refuse(intent, received_mono_ns, "journal")

    async def _withdraw(self) -> None:
        """Send nothing new; cancel what rests, and what was on its way as soon as it rests."""
        self._gateway.closing = True
        until_ns = mono_ns() + int(WITHDRAW_SECONDS * NS_PER_S)
        while mono_ns() < until_ns:
            self._manager.withdraw()
            self._effects.act()
            if not (self._state.orders.open_count or self._gateway.running):
                break
            await asyncio.sleep(WITHDRAW_PAUSE)
        await self._gateway.drop()
        if left := [o.client_order_id for o in self._state.orders.open_orders() if o.own]:
            facts = {"after_s": WITHDRAW_SECONDS, "orders": len(left), "client_order_ids": left}
            self._log.error("orders_not_confirmed_canceled", **facts)

    async def _close(self) -> None:
        self._effects.act()
        self._journal.end(self._clock.now_ns())
        self._limits_watch.close()
        self._bell.close()
        self._report()
        self._wires.close()
        if self._is_clear():
            self._table.heartbeat(ENDED)
        self._table.close()
        if self._gateway.client is not None:
            await self._gateway.client.close()
        self._budget.close()

    def _is_clear(self) -> bool:
        """Whether the watchdog has nothing to do: no order of ours is open, as far as all know."""
        state = self._state
        unsure = {Doubt.STARTING, Doubt.LEFTOVER, Doubt.ORDER}
        is_sure = not any(account.doubts & unsure for account in state.accounts.values())
        own = any(order.own for order in state.orders.open_orders())
        return is_sure and not state.everywhere and not own

    # Regular work.

    async def _read_queues(self, tickers: list[str]) -> list[QueuePosition]:
        client = self._gateway.client
        return [] if client is None else (await client.queue_positions(tickers=tickers)).items

    async def _beat(self) -> NoReturn:
        beats = 0
        while True:
            self._table.heartbeat(mono_ns())
            self._reconciliation.check_answers()
            self._state.unrecorded = self._persistence.reason(mono_ns())
            unwatched = self._watchdog_gate.reason(mono_ns())
            self._state.exchange_stop.unwatched = "" if self._is_simulated else unwatched
            self._control.check_file()
            self._manager.tick()
            self._effects.act()
            if beats % STATS_BEATS == 0:
                self._control.save_again()
                self._report()
            beats += 1
            await asyncio.sleep(BEAT)

    def _gauges(self) -> dict[str, int]:
        """What has to be so before anything can be traded, for `/rl/ready`; 1 or 0 but for one."""
        stop = self._state.exchange_stop
        found = {
            "accounts_in_doubt": self._state.doubtful_count(),
            "actor_enabled": int(self._is_enabled),
            "channel_up": int(Doubt.CHANNEL not in self._state.everywhere),
            "recorded": int(not self._state.unrecorded),
            "sends_orders": int(self._state.sends),
            "grouped": int(bool(stop.groups) or not stop.is_required),
            "watched": int(not self._watchdog_gate.reason(mono_ns())),
        }
        if self._start is not None:
            found["needs_missing"] = len(self._start.missing)
        if self._probe.is_accepted is not None:
            found["requests_accepted"] = int(self._probe.is_accepted)
        return found

    def _report(self) -> None:
        accounts = self._state.accounts.values()
        counters = dict(self._state.counters) | {
            "markets": len(accounts),
            "markets_known": sum(account.known for account in accounts),
            "open_orders": self._state.orders.open_count,
            "requests": self._gateway.running,
            "trading_on": int(self._control.mode is TradingMode.ON),
            "fills_dropped": self._state.orders.dropped_fills,
            "records_dropped": self._journal.dropped,
            "markets_differing": len(self._state.differing),
            "foreign_open_orders": sum(not o.own for o in self._state.orders.open_orders()),
        }
        counters |= self._gauges() | self._budget.counters()
        counters |= self._manager.account_limits.counters()
        if (client := self._gateway.client) is not None:
            counters["signed_ahead"] = client.signatures.hits
            counters["signed_late"] = client.signatures.misses
        counters |= report_drift(self._log)
        if (off_ms := self._clock_offset.off_ms) is not None:
            counters["clock_offset_ms"] = off_ms
        stats = ProcessStats(process=PRODUCER, mono_ns=mono_ns(), counters=counters)
        self._effects.publish(stats)


def _manager(
    settings: Settings, target: KalshiTarget, clock: Clock, limits_watch: LimitsWatch
) -> KalshiOrderManager:
    """The order manager under the stack's settings."""
    return KalshiOrderManager(
        RiskLimits(enabled=settings.actor.enabled, count_e2=settings.actor.contract_size_e2),
        settings.actor.market_cash_e6,
        1000 * settings.execution.order_expiry_s,
        lambda: Moment(clock.now_ns(), mono_ns()),
        version=mono_ns() // 1000,  # rises over the runs of this machine's boot
        account_limits=limits_watch.account_limits,
        sends=not settings.execution.is_shadow,
        model_rule=_model_rule(settings, target.environment),
        ownership=OrderOwnership(own_prefix(settings.data_dir), settings.execution.adopt),
    )


def _budget(settings: Settings, target: KalshiTarget, log: Log) -> RateBudget:
    """The stack's; a create that would have to wait asks again, in time."""
    of = settings.data_dir, target.environment
    return shared_budget(*of, log, rank=Rank.TRADING, max_wait=0.0)


def _model_rule(settings: Settings, environment: Environment) -> Callable[[Intent], str] | None:
    """On the local exchange any model may trade."""
    if environment is Environment.SIMULATED:
        return None
    return ModelRule(settings.data_dir, environment, settings.execution.allow_model).refusal


def _persistence_gate(settings: Settings, target: KalshiTarget, log: Log) -> PersistenceGate:
    """Beyond it nothing is opened; on the local exchange only once there is a recorder at all."""
    limits = settings.execution
    is_real = target.environment is not Environment.SIMULATED
    bounds = MS_PER_S * limits.max_unrecorded_s, limits.max_unrecorded_bytes
    return PersistenceGate(*bounds, mono_ns(), log, JOURNAL_BYTES, unheard_counts=is_real)
