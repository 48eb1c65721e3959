"""One collector run put together: its table, its journal, its sockets and what works on them."""

from __future__ import annotations

from functools import partial

import numpy as np

from ipc.book_table import BookTableWriter
from ipc.clock import NS_PER_MS, Clock
from ipc.journal import run_number
from ipc.shared_file import NO_ROOM, WriterActiveError, shared_path
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.feed.session import PRODUCER, SessionFacts, SessionJournal
from processes.adapters.kalshi.feed.write_queue import WriteQueue
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.rate_budget import RateBudget
from processes.adapters.postgres.location import dsn_of
from processes.adapters.postgres.open_results import open_results
from processes.collector.feed import CollectorFeed, Triggers
from processes.collector.markets import Discovery, Markets
from processes.collector.orderbook_client import OrderbookClient
from processes.collector.recovery import Recovery
from processes.collector.results import Outcomes, Results
from processes.collector.service import Collector
from processes.runtime.config import ConfigError, Settings
from processes.runtime.log import Log
from processes.runtime.wires import Wires

__all__ = ["assemble"]


def _table(settings: Settings) -> BookTableWriter:
    path = shared_path(settings.data_dir, "books")
    try:
        return BookTableWriter.create(path, settings.books.rows, settings.books.slots)
    except WriterActiveError:
        raise ConfigError(
            f"RL_DATA_DIR={settings.data_dir}: another collector writes its table of books"
        ) from None


def _session(settings: Settings, facts: SessionFacts) -> SessionJournal:
    return SessionJournal(
        settings.data_dir,
        facts,
        segment_records=settings.books.segment_records,
        max_bytes=settings.books.journal_max_bytes,
    )


def assemble(
    settings: Settings,
    target: KalshiTarget,
    signer: Signer,
    clock: Clock,
    *,
    facts: SessionFacts,
    rng: np.random.Generator,
    log: Log,
) -> Collector:
    """A collector ready to run; `ConfigError` or `LayoutError` when it may not write its table."""
    table = _table(settings)  # first: a run that may not write it leaves no journal behind
    if table.on_disk:
        log.warning("table_on_disk", table="books", reason=NO_ROOM)
    session = _session(settings, facts)
    wires = Wires(settings.data_dir, settings.environ, run_number(facts.uid))
    publisher = wires.publisher(PRODUCER)
    markets = Markets(table, session, log)
    queue = WriteQueue(table, session.segments, settings.actor.throttle_ms * NS_PER_MS)
    triggers = Triggers(table, publisher)
    seed = int(rng.integers(2**32))
    recovery = Recovery()
    results = Results(session)
    feed = CollectorFeed(markets, queue, session, triggers, recovery, results)
    client = KalshiTradingClient.at(target, signer, RateBudget(), seed=seed)
    recall = partial(open_results, dsn_of(settings), str(facts.environment))
    return Collector(
        table=table,
        session=session,
        markets=markets,
        queue=queue,
        feed=feed,
        client=OrderbookClient(
            target,
            signer,
            market_tickers=markets.tickers,
            feed=feed,
            recovery=recovery,
            markets=markets,
            session=session,
            triggers=triggers,
            clock=clock,
            log=log,
            rng=rng,
        ),
        discovery=Discovery(client, settings.books, log),
        results=results,
        outcomes=Outcomes(client, results, recall, clock, log),
        wires=wires,
        publisher=publisher,
        doorbell=wires.pusher("doorbell"),
        clock=clock,
        log=log,
        discovery_s=settings.books.discovery_s,
        awaits_actor=clock.replaying and settings.exchange.replay is not None,
    )
