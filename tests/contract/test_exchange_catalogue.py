"""The catalogue: 100,000 listed markets and 60,000 combos beside those that trade."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from support.exchange import running_exchange
from support.local_exchange import LocalExchange
from support.local_orders import CRYPTO, ORDERS, TICKER, answer, order, two_markets

from processes.exchange.core.catalogue import (
    CLOSED_MS,
    COMBO_LISTED_MS,
    DETERMINED_MS,
    EARLY_MS,
    MINUTE_MS,
    SETTLED_MS,
    Catalogue,
    CatalogueFilter,
    combo_event,
)

NOW_MS = 1_796_000_000_000
MARKETS, COMBOS = 2_000, 1_200


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., LocalExchange]:
    """Makes the exchange."""
    rules = {"catalogue_markets": MARKETS, "catalogue_combos": COMBOS}
    return partial(two_markets, tmp_path, NOW_MS, **rules)


async def pages(exchange: LocalExchange, path: str, name: str, **query: Any) -> list[Any]:
    """Every row of a list."""
    rows, cursor = [], ""
    while True:
        more = {"cursor": cursor} if cursor else {}
        page = (await exchange.call("GET", path, **query, **more)).json()
        rows += page[name]
        cursor = page["cursor"]
        if not cursor:
            return rows


def places(catalogue: Catalogue, now_ms: int = NOW_MS, **wanted: Any) -> list[int]:
    return [row.place for row in catalogue.rows(CatalogueFilter(**wanted), now_ms)]


class TestCatalogue:
    def test_a_seed_decides_everything(self):
        one, same, other = (Catalogue(500, 0, seed) for seed in (1, 1, 2))
        rows = [
            [c.ticker(r) for r in c.rows(CatalogueFilter(), NOW_MS)] for c in (one, same, other)
        ]
        assert rows[0] == rows[1] != rows[2]
        assert len(set(rows[0])) == 500

    def test_a_hundred_thousand_cost_a_few_megabytes(self):
        tracemalloc.start()
        catalogue = Catalogue(100_000, 60_000, 1)
        listed = sum(1 for _ in catalogue.rows(CatalogueFilter(status="open"), NOW_MS))
        combos = sum(1 for _ in catalogue.combo_rows(NOW_MS))
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert listed > 90_000
        assert combos == 60_000
        assert kept < 10_000_000

    def test_every_market_is_in_one_state_and_found_by_its_ticker(self):
        catalogue = Catalogue(20_000, 0, 1)
        states = [places(catalogue, status=s) for s in ("unopened", "open", "closed", "settled")]
        assert sorted(p for state in states for p in state) == list(range(20_000))
        assert all(states)
        for place in range(0, 20_000, 377):
            row = catalogue.row(place, NOW_MS)
            assert catalogue.find(catalogue.ticker(row), NOW_MS) == row
            later_ms = row.close_ms + CLOSED_MS + EARLY_MS
            assert catalogue.find(catalogue.ticker(row), later_ms) is None
            assert catalogue.row(place, later_ms).open_ms > row.close_ms

    def test_filters_take_what_they_say(self):
        catalogue = Catalogue(2_000, 0, 1)
        rows = [catalogue.row(place, NOW_MS) for place in range(2_000)]
        least, most = NOW_MS + 3_600_000, NOW_MS + 86_400_000
        wanted = [r.place for r in rows if least <= r.close_ms <= most]
        assert wanted
        assert places(catalogue, close_ms=(least, most)) == wanted
        recent = (NOW_MS - 3_600_000, float("inf"))
        updated = {r.place: catalogue.market(r, NOW_MS).updated_ms for r in rows}
        wanted = [place for place, ms in updated.items() if ms >= recent[0]]
        assert wanted
        assert places(catalogue, updated_ms=recent) == wanted
        series = catalogue.market(rows[70], NOW_MS).facts.series_ticker
        assert places(catalogue, series=series) == list(range(64, 128))
        event = catalogue.market(rows[70], NOW_MS).facts.event_ticker
        assert places(catalogue, event=event) == [69, 70, 71]
        assert places(catalogue, series="KXNONE") == places(catalogue, series="KXC99999") == []

    def test_every_change_is_reported_once_when_it_happens(self):
        catalogue = Catalogue(2_000, 0, 1)
        seen: dict[str, list[tuple[str, int]]] = {}
        for minute in range(1, 121):
            last_ms = NOW_MS + (minute - 1) * MINUTE_MS
            for change in catalogue.changes(last_ms, last_ms + MINUTE_MS):
                at = change.event_type, change.row.place
                seen.setdefault(change.event_type, []).append(at)
                market = catalogue.market(change.row, last_ms + MINUTE_MS)
                assert last_ms < market.updated_ms <= last_ms + MINUTE_MS, change
        assert seen.keys() == {"created", "close_date_updated", "determined", "settled"}
        hours = [p for p in range(2_000) if catalogue._window_ms[p] == 60 * MINUTE_MS]
        for kind in ("created", "determined", "settled"):
            counted = [place for _, place in seen[kind] if place in hours]
            assert sorted(counted) == sorted(hours * 2), kind

    def test_a_moved_close_keeps_the_ticker_and_is_announced_before_it_comes(self):
        catalogue = Catalogue(20_000, 0, 1)
        for minute in range(120):
            now_ms = NOW_MS + minute * MINUTE_MS
            moved = [
                c.row
                for c in catalogue.changes(now_ms - MINUTE_MS, now_ms)
                if c.event_type == "close_date_updated"
            ]
            for row in moved:
                before = catalogue.row(row.place, now_ms - MINUTE_MS)
                assert now_ms < row.close_ms == before.close_ms - EARLY_MS
                assert catalogue.ticker(row) == catalogue.ticker(before)
            if moved:
                return
        raise AssertionError("no close was moved")

    def test_volumes_move(self):
        catalogue = Catalogue(500, 0, 1)
        first, later = (
            [catalogue.volume_e2(p, NOW_MS + n * 600_000) for p in range(500)] for n in (0, 1)
        )
        assert first != later

    def test_combos_come_and_go(self):
        catalogue = Catalogue(100, 60_000, 1)
        first = next(catalogue.combo_rows(NOW_MS))
        ticker = catalogue.combo(first).ticker
        assert catalogue.find_combo(ticker, NOW_MS) == first
        assert catalogue.find_combo(combo_event(first), NOW_MS) == first
        assert catalogue.find_combo(ticker, NOW_MS + 1_000) is None
        assert NOW_MS - COMBO_LISTED_MS <= first.created_ms <= NOW_MS
        new = [r for r in catalogue.combo_rows(NOW_MS + 1_000) if r.created_ms > NOW_MS]
        assert len(new) == pytest.approx(60_000 / 1_800, abs=1)


class TestOverRest:
    @pytest.mark.slow
    async def test_every_page_of_the_markets(self, make):
        async with make() as exchange:
            rows = await pages(exchange, "/markets", "markets", limit=1_000)
            tickers = [m["ticker"] for m in rows]
            assert tickers[:2] == [TICKER, CRYPTO]
            assert len(tickers) == len(set(tickers))
            assert len(tickers) >= 2 + MARKETS + COMBOS
            combos = [t for t in tickers if t.startswith("KXMVE")]
            plain = await pages(exchange, "/markets", "markets", limit=999, mve_filter="exclude")
            assert [m["ticker"] for m in plain] == tickers[: len(tickers) - len(combos)]
            only = await pages(exchange, "/markets", "markets", limit=1_000, mve_filter="only")
            assert {m["ticker"] for m in only} >= set(combos[50:])
            assert all(len(m["mve_selected_legs"]) == 3 for m in only)

    async def test_paging_while_markets_end_and_begin(self, make):
        async with make() as exchange:
            seen: list[str] = []
            cursor = ""
            while True:
                more = {"cursor": cursor} if cursor else {}
                page = (await exchange.call("GET", "/markets", limit=500, **more)).json()
                seen += [m["ticker"] for m in page["markets"]]
                exchange.time.run(exchange.time.now_ms() + 60_000)
                exchange.market(f"KXNEW-{len(seen)}")
                cursor = page["cursor"]
                if not cursor:
                    break
            assert len(seen) == len(set(seen))
            catalogue = exchange.state.catalogue
            known = {catalogue.ticker(catalogue.row(p, NOW_MS)) for p in range(MARKETS)}
            assert len(known & set(seen)) > 0.95 * MARKETS

    async def test_one_market_its_book_event_and_series(self, make):
        async with make() as exchange:
            (row,) = (
                await exchange.call("GET", "/markets", series_ticker="KXC00003", limit=1)
            ).json()["markets"]
            ticker, event = row["ticker"], row["event_ticker"]
            one = (await exchange.call("GET", f"/markets/{ticker}")).json()["market"]
            assert one == row
            assert [
                m["ticker"]
                for m in (await exchange.call("GET", "/markets", tickers=ticker)).json()["markets"]
            ] == [ticker]
            book = (await exchange.call("GET", f"/markets/{ticker}/orderbook")).json()
            assert book["orderbook_fp"]["yes_dollars"][-1][0] == one["yes_bid_dollars"]
            found = (await exchange.call("GET", f"/events/{event}")).json()
            assert [m["ticker"] for m in found["markets"]] == [ticker]
            series = (await exchange.call("GET", "/series/KXC00003")).json()["series"]
            assert (series["ticker"], series["fee_multiplier"]) == ("KXC00003", 0.5)
            assert (
                await exchange.call("GET", "/markets/KXC99999-26NOV241500E1-1")
            ).status_code == 404

    async def test_events_and_series(self, make):
        async with make() as exchange:
            rows = await pages(exchange, "/events", "events", limit=200)
            tickers = [e["event_ticker"] for e in rows]
            assert len(tickers) == len(set(tickers)) == 2 + MARKETS // 64 * 8 + 6
            nested = (
                await exchange.call(
                    "GET", "/events", series_ticker="KXC00001", with_nested_markets="true"
                )
            ).json()["events"]
            assert sorted(len(e["markets"]) for e in nested) == [1, 2, 2, 3, 5, 8, 12, 31]
            listed = (await exchange.call("GET", "/series")).json()["series"]
            assert len(listed) == 2 + 32
            kinds = {"quadratic", "quadratic_with_maker_fees", "flat"}
            assert {s["fee_type"] for s in listed} == kinds
            combos = await pages(exchange, "/events/multivariate", "events", limit=200)
            assert len(combos) >= COMBOS

    async def test_a_market_that_is_followed_trades_and_settles(self, make):
        async with make() as exchange, exchange.stream() as stream:
            query = {"status": "open", "limit": 50, "series_ticker": "KXC00005"}
            rows = (await exchange.call("GET", "/markets", **query)).json()["markets"]
            ticker, ask = rows[0]["ticker"], rows[0]["yes_ask_dollars"]
            await stream.subscribe("market_lifecycle_v2")
            await stream.subscribe("orderbook_delta", tickers=[ticker])
            frame = await stream.until("orderbook_snapshot", market_ticker=ticker)
            assert frame["seq"] == 1
            wanted = order(ask, "1.00", ticker)
            reply = await exchange.call("POST", ORDERS, wanted)
            assert reply.json()["fill_count"] == "1.00", reply.text
            await stream.until("orderbook_delta", market_ticker=ticker)
            again = (await exchange.call("GET", "/markets", **query)).json()["markets"]
            assert [m["ticker"] for m in again] == [m["ticker"] for m in rows]
            close_ms = exchange.state.find(ticker).facts.close_ms
            for after_ms in (0, DETERMINED_MS, SETTLED_MS):
                exchange.time.run(close_ms + after_ms)
                exchange.state.apply_due()
            for event_type in ("determined", "settled"):
                frame = {"event_type": event_type, "market_ticker": ticker}
                await stream.until("market_lifecycle_v2", **frame)
            settled = (await exchange.call("GET", "/portfolio/settlements")).json()["settlements"]
            assert [s["ticker"] for s in settled] == [ticker]
            late = await exchange.call("POST", ORDERS, order(ask, "1.00", ticker))
            assert answer(late) == (400, "market_inactive")


class TestLifecycle:
    async def test_the_channel_reports_what_is_listed_and_not_followed(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("market_lifecycle_v2")
            await stream.until("subscribed")
            exchange.state.apply_due()
            for _ in range(90):
                exchange.time.run(exchange.time.now_ms() + MINUTE_MS)
                exchange.state.apply_due()
            created = await stream.until("market_lifecycle_v2", event_type="created")
            ticker = created["msg"]["market_ticker"]
            row = exchange.state.find(ticker)
            assert row is None or row.facts.close_ms // 1000 == created["msg"]["close_ts"]
            for event_type in ("determined", "settled"):
                frame = await stream.until("market_lifecycle_v2", event_type=event_type)
                assert frame["msg"]["market_ticker"].startswith("KXC")

    async def test_a_market_that_is_followed_before_it_opens_opens(self, make):
        async with make() as exchange, exchange.stream() as stream:
            query = {"status": "unopened", "limit": 1}
            (row,) = (await exchange.call("GET", "/markets", **query)).json()["markets"]
            ticker = row["ticker"]
            await stream.subscribe("orderbook_delta", tickers=[ticker])
            await stream.until("subscribed")
            exchange.time.run(exchange.state.find(ticker).facts.open_ms)
            exchange.state.apply_due()
            frame = await stream.until("orderbook_snapshot", market_ticker=ticker)
            assert frame["msg"]["yes_dollars_fp"]

    async def test_books_that_are_followed_move_where_no_account_trades(self, make):
        async with make() as exchange, exchange.stream() as stream:
            query = {"status": "open", "limit": 2, "series_ticker": "KXC00005"}
            rows = (await exchange.call("GET", "/markets", **query)).json()["markets"]
            moved, traded = (m["ticker"] for m in rows)
            await stream.subscribe("orderbook_delta", tickers=[moved, traded])
            bid = rows[1]["yes_bid_dollars"]
            reply = await exchange.call("POST", ORDERS, order(bid, "1.00", traded))
            assert reply.status_code == 201, reply.text
            for _ in range(4):
                exchange.state.followed.move_books(exchange.time.now_ms())
            for delta in ("5.00", "-5.00") * 2:
                frame = await stream.until("orderbook_delta", market_ticker=moved)
                assert frame["msg"]["delta_fp"] == delta
            sizes = [f["msg"]["delta_fp"] for f in stream.frames if f["type"] == "orderbook_delta"]
            assert sizes.count("1.00") == 1
            assert len(sizes) == 5


def test_the_setting_lists_them_beside_those_that_trade(tmp_path: Path) -> None:
    with running_exchange(tmp_path, RL_EXCHANGE_CATALOGUE="100000") as exchange:
        reply = exchange.call("GET", "/markets", limit=1_000, mve_filter="exclude")
        assert len(reply.json()["markets"]) == 1_000
        only = exchange.call("GET", "/markets", limit=1_000, mve_filter="only").json()
        assert (len(only["markets"]), bool(only["cursor"])) == (1_000, True)
