"""python -m processes.collector: wiring."""

from __future__ import annotations

import asyncio
import os

import numpy as np
import zmq.asyncio

from ipc.book_table import BookTableWriter
from ipc.clock import Clock
from ipc.journal import new_stream_uid
from ipc.shared_file import WriterActiveError, shared_path
from ipc.sockets import Publisher, Pusher
from processes.adapters.kalshi.credentials import wait_for_credentials
from processes.adapters.kalshi.environments import KalshiTarget, Purpose, clock_of, target_of
from processes.adapters.kalshi.rate_budget import RateBudget
from processes.adapters.kalshi.rest import KalshiTradingClient
from processes.adapters.kalshi.signing import Signer
from processes.collector.discovery import Discovery
from processes.collector.feed import BookFeed
from processes.collector.markets import Markets
from processes.collector.orderbook_client import OrderbookClient
from processes.collector.service import Collector
from processes.collector.session import Session, SessionFacts
from processes.collector.triggers import Triggers
from processes.collector.write_queue import WriteQueue
from processes.runtime.config import ConfigError, Settings
from processes.runtime.log import StdoutLog
from processes.runtime.run import run


def _table(settings: Settings) -> BookTableWriter:
    path = shared_path(settings.data_dir, "books")
    try:
        return BookTableWriter.create(path, settings.books.rows, settings.books.slots)
    except WriterActiveError:
        raise ConfigError(
            f"RL_DATA_DIR={settings.data_dir}: another collector writes its table of books"
        ) from None


def _session(settings: Settings, target: KalshiTarget, clock: Clock) -> Session:
    now_ns = clock.now_ns()
    uid = new_stream_uid(now_ns, os.urandom(4))
    return Session(
        settings.data_dir,
        SessionFacts(uid, target.environment, target.ws_url, now_ns),
        segment_records=settings.books.segment_records,
        max_bytes=settings.books.journal_max_bytes,
    )


async def main(settings: Settings, stop: asyncio.Event) -> None:
    """One collector run."""
    log = StdoutLog("collector")
    target = target_of(settings, Purpose.DATA)
    signer = Signer(await wait_for_credentials(settings, stop, Purpose.DATA))
    clock = await clock_of(settings, stop)
    table = _table(settings)
    session = _session(settings, target, clock)
    context, life = zmq.asyncio.Context(), os.getpid()
    publisher = Publisher(context, "collector", settings.data_dir, settings.environ, life)
    doorbell = Pusher(context, "doorbell", settings.data_dir, settings.environ, life)
    markets = Markets(table, session, log)
    queue = WriteQueue(table, session.segments, settings.actor.throttle_ms * 1_000_000)
    triggers = Triggers(table, publisher)
    feed = BookFeed(markets, queue, session, triggers)
    rest = KalshiTradingClient(target, signer, RateBudget())
    client = OrderbookClient(
        target,
        signer,
        feed=feed,
        markets=markets,
        session=session,
        triggers=triggers,
        clock=clock,
        log=log,
        rng=np.random.default_rng(),
    )
    collector = Collector(
        table=table,
        session=session,
        markets=markets,
        queue=queue,
        feed=feed,
        client=client,
        discovery=Discovery(rest, settings.books, log),
        publisher=publisher,
        doorbell=doorbell,
        clock=clock,
        log=log,
        discovery_s=settings.books.discovery_s,
    )
    log("started", session=session.facts.uid, environment=target.environment)
    try:
        await collector.run(stop)
    finally:
        await rest.close()
        publisher.close()
        doorbell.close()


if __name__ == "__main__":
    run("collector", main)
