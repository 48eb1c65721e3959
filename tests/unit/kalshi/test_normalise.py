"""From the wire's text to integers and back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.kalshi_frames import MARKET, delta, fill, raw, snapshot, trade
from support.recordings import needs_wire, wire_folder

from ipc import book
from ipc.messages import BookSide, OrderStatus
from ipc.units import LINEAR_CENT, format_count, format_price
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.schemas.enums import MarketStatus
from processes.adapters.kalshi.schemas.frames import (
    Delta,
    Fill,
    Snapshot,
    Trade,
    UserOrder,
    decode_frame,
)
from processes.adapters.kalshi.schemas.normalise import (
    change_of_delta,
    exchange_ms,
    fill_of,
    levels_of_snapshot,
    market_of,
    ms_of_rfc3339,
    order_of,
    trade_of,
)
from processes.adapters.kalshi.schemas.rest_portfolio import (
    FillRow,
    FillsPage,
    OrderReply,
    OrderRow,
    OrdersPage,
)
from processes.adapters.kalshi.schemas.rest_public import Market, MarketReply

PRICES = st.integers(1, 9_999)
COUNTS = st.integers(1, 10**9)
MARKET_FIELDS = {
    "ticker": MARKET,
    "event_ticker": "KXTEST-26AUG05",
    "status": "active",
    "open_time": "2026-08-05T11:45:00Z",
    "close_time": "2026-08-05T12:00:00Z",
    "price_ranges": [{"start": "0.0000", "end": "1.0000", "step": "0.0100"}],
}


def delta_of(**fields: Any) -> Delta:
    frame = decode_frame(delta(1, **fields))
    assert isinstance(frame, Delta)
    return frame


def market(**fields: Any) -> Market:
    return msgspec.convert(MARKET_FIELDS | fields, Market)


@given(price_e4=PRICES, size_e2=COUNTS, sign=st.sampled_from([1, -1]), side=st.integers(0, 1))
def test_a_change_survives_the_wire(price_e4: int, size_e2: int, sign: int, side: int) -> None:
    frame = delta_of(
        side=("yes", "no")[side], price=format_price(price_e4), size=format_count(sign * size_e2)
    )
    assert change_of_delta(frame.msg) == (side, price_e4, sign * size_e2)
    mirrored = 10_000 - price_e4 if side else price_e4  # NO comes at the YES price
    on_yes_scale = change_of_delta(frame.msg, on_yes_scale=True)
    assert on_yes_scale == (side, mirrored, sign * size_e2)


LEVELS = st.dictionaries(st.integers(1, 99).map(lambda cents: cents * 100), COUNTS, max_size=20)


@given(yes=LEVELS, no=LEVELS)
def test_a_snapshot_is_the_book_that_was_sent(yes: dict[int, int], no: dict[int, int]) -> None:
    def text(levels: dict[int, int]) -> list[list[str]]:
        return [[format_price(p), format_count(c)] for p, c in sorted(levels.items())]

    data = snapshot(1, yes_dollars_fp=text(yes), no_dollars_fp=text(no))
    frame = decode_frame(data)
    assert isinstance(frame, Snapshot)
    row = book.new_row(99, LINEAR_CENT)
    assert book.apply_snapshot(row, *levels_of_snapshot(frame.msg)) == book.OK
    assert book.levels_of(row, book.YES) == sorted(yes.items())
    assert book.levels_of(row, book.NO) == sorted(no.items())
    levels = levels_of_snapshot(frame.msg, on_yes_scale=True)
    assert book.apply_snapshot(row, *levels) == book.OK
    assert book.levels_of(row, book.YES) == sorted(yes.items())
    assert book.levels_of(row, book.NO) == sorted((10_000 - p, c) for p, c in no.items())


def test_levels_have_the_types_that_the_kernels_take() -> None:
    frame = decode_frame(snapshot(1, no_dollars_fp=[["0.4800", "2.00"]]))
    assert isinstance(frame, Snapshot)
    sides, prices, counts = levels_of_snapshot(frame.msg)
    assert [a.dtype for a in (sides, prices, counts)] == [np.uint8, np.int64, np.int64]
    assert (sides.tolist(), prices.tolist(), counts.tolist()) == ([1], [4800], [200])


def test_an_empty_book_has_no_levels() -> None:
    for data in (snapshot(1), snapshot(1, yes_dollars_fp=None, no_dollars_fp=[])):
        frame = decode_frame(data)
        assert isinstance(frame, Snapshot)
        assert [len(a) for a in levels_of_snapshot(frame.msg)] == [0, 0, 0]


@pytest.mark.parametrize(
    ("fields", "what"),
    [
        ({"price": "0.47001"}, "more than 4 decimals"),
        ({"price": "47 "}, "not a decimal"),
        ({"price": "1e-2"}, "not a decimal"),
        ({"size": "+3.00"}, "not a decimal"),
        ({"size": "0.001"}, "more than 2 decimals"),
        ({"side": "maybe"}, "neither yes nor no"),
    ],
)
def test_an_amount_that_cannot_be_read_names_its_market(fields: dict[str, str], what: str) -> None:
    with pytest.raises(WireError, match=what) as refusal:
        change_of_delta(delta_of(**fields).msg)
    assert MARKET in str(refusal.value)


@pytest.mark.parametrize(("taker", "side"), [("yes", book.YES), ("no", book.NO)])
def test_a_trade_names_its_taker(taker: str, side: int) -> None:
    frame = decode_frame(trade(1, taker=taker))
    assert isinstance(frame, Trade)
    assert trade_of(frame.msg) == (side, 5200, 100)


@pytest.mark.parametrize("kept", [["taker_side"], ["taker_outcome_side"], ["taker_book_side"]])
def test_any_one_word_for_the_taker_is_enough(kept: list[str]) -> None:
    event = json.loads(trade(1, taker="no"))
    words = {"taker_side", "taker_outcome_side", "taker_book_side"} - set(kept)
    event["msg"] = {k: v for k, v in event["msg"].items() if k not in words}
    frame = decode_frame(json.dumps(event).encode())
    assert isinstance(frame, Trade)
    assert trade_of(frame.msg)[0] == book.NO
    with pytest.raises(WireError, match="no taker's side"):
        trade_of(msgspec.structs.replace(frame.msg, **dict.fromkeys(kept)))


def test_a_market_in_integers() -> None:
    info = market_of(market())
    assert (info.ticker, info.status, info.exchange_index) == (MARKET, MarketStatus.ACTIVE, 0)
    assert info.grid == LINEAR_CENT
    assert info.close_ms - info.open_ms == 900_000
    assert info.open_ms == 1_785_930_300_000
    assert market_of(market(status="resting_well")).status is MarketStatus.UNKNOWN


@pytest.mark.parametrize("field", ["ticker", "status", "open_time", "close_time", "price_ranges"])
def test_a_market_without_what_we_need_is_refused(field: str) -> None:
    fields = {k: v for k, v in MARKET_FIELDS.items() if k != field}
    with pytest.raises(msgspec.ValidationError, match=f"`{field}`"):
        msgspec.convert(fields, Market)


def test_a_grid_with_a_hole_names_its_market() -> None:
    ranges = [{"start": "0.0000", "end": "0.5000", "step": "0.0100"}]
    with pytest.raises(WireError, match=MARKET):
        market_of(market(price_ranges=ranges))


def test_times() -> None:
    assert ms_of_rfc3339("2026-06-11T06:29:30.164956Z") == 1_781_159_370_164
    assert ms_of_rfc3339("2026-06-11T08:29:30.164956+02:00") == 1_781_159_370_164
    assert ms_of_rfc3339("2026-08-05T11:45:00Z") == 1_785_930_300_000
    assert exchange_ms(5, "2026-08-05T11:45:00Z") == 5
    assert exchange_ms(None, "2026-08-05T11:45:00Z") == 1_785_930_300_000
    assert exchange_ms(None, 1_781_159_370) == 1_781_159_370_000
    assert exchange_ms(None, None) == 0
    with pytest.raises(WireError, match="is not a time"):
        ms_of_rfc3339("yesterday")


def test_a_fill_of_the_private_channel() -> None:
    frame = decode_frame(fill(fee_cost="0.017501"))
    assert isinstance(frame, Fill)
    made = fill_of(frame.msg)
    assert (made.market_ticker, made.book_side, made.yes_price_e4) == (MARKET, BookSide.BID, 5200)
    assert (made.count_e2, made.fee_e6, made.is_taker) == (100, 17_501, True)
    assert (made.client_order_id, made.ts_ms) == ("my-2", 1_781_159_370_164)


def test_a_fill_whose_side_is_new_is_refused() -> None:
    frame = decode_frame(fill(book_side="middle"))
    assert isinstance(frame, Fill)
    with pytest.raises(WireError, match="neither bid nor ask"):
        fill_of(frame.msg)


def test_an_order_of_the_private_channel_and_of_rest_read_alike() -> None:
    common = {
        "order_id": "o-1",
        "client_order_id": "my-1",
        "ticker": MARKET,
        "status": "executed",
        "book_side": "ask",
        "yes_price_dollars": "0.4700",
        "fill_count_fp": "3.00",
        "remaining_count_fp": "0.00",
        "initial_count_fp": "3.00",
        "taker_fill_cost_dollars": "0.530000",
        "maker_fill_cost_dollars": "1.060000",
        "taker_fees_dollars": "0.017500",
        "maker_fees_dollars": "0.000100",
        "exchange_index": 2,
    }
    times = {"created_ts_ms": 1_781_159_360_866, "expiration_ts_ms": 1_781_159_420_000}
    frame = decode_frame(raw("user_order", common | times | {"last_updated_ts_ms": 7}, sid=4))
    assert isinstance(frame, UserOrder)
    text = {
        "created_time": "2026-06-11T06:29:20.866753Z",
        "expiration_time": "2026-06-11T06:30:20Z",
        "last_update_time": "1970-01-01T00:00:00.007Z",
    }
    order = order_of(frame.msg)
    assert order == order_of(msgspec.convert(common | text, OrderRow))
    assert (order.status, order.fees_e6, order.cost_e6) == (OrderStatus.EXECUTED, 17_600, 1_590_000)
    assert (order.book_side, order.remaining_count_e2) == (BookSide.ASK, 0)
    assert (order.created_ms, order.expire_ms) == (1_781_159_360_866, 1_781_159_420_000)
    unknown = msgspec.convert(common | {"status": "sleeping"}, OrderRow)
    assert order_of(unknown).status is OrderStatus.UNKNOWN


def captured(name: str) -> bytes:
    folder, _ = wire_folder()
    return (folder or Path()).joinpath(f"{name}.json").read_bytes()


@needs_wire
def test_the_captured_replies_are_read() -> None:
    rows = msgspec.json.decode(captured("fills__after_taker"), type=FillsPage).rows
    fills = [msgspec.json.decode(row, type=FillRow) for row in rows]
    assert [fill_of(f).fee_e6 for f in fills] == [17_500, 700, 700]
    assert fill_of(fills[0]).ts_ms == 1_781_159_370_164
    rows = msgspec.json.decode(captured("portfolio__orders_list"), type=OrdersPage).rows
    orders = [msgspec.json.decode(row, type=OrderRow) for row in rows]
    assert {order_of(o).status for o in orders} == {OrderStatus.EXECUTED, OrderStatus.CANCELED}
    one = msgspec.json.decode(captured("orders__get_after_create"), type=OrderReply).order
    assert (order_of(one).status, order_of(one).yes_price_e4) == (OrderStatus.RESTING, 100)
    reply = msgspec.json.decode(captured("markets__single"), type=MarketReply)
    assert market_of(reply.market).grid == LINEAR_CENT
