"""One collector run put together: its table, its journal, its sockets and what works on them."""

from __future__ import annotations

import socket
from functools import partial
from typing import NamedTuple

import numpy as np

from ipc.book_table import BookTableWriter
from ipc.clock import NS_PER_MS, Clock
from ipc.journal import run_number
from ipc.shared_file import NO_ROOM, WriterActiveError, shared_path
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.feed.book_feed import WriteQueue
from processes.adapters.kalshi.feed.session import PRODUCER, SessionFacts, SessionJournal
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.limits import shared_budget
from processes.adapters.kalshi.rest.rate_budget import Rank
from processes.adapters.postgres.location import dsn_of
from processes.adapters.postgres.open_results import open_results
from processes.collector.data_age import DataAge
from processes.collector.discovery_link import DiscoveryLink, MarketNews
from processes.collector.following import MarketFollower, followed_path
from processes.collector.markets import Markets
from processes.collector.orderbook_client import CollectorFeed, OrderbookClient, Triggers
from processes.collector.recovery import Recovery
from processes.collector.results import Outcomes, Results
from processes.collector.service import Collector
from processes.collector.terms import Terms
from processes.collector.terms_reader import TermsReader
from processes.collector.trading_status import StatusFollower, TradingTracker
from processes.runtime.config import ConfigError, Settings
from processes.runtime.log import Log
from processes.runtime.wires import Wires

__all__ = ["assemble"]


def _table(settings: Settings, log: Log) -> BookTableWriter:
    path = shared_path(settings.data_dir, "books")
    try:
        table = BookTableWriter.create(path, settings.books.rows, settings.books.slots)
    except WriterActiveError:
        raise ConfigError(
            f"RL_DATA_DIR={settings.data_dir}: another collector writes its table of books"
        ) from None
    if table.on_disk:
        log.warning("table_on_disk", table="books", reason=NO_ROOM)
    return table


def _session(settings: Settings, facts: SessionFacts) -> SessionJournal:
    return SessionJournal(
        settings.data_dir,
        facts,
        segment_records=settings.books.segment_records,
        max_bytes=settings.books.journal_max_bytes,
    )


class _Parts(NamedTuple):
    """What an `OrderbookClient` works on."""

    feed: CollectorFeed
    recovery: Recovery
    markets: Markets
    session: SessionJournal
    triggers: Triggers
    news: MarketNews
    age: DataAge


def _client(
    target: KalshiTarget,
    signer: Signer,
    parts: _Parts,
    clock: Clock,
    log: Log,
    rng: np.random.Generator,
) -> OrderbookClient:
    return OrderbookClient(
        target,
        signer,
        feed=parts.feed,
        recovery=parts.recovery,
        markets=parts.markets,
        session=parts.session,
        triggers=parts.triggers,
        news=parts.news,
        age=parts.age,
        clock=clock,
        log=log,
        rng=rng,
    )


def _follower(
    settings: Settings,
    facts: SessionFacts,
    discovery: socket.socket,
    markets: Markets,
    client: OrderbookClient,
    results: Results,
    news: MarketNews,
    status: StatusFollower,
    clock: Clock,
    log: Log,
) -> MarketFollower:
    return MarketFollower(
        DiscoveryLink(discovery),
        markets=markets,
        client=client,
        results=results,
        news=news,
        status=status,
        clock=clock,
        log=log,
        run_uid=facts.uid,
        path=followed_path(settings.data_dir),
    )


def assemble(
    settings: Settings,
    target: KalshiTarget,
    signer: Signer,
    clock: Clock,
    *,
    facts: SessionFacts,
    discovery: socket.socket,
    rng: np.random.Generator,
    log: Log,
) -> Collector:
    """A collector ready to run; `ConfigError` or `LayoutError` when it may not write its table.

    `discovery` is the end of the link to the process that reads the exchange's list.
    """
    table = _table(settings, log)  # first: a run that may not write it leaves no journal behind
    session = _session(settings, facts)
    wires = Wires(settings.data_dir, settings.environ, run_number(facts.uid))
    publisher = wires.publisher(PRODUCER)
    markets = Markets(table, session, log)
    queue = WriteQueue(table, session.segments, settings.actor.throttle_ms * NS_PER_MS)
    triggers = Triggers(table, publisher)
    seed = int(rng.integers(2**32))
    recovery, results, trading = Recovery(), Results(session), TradingTracker()
    terms = Terms(session, log)
    feed = CollectorFeed(markets, queue, session, triggers, recovery, results, terms, trading)
    budget = shared_budget(settings.data_dir, target.environment, log, rank=Rank.DATA)
    reads = KalshiTradingClient.at(target, signer, budget, seed=seed)
    recall = partial(open_results, dsn_of(settings), str(facts.environment))
    news = MarketNews()
    age = DataAge(reads.clock_offset, table, session, clock, log)
    parts = _Parts(feed, recovery, markets, session, triggers, news, age)
    client = _client(target, signer, parts, clock, log, rng)
    status = StatusFollower(reads, trading, publisher, clock, log, client.reconnect_now)
    followed = markets, client, results, news, status
    return Collector(
        table=table,
        session=session,
        markets=markets,
        queue=queue,
        feed=feed,
        client=client,
        follower=_follower(settings, facts, discovery, *followed, clock, log),
        reads=reads,
        age=age,
        trading=status,
        results=results,
        terms=terms,
        terms_reader=TermsReader(reads, markets, terms, clock, log),
        outcomes=Outcomes(reads, results, recall, clock, log),
        wires=wires,
        publisher=publisher,
        doorbell=wires.pusher("doorbell"),
        clock=clock,
        log=log,
        discovery_s=settings.books.discovery_s,
        awaits_actor=clock.replaying and settings.exchange.replay is not None,
    )
