"""Which markets the collector follows, and how it keeps up with the exchange's list.

However many come and go: over one connection.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.exchange import Exchange, running_exchange
from support.running_collector import (
    RunningCollector,
    assert_row_equals_exchange,
    running_collector,
)

from ipc import book as b
from ipc.clock import mono_ns
from ipc.messages import MarketListed

pytestmark = pytest.mark.slow

PER_MARKET = ("orderbook_delta", "trade")


@pytest.fixture
def exchange(tmp_path):
    with running_exchange(tmp_path, RL_EXCHANGE_MARKETS="4") as running:
        yield running


def live(collector: RunningCollector) -> set[str]:
    """Tickers whose book is live."""
    books = collector.books()
    try:
        rows = {t: books.get_row(t) for t in books.table.rows}
        return {t for t, row in rows.items() if row is not None and row[b.STATE] == b.LIVE}
    finally:
        books.table.close()


def followed(collector: RunningCollector) -> set[str]:
    """Tickers that have a row."""
    books = collector.books()
    try:
        return set(books.table.rows)
    finally:
        books.table.close()


def subscribed(exchange: Exchange) -> list[set[str]]:
    """What the exchange sends books and trades of."""
    (connection,) = exchange.admin("connections")
    found = [s for s in connection["subscriptions"] if s["channel"] in PER_MARKET]
    return [set(s["tickers"]) for s in found]


def listed(exchange: Exchange) -> dict[str, str]:
    """Open markets and their volumes of 24 hours."""
    return {
        m["ticker"]: m["volume_24h_fp"] for m in exchange.get("/markets", status="open")["markets"]
    }


async def follows(collector: RunningCollector, exchange: Exchange, tickers: set[str]) -> None:
    await collector.until(lambda: live(collector) == tickers, f"live: {sorted(tickers)}")
    await collector.until(lambda: subscribed(exchange) == [tickers] * 2, "subscribed to the same")


async def test_no_more_than_the_limit_are_followed_and_they_keep_their_places(tmp_path, exchange):
    limits = {"ORDERBOOK_MARKET_LIMIT": "2", "RL_DISCOVERY_INTERVAL_S": "0.1"}
    with running_collector(tmp_path, exchange.port, **limits) as collector:
        await collector.until(lambda: len(live(collector)) == 2, "two live books")
        first = live(collector)
        (gone,) = set(sorted(first)[:1])
        exchange.order("pause", what="market", ticker=gone, on=True)
        exchange.order("pause", what="market", ticker=gone, on=False)
        deltas = collector.deltas()
        await collector.until(lambda: collector.deltas() > deltas + 20, "looks and deltas go on")
        assert live(collector) == first
        assert subscribed(exchange) == [first] * 2


async def test_in_config_mode_the_named_markets_are_followed(tmp_path, exchange):
    named = set(sorted(listed(exchange))[1:3])
    wanted = {"RL_MARKET_MODE": "config", "RL_MARKET_TICKERS": ",".join([*named, "KXNONE-1"])}
    with running_collector(tmp_path, exchange.port, **wanted) as collector:
        await follows(collector, exchange, named)


async def test_a_series_narrows_discovery(tmp_path, exchange):
    named = {t for t in listed(exchange) if t.startswith(("KXSIM1X", "KXSIM4X"))}
    series = {"RL_MARKET_SERIES": ",".join(t.partition("-")[0] for t in named)}
    with running_collector(tmp_path, exchange.port, **series) as collector:
        await follows(collector, exchange, named)


async def test_a_market_joins_once_it_has_the_volume(tmp_path, exchange):
    least = {"RL_MARKET_MIN_VOLUME": "100", "RL_DISCOVERY_INTERVAL_S": "0.1"}
    with running_collector(tmp_path, exchange.port, **least) as collector:
        await collector.until(lambda: live(collector), "a market has the volume")
        volumes = listed(exchange)
        assert all(float(volumes[t]) >= 100 for t in live(collector) & volumes.keys())
        assert collector.marks().count("connected") == 1


async def test_other_prices_and_times_are_taken_over_without_a_new_connection(tmp_path, exchange):
    with running_collector(tmp_path, exchange.port) as collector:
        await collector.until(lambda: len(live(collector)) == 4, "live books")
        moved, finer = sorted(live(collector))[:2]
        close_ms = int(collector.row(moved)[b.CLOSE_MS]) + 60_000
        exchange.order("close_time", ticker=moved, close_ms=close_ms)
        ranges = [{"start": "0.0000", "end": "1.0000", "step": "0.0050"}]
        exchange.order("grid", ticker=finer, structure="half_cent", price_ranges=ranges)
        await collector.until(lambda: collector.row(moved)[b.CLOSE_MS] == close_ms, "its close")
        await collector.until(
            lambda: (row := collector.row(finer)) is not None and row[b.SLOTS] == 199, "its grid"
        )
        await collector.until(lambda: len(live(collector)) == 4, "live books again")
        assert_row_equals_exchange(collector.row(finer), exchange, finer)
        assert collector.marks().count("connected") == 1


async def test_markets_come_and_go_on_one_connection_and_their_rows_are_used_again(tmp_path):
    """At 90 times the speed a window of 15 minutes lasts ten seconds."""
    with running_exchange(tmp_path, RL_EXCHANGE_MARKETS="2", RL_EXCHANGE_SPEED="90") as exchange:
        few = {"RL_BOOK_ROWS": "2", "RL_DISCOVERY_INTERVAL_S": "0.1"}
        with running_collector(tmp_path, exchange.port, **few) as collector:

            def listings() -> list[MarketListed]:
                return [m for m in collector.messages() if isinstance(m, MarketListed)]

            await collector.until(lambda: len(listings()) >= 6, "markets come and go")
            came = listings()
            assert {m.row for m in came} == {0, 1}

            def first_frames() -> list[tuple[MarketListed, int]] | None:
                """What had a row, and when the next one's first frame came; None before that."""
                events, found = collector.events(), []
                for earlier, later in _uses_of_a_row(came):
                    mine = events[events["row"] == earlier.row]
                    after = mine["recv_ns"][mine["event_no"] >= later.from_event_no]
                    if not len(after):
                        return None
                    found.append((earlier, int(after.min())))
                return found

            for earlier, first_ns in await collector.until(first_frames, "all have a book"):
                # Frames are stamped when they leave, a moment before: half a minute at this speed
                # on a slow machine. To the very minute: `unit/collector/test_markets.py`.
                assert first_ns >= 1_000_000 * (earlier.close_ms + 30_000)
            await collector.until(
                lambda: subscribed(exchange) == [followed(collector)] * 2,
                "only what has a row is subscribed",
            )
            assert collector.marks().count("connected") == 1


def _uses_of_a_row(listings: list[MarketListed]) -> list[tuple[MarketListed, MarketListed]]:
    """Pairs of markets that had the same row, one after the other."""
    last: dict[int, MarketListed] = {}
    pairs = []
    for listing in listings:
        if listing.row in last:
            pairs.append((last[listing.row], listing))
        last[listing.row] = listing
    assert pairs
    return pairs


@pytest.mark.slow
async def test_two_thousand_markets_in_one_collector(tmp_path):
    """The local exchange cannot trade so many at full speed: here its markets move slowly."""
    many, slowly = {"RL_EXCHANGE_MARKETS": "2000"}, {"RL_EXCHANGE_SPEED": "0.01"}
    rows = {"RL_BOOK_ROWS": "2048", "ORDERBOOK_MARKET_LIMIT": "2000"}
    with running_exchange(tmp_path, **many, **slowly) as exchange:
        begun_ns = mono_ns()
        with running_collector(tmp_path, exchange.port, **rows) as collector:
            await collector.until(lambda: live_count(collector) == 2_000, "all books are live")
            print(f"2,000 books live {(mono_ns() - begun_ns) / 1e9:.2f} s after the start")
            print(", ".join(f"{name} {kib // 1024} MB" for name, kib in memory(collector).items()))
            await collector.until(lambda: collector.deltas() > 100, "deltas come in")
            for ticker in sorted(live(collector))[::200]:
                assert_row_equals_exchange(collector.row(ticker), exchange, ticker)
            assert subscribed(exchange) == [live(collector)] * 2
            assert collector.marks() == ["connected"]


def live_count(collector: RunningCollector) -> int:
    books = collector.books()
    try:
        return int((books.table._areas.live[:, b.STATE] == b.LIVE).sum())
    finally:
        books.table.close()


def memory(collector: RunningCollector) -> dict[str, int]:
    """KiB of the process: in all, of its own, shared."""
    lines = Path(f"/proc/{collector.process.pid}/status").read_text().splitlines()
    found = dict(line.split(":", 1) for line in lines)
    return {name: int(found[name].split()[0]) for name in ("VmRSS", "RssAnon", "RssShmem")}
