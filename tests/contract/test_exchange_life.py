"""Pauses, fees, lives of markets, trades and lists of the exchange, over real sockets."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from support.local_exchange import LocalExchange, keys
from support.local_orders import ORDERS, TICKER, answer, order, two_markets

from ipc.units import ONE_DOLLAR_E4
from processes.adapters.kalshi.auth.signing import real_ms
from processes.exchange.core.books import NO


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., LocalExchange]:
    """Makes the exchange, by rules of the test's own."""
    return partial(two_markets, tmp_path)


class TestPauses:
    async def test_a_trading_pause_takes_cancels_only(self, make):
        async with make() as exchange:
            kept = (await exchange.call("POST", ORDERS, order("0.3000", "1.00"))).json()
            flagged = order("0.3000", "1.00", cancel_order_on_pause=True)
            gone = (await exchange.call("POST", ORDERS, flagged)).json()
            await exchange.order("pause", what="trading", on=True)
            refused = await exchange.call("POST", ORDERS, order("0.3000", "1.00"))
            assert answer(refused) == (400, "trading_paused")
            status = (await exchange.call("GET", "/exchange/status")).json()
            assert (status["exchange_active"], status["trading_active"]) == (True, False)
            row = (await exchange.call("GET", f"/portfolio/orders/{gone['order_id']}")).json()
            assert (row["order"]["status"], row["order"]["cancel_order_on_pause"]) == (
                "canceled",
                True,
            )
            reply = await exchange.call("DELETE", f"{ORDERS}/{kept['order_id']}")
            assert reply.status_code == 200
            await exchange.order("pause", what="exchange", on=True)
            assert answer(await exchange.call("DELETE", ORDERS)) == (400, "exchange_paused")

    async def test_a_market_that_comes_back_has_lost_its_orders(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("market_lifecycle_v2", "user_orders")
            made = (await exchange.call("POST", ORDERS, order("0.3000", "1.00"))).json()
            await exchange.order("pause", what="market", ticker=TICKER, on=True)
            paused = await exchange.call("GET", "/markets", status="paused")
            assert [m["ticker"] for m in paused.json()["markets"]] == [TICKER]
            refused = await exchange.call("POST", ORDERS, order("0.3000", "1.00"))
            assert answer(refused) == (400, "market_inactive")
            await exchange.order("pause", what="market", ticker=TICKER, on=False)
            halted = await stream.until("user_order", order_id=made["order_id"], status="canceled")
            assert halted["msg"]["last_update_reason"] == "HaltCancel"
            back = await stream.until("market_lifecycle_v2", event_type="activated")
            assert back["msg"]["is_deactivated"] is False


class TestFees:
    async def test_an_event_may_charge_its_makers(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("market_lifecycle_v2")
            await exchange.order(
                "fees",
                series_ticker="KXA",
                event_ticker="KXA-26NOV25",
                fee_type="quadratic_with_maker_fees",
                fee_multiplier_e4=10_000,
            )
            told = (await stream.until("event_fee_update"))["msg"]
            assert (told["fee_type_override"], told["fee_multiplier_override"]) == (
                "quadratic_with_maker_fees",
                1,
            )
            resting = (await exchange.call("POST", ORDERS, order("0.5000", "4.00"))).json()
            taken = order("0.5000", "4.00", side="ask", time_in_force="immediate_or_cancel")
            await exchange.call("POST", ORDERS, taken, account=1)
            fills = await exchange.call("GET", "/portfolio/fills", order_id=resting["order_id"])
            assert [f["fee_cost"] for f in fills.json()["fills"]] == ["0.017500"]
            event = (await exchange.call("GET", "/events/KXA-26NOV25")).json()["event"]
            assert event["fee_type_override"] == "quadratic_with_maker_fees"

    async def test_a_series_change_is_announced_before_it_holds(self, make):
        async with make() as exchange:
            facts = {"series_ticker": "KXA", "fee_type": "quadratic", "fee_multiplier_e4": 5_000}
            await exchange.order("fees", **facts, scheduled_ms=real_ms() + 600_000)
            listed = (await exchange.call("GET", "/series/fee_changes")).json()
            assert [c["fee_multiplier"] for c in listed["series_fee_change_arr"]] == [0.5]
            ioc = {"time_in_force": "immediate_or_cancel"}
            first = (await exchange.call("POST", ORDERS, order("0.5200", "1.00", **ioc))).json()
            exchange.state.fees.apply(real_ms() + 600_000)
            second = (await exchange.call("POST", ORDERS, order("0.5200", "1.00", **ioc))).json()
            fees = [float(made["average_fee_paid"]) for made in (first, second)]
            assert fees[1] == pytest.approx(fees[0] / 2, abs=0.0001)


class TestLife:
    async def test_an_event_is_announced_once_before_its_markets(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("market_lifecycle_v2", tickers=["KXOTHER"])
            await stream.until("subscribed")
            for name in ("T1", "T2"):
                exchange.market(f"KXNEW-26NOV25-{name}")
            await stream.until("market_lifecycle_v2", market_ticker="KXNEW-26NOV25-T2")
        told = [(f["type"], f["seq"]) for f in stream.frames if "seq" in f]
        assert told == [
            ("event_lifecycle", 1),
            ("market_lifecycle_v2", 2),
            ("market_lifecycle_v2", 3),
        ]
        assert stream.frames[1]["msg"]["series_ticker"] == "KXNEW"

    async def test_from_a_new_grid_to_the_settlement(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("market_lifecycle_v2")
            await stream.until("subscribed")
            fine = [{"start": "0.0000", "end": "1.0000", "step": "0.0010"}]
            off = await exchange.call("POST", ORDERS, order("0.5210", "3.00"))
            assert answer(off) == (400, "invalid_price")
            await exchange.order("grid", ticker=TICKER, structure="deci_cent", price_ranges=fine)
            assert (await exchange.call("POST", ORDERS, order("0.5210", "3.00"))).json()[
                "average_fill_price"
            ] == "0.5200"
            market, now_ms = exchange.venue.markets[TICKER], exchange.venue.now_ms()
            exchange.order_entry.close(market)
            exchange.venue.close_market(market, now_ms)
            exchange.venue.determine_market(market, "yes", ONE_DOLLAR_E4, now_ms)
            exchange.order_entry.settle(market, now_ms)
            exchange.venue.settle_market(market, now_ms)
            await stream.until("market_lifecycle_v2", event_type="settled")
            rows = (await exchange.call("GET", "/portfolio/settlements")).json()["settlements"]
            assert [(r["revenue"], r["value"], r["yes_count_fp"]) for r in rows] == [
                (300, 100, "3.00")
            ]
            closed = await exchange.call("POST", ORDERS, order("0.5000", "1.00"))
            assert answer(closed) == (400, "market_inactive")
            open_now = await exchange.call("GET", "/portfolio/positions")
            assert open_now.json()["market_positions"] == []
        told = [f["msg"]["event_type"] for f in stream.frames if "event_type" in f.get("msg", {})]
        assert told == ["price_level_structure_updated", "determined", "settled"]


class TestTrades:
    async def test_pages_of_trades_newest_first(self, make):
        async with make() as exchange:
            matcher = exchange.order_entry.clearings[TICKER].matcher
            for size in (100, 200, 300):
                matcher.take_anonymously(NO, ONE_DOLLAR_E4 - 4_700, size)
            seen: list[str] = []
            cursor = ""
            while True:
                page = await exchange.call(
                    "GET", "/markets/trades", ticker=TICKER, limit=2, cursor=cursor
                )
                seen += [t["count_fp"] for t in page.json()["trades"]]
                cursor = page.json()["cursor"]
                if not cursor:
                    break
            assert seen == ["3.00", "2.00", "1.00"]
            last = (await exchange.call("GET", "/markets/trades", limit=1)).json()["trades"][0]
            assert (last["taker_book_side"], last["yes_price_dollars"]) == ("ask", "0.4700")
            blocks = await exchange.call("GET", "/markets/trades", is_block_trade="true")
            assert blocks.json()["trades"] == []

    async def test_history_begins_two_weeks_back(self, make):
        async with make() as exchange:
            await exchange.call("POST", ORDERS, order("0.5200", "1.00"))
            assert (await exchange.call("GET", "/historical/fills")).json()["fills"] == []
            exchange.time.run(exchange.venue.now_ms() + 15 * 86_400_000)
            assert len((await exchange.call("GET", "/historical/fills")).json()["fills"]) == 1
            assert (await exchange.call("GET", "/portfolio/fills")).json()["fills"] == []
            assert len((await exchange.call("GET", "/historical/orders")).json()["orders"]) == 1
            assert (await exchange.call("GET", "/portfolio/orders")).json()["orders"] == []


class TestAccount:
    async def test_what_an_account_can_read_of_itself(self, make):
        async with make() as exchange:
            listed = (await exchange.call("GET", "/api_keys")).json()["api_keys"]
            assert [k["api_key_id"] for k in listed] == [keys()[0].api_key_id]


class TestMarkets:
    @pytest.mark.parametrize(
        "query",
        [
            {"status": "open,closed"},
            {"status": "closed", "min_created_ts": 1},
            {"min_close_ts": 1, "min_settled_ts": 1},
        ],
    )
    async def test_filters_that_exclude_each_other(self, make, query):
        async with make() as exchange:
            assert (await exchange.call("GET", "/markets", **query)).status_code == 400

    @pytest.mark.parametrize(
        ("path", "operation", "limit", "tag"),
        [
            ("/markets", "GetMarkets", 1_001, "lte"),
            ("/markets/trades", "GetTrades", -1, "gte"),
            ("/portfolio/orders", "GetOrders", 1_001, "max"),
            ("/events", "GetEvents", 201, "max"),
        ],
    )
    async def test_a_limit_out_of_range(self, make, path, operation, limit, tag):
        async with make() as exchange:
            reply = await exchange.call("GET", path, limit=limit)
            assert (reply.status_code, reply.json()) == (
                400,
                {
                    "msg": f"Parameter validation failed for {operation}: Key: "
                    f"'{operation}Params.Limit' Error:Field validation for 'Limit' failed on the "
                    f"'{tag}' tag"
                },
            )

    async def test_series_and_events(self, make):
        async with make() as exchange:
            series = (await exchange.call("GET", "/series")).json()["series"]
            assert {s["ticker"]: s["exchange_index"] for s in series} == {"KXA": 0, "KXCRYPTO": 2}
            events = await exchange.call("GET", "/events", series_ticker="KXCRYPTO")
            assert [e["event_ticker"] for e in events.json()["events"]] == ["KXCRYPTO-26NOV25"]
