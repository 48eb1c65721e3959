"""ActorService: wakes on triggers, evaluates ticks, decides, records, and only then acts."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from ipc.clock import Clock, mono_ns
from ipc.journal import run_number
from ipc.messages import ActorModels, Message, ProcessStats, SessionInfo, SessionStarted, Trigger
from ipc.sockets import Bell, ready_topic
from models.policies.interface import Policy
from models.trading.actions import MarketChoice
from processes.inference.decide import BATCH, Decider, Decision, Question
from processes.inference.due import Due
from processes.inference.intents import Hops, IntentIds, action_of, intent_of, tick_of
from processes.inference.models import Models
from processes.inference.outbox import Outbox, Parcel
from processes.inference.sessions import SessionOfBooks
from processes.inference.tables import Accounts, Books
from processes.inference.ticks import Evaluated, Questions, Ticks, kept
from processes.runtime.config import Settings
from processes.runtime.journal import RunJournal
from processes.runtime.log import Log
from processes.runtime.tasks import serve
from processes.runtime.wires import Wires

__all__ = ["PRODUCER", "ActorService"]

PRODUCER: Final = "inference"
WATCH: Final = 0.1  # seconds between looks for tables that appeared or were replaced
STATS_WATCHES: Final = 10  # looks between two reports
PRUNE_WATCHES: Final = 600  # looks between two searches for markets that are gone
COUNTS: Final = (
    *("ticks", "decisions", "holds", "intents", "refused", "busy", "stale"),
    *("journal_refused", "shadow_decisions", "shadow_refused", "model_switches"),
    "models_refused",
)


class ActorService:
    """Everything of one run, from its first record to its last."""

    def __init__(
        self,
        settings: Settings,
        policy: Policy,
        choice: MarketChoice,
        clock: Clock,
        stream: SessionStarted,
        log: Log,
    ) -> None:
        self._clock = clock
        self._log = log
        self._deadline_ms = settings.actor.intent_deadline_ms
        self._ids = IntentIds(stream.session_uid)
        self._counts: Counter[str] = Counter(dict.fromkeys(COUNTS, 0))
        self._models = Models(settings, policy, self._counts, log)
        self._told: ActorModels | None = None
        self._due = Due()
        self._session = SessionOfBooks()
        self._last_event_no = 0
        self._books = Books(settings.data_dir, log)
        self._accounts = Accounts(settings.data_dir, log)
        self._ticks = Ticks(self._books, self._due, self._counts)
        self._questions = Questions(self._books, self._accounts, choice, self._counts)
        self._journal = RunJournal(
            settings.data_dir, PRODUCER, stream, settings.books.journal_max_bytes
        )
        self._wires = Wires(settings.data_dir, settings.environ, run_number(stream.session_uid))
        # Every topic: only so are the sender's numbers gapless and a lost trigger is counted.
        self._collector = self._wires.subscriber("collector")
        self._publisher = self._wires.publisher(PRODUCER)
        intents = self._wires.pusher("intents")
        self._bell = Bell(self._wires.pusher("doorbell"), self._journal.stream)
        self._outbox = Outbox(
            self._journal,
            intents,
            self._publisher,
            self._bell,
            self._counts,
            log,
        )

    async def run(self, stop: asyncio.Event) -> None:
        """Until asked to stop; then the journal ends with its last mark."""
        self._bell.ring()
        tasks = {"ticks": self._follow(), "watch": self._watch()}
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
            self._announced(message.session_uid)

    def _work(self, woken_mono_ns: int) -> None:
        """Evaluate and decide what is due, once books and session are known."""
        if not self._due:
            return
        session_uid = self._session.of(self._books.life())
        if session_uid is None:
            return
        triggers, shadow = self._due.take(), self._models.shadow
        asked: list[list[Question]] = []
        for first in range(0, len(triggers), BATCH):
            questions = self._batch(triggers[first : first + BATCH], session_uid, woken_mono_ns)
            last = first + BATCH >= len(triggers)
            asked.append(questions if last or shadow is None else kept(questions))
        if shadow is not None:  # only now: it must not delay what is sent
            for questions in asked:
                self._shadow(shadow, questions, session_uid, woken_mono_ns)

    def _announced(self, session_uid: str) -> None:
        """With another session the books have another writer: every history is void."""
        if not self._session.announce(session_uid, self._books.life()):
            return
        self._due.void()
        self._models.histories.start_anew()
        self._collector.ask_for(ready_topic(session_uid))
        self._log("session_followed", run_uid=session_uid)

    def _batch(
        self, triggers: Sequence[Trigger], session_uid: str, woken_mono_ns: int
    ) -> list[Question]:
        """Decide and send -> the questions that were answered; none when the journal refused."""
        ticks = self._ticks.evaluate(triggers, self._models.histories)
        if not ticks:
            return []
        questions = self._questions.ask(ticks)
        parcels = self._decide(ticks, questions, session_uid, woken_mono_ns)
        self._last_event_no = max(p.tick.event_no for p in parcels)
        if not self._outbox.send(parcels):
            for tick in ticks:  # a history holds nothing that is not recorded
                self._models.histories.forget(tick.ticker)
            return []
        return questions

    def _shadow(
        self, decider: Decider, questions: Sequence[Question], session_uid: str, woken_mono_ns: int
    ) -> None:
        """The same questions to a model whose answers are recorded and shown."""
        decisions = decider.decide(questions)
        hops = Hops(self._clock.now_ns(), woken_mono_ns, mono_ns())
        self._outbox.note(
            [
                action_of(q, d, decider.policy, session_uid, hops, None, shadow=True)
                for q, d in zip(questions, decisions, strict=True)
            ]
        )

    def _decide(
        self,
        ticks: Sequence[Evaluated],
        questions: Sequence[Question],
        session_uid: str,
        woken_mono_ns: int,
    ) -> list[Parcel]:
        """Every tick as it leaves, with a decision where one was made."""
        decisions = self._models.live.decide(questions)
        hops = Hops(self._clock.now_ns(), woken_mono_ns, mono_ns())
        answers = {q.ticker: (q, d) for q, d in zip(questions, decisions, strict=True)}
        return [self._parcel(t, answers.get(t.ticker), session_uid, hops) for t in ticks]

    def _parcel(
        self,
        tick: Evaluated,
        answer: tuple[Question, Decision] | None,
        session_uid: str,
        hops: Hops,
    ) -> Parcel:
        record = tick_of(tick.ticker, tick.row, session_uid, tick.history)
        if answer is None:
            return Parcel(record)
        question, decision = answer
        policy = self._models.live.policy
        if decision.order is None:
            return Parcel(record, action_of(question, decision, policy, session_uid, hops, None))
        intent_id = self._ids.following()
        action = action_of(question, decision, policy, session_uid, hops, intent_id)
        intent = intent_of(action, intent_id, decision.order, self._deadline_ms)
        return Parcel(record, action, intent)

    async def _watch(self) -> None:
        """Look for tables, drop markets that are gone, say who decides; report once a second."""
        watches = 0
        while True:
            self._books.life()
            self._accounts.refresh()
            if watches % PRUNE_WATCHES == 0:
                for ticker in self._due.forget_all_but(self._books.tickers()):
                    self._models.histories.forget(ticker)
            roles, due = self._models.roles, watches % STATS_WATCHES == 0
            if due or roles != self._told:
                self._told = roles
                self._publisher.send("models", roles)
            if due:
                self._report()
            watches += 1
            await asyncio.sleep(WATCH)

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
