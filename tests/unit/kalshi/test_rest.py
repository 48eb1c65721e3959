"""The REST client's requests and answers, as they are on the wire."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.kalshi_frames import MARKET
from support.recordings import needs_wire, wire_folder
from support.scripted_rest import CREATED, KEY, MARKET_ROW, ORDER, FakeExchange

from ipc.messages import BookSide, OrderStatus
from processes.adapters.kalshi.auth.signing import SIGNATURE_HEADER, TIMESTAMP_HEADER, verify
from processes.adapters.kalshi.errors import (
    ORDER_ALREADY_EXISTS,
    ApiError,
    AuthError,
    NotFound,
    OrderRejected,
    api_error,
)
from processes.adapters.kalshi.rest.orders import AmendOrder, CreateOrder, TimeInForce


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
        found = (await client.markets(status="open", tickers=["A", "B"])).items
    assert len(found) == 3
    queries = [dict(request.url.params) for request in exchange.asked]
    assert [q.get("cursor") for q in queries] == [None, "one", "two"]
    assert all(q["status"] == "open" and q["tickers"] == "A,B" for q in queries)
    assert all(q["limit"] == "1000" for q in queries)


async def test_a_cursor_that_repeats_is_an_end() -> None:
    exchange = FakeExchange(*[{"markets": [MARKET_ROW], "cursor": "same"}] * 3)
    async with exchange.client() as client:
        assert len((await client.markets()).items) == 2


async def test_no_more_pages_than_asked_for() -> None:
    exchange = FakeExchange({"markets": [MARKET_ROW] * 5, "cursor": "more"})
    async with exchange.client() as client:
        assert len((await client.markets(limit=3)).items) == 3


async def test_programs_are_read_whole_and_in_micro_dollars() -> None:
    program = {
        "id": "p-1",
        "market_id": "m-1",
        "market_ticker": MARKET,
        "incentive_type": "liquidity",
        "incentive_description": "quotes",
        "start_date": "2026-09-01T00:00:00Z",
        "end_date": "2026-09-01T00:15:00Z",
        "period_reward": 200_000,
        "paid_out": False,
        "discount_factor_bps": 5_000,
        "target_size_fp": "300.00",
    }
    exchange = FakeExchange(
        {"incentive_programs": [program], "next_cursor": "more"},
        {"incentive_programs": [program | {"id": "p-2", "target_size_fp": None}]},
    )
    async with exchange.client() as client:
        first, second = (await client.incentive_programs(status="active")).items
    assert (first.reward_e6, first.target_size_e2, first.discount_bps) == (20_000_000, 30_000, 5000)
    assert first.end_ms - first.start_ms == 15 * 60 * 1000
    assert (second.program_id, second.target_size_e2, second.most_per_account_e6) == (
        "p-2",
        None,
        None,
    )
    queries = [dict(request.url.params) for request in exchange.asked]
    assert [q.get("cursor") for q in queries] == [None, "more"]
    assert all(q["limit"] == "1000" and q["status"] == "active" for q in queries)


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
        (held,) = (await client.positions()).items
        (paid,) = (await client.settlements()).items
    assert (held.position_e2, held.realized_e6, held.fees_e6) == (-325, -50_000, 18_900)
    assert (paid.revenue_e6, paid.cost_e6, paid.value_e4) == (3_250_000, 2_500_000, 0)


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
        "orders__create_v2_taker_ioc": None,
        "orders__cancel_v2": None,
        "markets__unauth_list": None,
    }
    exchange = FakeExchange(*(captured(name) for name in names))
    async with exchange.client() as client:
        assert (await client.balance()).balance_e6 == 98_018_600
        assert (await client.exchange_status()).exchange_active
        assert (await client.account_limits()).write.bucket_capacity == 100
        (position,) = (await client.positions()).items
        assert (position.position_e2, position.fees_e6) == (300, 18_900)
        orders = (await client.orders(status=None)).items
        assert OrderStatus.EXECUTED in {order.status for order in orders}
        assert (await client.settlements()).items == []
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
        assert (await client.markets(limit=1)).items
