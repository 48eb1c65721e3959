"""Sub-accounts: the accounting identity, and the same end whatever the order of arrival."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.orders import TICKER, fill

from ipc import account_table as a
from ipc.account_table import OpenOrder
from ipc.messages import ActorFill, BookSide
from processes.execution.account import Doubt, MarketAccount, Payout, position_of

CASH_E6 = 100_000_000


def account() -> MarketAccount:
    return MarketAccount(TICKER, CASH_E6)


def state(acc: MarketAccount) -> list[int]:
    return [int(w) for w in acc.row[a.CASH_E6 : a.FEES_E6 + 1]]


def cost_basis_e6(acc: MarketAccount) -> int:
    return int(acc.row[a.COST_BASIS_E6])


@st.composite
def histories(draw: st.DrawFn) -> list[ActorFill]:
    """Fills at distinct moments."""
    count = draw(st.integers(1, 12))
    return [
        fill(
            f"t{i}",
            draw(st.sampled_from(BookSide)),
            yes_price_e4=draw(st.integers(1, 9_999)),
            count_e2=draw(st.integers(1, 5_000)),
            fee_e6=100 * draw(st.integers(0, 5_000)),
            ts_ms=i,
        )
        for i in range(count)
    ]


@given(histories())
def test_cash_is_start_plus_realized_less_fees_less_cost(fills: list[ActorFill]) -> None:
    acc = account()
    for f in fills:
        acc.book(f)
        basis_e6 = cost_basis_e6(acc)
        assert acc.cash_e6 == CASH_E6 + acc.realized_e6 - acc.fees_e6 - basis_e6
    assert acc.position_e2 == position_of(fills)
    assert acc.fees_e6 == sum(f.fee_e6 for f in fills)


@given(histories(), st.sampled_from([0, 3_300, 10_000]), st.data())
def test_any_order_of_arrival_ends_alike(
    fills: list[ActorFill], value_e4: int, data: st.DataObject
) -> None:
    straight, shuffled = account(), account()
    for f in fills:
        straight.book(f)
    straight.settle(Payout(value_e4))
    again = data.draw(st.lists(st.sampled_from(fills), max_size=4))
    arrivals = data.draw(st.permutations(fills + again))
    settle_at = data.draw(st.integers(0, len(arrivals)))
    for i, f in enumerate(arrivals):
        if i == settle_at:
            shuffled.settle(Payout(value_e4))
        shuffled.book(f)
    shuffled.settle(Payout(value_e4))
    assert state(shuffled) == state(straight)


def test_fills_of_one_millisecond_count_in_the_order_in_which_they_are_reported() -> None:
    told = [
        fill("z", yes_price_e4=4_000, count_e2=1_000, ts_ms=5),
        fill("y", yes_price_e4=6_000, count_e2=1_000, ts_ms=5),
        fill("x", BookSide.ASK, yes_price_e4=5_000, count_e2=1_000, ts_ms=5),
        fill("a", yes_price_e4=8_000, count_e2=1_000, ts_ms=5),
    ]
    live, listed = account(), account()
    for f in told:
        live.book(f)
    listed.adopt(told)
    assert state(live) == state(listed)
    assert cost_basis_e6(live) == 5_000_000 + 8_000_000


def test_a_fill_is_booked_once() -> None:
    acc = account()
    assert acc.book(fill("t1", yes_price_e4=4_000, count_e2=1_000, fee_e6=16_800))
    assert not acc.book(fill("t1", yes_price_e4=4_000, count_e2=1_000, fee_e6=16_800))
    assert (acc.position_e2, acc.cash_e6) == (1_000, CASH_E6 - 4_000_000 - 16_800)


@pytest.mark.parametrize(("value_e4", "cash_e6"), [(10_000, 106_000_000), (0, 96_000_000)])
def test_settlement_pays_once(value_e4: int, cash_e6: int) -> None:
    acc = account()
    acc.book(fill("t1", yes_price_e4=4_000, count_e2=1_000))
    assert acc.settle(Payout(value_e4))
    assert not acc.settle(Payout(value_e4))
    assert (acc.position_e2, acc.cash_e6) == (0, cash_e6)


def test_adopting_forgets_what_the_exchange_does_not_list() -> None:
    acc = account()
    acc.book(fill("t1"))
    acc.adopt([fill("t2", BookSide.ASK, yes_price_e4=6_000, count_e2=500)])
    assert (acc.position_e2, acc.cash_e6) == (-500, CASH_E6 - 500 * 4_000)


def test_a_market_starts_in_doubt() -> None:
    acc = account()
    assert not acc.known
    acc.doubts.clear()
    assert acc.known


def test_the_row_is_the_account() -> None:
    acc = account()
    acc.book(fill("t1", yes_price_e4=4_000, count_e2=1_000, fee_e6=100))
    acc.version = 77
    resting = OpenOrder(True, 1, 3_000, 500, 9)
    row = acc.row_for_table([resting], ts_ns=5)
    assert (row[a.KNOWN], row[a.ACCOUNT_VERSION], row[a.TS_NS]) == (0, 77, 5)
    assert (row[a.POSITION_E2], row[a.CASH_E6]) == (1_000, CASH_E6 - 4_000_100)
    assert [int(w) for w in row[a.N_ORDERS : a.N_ORDERS + 1]] == [1]
    assert [int(w) for w in row[a.ORDERS : a.ORDERS + 5]] == [1, 1, 3_000, 500, 9]
    acc.doubts.discard(Doubt.STARTING)
    assert acc.row_for_table([], ts_ns=5)[a.KNOWN] == 1
