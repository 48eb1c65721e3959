"""What the REST client makes of errors, lost answers and nonsense; what it repeats and what not."""

from __future__ import annotations

import httpx
import pytest
from support.kalshi_frames import MARKET
from support.scripted_rest import CREATED, MARKET_ROW, ORDER, FakeExchange

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
        shown = client.budget.counters()
    pauses = exchange.slept
    for pause, low in zip(pauses, (0.1, 0.2, 0.4), strict=True):
        assert low <= pause < 2 * low
    gained = int(shown["budget_read_refill_per_s"] * pauses[-1]) + 10
    assert shown["budget_read_tokens"] <= gained  # the 429 emptied the bucket
    assert (shown["budget_read_limited"], shown["budget_read_share_percent"]) == (1, 80)
    again = FakeExchange(*failures, status)
    async with again.client(seed=7) as client:
        await client.exchange_status()
    assert again.slept == pauses  # from the injected generator


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
