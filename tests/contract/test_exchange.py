"""The exchange over real sockets: signatures, REST, WebSocket, orders, faults."""

from __future__ import annotations

import json
import stat
import uuid

import httpx
import pytest
import websockets
from support.exchange import (
    REST,
    WEBSOCKET,
    Exchange,
    market_frames,
    running_exchange,
    write_recording,
)

from processes.adapters.kalshi.auth.signing import KEY_HEADER, SIGNATURE_HEADER, Signer, real_ms

TICKER = "KXSHOW15M-26AUG101815-15"
START_MS = 1_786_399_275_000


@pytest.fixture(scope="module")
def idle(tmp_path_factory):
    """A replay of one small market so slow that it stands still."""
    folder = tmp_path_factory.mktemp("recording")
    write_recording(folder, TICKER, market_frames(TICKER, START_MS, 20), START_MS - 60_000)
    data_dir = tmp_path_factory.mktemp("data")
    with running_exchange(
        data_dir, RL_EXCHANGE_REPLAY=str(folder), RL_EXCHANGE_SPEED="0.001"
    ) as exchange:
        yield exchange


@pytest.fixture(scope="module")
def synthetic(tmp_path_factory):
    """The seeded synthetic flow."""
    with running_exchange(tmp_path_factory.mktemp("data"), RL_EXCHANGE_MARKETS="2") as exchange:
        yield exchange


def order(price: str, count: str, side: str = "bid", **more: object) -> dict[str, object]:
    """A create request's body."""
    facts = {
        "ticker": TICKER,
        "client_order_id": str(uuid.uuid4()),
        "side": side,
        "count": count,
        "price": price,
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
    }
    return facts | more


def create(exchange: Exchange, body: dict[str, object], account: int = 0) -> httpx.Response:
    """Place an order."""
    return exchange.call("POST", "/portfolio/events/orders", body, account)


class TestAuthentication:
    def test_both_kinds_of_keys_are_served_and_private(self, idle):
        path = idle.data_dir / "exchange" / "credentials.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        stored = json.loads(path.read_text())["accounts"]
        assert [a["algorithm"] for a in stored] == ["rsa", "ed25519"]
        for account in (0, 1):
            assert idle.get("/portfolio/balance", account)["balance_dollars"] == "10000.0000"

    @pytest.mark.parametrize(
        ("change", "body"),
        [
            (
                {SIGNATURE_HEADER: "AAAA"},
                {
                    "code": "authentication_error",
                    "message": "authentication_error",
                    "details": "INCORRECT_API_KEY_SIGNATURE",
                },
            ),
            (
                {KEY_HEADER: str(uuid.uuid4())},
                {
                    "code": "authentication_error",
                    "message": "authentication_error",
                    "details": "NOT_FOUND",
                },
            ),
            (
                {SIGNATURE_HEADER: ""},
                {
                    "code": "signature_is_missing_from_headers",
                    "message": "signature is missing from headers",
                },
            ),
        ],
    )
    def test_refusals_are_verbatim(self, idle, change, body):
        path = f"{REST}/portfolio/balance"
        reply = idle.http.get(idle.url + path, headers=idle.headers("GET", path) | change)
        assert (reply.status_code, reply.json()) == (401, {"error": body})

    @pytest.mark.parametrize(("ahead_s", "status"), [(-5, 200), (5, 200), (-30, 401), (300, 401)])
    def test_the_timestamp_must_be_of_now_by_real_time(self, idle, ahead_s, status):
        path = f"{REST}/portfolio/balance"
        signer = Signer(idle.credentials[0], lambda: real_ms() + ahead_s * 1000)
        reply = idle.http.get(idle.url + path, headers=signer.headers("GET", path))
        assert reply.status_code == status
        if status == 401:
            assert reply.json()["error"] == {
                "code": "header_timestamp_expired",
                "message": "header timestamp expired",
            }

    async def test_the_websocket_wants_a_signature_too(self, idle):
        with pytest.raises(websockets.InvalidStatus) as refusal:
            await websockets.connect(f"ws://127.0.0.1:{idle.port}{WEBSOCKET}")
        assert refusal.value.response.status_code == 401


class TestReads:
    def test_public_reads_need_no_signature(self, idle):
        for path in ("/exchange/status", "/markets", f"/markets/{TICKER}", "/events"):
            assert idle.http.get(idle.url + REST + path).status_code == 200

    def test_a_market_is_listed_with_its_first_recorded_book(self, idle):
        markets = idle.get("/markets", status="open")["markets"]
        assert [m["ticker"] for m in markets] == [TICKER]
        assert markets[0]["price_ranges"] == [
            {"start": "0.0000", "end": "1.0000", "step": "0.0100"}
        ]
        assert (markets[0]["yes_bid_dollars"], markets[0]["yes_ask_dollars"]) == (
            "0.4000",
            "0.5000",
        )
        assert idle.get(f"/markets/{TICKER}/orderbook") == {
            "orderbook_fp": {
                "yes_dollars": [["0.4000", "100.00"]],
                "no_dollars": [["0.5000", "100.00"]],
            }
        }

    def test_bad_queries_are_refused_as_on_the_wire(self, idle):
        reply = idle.call("GET", "/markets", limit=1001)
        assert reply.status_code == 400
        assert reply.json() == {
            "msg": "Parameter validation failed for GetMarkets: Key: 'GetMarketsParams.Limit' "
            "Error:Field validation for 'Limit' failed on the 'lte' tag"
        }
        assert idle.get("/markets", cursor="garbage")["cursor"] == ""
        assert idle.call("GET", "/markets/KXNONE").status_code == 404


class TestOrders:
    def test_an_order_from_create_to_cancel(self, idle):
        body = order("0.3000", "10.00", post_only=True)
        reply = create(idle, body)
        assert reply.status_code == 201
        made = reply.json()
        assert made.keys() == {
            "order_id",
            "client_order_id",
            "fill_count",
            "remaining_count",
            "ts_ms",
        }
        assert (made["fill_count"], made["remaining_count"]) == ("0.00", "10.00")
        assert idle.get("/portfolio/balance")["balance_dollars"] == "9997.0000"
        row = idle.get(f"/portfolio/orders/{made['order_id']}")["order"]
        assert (row["status"], row["yes_price_dollars"]) == ("resting", "0.3000")
        gone = idle.call("DELETE", f"/portfolio/events/orders/{made['order_id']}").json()
        assert gone["reduced_by"] == "10.00"
        assert idle.get("/portfolio/balance")["balance_dollars"] == "10000.0000"
        again = idle.call("DELETE", f"/portfolio/events/orders/{made['order_id']}")
        assert again.status_code == 404
        assert again.json() == {"error": {"code": "not_found", "message": "not found"}}
        reply = create(idle, body)
        assert (reply.status_code, reply.json()["error"]["code"]) == (409, "order_already_exists")

    def test_a_taker_pays_the_recorded_price_and_the_fee(self, idle):
        reply = create(idle, order("0.5000", "4.00", time_in_force="immediate_or_cancel"), 1)
        made = reply.json()
        assert (made["fill_count"], made["average_fill_price"]) == ("4.00", "0.5000")
        assert made["average_fee_paid"] == "0.0175"
        assert idle.get("/portfolio/balance", 1)["balance_dollars"] == "9997.9300"
        position = idle.get("/portfolio/positions", 1)["market_positions"][0]
        assert (position["position_fp"], position["fees_paid_dollars"]) == ("4.00", "0.070000")
        fill = idle.get("/portfolio/fills", 1, order_id=made["order_id"])["fills"][0]
        assert (fill["is_taker"], fill["fee_cost"]) == (True, "0.070000")
        assert idle.get("/portfolio/fills")["fills"] == []

    @pytest.mark.parametrize(
        ("body", "status", "error"),
        [
            (
                order("0.3000", "1.00") | {"count": 1},
                400,
                {
                    "code": "bad_request",
                    "message": "bad request",
                    "details": "json: cannot unmarshal number into Go struct field "
                    "CreateOrderV2Request.count of type string",
                },
            ),
            (
                order("0.3050", "1.00"),
                400,
                {"error": {"code": "invalid_price", "message": "invalid price"}},
            ),
            (
                order("0.5000", "1.00", post_only=True),
                400,
                {
                    "error": {
                        "code": "invalid_order",
                        "message": "invalid order",
                        "details": "post only cross",
                    }
                },
            ),
            (
                order("0.3000", "1000000.00"),
                400,
                {"error": {"code": "insufficient_balance", "message": "insufficient balance"}},
            ),
        ],
    )
    def test_refusals_are_verbatim(self, idle, body, status, error):
        reply = create(idle, body)
        assert (reply.status_code, reply.json()) == (status, error)

    def test_batches_fail_item_by_item(self, idle):
        good, bad = order("0.2000", "1.00"), order("0.2050", "1.00")
        reply = idle.call("POST", "/portfolio/events/orders/batched", {"orders": [good, bad]})
        first, second = reply.json()["orders"]
        assert (first["error"], second["fill_count"]) == (None, None)
        assert "order_id" not in second
        assert second["error"]["code"] == "invalid_price"
        cancels = {"orders": [{"order_id": first["order_id"]}, {"order_id": "none"}]}
        reply = idle.call("DELETE", "/portfolio/events/orders/batched", cancels)
        assert [o["reduced_by"] for o in reply.json()["orders"]] == ["1.00", "0.00"]

    def test_amend_decrease_and_cancel_all(self, idle):
        made = create(idle, order("0.2000", "10.00")).json()
        path = f"/portfolio/events/orders/{made['order_id']}"
        changed = {"ticker": TICKER, "side": "bid", "price": "0.2100", "count": "8.00"}
        assert idle.call("POST", f"{path}/amend", changed).json()["remaining_count"] == "8.00"
        reply = idle.call("POST", f"{path}/decrease", {"reduce_by": "3.00"}).json()
        assert reply["remaining_count"] == "5.00"
        both = {"reduce_by": "1.00", "reduce_to": "1.00"}
        assert idle.call("POST", f"{path}/decrease", both).status_code == 400
        assert idle.call("DELETE", "/portfolio/events/orders").status_code == 204
        assert idle.get("/portfolio/orders", status="resting")["orders"] == []

    def test_the_first_version_of_the_endpoints_is_gone(self, idle):
        reply = idle.call("POST", "/portfolio/orders", {})
        assert reply.status_code == 410
        assert reply.json()["error"]["code"] == "deprecated_v1_order_endpoint"


class TestSynthetic:
    async def test_books_move_and_our_orders_are_in_them(self, synthetic):
        ticker = synthetic.get("/markets", status="open")["markets"][0]["ticker"]
        async with synthetic.stream() as stream:
            await stream.subscribe("orderbook_delta", "trade", tickers=[ticker])
            await stream.until("orderbook_snapshot")
            body = order("0.0100", "7.77", ticker=ticker)
            assert create(synthetic, body).status_code == 201
            own = await stream.until("orderbook_delta", client_order_id=body["client_order_id"])
            assert own["msg"]["delta_fp"] == "7.77"
            book_seqs = [f["seq"] for f in stream.frames if f.get("sid") == 1 and "seq" in f]
            assert book_seqs == list(range(1, len(book_seqs) + 1))
            at = synthetic.admin("book", ticker=ticker, seq=own["seq"])
            assert any(price == "0.0100" for price, _ in at["yes"])

    async def test_private_channels_follow_an_order(self, synthetic):
        ticker = synthetic.get("/markets", status="open")["markets"][0]["ticker"]
        async with synthetic.stream() as stream:
            await stream.subscribe("fill", "user_orders", "market_positions")
            for _ in range(3):
                await stream.until("subscribed")
            made = create(
                synthetic,
                order("0.9900", "1.00", ticker=ticker, time_in_force="immediate_or_cancel"),
            ).json()
            fill = await stream.until("fill", order_id=made["order_id"])
            assert fill["msg"]["fee_cost"] >= "0.000000"
            await stream.until("user_order", order_id=made["order_id"], status="executed")
            position = await stream.until("market_position", market_ticker=ticker)
            last = [f for f in stream.frames if f["type"] == "fill"][-1]  # it may fill in parts
            assert position["msg"]["position_fp"] == last["msg"]["post_position_fp"] == "1.00"


class TestFaults:
    def test_ordered_errors_come_once(self, synthetic):
        synthetic.order("fault", kind="error_next", status=503, code="exchange_unavailable")
        synthetic.order("fault", kind="rate_limit_next")
        first = synthetic.call("GET", "/portfolio/balance")
        assert (first.status_code, first.json()["error"]["code"]) == (503, "exchange_unavailable")
        second = synthetic.call("GET", "/portfolio/balance")
        assert (second.status_code, second.json()) == (429, {"error": "too many requests"})
        assert synthetic.call("GET", "/portfolio/balance").status_code == 200

    async def test_a_dropped_frame_is_a_gap(self, synthetic):
        ticker = synthetic.get("/markets", status="open")["markets"][0]["ticker"]
        async with synthetic.stream() as stream:
            await stream.subscribe("orderbook_delta", tickers=[ticker])
            await stream.until("orderbook_snapshot")
            synthetic.order("fault", kind="drop_frame")
            while True:
                before = stream.frames[-1]["seq"]
                if (await stream.until("orderbook_delta"))["seq"] != before + 1:
                    break
            assert stream.frames[-1]["seq"] == before + 2

    async def test_a_cut_connection(self, synthetic):
        async with synthetic.stream() as stream:
            await stream.say({"id": 1, "cmd": "list_subscriptions"})
            await stream.until("ok")
            assert synthetic.order("disconnect")["cut"] >= 1
            with pytest.raises(websockets.ConnectionClosed):
                await stream.next()
