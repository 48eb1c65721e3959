"""The index over events: an order that walks by it ends as one that looks at every event."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.model_sessions import MS, SessionBuilder
from support.naive_fills import NaiveOrderManager

from ipc import account_table as a
from ipc import book as b
from models.simulation.dataset import flow_of
from models.simulation.fills import SimulatedOrderManager
from models.simulation.tape import Tape, make_tape
from models.trading.actions import LimitOrderActionSpace, Pricing
from models.trading.fees import FeeRule, FeeSchedule

YES, NO = b.YES, b.NO
FEES = FeeSchedule.of(FeeRule.OCTOBER_2026, "quadratic_with_maker_fees")
MANY = range(12)


def restless_tape(seed: int, n: int = 250) -> Tape:
    """Events that come in bursts of one moment: crossing bids, executions, trades without their
    delta, and snapshots that change the book in the middle of everything."""
    random = np.random.Generator(np.random.PCG64(seed))
    builder, books = SessionBuilder(), ({45: 50, 44: 20}, {54: 50, 52: 20})
    builder.snapshot(*books)
    for _ in range(n):
        builder.at(builder.ms + int(random.choice([0, 0, 1, 20, 90])))
        side, price, draw = int(random.integers(2)), int(random.integers(43, 58)), random.random()
        book, taker, yes_price = books[side], 1 - side, price if side == YES else 100 - price
        if draw < 0.04:
            for levels in books:
                levels[int(random.integers(43, 58))] = int(random.integers(1, 60))
                if len(levels) > 2:
                    del levels[int(random.choice(list(levels)))]
            builder.snapshot(*books)
        elif draw < 0.15:
            builder.trade(taker, yes_price, int(random.integers(1, 9)))
        elif draw < 0.6 and price in book and len(book) > 1:
            taken = book[price] if random.random() < 0.3 else int(random.integers(book[price])) + 1
            if random.random() < 0.5:
                builder.execution(taker, yes_price, taken)
            else:
                builder.delta(side, price, -taken)
            book[price] -= taken
            if book[price] == 0:
                del book[price]
        elif len(book) < 6 or price in book:
            size = int(random.integers(1, 30))
            builder.delta(side, price, size)
            book[price] = book.get(price, 0) + size
    return make_tape(builder.build(fees=FEES))


TAPES = [restless_tape(seed) for seed in MANY]


@given(
    st.sampled_from(MANY),
    st.sampled_from(list(Pricing)),
    st.sampled_from([0, 20, 40, 250, 700]),
    st.integers(0, 2**32),
)
def test_an_order_meets_what_one_meets_that_looks_at_every_event(
    market: int, pricing: Pricing, latency_ms: int, seed: int
) -> None:
    """Orders that are replaced while they are under way, and that arrive within a burst, too."""
    tape, random = TAPES[market], np.random.Generator(np.random.PCG64(seed))
    ours = SimulatedOrderManager(tape, 8_000_000, latency_ms * MS)
    naive = NaiveOrderManager(tape, 8_000_000, latency_ms * MS)
    space = LimitOrderActionSpace(pricing, 2_000, tape.fees.at_ms(0))
    for tick in range(len(tape.rows)):
        request = space.order_for(int(random.integers(5)), tape.rows[tick], naive.account)
        if request is not None:
            ours.submit(request, int(tape.rows[tick, b.RECV_NS]))
            naive.submit(request, int(tape.rows[tick, b.RECV_NS]))
        ours.advance(tick)
        naive.advance(tick)
        resting = naive.resting
        assert ours.account[a.N_ORDERS] == (1 if resting else 0)
        if resting:
            words = ours.account[a.ORDERS : a.ORDERS + a.ORDER_WORDS]
            price = words[a.ORDER_PRICE_E4]
            yes_price = price if words[a.ORDER_LEG] == YES else 10_000 - price
            assert yes_price == resting.yes_price
            assert words[a.ORDER_REMAINING_E2] == resting.remaining
        np.testing.assert_array_equal(ours.account[: a.N_ORDERS], naive.account[: a.N_ORDERS])
    assert ours.filled_e2 == naive.filled_e2


def test_the_restless_markets_fill_orders_in_every_way() -> None:
    taker = maker = 0
    for tape in TAPES:
        simulated = SimulatedOrderManager(tape, 8_000_000, 20 * MS)
        space = LimitOrderActionSpace(Pricing.MID, 2_000, tape.fees.at_ms(0))
        for tick in range(len(tape.rows)):
            request = space.order_for(1 + tick % 4, tape.rows[tick], simulated.account)
            if request is not None:
                simulated.submit(request, int(tape.rows[tick, b.RECV_NS]))
            simulated.advance(tick)
        taker, maker = taker + simulated.fills[0], maker + simulated.fills[1]
    assert taker > 10
    assert maker > 10


def reaches(builder: SessionBuilder) -> list[list[list[int]]]:
    """[lowest, highest] of the last event, for the orders among YES bids and among NO bids."""
    return flow_of([make_tape(builder.build())]).reach[:, -1].tolist()


def market() -> SessionBuilder:
    return SessionBuilder().snapshot({45: 100}, {52: 50}).at(100)


NOWHERE = [1, 0]


@pytest.mark.parametrize(
    ("builder", "yes", "no"),
    [
        (market(), [0, 10_000], [0, 10_000]),  # whole
        (market().delta(YES, 44, 10), [4_400, 4_400], [5_600, 10_000]),
        (market().delta(NO, 52, -10), NOWHERE, [5_200, 5_200]),
        (market().execution(NO, 45, 10), [4_500, 10_000], NOWHERE),
        (market().trade(YES, 48, 10), NOWHERE, [5_200, 10_000]),
    ],
)
def test_the_reach_of_an_event(builder: SessionBuilder, yes: list[int], no: list[int]) -> None:
    assert reaches(builder) == [yes, no]


def test_a_new_book_reaches_every_order() -> None:
    tape = make_tape(SessionBuilder().snapshot({45: 1}, {52: 1}).snapshot({}, {}).build())
    assert flow_of([tape]).reach[:, -2:].tolist() == [[[0, 10_000]] * 2] * 2
