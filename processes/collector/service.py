"""The collector's loop: follow the exchange's markets, keep their books, say that we live."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

from ipc.book_table import BookTableWriter
from ipc.clock import NS_PER_S, Clock, mono_ns
from ipc.messages import Doorbell, ProcessStats, SessionInfo
from ipc.sockets import Publisher, Pusher, ready_topic
from processes.adapters.kalshi.feed.book_feed import WriteQueue
from processes.adapters.kalshi.feed.session import PRODUCER, SessionJournal
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.limits import follow_limits
from processes.adapters.kalshi.schemas.drift import report_drift
from processes.collector.data_age import DataAge
from processes.collector.following import MarketFollower
from processes.collector.markets import Markets
from processes.collector.orderbook_client import CollectorFeed, OrderbookClient
from processes.collector.results import Outcomes, Results
from processes.collector.terms import Terms
from processes.collector.terms_reader import TermsReader
from processes.collector.trading_status import StatusFollower
from processes.runtime.log import Log
from processes.runtime.owned_files import OwnedFiles
from processes.runtime.tasks import serve
from processes.runtime.wires import Wires

__all__ = ["Collector"]

BEAT: Final = 0.05  # seconds between heartbeats, doorbells and requests for missing snapshots
REPORT_BEATS: Final = 20  # heartbeats between two reports of session and counters
ACTOR_PATIENCE: Final = 5.0  # seconds a replay is held for an actor that may not be there


class Collector:
    """Everything of one run, from its first mark to its last; closes what it was given."""

    def __init__(
        self,
        *,
        table: BookTableWriter,
        session: SessionJournal,
        markets: Markets,
        queue: WriteQueue,
        feed: CollectorFeed,
        client: OrderbookClient,
        age: DataAge,
        trading: StatusFollower,
        follower: MarketFollower,
        reads: KalshiTradingClient,
        results: Results,
        terms: Terms,
        terms_reader: TermsReader,
        outcomes: Outcomes,
        wires: Wires,
        publisher: Publisher,
        doorbell: Pusher,
        clock: Clock,
        log: Log,
        discovery_s: float,
        awaits_actor: bool,
    ) -> None:
        self._table = table
        self._files = OwnedFiles(
            (table.path, session.folder, *wires.bound), *session.files_in_use()
        )
        self._session = session
        self._markets = markets
        self._queue = queue
        self._feed = feed
        self._client = client
        self._age = age
        self._trading = trading
        self._follower = follower
        self._reads = reads
        self._results = results
        self._terms = terms
        self._terms_reader = terms_reader
        self._outcomes = outcomes
        self._wires = wires
        self._publisher = publisher
        self._doorbell = doorbell
        self._clock = clock
        self._log = log
        self._discovery_s = discovery_s
        self._awaits_actor = awaits_actor
        self._rung = 0

    async def run(self, stop: asyncio.Event) -> None:
        """Until asked to stop; then the journal ends with its last mark."""
        tasks = {
            "limits": follow_limits(lambda: self._reads, self._reads.budget, self._log),
            "choices": self._follower.receive(),
            "news": self._follower.pass_on_news(),
            "markets": self._follower.turn(),
            "results": self._outcomes.run(self._discovery_s),
            "trading": self._trading.run(),
            "terms": self._terms_reader.run(),
            "connection": self._connect(),
            "beat": self._beat(),
            "files": self._files.watch(),
        }
        try:
            await serve(tasks, stop)
        finally:
            self._session.end(self._clock.now_ns())
            self._report("stopped")
            self._table.close()
            self._wires.close()
            await self._reads.close()
            self._reads.budget.close()

    async def _connect(self) -> None:
        """A replay waits for us, so we wait for the actor: it is to see the first ticks too."""
        if self._awaits_actor:
            await self._until_actor_listens()
        await self._client.run()

    async def _until_actor_listens(self) -> None:
        topic = ready_topic(self._session.facts.uid)
        until_ns = mono_ns() + int(NS_PER_S * ACTOR_PATIENCE)
        while not self._publisher.is_asked_for(topic):
            if mono_ns() > until_ns:
                self._log.warning("actor_not_listening", waited_s=ACTOR_PATIENCE)
                return
            self._report("waiting")
            await asyncio.sleep(BEAT)

    async def _beat(self) -> None:
        beats = 0
        while True:
            self._table.heartbeat(mono_ns())
            self._session.retry()
            await self._client.recover()
            self._trading.publish()
            self._client.look_at_age()
            self._ring()
            if beats % REPORT_BEATS == 0:
                self._report("live" if self._client.connected else "connecting")
            beats += 1
            await asyncio.sleep(BEAT)

    def _ring(self) -> None:
        """Report to the recorder that the journal has grown."""
        if self._session.last_event_no != self._rung:
            self._rung = self._session.last_event_no
            self._doorbell.send(Doorbell(stream=self._session.stream))

    def _report(self, status: str) -> None:
        facts = self._session.facts
        info = SessionInfo(
            session_uid=facts.uid,
            environment=facts.environment,
            websocket_url=facts.websocket_url,
            started_ns=facts.started_ns,
            markets=self._markets.tickers,
            live_markets=self._markets.live_count(),
            status=status,
            fees=self._terms.fees,
        )
        self._publisher.send("session", info)
        stats = ProcessStats(process=PRODUCER, mono_ns=mono_ns(), counters=self._counters())
        self._publisher.send("stats", stats)

    def _counters(self) -> dict[str, int]:
        counters = Counter(self._feed.counts) + Counter(self._client.counts)
        counters["accepted"] = self._queue.accepted
        counters["records_dropped"] = self._session.records_dropped
        counters["holes"] = len(self._feed.holes)
        counters["markets"] = len(self._markets)
        counters["fees_known"] = len(self._terms.fees)
        counters["terms_reads"] = self._terms_reader.reads
        counters["results_awaited"] = len(self._results)
        counters["results_given_up"] = self._results.given_up
        counters["markets_live"] = self._markets.live_count()
        counters["books_waiting"] = self._markets.waiting_count(self._clock.now_ns())
        counters["connected"] = int(self._client.connected)
        counters.update(self._follower.counters)
        for reason, count in self._queue.refused.items():
            counters[f"refused_{reason}"] = count
        counters.update(report_drift(self._log))
        return dict(counters) | self._age.counters() | self._reads.budget.counters()
