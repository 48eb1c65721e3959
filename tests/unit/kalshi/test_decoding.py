"""Whatever arrives is data: one kind of failure, and an item that cannot be read costs itself."""

from __future__ import annotations

import decimal
import gzip
import json
import random
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.frame_fuzz import spoil
from support.kalshi_frames import MARKET, delta, fill, ok, snapshot, trade
from support.scripted_rest import MARKET_ROW, ORDER, FakeExchange

from processes.adapters.kalshi.errors import (
    ApiError,
    ExchangeUnavailable,
    KalshiError,
    UnknownOutcome,
    WireError,
    api_error,
)
from processes.adapters.kalshi.rest import http
from processes.adapters.kalshi.schemas.decoding import (
    LeftOut,
    Listing,
    decode,
    decode_items,
    reason_of,
    whole,
)
from processes.adapters.kalshi.schemas.frames import decode_command, decode_frame
from processes.adapters.kalshi.schemas.normalise import market_of
from processes.adapters.kalshi.schemas.rest_public import Market

DEEP = 100_000
MARKETS = msgspec.json.Decoder(Market)
HOSTILE = {
    "empty": b"",
    "no UTF-8": b'{"type":"\xff\xfe"}',
    "HTML": b"<!doctype html><html><body>Bad gateway</body></html>",
    "nested": b"[" * DEEP + b"]" * DEEP,
    "nested and cut": b'{"a":' * DEEP,
    "nested in a field": b'{"type":"ok","msg":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "nested in an unknown field": b'{"odd":' + b"[" * DEEP + b"]" * DEEP + b"}",
    "a number of 400 digits": b'{"type":"ok","seq":' + b"9" * 400 + b"}",
    "a number of 5,000 digits": b"9" * 5_000,
    "an exponent": b"1e999999",
    "half a surrogate": b'"\\ud800"',
    "zeros": bytes(64),
    "null": b"null",
    "a list": b"[1, 2]",
    "text": b'"so"',
}
hostile = pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE)


@hostile
def test_every_way_in_knows_one_failure(data: bytes) -> None:
    with pytest.raises(WireError) as caught:
        decode_frame(data)
    assert len(str(caught.value)) < 400
    with pytest.raises(WireError):
        decode_command(data)
    with pytest.raises(WireError, match=r"^a market: "):
        decode(MARKETS, data, "a market")


@hostile
@pytest.mark.parametrize("status", [400, 401, 404, 429, 500, 502])
def test_an_error_reply_may_hold_anything(status: int, data: bytes) -> None:
    error = api_error(status, data)
    assert error.http_status == status
    assert len(str(error)) < 700
    assert "\n" not in str(error)


@pytest.mark.parametrize(
    "value", [{"a": [1] * 1_000}, ["x"] * 1_000, "y" * 5_000, 10**300, None, True]
)
def test_an_error_is_shown_in_bounded_length(value: object) -> None:
    for body in ({"error": {"code": value, "message": value}}, {"error": value}, value):
        assert len(str(api_error(400, json.dumps(body).encode()))) < 700


@hostile
@pytest.mark.parametrize("status", [200, 302, 400, 500, 503])
async def test_a_read_costs_the_call(status: int, data: bytes) -> None:
    exchange = FakeExchange(*[(status, data)] * 8)
    async with exchange.client() as client:
        with pytest.raises(KalshiError):
            await client.market(MARKET)
        with pytest.raises(KalshiError):
            await client.markets()


@hostile
async def test_a_write_whose_answer_cannot_be_read_may_have_been_done(data: bytes) -> None:
    exchange = FakeExchange((201, data), (502, data), (400, data))
    async with exchange.client() as client:
        for wanted in (UnknownOutcome, UnknownOutcome, ApiError):
            with pytest.raises(wanted):
                await client.create_order(ORDER)


@pytest.mark.parametrize("status", [200, 400, 500])
async def test_a_small_reply_that_unpacks_without_end_is_given_up(
    monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr(http, "MAX_BODY", 1 << 20)
    bomb = gzip.compress(bytes(64 << 20))
    packed = {"Content-Encoding": "gzip"}

    def answer() -> httpx.Response:
        return httpx.Response(status, headers=packed, content=bomb)

    exchange = FakeExchange(*(answer() for _ in range(5)))
    async with exchange.client() as client:
        with pytest.raises(ExchangeUnavailable, match="more than 1048576 bytes"):
            await client.market(MARKET)
        with pytest.raises(UnknownOutcome, match="more than 1048576 bytes"):
            await client.create_order(ORDER)


RANGES = MARKET_ROW["price_ranges"]
BAD_MARKETS: list[Any] = [
    MARKET_ROW | {"ticker": "B-1", "close_time": None},
    {k: v for k, v in MARKET_ROW.items() if k != "close_time"} | {"ticker": "B-2"},
    MARKET_ROW | {"ticker": "B-3", "price_ranges": None},
    MARKET_ROW | {"ticker": "B-4", "volume_24h_fp": 12},
    MARKET_ROW | {"ticker": "B-5", "exchange_index": 10**40},
    MARKET_ROW | {"ticker": None},
    MARKET_ROW | {"ticker": ["x"]},
    None,
    [],
    "text",
    7,
]


async def test_a_market_that_cannot_be_read_costs_itself() -> None:
    good = [MARKET_ROW | {"ticker": f"G-{n}"} for n in range(3)]
    pages = [
        {"markets": [good[0], *BAD_MARKETS[:6], good[1]], "cursor": "more"},
        {"markets": [*BAD_MARKETS[6:], good[2]], "cursor": ""},
    ]
    exchange = FakeExchange(*pages)
    async with exchange.client() as client:
        found, left_out = await client.markets(status="open")
    assert [m.ticker for m in found] == ["G-0", "G-1", "G-2"]
    assert left_out.count == len(BAD_MARKETS)
    assert left_out.tickers == {f"B-{n}" for n in range(1, 6)}
    assert left_out.unnamed == len(BAD_MARKETS) - 5
    assert "close_time" in left_out.reason


POSITION = {
    "ticker": "G",
    "position_fp": "1.00",
    "market_exposure_dollars": "0.5",
    "realized_pnl_dollars": "0",
    "fees_paid_dollars": "0",
    "total_traded_dollars": "0.5",
}
ORDER_ROW = {
    "order_id": "o-1",
    "client_order_id": "c-1",
    "ticker": "G",
    "status": "resting",
    "book_side": "bid",
    "yes_price_dollars": "0.4",
    "fill_count_fp": "0.00",
    "remaining_count_fp": "1.00",
    "initial_count_fp": "1.00",
    "taker_fees_dollars": "0",
    "maker_fees_dollars": "0",
    "taker_fill_cost_dollars": "0",
    "maker_fill_cost_dollars": "0",
}
FILL_ROW = {
    "trade_id": "t-1",
    "order_id": "o-1",
    "ticker": "G",
    "book_side": "bid",
    "yes_price_dollars": "0.4",
    "count_fp": "1.00",
    "is_taker": True,
    "fee_cost": "0.01",
    "created_time": "2026-06-11T06:29:30Z",
}
SETTLEMENT = {
    "ticker": "G",
    "market_result": "yes",
    "yes_count_fp": "1.00",
    "no_count_fp": "0.00",
    "yes_total_cost_dollars": "0.4",
    "no_total_cost_dollars": "0",
    "revenue": 100,
    "settled_time": "2026-06-11T06:29:30Z",
    "fee_cost": "0",
}


@pytest.mark.parametrize(
    ("call", "key", "row", "spoilt"),
    [
        ("positions", "market_positions", POSITION, {"fees_paid_dollars": None}),
        ("positions", "market_positions", POSITION, {"fees_paid_dollars": "0.12345678"}),
        ("orders", "orders", ORDER_ROW, {"order_id": None}),
        ("orders", "orders", ORDER_ROW, {"book_side": "middle"}),
        ("orders", "orders", ORDER_ROW, {"expiration_time": "tomorrow"}),
        ("fills", "fills", FILL_ROW, {"fee_cost": "9" * 400}),
        ("fills", "fills", FILL_ROW, {"created_time": 5}),
        ("historical_fills", "fills", FILL_ROW, {"count_fp": "1.001"}),
        ("settlements", "settlements", SETTLEMENT, {"revenue": 10**30}),
        ("settlements", "settlements", SETTLEMENT, {"settled_time": ""}),
    ],
)
async def test_a_row_of_another_market_puts_only_that_market_in_doubt(
    call: str, key: str, row: dict[str, Any], spoilt: dict[str, Any]
) -> None:
    other = row | {"ticker": "BAD"} | spoilt
    exchange = FakeExchange({key: [other, row, other], "cursor": ""})
    async with exchange.client() as client:
        found, left_out = await getattr(client, call)()
    assert len(found) == 1
    assert (left_out.count, left_out.tickers, left_out.unnamed) == (2, {"BAD"}, 0)
    assert left_out.concerns("BAD")
    assert not left_out.concerns("G")
    with pytest.raises(WireError, match="rows: 2 cannot be read"):
        whole(Listing(found, left_out), "rows")


@pytest.mark.parametrize(
    "error",
    [WireError("x"), ValueError("x"), RecursionError("x"), decimal.InvalidOperation("x")],
    ids=repr,
)
def test_whatever_making_an_item_raises_costs_the_item(error: Exception) -> None:
    def make(row: msgspec.Raw) -> bytes:
        if bytes(row) == b"2":
            raise error
        return bytes(row)

    found = decode_items([msgspec.Raw(n) for n in (b"1", b"2", b"3")], make)
    assert (found.items, found.left_out.count) == ([b"1", b"3"], 1)


def test_a_reason_is_one_line_of_bounded_length() -> None:
    assert reason_of(ValueError("a\nb  c\x1b")) == "a b c\x1b"
    assert len(reason_of(ValueError("word\n" * 10_000))) == 203
    assert reason_of(RecursionError()) == "RecursionError"


def test_what_does_not_name_its_market_may_be_about_any() -> None:
    rows = [msgspec.Raw(b'{"ticker":5}'), msgspec.Raw(b"\xff"), msgspec.Raw(b"[")]
    left_out = decode_items(
        rows, lambda row: decode(msgspec.json.Decoder(Market), row, "")
    ).left_out
    assert (left_out.count, left_out.unnamed) == (3, 3)
    assert left_out.concerns("ANY")
    assert not LeftOut()
    assert not LeftOut().concerns("ANY")


FRAMES = [
    snapshot(1),
    delta(2),
    trade(3),
    fill(),
    ok(4, 1, 5, "A"),
    b'{"type":"market_lifecycle_v2","sid":1,"seq":6,"msg":{"market_ticker":"A","event_type":"x"}}',
]


def _described(row: msgspec.Raw) -> str:
    return market_of(decode(MARKETS, row, "market")).ticker


def _decoded(row: msgspec.Raw) -> str:
    return decode(MARKETS, row, "market").ticker


def _fuzz(number: int, seed: int, make: Callable[[msgspec.Raw], str]) -> None:
    """Every spoilt frame is a frame or a `WireError`; a spoilt row leaves the rows beside it."""
    chance = random.Random(seed)
    row = json.dumps(MARKET_ROW | {"volume_24h_fp": "1.00"}).encode()
    good = msgspec.Raw(row)
    for _ in range(number):
        data = spoil(chance.choice(FRAMES), chance)
        for decoder in (decode_frame, decode_command):
            try:
                decoder(data)
            except WireError:
                continue
        found = decode_items((good, msgspec.Raw(spoil(row, chance)), good), make)
        assert len(found.items) + found.left_out.count == 3
        assert found.items[0] == found.items[-1] == MARKET
        assert len(found.items) >= 2


@given(st.integers(0, 2**32))
def test_spoilt_frames_and_replies_through_the_same_door(seed: int) -> None:
    _fuzz(10, seed, _described)


@pytest.mark.slow
def test_a_million_spoilt_frames_and_replies() -> None:
    _fuzz(1_000_000, 1, _decoded)


@given(st.binary(max_size=200))
def test_any_bytes_are_a_frame_or_a_wire_error(data: bytes) -> None:
    for decoder in (decode_frame, decode_command):
        try:
            decoder(data)
        except WireError:
            continue
