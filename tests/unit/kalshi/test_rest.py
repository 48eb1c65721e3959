"""The REST client against an exchange of a few lines behind httpx's own transport."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.kalshi_frames import MARKET
from support.recordings import needs_wire, wire_folder

from ipc.messages import BookSide, Environment, OrderStatus
from processes.adapters.kalshi.credentials import Algorithm, new_credentials
from processes.adapters.kalshi.environments import KalshiTarget
from processes.adapters.kalshi.errors import (
    ORDER_ALREADY_EXISTS,
    ApiError,
    AuthError,
    ExchangeUnavailable,
    KalshiError,
    NotFound,
    OrderRejected,
    RateLimited,
    UnknownOutcome,
    WireError,
    api_error,
)
from processes.adapters.kalshi.orders import AmendOrder, CreateOrder, TimeInForce
from processes.adapters.kalshi.rest import KalshiTradingClient
from processes.adapters.kalshi.signing import SIGNATURE_HEADER, TIMESTAMP_HEADER, Signer, verify

TARGET = KalshiTarget(
    Environment.SIMULATED, "http://127.0.0.1:1/trade-api/v2", "ws://127.0.0.1:1/trade-api/ws/v2"
)
KEY = new_credentials("key-1", Algorithm.ED25519)
ORDER = CreateOrder(
    market_ticker=MARKET,
    client_order_id="c-1",
    book_side=BookSide.BID,
    yes_price_e4=4700,
    count_e2=1000,
    expire_s=1_781_159_420,
)
CREATED = {
    "order_id": "o-1",
    "client_order_id": "c-1",
    "fill_count": "1.00",
    "remaining_count": "9.00",
    "average_fill_price": "0.4700",
    "average_fee_paid": "0.0175",
    "ts_ms": 1_781_159_370_164,
}
MARKET_ROW = {
    "ticker": MARKET,
    "event_ticker": "E",
    "status": "active",
    "open_time": "2026-08-05T11:45:00Z",
    "close_time": "2026-08-05T12:00:00Z",
    "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
}

Handler = Callable[[httpx.Request], httpx.Response]


class FakeExchange:
    """Answers from a list, keeps what it was asked; an exception in the list is raised."""

    def __init__(self, *answers: object) -> None:
        self.answers = list(answers)
        self.asked: list[httpx.Request] = []
        self.slept: list[float] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        if isinstance(answer, tuple):
            status, body = answer
        else:
            status, body = 200, answer
        text = body if isinstance(body, bytes) else json.dumps(body).encode()
        return httpx.Response(status, content=text)

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    def client(self, seed: int = 0) -> KalshiTradingClient:
        return KalshiTradingClient.at(
            TARGET,
            Signer(KEY),
            seed=seed,
            sleep=self.sleep,
            transport=httpx.MockTransport(self),
        )


async def test_a_new_order_is_text_on_the_wire() -> None:
    exchange = FakeExchange((201, CREATED))
    async with exchange.client() as client:
        created = await client.create_order(ORDER)
    (request,) = exchange.asked
    assert (request.method, request.url.path) == ("POST", "/trade-api/v2/portfolio/events/orders")
    assert json.loads(request.content) == {
        "ticker": MARKET,
        "client_order_id": "c-1",
        "side": "bid",
        "count": "10.00",
        "price": "0.4700",
        "time_in_force": "good_till_canceled",
        "self_trade_prevention_type": "taker_at_cross",
        "expiration_time": 1_781_159_420,
        "cancel_order_on_pause": True,
    }
    assert (created.order_id, created.fill_count_e2, created.remaining_count_e2) == (
        "o-1",
        100,
        900,
    )
    assert created.average_fee == "0.0175"


async def test_the_signature_leaves_the_query_out() -> None:
    exchange = FakeExchange({"order_id": "o/1", "reduced_by": "3.00", "ts_ms": 5})
    async with exchange.client() as client:
        canceled = await client.cancel_order("o/1", MARKET)
    (request,) = exchange.asked
    assert canceled.reduced_by_e2 == 300
    assert request.method == "DELETE"
    assert request.url.raw_path.startswith(b"/trade-api/v2/portfolio/events/orders/o%2F1?")
    assert dict(request.url.params) == {"market_ticker": MARKET}
    path = "/trade-api/v2/portfolio/events/orders/o%2F1"
    signature, stamp = request.headers[SIGNATURE_HEADER], request.headers[TIMESTAMP_HEADER]
    assert verify(KEY.private_key.public_key(), signature, stamp, "DELETE", path)


async def test_an_amendment_counts_what_has_filled() -> None:
    exchange = FakeExchange({"order_id": "o-1", "ts_ms": 5})
    change = AmendOrder(
        order_id="o-1",
        market_ticker=MARKET,
        book_side=BookSide.ASK,
        yes_price_e4=9_950,
        count_e2=1,
        expire_s=0,
    )
    async with exchange.client() as client:
        amended = await client.amend_order(change)
    (request,) = exchange.asked
    assert request.url.path == "/trade-api/v2/portfolio/events/orders/o-1/amend"
    assert json.loads(request.content) == {
        "ticker": MARKET,
        "side": "ask",
        "price": "0.9950",
        "count": "0.01",
        "expiration_time": 0,
    }
    assert (amended.fill_count_e2, amended.remaining_count_e2) == (None, None)


async def test_cancel_all_has_no_answer_to_read() -> None:
    exchange = FakeExchange((204, b""))
    async with exchange.client() as client:
        await client.cancel_all()
    assert exchange.asked[0].method == "DELETE"


@pytest.mark.parametrize("end", ["", None])
async def test_pages_end_at_an_empty_cursor(end: str | None) -> None:
    pages = [{"markets": [MARKET_ROW], "cursor": c} for c in ("one", "two", end)]
    exchange = FakeExchange(*pages)
    async with exchange.client() as client:
        found = await client.markets(status="open", tickers=["A", "B"])
    assert len(found) == 3
    queries = [dict(request.url.params) for request in exchange.asked]
    assert [q.get("cursor") for q in queries] == [None, "one", "two"]
    assert all(q["status"] == "open" and q["tickers"] == "A,B" for q in queries)
    assert all(q["limit"] == "1000" for q in queries)


async def test_a_cursor_that_repeats_is_an_end() -> None:
    exchange = FakeExchange(*[{"markets": [MARKET_ROW], "cursor": "same"}] * 3)
    async with exchange.client() as client:
        assert len(await client.markets()) == 2


async def test_no_more_pages_than_asked_for() -> None:
    exchange = FakeExchange({"markets": [MARKET_ROW] * 5, "cursor": "more"})
    async with exchange.client() as client:
        assert len(await client.markets(limit=3)) == 3


async def test_a_book_of_rest() -> None:
    book = {"yes_dollars": [["0.4700", "3.00"]], "no_dollars": None}
    exchange = FakeExchange({"orderbook_fp": book})
    async with exchange.client() as client:
        sides, prices, counts = await client.orderbook(MARKET, depth=5)
    assert (sides.tolist(), prices.tolist(), counts.tolist()) == ([0], [4700], [300])
    assert exchange.asked[0].url.params["depth"] == "5"


async def test_money_is_read_from_dollars_not_from_cents() -> None:
    reply = {
        "balance": 9801,
        "balance_dollars": "98.0186",
        "portfolio_value": 198,
        "updated_ts": 1_781_159_348,
        "balance_breakdown": [{"exchange_index": 2, "balance": "1.5000"}],
    }
    exchange = FakeExchange(reply)
    async with exchange.client() as client:
        balance = await client.balance()
    assert (balance.balance_e6, balance.portfolio_value_e6) == (98_018_600, 1_980_000)
    assert balance.by_exchange_e6 == {2: 1_500_000}


async def test_positions_and_settlements_are_signed_integers() -> None:
    position = {
        "ticker": MARKET,
        "position_fp": "-3.25",
        "market_exposure_dollars": "2.500000",
        "realized_pnl_dollars": "-0.050000",
        "fees_paid_dollars": "0.018900",
        "total_traded_dollars": "2.500000",
        "last_updated_ts": "2026-06-11T06:29:30.165032Z",
    }
    settlement = {
        "ticker": MARKET,
        "market_result": "no",
        "yes_count_fp": "0.00",
        "no_count_fp": "3.25",
        "yes_total_cost_dollars": "0.000000",
        "no_total_cost_dollars": "2.500000",
        "revenue": 325,
        "settled_time": "2026-06-11T06:29:30Z",
        "fee_cost": "0.000000",
        "value": 0,
    }
    exchange = FakeExchange({"market_positions": [position]}, {"settlements": [settlement]})
    async with exchange.client() as client:
        (held,) = await client.positions()
        (paid,) = await client.settlements()
    assert (held.position_e2, held.realized_e6, held.fees_e6) == (-325, -50_000, 18_900)
    assert (paid.revenue_e6, paid.cost_e6, paid.value_e4) == (3_250_000, 2_500_000, 0)


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "body", "kind", "said"),
    [
        (
            401,
            b'{"error":{"code":"authentication_error","message":"authentication_error",'
            b'"details":"INCORRECT_API_KEY_SIGNATURE"}}',
            AuthError,
            ("authentication_error", "authentication_error", "INCORRECT_API_KEY_SIGNATURE"),
        ),
        (
            409,
            b'{"error":{"code":"order_already_exists","message":"order already exists"}}',
            OrderRejected,
            ("order_already_exists", "order already exists", ""),
        ),
        (
            400,
            b'{"code":"bad_request","message":"bad request","details":"json: no"}',
            OrderRejected,
            ("bad_request", "bad request", "json: no"),
        ),
        (400, b'{"msg":"limit too large"}', OrderRejected, ("", "limit too large", "")),
        (429, b'{"error":"too many requests"}', RateLimited, ("", "too many requests", "")),
        (404, b'{"error":{"code":"not_found"}}', NotFound, ("not_found", "", "")),
        (403, b"<html>no</html>", AuthError, ("", "<html>no</html>", "")),
        (400, b"[1]", OrderRejected, ("", "[1]", "")),
        (410, b'{"error":{"code":null,"message":"gone"}}', OrderRejected, ("", "gone", "")),
    ],
)
def test_every_shape_of_error(
    status: int, body: bytes, kind: type[ApiError], said: tuple[str, str, str]
) -> None:
    error = api_error(status, body)
    assert type(error) is kind
    assert (error.code, error.message, error.details) == said
    assert str(error).startswith(str(status))


async def test_a_rejected_order_is_not_sent_again() -> None:
    body = b'{"error":{"code":"order_already_exists","message":"order already exists"}}'
    exchange = FakeExchange((409, body))
    async with exchange.client() as client:
        with pytest.raises(OrderRejected) as rejected:
            await client.create_order(ORDER)
    assert rejected.value.code == ORDER_ALREADY_EXISTS
    assert rejected.value.http_status == 409


UNKNOWN = [
    httpx.ReadTimeout("slow"),
    httpx.WriteTimeout("slow"),
    httpx.ReadError("reset"),
    httpx.RemoteProtocolError("server disconnected"),
    (500, b"{}"),
    (503, {"exchange_active": False, "trading_active": False}),
    (504, b""),
    (201, b"{}"),
    (201, b"half a rep"),
    (201, CREATED | {"fill_count": "many"}),
]


@pytest.mark.parametrize("answer", UNKNOWN)
async def test_a_write_without_a_clear_answer_is_sent_once(answer: object) -> None:
    exchange = FakeExchange(answer)
    async with exchange.client() as client:
        with pytest.raises(UnknownOutcome, match=r"POST /portfolio/events/orders|many"):
            await client.create_order(ORDER)
    assert len(exchange.asked) == 1


@pytest.mark.parametrize(
    "failure", [httpx.ConnectError("refused"), httpx.ConnectTimeout("slow"), httpx.PoolTimeout("")]
)
async def test_a_write_that_was_never_sent_is_known_not_to_be_done(failure: Exception) -> None:
    exchange = FakeExchange(failure)
    async with exchange.client() as client:
        with pytest.raises(ExchangeUnavailable):
            await client.cancel_order("o-1", MARKET)
    assert len(exchange.asked) == 1


async def test_a_write_that_is_rate_limited_is_not_repeated() -> None:
    exchange = FakeExchange((429, {"error": "too many requests"}))
    async with exchange.client() as client:
        with pytest.raises(RateLimited):
            await client.create_order(ORDER)
    assert exchange.slept == []


async def test_a_read_is_repeated_with_growing_pauses() -> None:
    status = {"exchange_active": True, "trading_active": True}
    failures = ((503, b"{}"), httpx.ReadError("reset"), (429, {"error": "too many requests"}))
    exchange = FakeExchange(*failures, status)
    async with exchange.client(seed=7) as client:
        assert (await client.exchange_status()).trading_active
    for pause, low in zip(exchange.slept, (0.1, 0.2, 0.4), strict=True):
        assert low <= pause < 2 * low
    again = FakeExchange(*failures, status)
    async with again.client(seed=7) as client:
        await client.exchange_status()
    assert again.slept == exchange.slept  # from the injected generator


async def test_a_read_gives_up() -> None:
    exchange = FakeExchange(*[(500, b"{}")] * 9)
    async with exchange.client() as client:
        with pytest.raises(ExchangeUnavailable, match="/exchange/status"):
            await client.exchange_status()
    assert len(exchange.asked) == 4


@pytest.mark.parametrize(("status", "kind"), [(401, AuthError), (404, NotFound)])
async def test_a_read_that_is_refused_is_not_repeated(status: int, kind: type[ApiError]) -> None:
    exchange = FakeExchange((status, {"error": {"code": "x", "message": "y"}}))
    async with exchange.client() as client:
        with pytest.raises(kind):
            await client.order("o-1")
    assert len(exchange.asked) == 1


async def test_an_answer_without_what_we_need_is_refused_by_name() -> None:
    row = {k: v for k, v in MARKET_ROW.items() if k != "close_time"}
    exchange = FakeExchange({"market": row})
    async with exchange.client() as client:
        with pytest.raises(WireError, match="close_time"):
            await client.market(MARKET)


async def test_a_redirect_is_not_followed() -> None:
    exchange = FakeExchange((302, b""))
    async with exchange.client() as client:
        with pytest.raises(KalshiError, match="redirected"):
            await client.exchange_status()


# --- captured replies -------------------------------------------------------------------------


def captured(name: str) -> tuple[int, bytes]:
    folder = wire_folder()[0] or Path()
    meta = json.loads((folder / f"{name}.meta.json").read_bytes())
    return meta["status"], (folder / f"{name}.json").read_bytes()


@needs_wire
@pytest.mark.parametrize(
    ("name", "kind", "code"),
    [
        ("auth__bad_signature", AuthError, "authentication_error"),
        ("auth__missing_signature_header", AuthError, "signature_is_missing_from_headers"),
        ("auth__skew_minus5min", AuthError, "header_timestamp_expired"),
        ("auth__unknown_key_id", AuthError, "authentication_error"),
        ("orders__duplicate_client_order_id", OrderRejected, ORDER_ALREADY_EXISTS),
        ("orders__insufficient_balance", OrderRejected, "insufficient_balance"),
        ("orders__post_only_cross", OrderRejected, "invalid_order"),
        ("orders__cancel_already_canceled", NotFound, "not_found"),
        ("orders__cancel_unknown_id", NotFound, "not_found"),
        ("markets__limit_over_max", OrderRejected, ""),
    ],
)
def test_captured_errors(name: str, kind: type[ApiError], code: str) -> None:
    error = api_error(*captured(name))
    assert type(error) is kind
    assert error.code == code
    assert error.message


@needs_wire
async def test_captured_replies() -> None:
    names: dict[str, Any] = {
        "auth__balance_ok": None,
        "exchange__status": None,
        "account__limits": None,
        "portfolio__positions": None,
        "portfolio__orders_list": None,
        "settlements__end_of_session": None,
        "orderbook__base": None,
        "orders__create_v2_taker_ioc": None,
        "orders__cancel_v2": None,
        "markets__unauth_list": None,
    }
    exchange = FakeExchange(*(captured(name) for name in names))
    async with exchange.client() as client:
        assert (await client.balance()).balance_e6 == 98_018_600
        assert (await client.exchange_status()).exchange_active
        assert (await client.account_limits()).write.bucket_capacity == 100
        (position,) = await client.positions()
        assert (position.position_e2, position.fees_e6) == (300, 18_900)
        orders = await client.orders(status=None)
        assert OrderStatus.EXECUTED in {order.status for order in orders}
        assert await client.settlements() == []
        assert (await client.orderbook(MARKET))[1].tolist() == [4700, 4800]
        ioc = CreateOrder(
            market_ticker=MARKET,
            client_order_id="c",
            book_side=BookSide.BID,
            yes_price_e4=9900,
            count_e2=100,
            time_in_force=TimeInForce.IMMEDIATE_OR_CANCEL,
        )
        created = await client.create_order(ioc)
        assert (created.fill_count_e2, created.remaining_count_e2) == (100, 0)
        assert (await client.cancel_order("o", MARKET)).reduced_by_e2 == 100
        assert await client.markets(limit=1)
