"""ActorService: wakes on triggers, evaluates ticks, decides, records, and only then acts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from ipc.clock import Clock, mono_ns
from ipc.journal import RunJournal, run_number
from ipc.messages import (
    ActorModels,
    Message,
    ProcessStats,
    SessionInfo,
    SessionStarted,
    TradingStatus,
    Trigger,
)
from ipc.sockets import Bell, ready_topic
from models.policies.interface import Policy
from models.trading.actions import MarketChoice
from processes.inference.decide import BATCH, Decider, DecisionRequest
from processes.inference.due import (
    AccountRows,
    BookRows,
    DueMarkets,
    EvaluatedTick,
    RequestBuilder,
    SessionOfTable,
    TickReader,
    copied,
)
from processes.inference.hot_markets import HotChoice, HotWatch, hot_path
from processes.inference.models import ModelRoles
from processes.inference.outcomes import (
    ActorOutbox,
    DecisionTimes,
    IntentIds,
    TickOutcome,
    action_record,
    outcome_of,
)
from processes.runtime.config import Settings
from processes.runtime.log import Log
from processes.runtime.owned_files import OwnedFiles
from processes.runtime.persistence import PersistenceGate
from processes.runtime.tasks import serve
from processes.runtime.wires import Wires

__all__ = ["PRODUCER", "ActorService"]

PRODUCER: Final = "inference"
WATCH_S: Final = 0.1  # between looks for tables that appeared or were replaced
MS_PER_S: Final = 1_000
STATS_WATCHES: Final = 10  # looks between two reports
PRUNE_WATCHES: Final = 600  # looks between two searches for markets that are gone
COUNTS: Final = (
    *("ticks", "decisions", "holds", "intents", "refused", "busy", "stale"),
    *("journal_refused", "shadow_decisions", "shadow_refused", "model_switches"),
    *("models_refused", "leaves", "leaves_refused"),
)


class ActorService:
    """One run of the actor, from its first record to its last.

    Args:
        settings: `actor` (deadline, warm-up, size, pricing), `data_dir`, `environ` (endpoints).
        policy: decides, until the registry names another; see `processes.inference.models`.
        choice: the markets that are decided on; all others are only evaluated. A `HotChoice` is
            kept up to date from here.
        clock: market time of `decided_ns`.
        started: the first record of the run's journal; its `session_uid` is the run's uid.
        log: where this run logs.

    Raises:
        ConfigError: the policy cannot answer.
    """

    def __init__(
        self,
        settings: Settings,
        policy: Policy,
        choice: MarketChoice | HotChoice,
        clock: Clock,
        started: SessionStarted,
        log: Log,
    ) -> None:
        self._clock = clock
        self._log = log
        self._deadline_ms = settings.actor.intent_deadline_ms
        self._ids = IntentIds(started.session_uid)
        self._counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        self._models = ModelRoles(settings, policy, self._counts, log)
        self._published_roles: ActorModels | None = None
        self._due = DueMarkets()
        self._session = SessionOfTable()
        self._last_event_no = 0
        self._books = BookRows(settings.data_dir, log)
        self._accounts = AccountRows(settings.data_dir, log)
        self._ticks = TickReader(self._books, self._due, self._counts)
        bounds = settings.actor.max_behind_s * MS_PER_S, settings.actor.max_behind_events
        self._persistence = PersistenceGate(*bounds, mono_ns(), log)
        age_ms = settings.actor.max_data_age_ms
        self._requests = RequestBuilder(self._books, self._accounts, choice, age_ms, self._counts)
        self._journal = RunJournal(
            settings.data_dir, PRODUCER, started, settings.books.journal_max_bytes
        )
        self._wires = Wires(settings.data_dir, settings.environ, run_number(started.session_uid))
        # Every topic: only then are the sender's numbers gapless and lost triggers counted.
        self._collector = self._wires.subscriber("collector")
        self._recorder = self._wires.subscriber("recorder")
        self._publisher = self._wires.publisher(PRODUCER)
        intents = self._wires.pusher("intents")
        self._bell = Bell(self._wires.pusher("doorbell"), self._journal.stream)
        made = (self._journal.folder, *self._wires.bound)
        self._files = OwnedFiles(made, lambda: self._journal.path)
        self._outbox = ActorOutbox(
            self._journal,
            intents,
            self._publisher,
            self._bell,
            self._counts,
            log,
        )
        self._hot: HotWatch | None = None
        if isinstance(choice, HotChoice):
            seen = (self._books, self._accounts, self._requests, self._outbox.leave)
            self._hot = HotWatch(choice, *seen, hot_path(settings.data_dir), log)

    async def run(self, stop: asyncio.Event) -> None:
        """Run until `stop` is set; the journal ends with its last record.

        Raises:
            TaskFailed: a task of the run ended or failed.
            LayoutError, SchemaError: a table or message is not of this version.
        """
        self._bell.ring()
        tasks = {
            "ticks": self._follow(),
            "persistence": self._persistence.follow(self._recorder),
            "watch": self._watch(),
            "files": self._files.watch(),
        }
        if self._models.follows:
            tasks["models"] = self._models.follow()
        try:
            await serve(tasks, stop)
        finally:
            self._close()

    def _close(self) -> None:
        self._journal.end(self._clock.now_ns(), self._last_event_no)
        self._bell.close()
        self._report()
        self._wires.close()
        self._books.close()
        self._accounts.close()

    async def _follow(self) -> None:
        """Take every waiting message, then work once on what they left to do."""
        collector = self._collector
        while True:
            _, message = await collector.recv()
            woken_mono_ns = mono_ns()
            self._take(message)
            for _, waiting in collector.recv_waiting():
                self._take(waiting)
            self._work(woken_mono_ns)
            await asyncio.sleep(0)  # under a flood nothing above gives way to the other job

    def _take(self, message: Message) -> None:
        if isinstance(message, Trigger):
            self._due.offer(message)
        elif isinstance(message, SessionInfo):
            self._on_session(message.session_uid)
        elif isinstance(message, TradingStatus):
            self._requests.trading = message

    def _on_session(self, session_uid: str) -> None:
        """With another session the books have another writer: every history is void."""
        if not self._session.announce(session_uid, self._books.epoch()):
            return
        self._due.void()
        self._models.histories.reset()
        self._collector.ask_for(ready_topic(session_uid))
        self._log("session_followed", run_uid=session_uid)

    def _work(self, woken_mono_ns: int) -> None:
        """Evaluate and decide what is due, once books and session are known."""
        if not self._due:
            return
        session_uid = self._session.at(self._books.epoch())
        if session_uid is None:
            return
        triggers, shadow = self._due.take(), self._models.shadow
        decided: list[list[DecisionRequest]] = []
        for first in range(0, len(triggers), BATCH):
            requests = self._batch(triggers[first : first + BATCH], session_uid, woken_mono_ns)
            last = first + BATCH >= len(triggers)
            decided.append(requests if last or shadow is None else copied(requests))
        if shadow is not None:  # only now: it must not delay what is sent
            for requests in decided:
                self._shadow(shadow, requests, session_uid, woken_mono_ns)

    def _batch(
        self, triggers: Sequence[Trigger], session_uid: str, woken_mono_ns: int
    ) -> list[DecisionRequest]:
        """Decide and send -> the requests that were decided; none when the journal refused."""
        ticks = self._ticks.evaluate(triggers, self._models.histories)
        if not ticks:
            return []
        requests = self._requests.build(ticks)
        outcomes = self._decide(ticks, requests, session_uid, woken_mono_ns)
        self._last_event_no = max(outcome.tick.event_no for outcome in outcomes)
        if not self._outbox.send(outcomes):
            for tick in ticks:  # a history holds nothing that is not recorded
                self._models.histories.forget(tick.ticker)
            return []
        return requests

    def _decide(
        self,
        ticks: Sequence[EvaluatedTick],
        requests: Sequence[DecisionRequest],
        session_uid: str,
        woken_mono_ns: int,
    ) -> list[TickOutcome]:
        """The outcome of every tick, with a decision where one was made."""
        live = self._models.live
        decisions = live.decide(requests)
        times = DecisionTimes(self._clock.now_ns(), woken_mono_ns, mono_ns())
        answers = {r.ticker: (r, d) for r, d in zip(requests, decisions, strict=True)}
        how = (live.policy, session_uid, times, self._ids, self._deadline_ms)
        return [outcome_of(tick, answers.get(tick.ticker), *how) for tick in ticks]

    def _shadow(
        self,
        decider: Decider,
        requests: Sequence[DecisionRequest],
        session_uid: str,
        woken_mono_ns: int,
    ) -> None:
        """The same requests to a model whose answers are recorded and shown."""
        decisions = decider.decide(requests)
        times = DecisionTimes(self._clock.now_ns(), woken_mono_ns, mono_ns())
        self._outbox.send_shadow(
            [
                action_record(r, d, decider.policy, session_uid, times, None, shadow=True)
                for r, d in zip(requests, decisions, strict=True)
            ]
        )

    async def _watch(self) -> None:
        """Look for tables, drop markets that are gone, publish roles and counters once a second."""
        watches = 0
        while True:
            self._books.epoch()
            self._accounts.refresh()
            self._requests.is_persisted = self._persistence.is_open(mono_ns())
            if self._hot is not None:
                await self._choose(self._hot, publish=watches % STATS_WATCHES == 0)
            if watches % PRUNE_WATCHES == 0:
                for ticker in self._due.forget_all_but(self._books.tickers()):
                    self._models.histories.forget(ticker)
            roles, due = self._models.roles, watches % STATS_WATCHES == 0
            if due or roles != self._published_roles:
                self._published_roles = roles
                self._publisher.send("models", roles)
            if due:
                self._report()
            watches += 1
            await asyncio.sleep(WATCH_S)

    async def _choose(self, hot: HotWatch, *, publish: bool) -> None:
        """Let the hot markets be chosen, publish what changed, and remember it."""
        if hot.look(self._clock.now_ns()) or publish:
            self._publisher.send("markets", hot.message())
        if (markets := hot.unsaved) is not None:
            await asyncio.to_thread(hot.save, markets)

    @property
    def counters(self) -> dict[str, int]:
        """What was done and what was refused, since the start."""
        return dict(self._counts) | {
            "policy_faults": self._models.faults,
            "shadow_faults": self._models.shadow_faults,
            "missed_ticks": self._due.missed,
            "trigger_gaps": self._collector.gaps,
        }

    def _report(self) -> None:
        stats = ProcessStats(process=PRODUCER, mono_ns=mono_ns(), counters=self.counters)
        self._publisher.send("stats", stats)
