"""What became of orders, on logs made for the question."""

from __future__ import annotations

import numpy as np
import pytest
from support.order_logs import SECOND, log_of, log_row

from models.evaluation.attribution import UNKNOWN
from models.evaluation.executions import (
    Holding,
    Markout,
    QueueShare,
    holding_of,
    markouts_of,
    ordered_e2,
    queue_shares_of,
    summed_markouts,
    summed_queue_shares,
    turnover_e6,
)
from models.simulation.order_state import ARRIVED, MAKER, RESTED, TAKER
from models.trading.actions import Action

SELL_YES, BUY_NO, SELL_NO = list(Action)[2:]


def test_turnover_is_what_the_outcomes_cost() -> None:
    fills = log_of(
        log_row(TAKER, cents=48),
        log_row(MAKER, cents=52, action=SELL_YES),
        log_row(TAKER, cents=30, action=BUY_NO),
        log_row(MAKER, cents=40, action=SELL_NO, contracts=0.01),
    )
    assert turnover_e6(fills) == 4_800_000 + 5_200_000 + 7_000_000 + 6_000
    assert turnover_e6(log_of()) == 0


def test_every_order_that_arrived_was_ordered() -> None:
    log = log_of(log_row(ARRIVED), log_row(TAKER, contracts=4), log_row(RESTED, contracts=6))
    assert ordered_e2(log) == 1_000


def test_contracts_are_held_to_their_sale_or_the_end() -> None:
    fills = log_of(
        log_row(TAKER, seconds=10, contracts=10),
        log_row(TAKER, seconds=20, contracts=4, action=SELL_YES),
    )
    holding = holding_of(fills, 40 * SECOND)
    assert holding == Holding(1_000, (1_000 * 10 + 600 * 20) * 1_000)
    assert holding.seconds == 22
    assert holding_of(log_of(), 40 * SECOND).seconds is None


def test_what_turns_a_position_round_closes_one_and_opens_another() -> None:
    fills = log_of(
        log_row(TAKER, seconds=0, contracts=10),
        log_row(TAKER, seconds=10, contracts=15, action=BUY_NO),
    )
    assert holding_of(fills, 30 * SECOND) == Holding(1_500, (1_000 * 10 + 500 * 20) * 1_000)


def test_a_fill_after_the_last_event_is_held_for_no_time() -> None:
    assert holding_of(log_of(log_row(TAKER, seconds=50)), 40 * SECOND) == Holding(1_000, 0)


NS = np.array([0, 1, 2, 6, 31, 60], np.int64) * SECOND
MIDS = np.array([5_000, 5_000, 5_100, 5_300, 4_000, 6_000], np.int64)


def cents(fills: np.ndarray, liquidity: str, mids: np.ndarray = MIDS) -> list[float | None]:
    return [m.cents for m in markouts_of(fills, mids, NS) if m.liquidity == liquidity]


def test_a_markout_is_the_mids_move_in_the_direction_of_the_fill() -> None:
    bought = log_of(log_row(MAKER, event=1, seconds=1))
    assert cents(bought, "maker") == [1.0, 3.0, -10.0]
    assert cents(bought, "taker") == [None, None, None]
    sold = log_of(log_row(TAKER, event=1, seconds=1, action=BUY_NO))
    assert cents(sold, "taker") == [-1.0, -3.0, 10.0]


def test_markouts_weigh_contracts() -> None:
    fills = log_of(
        log_row(MAKER, event=1, seconds=1, contracts=30),
        log_row(MAKER, event=1, seconds=1, contracts=10, action=SELL_YES),
    )
    assert cents(fills, "maker")[0] == 0.5


def test_a_markout_beyond_the_end_or_without_a_mid_is_left_out() -> None:
    late = log_of(log_row(MAKER, event=5, seconds=50), log_row(MAKER, event=1, seconds=1))
    assert [m.filled_e2 for m in markouts_of(late, MIDS, NS)[:3]] == [2_000, 2_000, 1_000]
    unknown = np.where(MIDS == 5_000, UNKNOWN, MIDS)
    assert cents(log_of(log_row(MAKER, event=1, seconds=1)), "maker", unknown) == [None] * 3


def test_fills_count_for_the_order_that_rested_last() -> None:
    log = log_of(
        log_row(ARRIVED),
        log_row(TAKER, contracts=4),
        log_row(RESTED, contracts=6, more=0),
        log_row(MAKER, contracts=2),
        log_row(MAKER, contracts=1),
        log_row(ARRIVED),
        log_row(RESTED, contracts=10, more=1_000),
        log_row(ARRIVED),
        log_row(RESTED, contracts=10, more=1_001),
        log_row(MAKER, contracts=10),
    )
    first, second, third, *rest = queue_shares_of(log)
    assert first == QueueShare(0, 1, 600, 300)
    assert second == QueueShare(1_000, 1, 1_000, 0)
    assert third == QueueShare(10_000, 1, 1_000, 1_000)
    assert [r.orders for r in rest] == [0, 0]
    assert rest[-1].ahead_up_to_e2 is None


@pytest.mark.parametrize("ahead", [100_001, 10**9])
def test_the_last_row_of_the_queue_has_no_end(ahead: int) -> None:
    assert queue_shares_of(log_of(log_row(RESTED, more=ahead)))[-1].orders == 1


def test_markets_are_summed_row_by_row() -> None:
    markouts = [[Markout("maker", 1, 100, 50)], [Markout("maker", 1, 300, -10)]]
    assert summed_markouts(markouts) == (Markout("maker", 1, 400, 40),)
    shares = [[QueueShare(0, 1, 10, 5)], [QueueShare(0, 2, 30, 0)]]
    assert summed_queue_shares(shares) == (QueueShare(0, 3, 40, 5),)
