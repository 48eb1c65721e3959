"""Faults on demand over real sockets: each strikes what was ordered, as often as it was ordered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
from msgspec import to_builtins
from support.exchange import REST
from support.local_exchange import LocalExchange
from support.local_orders import CRYPTO, ORDERS, TICKER, answer, order, two_markets

from processes.exchange.admin.fault_commands import FAULT_KINDS
from processes.exchange.core.books import YES

HOUR_MS = 3_600_000
HELD_MS = 600_000  # longer than any test: what waits for it is let go by hand
NEEDED: dict[str, dict[str, Any]] = {  # fields without a default
    "slow_answers": {"ms": 0},
    "refuse_commands": {"code": 27},
    "end_subscription": {"code": 10},
    "delay_fills": {"ms": 0},
    "reorder_fills": {"ms": 0},
    "pause": {"what": "trading"},
    "maintenance": {"for_s": 60},
    "fees": {"series_ticker": "KXA", "fee_type": "quadratic", "fee_multiplier_e4": 10_000},
    "grid": {"structure": "s", "price_ranges": [{"start": "0", "end": "1", "step": "0.01"}]},
    "odd_answers": {"what": "html"},
    "odd_frames": {"what": "html"},
    "result": {"ticker": TICKER, "word": "yes", "value_e4": 10_000},
    "mutually_exclusive": {"event_ticker": "KXA-26NOV25"},
    "history": {"after_ms": 0},
    "close_time": {"ticker": TICKER, "close_ms": 2_000_000_000_000},
}


@pytest.fixture
def make(tmp_path: Path) -> Callable[..., LocalExchange]:
    """Makes the exchange, by rules of the test's own."""
    return partial(two_markets, tmp_path)


async def trade(exchange: LocalExchange, count: str = "1.00") -> str:
    """The first account's bid is hit by the second -> the bid's order id."""
    made = (await exchange.call("POST", ORDERS, order("0.5000", count))).json()
    hit = order("0.5000", count, side="ask", time_in_force="immediate_or_cancel")
    assert (await exchange.call("POST", ORDERS, hit, account=1)).status_code == 201
    order_id: str = made["order_id"]
    return order_id


async def whole_answer(reader: asyncio.StreamReader) -> bytes:
    """The body of the next answer on a connection."""
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(x for x in head.lower().split(b"\r\n") if x.startswith(b"content-length"))
    return await reader.readexactly(int(length.partition(b":")[2]))


class TestOrders:
    @pytest.mark.parametrize("kind", FAULT_KINDS)
    async def test_every_kind_is_carried_out(self, make, kind):
        async with make() as exchange:
            if kind == "result":  # of a market that has closed
                await exchange.order("fault", kind="close_market", ticker=TICKER)
            await exchange.order("fault", kind=kind, **NEEDED.get(kind, {}))

    @pytest.mark.parametrize(
        ("facts", "named", "allowed"),
        [
            ({}, "kind=None", "error_next"),
            ({"kind": "flood"}, "kind='flood'", "lose_answer"),
            ({"kind": ["clear"]}, "kind=['clear']", "lose_answer"),
            ({"kind": "clear", "calls": 1}, "calls=1", "none"),
            ({"kind": "lose_answer", "times": 1}, "times=1", "calls, method"),
            ({"kind": "lose_answer", "calls": "1"}, "calls='1'", "1 to 1000000"),
            ({"kind": "lose_answer", "calls": 0}, "calls=0", "1 to 1000000"),
            ({"kind": "lose_answer", "method": "PATCH"}, "method='PATCH'", "POST"),
            ({"kind": "slow_answers"}, "ms of slow_answers is missing", "0 to 600000"),
            ({"kind": "error_next", "status": 200}, "status=200", "400 to 599"),
            ({"kind": "halt_acks", "on": "yes"}, "on='yes'", "true, false"),
            ({"kind": "end_subscription", "code": 9}, "code=9", "10, 25"),
            ({"kind": "end_subscription", "code": 10, "channel": "books"}, "'books'", "fill"),
            ({"kind": "end_subscription", "code": 10, "connection": 9}, "connection=9", "1"),
            ({"kind": "drop_frame", "sid": 7}, "sid=7", "1 (trade)"),
            ({"kind": "refuse_commands", "code": 25}, "code=25", "26, 27"),
            ({"kind": "close_market", "snapshots": 3}, "snapshots=3", "0 to 2"),
            ({"kind": "pause", "what": "all"}, "what='all'", "trading"),
            ({"kind": "grid", "structure": "s", "price_ranges": [{}]}, "price_ranges=[{}]", "step"),
        ],
    )
    async def test_what_is_not_right_is_named_with_what_is_allowed(
        self, make, facts, named, allowed
    ):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("trade", tickers=[TICKER])
            await stream.until("subscribed")
            refused = await exchange.try_order("fault", **facts)
            assert refused.status_code == 400
            before, _, after = refused.json()["details"].partition("; allowed: ")
            assert named in before
            assert allowed in after

    async def test_a_market_that_does_not_run_is_not_found(self, make):
        async with make() as exchange:
            refused = await exchange.try_order("close_market", ticker="KXNONE")
            assert refused.status_code == 404
            assert refused.json()["details"].endswith("allowed: one of KXA, KXCRYPTO")


class TestSubscriptions:
    @pytest.mark.parametrize("code", [10, 25])
    async def test_chosen_ones_end_and_are_subscribed_again(self, make, code):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("orderbook_delta", "ticker", tickers=[TICKER])
            book = await stream.until("orderbook_snapshot")
            did = await exchange.order(
                "fault", kind="end_subscription", code=code, channel="orderbook_delta"
            )
            assert did["affected"] == 1
            over = await stream.until("error", code=code)
            assert (over["sid"], over["seq"]) == (book["sid"], book["seq"] + 1)
            exchange.add(TICKER, YES, 4_600, 100)
            exchange.add(TICKER, YES, 4_800, 100)
            await stream.until("ticker")  # the other one goes on
            await stream.subscribe("orderbook_delta", tickers=[TICKER])
            again = await stream.until("subscribed")
            assert again["msg"]["sid"] > book["sid"]
            assert (await stream.until("orderbook_snapshot"))["seq"] == 1
        assert not [f for f in stream.frames if f["type"] == "orderbook_delta"]

    async def test_one_without_a_sequence_ends_without_one(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("fill")
            sid = (await stream.until("subscribed"))["msg"]["sid"]
            await exchange.order("fault", kind="end_subscription", code=10, sid=sid, connection=1)
            over = await stream.until("error")
            assert (over["sid"], "seq" in over, over["msg"]["code"]) == (sid, False, 10)

    async def test_a_market_limit_refuses_what_adds_markets(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("orderbook_delta", tickers=[TICKER])
            book = await stream.until("orderbook_snapshot")
            await exchange.order("fault", kind="refuse_commands", code=26)
            await stream.say({"id": 2, "cmd": "list_subscriptions"})
            assert (await stream.next())["type"] == "ok"
            update = {"sid": book["sid"], "action": "add_markets", "market_tickers": [CRYPTO]}
            await stream.say({"id": 3, "cmd": "update_subscription", "params": update})
            refused = await stream.next()
            assert refused["msg"] == {"code": 26, "msg": "Subscription market limit exceeded"}
            assert (refused["id"], refused["sid"], refused["seq"]) == (3, book["sid"], 2)
            exchange.add(CRYPTO, YES, 4_600, 100)  # not followed
            await stream.say({"id": 4, "cmd": "update_subscription", "params": update})
            added = await stream.next()
            assert (added["id"], added["seq"]) == (4, 3)
            assert added["msg"]["market_tickers"] == [TICKER, CRYPTO]

    async def test_too_many_commands_are_refused_whatever_they_are(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await exchange.order("fault", kind="refuse_commands", code=27, calls=2)
            await stream.subscribe("trade", tickers=[TICKER])
            await stream.say({"id": 2, "cmd": "list_subscriptions"})
            await stream.say({"id": 3, "cmd": "list_subscriptions"})
            answers = [await stream.next() for _ in range(3)]
            assert [(a["id"], a["type"]) for a in answers] == [
                (1, "error"),
                (2, "error"),
                (3, "ok"),
            ]
            assert answers[0]["msg"]["code"] == answers[1]["msg"]["code"] == 27
            assert answers[2]["msg"] == []

    async def test_commands_are_answered_in_another_order(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await exchange.order("fault", kind="shuffle_acks")
            for number, ticker in ((1, TICKER), (2, CRYPTO)):
                params = {"channels": ["orderbook_delta"], "market_tickers": [ticker]}
                await stream.say({"id": number, "cmd": "subscribe", "params": params})
            await stream.say({"id": 3, "cmd": "list_subscriptions"})
            acks = [f for f in [await stream.next() for _ in range(5)] if "id" in f]
            assert [(a["id"], a["type"]) for a in acks] == [(2, "subscribed"), (3, "ok"), (1, "ok")]
            assert acks[-1]["msg"]["market_tickers"] == [TICKER, CRYPTO]
            await exchange.order("fault", kind="shuffle_acks", on=False)
            for number in (4, 5):
                await stream.say({"id": number, "cmd": "list_subscriptions"})
            assert [(await stream.next())["id"] for _ in range(2)] == [4, 5]


class TestFills:
    async def test_the_next_ones_are_reported_twice(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("fill", "user_orders")
            await exchange.order("fault", kind="duplicate_fills", fills=2)  # of both accounts
            first = await trade(exchange)
            second = await trade(exchange)
            await stream.until("user_order", order_id=second, status="executed")
        fills = [f for f in stream.frames if f["type"] == "fill"]
        assert [f["msg"]["order_id"] for f in fills] == [first, first, second]
        assert fills[0] == fills[1]
        kept = exchange.order_entry.fills[exchange.accounts[0].user_id]
        assert [f.order_id for f in kept] == [first, second]

    async def test_they_are_reported_late_in_their_order(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("fill", "user_orders")
            await exchange.order("fault", kind="delay_fills", ms=HELD_MS)
            ids = [await trade(exchange) for _ in range(3)]
            await stream.until("user_order", order_id=ids[-1], status="executed")
            assert not [f for f in stream.frames if f["type"] == "fill"]
            cleared = await exchange.order("fault", kind="clear")
            assert (cleared["fills_held"], cleared["fills_delayed"]) == (0, 0)
            assert [(await stream.next())["msg"]["order_id"] for _ in ids] == ids
            await stream.until("fill", order_id=await trade(exchange))  # at once again

    async def test_they_are_reported_in_reverse(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("fill")
            await stream.until("subscribed")
            await exchange.order("fault", kind="reorder_fills", ms=HELD_MS, fills=4)  # of both
            ids = [await trade(exchange) for _ in range(3)]
            assert (await stream.until("fill"))["msg"]["order_id"] == ids[2]  # is not held
            cleared = await exchange.order("fault", kind="clear")
            assert cleared["fills_held"] == 0
            assert [(await stream.next())["msg"]["order_id"] for _ in range(2)] == ids[1::-1]

    async def test_those_in_reverse_come_by_themselves(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("fill")
            await exchange.order("fault", kind="reorder_fills", ms=10, fills=4)
            await stream.until("fill", order_id=await trade(exchange))

    async def test_a_late_one_comes_by_itself(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("fill", "user_orders")
            await exchange.order("fault", kind="delay_fills", ms=10, fills=1)
            late = await trade(exchange)
            await stream.until("fill", order_id=late)
            told = [f["type"] for f in stream.frames if f["msg"].get("order_id") == late]
            assert told == ["user_order", "user_order", "fill"]

    @pytest.mark.parametrize(
        ("on", "told"), [(True, ["fill", "trade"]), (False, ["trade", "fill"])]
    )
    async def test_fill_and_trade_come_in_either_order(self, make, on, told):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("trade", "fill", tickers=[TICKER])
            await exchange.order("fault", kind="fills_first", on=on)
            for _ in range(2):
                await trade(exchange)
            frames = [f for f in [await stream.next() for _ in range(6)] if f["type"] in told]
        assert [f["type"] for f in frames] == told * 2
        for first, second in ((frames[0], frames[1]), (frames[2], frames[3])):
            assert first["msg"]["trade_id"] == second["msg"]["trade_id"]
            assert first["msg"]["ts_ms"] == second["msg"]["ts_ms"]
        trades = [f["seq"] for f in frames if f["type"] == "trade"]
        assert trades == [1, 2]


class TestOrderLog:
    async def test_a_past_moment_can_be_put_together(self, make):
        async with make() as exchange:
            order_id = await trade(exchange, "3.00")
            resting = (await exchange.call("POST", ORDERS, order("0.1000", "2.00"))).json()
            await exchange.call("DELETE", f"{ORDERS}/{resting['order_id']}")
            rows = to_builtins(exchange.state.order_log.after(0, 100))
        mine = [r for r in rows if r["user_id"] == exchange.accounts[0].user_id]
        told = [(r["what"], r["order_id"] == order_id, r["remaining_e2"]) for r in mine]
        assert told == [
            ("order", True, 300),
            ("fill", True, 0),
            ("order", True, 0),
            ("order", False, 200),
            ("order", False, 0),
        ]
        (filled,) = [r for r in mine if r["what"] == "fill"]
        assert (filled["count_e2"], filled["position_e2"], filled["side"]) == (300, 300, "bid")

    async def test_it_is_read_in_pages(self, make):
        async with make() as exchange:
            for _ in range(3):
                await trade(exchange)
            log = exchange.state.order_log
            every = log.after(0, 1_000)
            assert log.after(0, 2) == every[:2]
            assert log.after(2, 1_000) == every[2:]
            assert log.after(every[-1].number, 10) == []


class TestAnswers:
    async def test_a_call_is_carried_out_twice_and_answered_once(self, make):
        async with make() as exchange:
            await exchange.order("fault", kind="repeat_calls", method="POST")
            body = order("0.1000", "2.00")
            assert answer(await exchange.call("POST", ORDERS, body)) == (
                409,
                "order_already_exists",
            )
            assert len(exchange.order_entry.orders) == 1
            assert answer(await exchange.call("POST", ORDERS, order("0.1000", "2.00")))[0] == 201

    async def test_an_answer_is_sent_twice(self, make):
        async with make() as exchange:
            await exchange.order("fault", kind="duplicate_answers", method="GET")
            path = REST + "/portfolio/balance"
            head = "".join(f"{k}: {v}\r\n" for k, v in exchange.headers("GET", path).items())
            url = httpx.URL(exchange.target.rest_url)
            reader, writer = await asyncio.open_connection(url.host, url.port)
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {url.host}\r\n{head}\r\n".encode())
            first, second = [await whole_answer(reader) for _ in range(2)]
            writer.close()
            await writer.wait_closed()
        assert first == second
        assert b"balance" in first

    async def test_a_slow_one_was_carried_out_at_once(self, make):
        async with make() as exchange:
            await exchange.order("fault", kind="slow_answers", ms=HELD_MS, calls=1, method="POST")
            slow = asyncio.create_task(exchange.call("POST", ORDERS, order("0.3000", "1.00")))
            while not (await exchange.call("GET", "/portfolio/orders")).json()["orders"]:
                pass  # not carried out yet
            quick = await exchange.call("POST", ORDERS, order("0.3000", "1.00"))
            assert quick.status_code == 201
            assert not slow.done()
            slow.cancel()

    async def test_a_slow_one_comes(self, make):
        async with make() as exchange:
            await exchange.order("fault", kind="slow_answers", ms=10)
            for _ in range(2):  # until cleared
                assert (await exchange.call("GET", "/portfolio/balance")).status_code == 200
            assert (await exchange.order("fault", kind="halt_acks", on=False))["slow_waiting"] == 1

    async def test_a_lost_one_was_carried_out(self, make):
        async with make() as exchange:
            await exchange.order("fault", kind="lose_answer", method="POST", calls=2)
            for count in (1, 2):
                with pytest.raises(httpx.TransportError):
                    await exchange.call("POST", ORDERS, order("0.3000", "1.00"))
                assert len(exchange.order_entry.orders) == count
                assert (await exchange.call("GET", "/portfolio/balance")).status_code == 200
            assert (await exchange.call("POST", ORDERS, order("0.3000", "1.00"))).status_code == 201

    async def test_a_refusal_may_be_lost_too(self, make):
        async with make() as exchange:
            await exchange.order("fault", kind="lose_answer", method="POST")
            with pytest.raises(httpx.TransportError):
                await exchange.call("POST", ORDERS, order("0.3005", "1.00"))
            assert not exchange.order_entry.orders

    async def test_faults_of_two_methods_do_not_wait_for_each_other(self, make):
        async with make() as exchange:
            await exchange.order("fault", kind="error_next", method="POST", status=503)
            await exchange.order("fault", kind="rate_limit_next", method="GET")
            assert (await exchange.call("GET", "/portfolio/balance")).status_code == 429
            assert (await exchange.call("GET", "/portfolio/balance")).status_code == 200
            struck = await exchange.call("POST", ORDERS, order("0.3000", "1.00"))
            assert answer(struck) == (503, "internal_server_error")


async def is_trading(exchange: LocalExchange) -> bool:
    """What `GET /exchange/status` says."""
    status = (await exchange.call("GET", "/exchange/status")).json()
    assert status["exchange_active"] is True
    assert status["trading_active"] is not ("exchange_estimated_resume_time" in status)
    return bool(status["trading_active"])


async def windows(exchange: LocalExchange) -> list[tuple[int, int]]:
    """What `GET /exchange/schedule` announces, Unix milliseconds."""
    schedule = (await exchange.call("GET", "/exchange/schedule")).json()["schedule"]
    times = [(w["start_datetime"], w["end_datetime"]) for w in schedule["maintenance_windows"]]
    return [
        (
            round(datetime.fromisoformat(a).timestamp() * 1000),
            round(datetime.fromisoformat(b).timestamp() * 1000),
        )
        for a, b in times
    ]


class TestMaintenance:
    async def test_from_its_announcement_to_its_end(self, make):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("user_orders")
            kept = (await exchange.call("POST", ORDERS, order("0.3000", "1.00"))).json()
            flagged = order("0.3000", "1.00", cancel_order_on_pause=True)
            gone = (await exchange.call("POST", ORDERS, flagged)).json()
            did = await exchange.order("fault", kind="maintenance", in_s=3_600, for_s=7_200)
            ((start_ms, end_ms),) = did["windows"]
            assert await windows(exchange) == [(start_ms, end_ms)]
            assert end_ms - start_ms == 2 * HOUR_MS
            assert await is_trading(exchange)
            exchange.time.run(start_ms)
            assert not await is_trading(exchange)
            with pytest.raises(websockets.ConnectionClosed):
                await stream.until("never")
            row = (await exchange.call("GET", f"/portfolio/orders/{gone['order_id']}")).json()
            assert row["order"]["status"] == "canceled"
            refused = await exchange.call("POST", ORDERS, order("0.3000", "1.00"))
            assert answer(refused) == (400, "trading_paused")
            reply = await exchange.call("DELETE", f"{ORDERS}/{kept['order_id']}")
            assert reply.status_code == 200
            async with exchange.stream() as back:  # it was cut once
                await back.say({"id": 1, "cmd": "list_subscriptions"})
                await back.until("ok")
            exchange.time.run(end_ms)
            assert await is_trading(exchange)
            assert await windows(exchange) == []
            again = await exchange.call("POST", ORDERS, order("0.3000", "1.00"))
            assert again.status_code == 201

    async def test_a_pause_beside_it_outlives_it(self, make):
        async with make() as exchange:
            await exchange.order("fault", kind="maintenance", for_s=60)
            await exchange.order("pause", what="trading")
            await exchange.order("fault", kind="clear")
            refused = await exchange.call("POST", ORDERS, order("0.3000", "1.00"))
            assert answer(refused) == (400, "trading_paused")
            await exchange.order("pause", what="trading", on=False)
            assert await is_trading(exchange)

    async def test_the_weekly_pause_comes_every_thursday(self, make):
        async with make(weekly_pause=True) as exchange:
            thursday = datetime(2026, 12, 3, 8, tzinfo=UTC)  # 03:00 in New York
            start_ms = round(thursday.timestamp() * 1000)
            exchange.time.run(start_ms - 1_000)
            assert await windows(exchange) != []
            exchange.time.run(start_ms)
            assert not await is_trading(exchange)
            assert await windows(exchange) == [(start_ms, start_ms + 2 * HOUR_MS)]
            exchange.time.run(start_ms + 2 * HOUR_MS)
            assert await is_trading(exchange)
            week_ms = 7 * 24 * HOUR_MS
            following = start_ms + week_ms
            assert await windows(exchange) == [(following, following + 2 * HOUR_MS)]


class TestCloses:
    @pytest.mark.parametrize("snapshots", [0, 1, 2])
    @pytest.mark.parametrize("burst", [True, False])
    async def test_a_book_ends_as_ordered(self, make, burst, snapshots):
        async with make() as exchange, exchange.stream() as stream:
            await stream.subscribe("orderbook_delta", tickers=[TICKER])
            await stream.subscribe("user_orders", "market_lifecycle_v2")
            exchange.add(TICKER, YES, 4_600, 100)
            own = (await exchange.call("POST", ORDERS, order("0.4700", "1.00"))).json()
            await stream.until("user_order", order_id=own["order_id"], status="resting")
            seen = len(stream.frames)
            await exchange.order("close_market", ticker=TICKER, burst=burst, snapshots=snapshots)
            await stream.say({"id": 9, "cmd": "list_subscriptions"})
            while (await stream.next()).get("id") != 9:
                pass
            refused = await exchange.call("POST", ORDERS, order("0.4700", "1.00"))
            assert answer(refused) == (400, "market_inactive")
        said = stream.frames[seen:]
        of_the_book = [f for f in said if f["type"].startswith("orderbook")]
        deltas = [f["msg"] for f in of_the_book if f["type"] == "orderbook_delta"]
        assert [(d["price_dollars"], d["delta_fp"]) for d in deltas] == [("0.4700", "-1.00")] + (
            [("0.4600", "-1.00"), ("0.4700", "-3000.00"), ("0.4800", "-3000.00")] if burst else []
        )
        assert len({d["ts_ms"] for d in deltas}) == 1
        empty = [f["msg"] for f in of_the_book[len(deltas) :]]
        assert len(empty) == snapshots
        assert all(not {"yes_dollars_fp", "no_dollars_fp"} & m.keys() for m in empty)
        assert all(b["seq"] == a["seq"] + 1 for a, b in pairwise(of_the_book))
        (moved,) = [f["msg"] for f in said if f["type"] == "market_lifecycle_v2"]
        assert moved["event_type"] == "close_date_updated"
        (canceled,) = [f["msg"] for f in said if f["type"] == "user_order"]
        assert (canceled["status"], canceled["last_update_reason"]) == ("canceled", "CloseCancel")

    async def test_a_series_names_its_markets(self, make):
        async with make() as exchange:
            did = await exchange.order("fault", kind="close_market", ticker="KXCRYPTO")
            assert did["tickers"] == [CRYPTO]
            listed = (await exchange.call("GET", "/markets", status="open")).json()["markets"]
            assert [m["ticker"] for m in listed] == [TICKER]
