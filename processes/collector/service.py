"""The collector's loop: follow the exchange's markets, keep their books, say that we live."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

from ipc.book_table import BookTableWriter
from ipc.clock import NS_PER_S, Clock, mono_ns
from ipc.messages import Doorbell, ProcessStats, SessionInfo
from ipc.sockets import Publisher, Pusher, ready_topic
from processes.adapters.kalshi.errors import KalshiError
from processes.adapters.kalshi.feed.session import PRODUCER, SessionJournal
from processes.adapters.kalshi.feed.write_queue import WriteQueue
from processes.collector.feed import CollectorFeed
from processes.collector.markets import Discovery, Markets
from processes.collector.orderbook_client import OrderbookClient
from processes.collector.results import Outcomes, Results
from processes.runtime.log import Log
from processes.runtime.tasks import serve
from processes.runtime.wires import Wires

__all__ = ["Collector"]

BEAT: Final = 0.05  # seconds between heartbeats, doorbells and requests for missing snapshots
REPORT_BEATS: Final = 20  # heartbeats between two reports of session and counters
ACTOR_PATIENCE: Final = 5.0  # seconds a replay is held for an actor that may not be there
NEWS_PAUSE: Final = 0.02  # seconds between a lifecycle event and the look at the list
LOOK_SHARE: Final = 3  # times a look's own duration pass before news cause the next one


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
        discovery: Discovery,
        results: Results,
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
        self._session = session
        self._markets = markets
        self._queue = queue
        self._feed = feed
        self._client = client
        self._discovery = discovery
        self._results = results
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
            "markets": self._look_for_markets(),
            "results": self._outcomes.run(self._discovery_s),
            "connection": self._connect(),
            "beat": self._beat(),
        }
        try:
            await serve(tasks, stop)
        finally:
            self._session.end(self._clock.now_ns())
            self._report("stopped")
            self._table.close()
            self._wires.close()
            await self._discovery.close()

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

    async def _look_for_markets(self) -> None:
        while True:
            begun_ns = mono_ns()
            try:
                wanted = await self._discovery.look(self._markets.tickers)
            except KalshiError as error:
                self._log.warning("discovery_failed", error=error)
            else:
                changes = self._markets.follow(wanted, self._clock.now_ns())
                self._expect_results(changes.added)
                if changes.added or changes.removed:
                    self._log(
                        "markets_changed", added=len(changes.added), removed=len(changes.removed)
                    )
                    await self._client.follow(changes)
            await self._until_news((mono_ns() - begun_ns) / NS_PER_S)

    def _expect_results(self, added: Sequence[str]) -> None:
        for market in filter(None, map(self._markets.get, added)):
            self._results.expect(market.info.ticker, market.info.close_ms)

    async def _until_news(self, took_s: float) -> None:
        """Wait for the next look: the interval, or sooner when a market's life changed.

        On a large exchange some market's life changes all the time, and a look takes long.
        """
        changed = self._client.markets_changed
        least, waited = min(LOOK_SHARE * took_s, self._discovery_s), 0.0
        while waited < self._discovery_s and not (changed.is_set() and waited >= least):
            await asyncio.sleep(NEWS_PAUSE)
            waited += NEWS_PAUSE
        changed.clear()

    async def _beat(self) -> None:
        beats = 0
        while True:
            self._table.heartbeat(mono_ns())
            self._session.retry()
            await self._client.recover()
            self._ring()
            if beats % REPORT_BEATS == 0:
                self._report("live" if self._client.connected else "connecting")
            beats += 1
            await asyncio.sleep(BEAT)

    def _ring(self) -> None:
        """Tell the recorder that the journal has grown."""
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
        counters["results_awaited"] = len(self._results)
        counters["results_given_up"] = self._results.given_up
        counters["markets_live"] = self._markets.live_count()
        for reason, count in self._queue.refused.items():
            counters[f"refused_{reason}"] = count
        return dict(counters)
