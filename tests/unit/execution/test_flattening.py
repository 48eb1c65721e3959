"""Prices of closing positions: the touch as the exchange reports it, the collar around it."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.order_manager import ManagerRig
from support.orders import TICKER, fill, intent

from ipc.messages import BookSide, Leg
from ipc.trading import TradingMode
from ipc.units import LINEAR_CENT, PriceGrid, PriceRange
from processes.adapters.kalshi.schemas.enums import MarketStatus
from processes.adapters.kalshi.schemas.rest_public import Market
from processes.execution.flattening import ExchangeTouch, collar_price_e4, touch_of
from processes.execution.orders import SendOrder

FINE = PriceGrid(
    (PriceRange(0, 1_000, 10), PriceRange(1_000, 9_000, 100), PriceRange(9_000, 10_000, 10))
)


def market(**quotes: Any) -> Market:
    return Market(
        ticker="T",
        event_ticker="E",
        status=MarketStatus.ACTIVE,
        open_time="2026-08-10T00:00:00Z",
        close_time="2026-08-11T00:00:00Z",
        price_ranges=(),
        **quotes,
    )


def test_a_quote_without_size_is_none() -> None:
    """The exchange then shows 0.0000 and 1.0000, at which nobody trades."""
    empty = market(
        yes_bid_dollars="0.0000",
        yes_bid_size_fp="0.00",
        yes_ask_dollars="1.0000",
        yes_ask_size_fp="0.00",
    )
    assert touch_of(empty) == ExchangeTouch(None, None)
    assert touch_of(market()) == ExchangeTouch(None, None)
    bid = market(yes_bid_dollars="0.4000", yes_bid_size_fp="1.00")
    assert touch_of(bid) == ExchangeTouch(4_000, None)
    assert touch_of(bid).for_position(100) == 4_000
    assert touch_of(bid).for_position(-100) is None


@pytest.mark.parametrize(
    ("touch_e4", "position_e2", "collar_e4", "limit_e4"),
    [
        (4_000, 100, 500, 3_500),
        (4_000, 100, 0, 4_000),
        (4_000, 100, 550, 3_500),  # between two prices: the nearer one
        (4_000, -100, 500, 4_500),
        (4_000, -100, 550, 4_500),
        (300, 100, 500, 100),
        (9_800, -100, 500, 9_900),
    ],
)
def test_the_collar_ends_on_the_grid(
    touch_e4: int, position_e2: int, collar_e4: int, limit_e4: int
) -> None:
    assert collar_price_e4(touch_e4, position_e2, collar_e4, LINEAR_CENT) == limit_e4


@given(
    st.integers(1, 9_999),
    st.sampled_from((-100, 100)),
    st.integers(0, 9_999),
    st.sampled_from((LINEAR_CENT, FINE)),
)
def test_the_limit_is_a_price_of_the_grid_within_the_collar(
    touch_e4: int, position_e2: int, collar_e4: int, grid: PriceGrid
) -> None:
    limit_e4 = collar_price_e4(touch_e4, position_e2, collar_e4, grid)
    assert grid.index(limit_e4) >= 0
    if grid.index(touch_e4) >= 0:
        assert abs(limit_e4 - touch_e4) <= collar_e4
        assert (limit_e4 <= touch_e4) if position_e2 > 0 else (limit_e4 >= touch_e4)


def held(position_e2: int = 500) -> ManagerRig:
    """Flattening, with a position of YES."""
    rig = ManagerRig().known()
    rig.state.on_fill(fill("t1", BookSide.BID, count_e2=position_e2))
    rig.drain()
    rig.manager.set_mode(TradingMode.FLATTENING)
    return rig


def test_a_closing_order_is_sent_while_intents_are_refused() -> None:
    rig = held()
    rig.manager.on_intent(intent("i1", is_buy=False, count_e2=100), 0)
    assert rig.last_order().reason == "trading_flattening"
    sale = intent("f1", is_buy=False, count_e2=500, session_uid="none", model="command:flatten")
    assert rig.manager.close_position(sale) is None
    ((order),) = [r.order for r in rig.requests(SendOrder)]
    assert (order.immediate, order.expire_ms) == (True, None)


@pytest.mark.parametrize(
    ("reason", "sale"),
    [
        ("not_a_sale", intent("f1", count_e2=100)),
        ("sells_more_than_held", intent("f1", is_buy=False, count_e2=600)),
        ("sells_more_than_held", intent("f1", is_buy=False, leg=Leg.NO, count_e2=100)),
        ("count", intent("f1", is_buy=False, count_e2=1_100)),
        ("price_off_grid", intent("f1", is_buy=False, yes_price_e4=4_050, count_e2=100)),
        ("deadline", intent("f1", is_buy=False, count_e2=100, deadline_mono_ns=1)),
        ("intent_id", intent("a b", is_buy=False, count_e2=100)),
        ("market_unknown", intent("f1", is_buy=False, count_e2=100, market_ticker="OTHER")),
    ],
)
def test_a_closing_order_only_reduces(reason: str, sale: Any) -> None:
    rig = held()
    assert rig.manager.close_position(sale) == reason
    assert rig.requests(SendOrder) == []


def test_one_closing_order_at_a_time() -> None:
    rig = held()
    assert rig.manager.close_position(intent("f1", is_buy=False, count_e2=100)) is None
    second = intent("f2", is_buy=False, count_e2=100)
    assert rig.manager.close_position(second) == "order_open"
    assert rig.state.accounts[TICKER].position_e2 == 500
