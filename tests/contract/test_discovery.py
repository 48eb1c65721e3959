"""The collector on a large exchange, and on one that answers badly: real processes and sockets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.exchange import Exchange, running_exchange
from support.patience import eventually
from support.running_collector import ROOT, RunningCollector, running_collector

from ipc import book as b
from ipc.journal import FramedReader
from ipc.messages import SessionMark

pytestmark = pytest.mark.slow

MARKETS = 3_000  # three pages
LIMIT = 40


def live(collector: RunningCollector) -> set[str]:
    """Tickers whose book is live."""
    books = collector.books()
    try:
        rows = {t: books.get_row(t) for t in books.table.rows}
        return {t for t, row in rows.items() if row is not None and row[b.STATE] == b.LIVE}
    finally:
        books.table.close()


def busiest(exchange: Exchange, number: int) -> set[str]:
    """The most traded open markets, from every page of the list."""
    rows: list[Any] = []
    cursor: dict[str, str] = {}
    while not rows or cursor:
        query = {"status": "open", "mve_filter": "exclude", "limit": 1_000} | cursor
        page = exchange.get("/markets", **query)
        rows += page["markets"]
        cursor = {"cursor": page["cursor"]} if page["cursor"] else {}
    rows.sort(key=lambda m: (-float(m["volume_24h_fp"]), m["ticker"]))
    return {m["ticker"] for m in rows[:number]}


def followed_file(folder: Path) -> dict[str, str]:
    """Ticker -> reason, as the collector wrote it."""
    try:
        rows = json.loads((folder / "followed.json").read_text())["markets"]
    except FileNotFoundError:
        return {}
    return {row["ticker"]: row["reason"] for row in rows}


def marks_of_last_run(collector: RunningCollector) -> list[str]:
    """Marks of the newest session: collectors before it had the same data folder."""
    messages = FramedReader(collector.folders()[-1]).read(0)[0]
    return [str(m.kind) for m in messages if isinstance(m, SessionMark)]


def children_of(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in found]


def markets_command(folder: Path, port: int, *argv: str, **environ: str) -> Any:
    """`kalshi-actor markets --json ...`"""
    known = {k: v for k, v in os.environ.items() if not k.startswith(("RL_", "KALSHI_"))}
    known |= {"RL_DATA_DIR": str(folder), "RL_EXCHANGE_PORT": str(port)}
    done = subprocess.run(
        [sys.executable, "-m", "processes.collector.markets_command", "--json", *argv],
        cwd=ROOT,
        env=known | environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == "", done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def exchange(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exchange")
    with running_exchange(folder, RL_EXCHANGE_CATALOGUE=str(MARKETS)) as running:
        yield running


@pytest.fixture
def folder(exchange):
    """The data folder that the exchange and the collectors share."""
    return exchange.data_dir


async def test_the_busiest_of_the_whole_list_are_followed_each_with_its_reason(exchange, folder):
    limit = {"ORDERBOOK_MARKET_LIMIT": str(LIMIT)}
    with running_collector(folder, exchange.port, **limit) as collector:
        await collector.until(lambda: len(live(collector)) == LIMIT, "all live")
        assert live(collector) == busiest(exchange, LIMIT)
        await collector.until(lambda: len(followed_file(folder)) == LIMIT, "written")
        reasons = followed_file(folder)
        assert reasons.keys() == live(collector)
        assert all("by volume" in reason for reason in reasons.values())
        shown = markets_command(folder, exchange.port)
        assert {m["ticker"]: m["reason"] for m in shown} == reasons
        few = markets_command(folder, exchange.port, "--look", ORDERBOOK_MARKET_LIMIT="5")
        assert len(few) == 5
        assert {m["followed"] for m in few} <= {True, False}


async def test_an_exchange_that_answers_badly_costs_no_market(exchange, folder):
    limit = {"ORDERBOOK_MARKET_LIMIT": str(LIMIT), "RL_DISCOVERY_INTERVAL_S": "0.2"}
    with running_collector(folder, exchange.port, **limit) as collector:
        await collector.until(lambda: len(live(collector)) == LIMIT, "all live")
        before = live(collector)
        try:
            exchange.order("fault", kind="error_next", status=503, calls=10_000, method="GET")
            await collector.until(lambda: "discovery_failed" in collector.said, "a look fails")
            assert live(collector) == before
            exchange.order("fault", kind="clear")
            works = "discovery_works_again"
            await collector.until(lambda: works in collector.said, "looks succeed again")
            exchange.order("fault", kind="rate_limit_next", calls=100, method="GET")
            await collector.until(
                lambda: collector.said.count("discovery_failed") == 2, "a look is limited"
            )
        finally:
            exchange.order("fault", kind="clear")
        assert live(collector) == before
        assert "disconnected" not in marks_of_last_run(collector)
        collector.stop()
        assert "task_failed" not in collector.said


async def test_a_discovery_that_is_killed_starts_again_and_costs_no_market(exchange, folder):
    limit = {"ORDERBOOK_MARKET_LIMIT": str(LIMIT)}
    with running_collector(folder, exchange.port, **limit) as collector:
        await collector.until(lambda: len(live(collector)) == LIMIT, "all live")
        before = live(collector)
        (watcher,) = children_of(collector.process.pid)
        (discovery,) = children_of(watcher)
        os.kill(discovery, signal.SIGKILL)
        await collector.until(
            lambda: (now := children_of(watcher)) and now != [discovery], "another one"
        )
        assert live(collector) == before
        assert "disconnected" not in marks_of_last_run(collector)
        assert collector.stop() == 0
        eventually(lambda: not Path(f"/proc/{watcher}").exists(), "the watcher has ended")


@pytest.mark.slow
async def test_a_flood_of_changes_costs_no_market(tmp_path):
    """At 200 times the speed three minutes of 20,000 markets pass in a second.

    What is followed has six minutes of this machine's time left, or more.
    """
    wanted = {"RL_EXCHANGE_CATALOGUE": "20000", "RL_EXCHANGE_SPEED": "200"}
    with running_exchange(tmp_path, RL_EXCHANGE_MARKETS="2", **wanted) as exchange:
        limit = {"ORDERBOOK_MARKET_LIMIT": "20", "RL_MARKET_MIN_MINUTES_LEFT": "1200"}
        with running_collector(tmp_path, exchange.port, **limit) as collector:
            await collector.until(lambda: len(live(collector)) >= 15, "live books")
            async with exchange.stream() as stream:
                await stream.subscribe("market_lifecycle_v2")
                for _ in range(1_000):
                    await stream.until("market_lifecycle_v2")
            found = await collector.until(lambda: len(live(collector)) >= 15, "live books")
            assert found
            assert collector.process.poll() is None
            assert collector.marks().count("connected") == 1
