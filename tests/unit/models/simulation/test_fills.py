"""SimulatedOrderManager: arrival, depth, queue position, netting, cash; nothing for free."""

from __future__ import annotations

import pytest
from support.model_builders import NOON_NS
from support.model_sessions import MS, SessionBuilder

from ipc import account_table as a
from ipc import book as b
from ipc.messages import BookSide, Leg
from models.simulation.fills import SimulatedOrderManager
from models.simulation.tape import make_tape
from models.trading.actions import Action, OrderRequest
from models.trading.fees import NO_FEES, FeeRule, FeeSchedule

YES, NO = b.YES, b.NO
START = 100_000_000
MAKERS_PAY = FeeSchedule.of(FeeRule.OCTOBER_2026, "quadratic_with_maker_fees")


def order(action: Action, yes_cents: float, contracts: float) -> OrderRequest:
    yes_leg = action in (Action.BUY_YES_LIMIT, Action.SELL_YES_LIMIT)
    bid = action in (Action.BUY_YES_LIMIT, Action.SELL_NO_LIMIT)
    price = round(100 * yes_cents)
    return OrderRequest(
        action,
        Leg.YES if yes_leg else Leg.NO,
        action in (Action.BUY_YES_LIMIT, Action.BUY_NO_LIMIT),
        price if yes_leg else 10_000 - price,
        price,
        BookSide.BID if bid else BookSide.ASK,
        round(100 * contracts),
    )


BUY_YES, SELL_YES = Action.BUY_YES_LIMIT, Action.SELL_YES_LIMIT
BUY_NO, SELL_NO = Action.BUY_NO_LIMIT, Action.SELL_NO_LIMIT


def market() -> SessionBuilder:
    """45 (100 ahead) / 48 (50), then 49 (30)."""
    return SessionBuilder().snapshot({45: 100, 44: 200}, {52: 50, 51: 30}).at(100)


def manager(
    builder: SessionBuilder, *, fees: FeeSchedule = NO_FEES, latency_ms: int = 50
) -> SimulatedOrderManager:
    tape = make_tape(builder.build(fees=fees))
    assert len(tape.rows) == 1  # one tick, everything else between it and the end
    return SimulatedOrderManager(tape, START, latency_ms * MS)


def played(builder: SessionBuilder, request: OrderRequest, **options: object) -> a.AccountRow:
    simulated = manager(builder, **options)  # type: ignore[arg-type]
    simulated.submit(request, NOON_NS)
    simulated.advance(0)
    return simulated.account


def resting(account: a.AccountRow) -> list[int]:
    """[is_buy, leg, price, remaining] of the open order, or nothing."""
    if account[a.N_ORDERS] == 0:
        return []
    return [int(x) for x in account[a.ORDERS : a.ORDERS + 4]]


def test_a_taker_walks_the_depth_and_rests_with_what_is_left() -> None:
    account = played(market(), order(BUY_YES, 49, 100), fees=FeeSchedule())
    assert account[a.POSITION_E2] == 8_000
    cost = 5_000 * 4_800 + 3_000 * 4_900
    assert account[a.COST_BASIS_E6] == cost
    fees = account[a.FEES_E6]
    assert fees == pytest.approx(0.07 * (50 * 0.48 * 0.52 + 30 * 0.49 * 0.51) * 1e6, abs=200)
    assert account[a.CASH_E6] == START - cost - fees
    assert resting(account) == [1, YES, 4_900, 2_000]


def test_the_other_three_actions_take_their_own_side() -> None:
    account = played(market(), order(BUY_NO, 45, 10))
    assert (account[a.POSITION_E2], account[a.COST_BASIS_E6]) == (-1_000, 5_500_000)
    simulated = manager(market())
    simulated.account[a.POSITION_E2] = 500
    simulated.submit(order(SELL_YES, 45, 10), NOON_NS)
    simulated.advance(0)
    assert simulated.account[a.POSITION_E2] == 0
    assert simulated.account[a.CASH_E6] == START + 500 * 4_500
    simulated = manager(market())
    simulated.account[a.POSITION_E2] = -500
    simulated.submit(order(SELL_NO, 48, 10), NOON_NS)
    simulated.advance(0)
    assert simulated.account[a.POSITION_E2] == 0
    assert simulated.account[a.CASH_E6] == START + 500 * 5_200


def test_an_order_meets_the_book_of_its_arrival() -> None:
    lifted = market().at(20).delta(NO, 52, -50)  # the ask at 48 is gone before we come
    assert played(lifted, order(BUY_YES, 48, 10))[a.POSITION_E2] == 0
    later = market().at(51).delta(NO, 52, -50)
    assert played(later, order(BUY_YES, 48, 10))[a.POSITION_E2] == 1_000
    same_moment = market().at(50).delta(NO, 52, -50)
    assert played(same_moment, order(BUY_YES, 48, 10))[a.POSITION_E2] == 0


def test_an_order_slower_than_the_ticks_arrives_at_its_time() -> None:
    """The ask at 48 is lifted after two ticks, and only then we come."""
    ticking = market().at(300).delta(YES, 44, 1).at(600).delta(YES, 44, 1)
    tape = make_tape(ticking.at(620).delta(NO, 52, -50).at(900).delta(YES, 44, 1).build())
    for latency_ms, bought in ((610, 1_000), (630, 0)):
        simulated = SimulatedOrderManager(tape, START, latency_ms * MS)
        simulated.submit(order(BUY_YES, 48, 10), NOON_NS)
        for tick in range(len(tape.rows)):
            assert not simulated.account[a.POSITION_E2]
            simulated.advance(tick)
            if tape.rows[tick, b.RECV_NS] == NOON_NS + 600 * MS:
                break
        assert simulated.account[a.POSITION_E2] == bought


@pytest.mark.parametrize(("close_ms", "bought"), [(51, 1_000), (50, 0), (40, 0), (0, 1_000)])
def test_an_order_that_comes_after_the_close_meets_nothing(close_ms: int, bought: int) -> None:
    tape = make_tape(market().at(10).delta(YES, 44, 1).build(close_ms=close_ms, fees=NO_FEES))
    simulated = SimulatedOrderManager(tape, START, 50 * MS)
    simulated.submit(order(BUY_YES, 48, 10), NOON_NS)
    simulated.advance(len(tape.rows) - 1)
    assert simulated.account[a.POSITION_E2] == bought


def test_a_resting_order_waits_for_what_stood_ahead() -> None:
    waits = market().execution(NO, 45, 60)
    assert played(waits, order(BUY_YES, 45, 10))[a.POSITION_E2] == 0
    just = market().execution(NO, 45, 60).execution(NO, 45, 40)
    assert played(just, order(BUY_YES, 45, 10))[a.POSITION_E2] == 0
    reached = market().delta(YES, 45, 20).execution(NO, 45, 60).execution(NO, 45, 44)
    account = played(reached, order(BUY_YES, 45, 10))
    assert (account[a.POSITION_E2], account[a.COST_BASIS_E6]) == (400, 1_800_000)
    assert resting(account) == [1, YES, 4_500, 600]


def test_what_joined_before_the_arrival_is_ahead_and_after_it_is_not() -> None:
    before = market().at(30).delta(YES, 45, 20).at(100).execution(NO, 45, 105)
    assert played(before, order(BUY_YES, 45, 10))[a.POSITION_E2] == 0
    after = market().at(80).delta(YES, 45, 20).at(100).execution(NO, 45, 105)
    assert played(after, order(BUY_YES, 45, 10))[a.POSITION_E2] == 500


def test_cancels_ahead_never_move_us_back_and_bound_the_queue() -> None:
    builder = market().delta(YES, 45, -90).delta(YES, 45, 500).execution(NO, 45, 13)
    assert played(builder, order(BUY_YES, 45, 10))[a.POSITION_E2] == 300


def test_a_snapshot_does_not_move_us_to_the_front() -> None:
    renewed = market().snapshot({45: 80, 44: 1}, {52: 50}).execution(NO, 45, 79)
    assert played(renewed, order(BUY_YES, 45, 10))[a.POSITION_E2] == 0
    reached = market().snapshot({45: 80, 44: 1}, {52: 50}).execution(NO, 45, 80)
    reached.delta(YES, 45, 5).execution(NO, 45, 3)
    assert played(reached, order(BUY_YES, 45, 10))[a.POSITION_E2] == 300
    without = market().snapshot({44: 1}, {52: 50}).delta(YES, 45, 9).execution(NO, 45, 9)
    assert played(without, order(BUY_YES, 45, 10))[a.POSITION_E2] == 900


def test_an_execution_through_us_and_an_ask_across_us_fill_us() -> None:
    through = market().execution(NO, 44, 7)
    assert played(through, order(BUY_YES, 45, 10))[a.POSITION_E2] == 700
    across = market().delta(NO, 55, 4)  # an ask at 45
    account = played(across, order(BUY_YES, 45, 10))
    assert (account[a.POSITION_E2], account[a.COST_BASIS_E6]) == (400, 1_800_000)
    beyond = market().delta(NO, 54, 4)
    assert played(beyond, order(BUY_YES, 45, 10))[a.POSITION_E2] == 0


def test_an_unpaired_trade_fills_like_one_with_its_delta() -> None:
    builder = market().trade(NO, 45, 104)
    assert played(builder, order(BUY_YES, 45, 10))[a.POSITION_E2] == 400


def test_the_ask_side_waits_in_the_same_way() -> None:
    builder = market().execution(YES, 48, 49)
    assert played(builder, order(BUY_NO, 48, 10))[a.POSITION_E2] == 0
    builder = market().delta(NO, 52, 20).execution(YES, 48, 53)
    account = played(builder, order(BUY_NO, 48, 10))
    assert (account[a.POSITION_E2], account[a.COST_BASIS_E6]) == (-300, 300 * 5_200)
    assert resting(account) == [1, NO, 5_200, 700]


def test_makers_pay_their_own_rate() -> None:
    builder = market().delta(YES, 45, 20).execution(NO, 45, 110)
    assert played(builder, order(BUY_YES, 45, 10), fees=FeeSchedule())[a.FEES_E6] == 0
    paid = played(builder, order(BUY_YES, 45, 10), fees=MAKERS_PAY)[a.FEES_E6]
    assert paid == pytest.approx(0.0175 * 10 * 0.45 * 0.55 * 1e6, abs=100)


def two_orders(first: OrderRequest, second: OrderRequest) -> a.AccountRow:
    builder = market().at(300).delta(YES, 45, 20).at(540).execution(NO, 45, 110)
    simulated = SimulatedOrderManager(make_tape(builder.build(fees=NO_FEES)), START, 50 * MS)
    simulated.submit(first, NOON_NS)
    simulated.advance(0)
    simulated.submit(second, NOON_NS + 300 * MS)
    simulated.advance(1)
    return simulated.account


def test_the_same_order_again_keeps_its_place_and_another_replaces_it() -> None:
    kept = two_orders(order(BUY_YES, 45, 10), order(BUY_YES, 45, 10))
    assert kept[a.POSITION_E2] == 1_000
    replaced = two_orders(order(BUY_YES, 45, 10), order(BUY_YES, 44, 10))
    assert replaced[a.POSITION_E2] == 0
    assert resting(replaced) == [1, YES, 4_400, 1_000]
    first = two_orders(order(BUY_YES, 44, 10), order(BUY_YES, 45, 10))
    assert first[a.POSITION_E2] == 0  # at the end of the queue of 120


def test_a_sell_that_has_nothing_left_to_sell_takes_the_resting_order_out() -> None:
    assert resting(two_orders(order(BUY_YES, 44, 10), order(SELL_YES, 48, 10))) == []


def test_a_sell_never_turns_the_position() -> None:
    simulated = manager(market().delta(NO, 52, 20).execution(YES, 48, 70))
    simulated.account[a.POSITION_E2] = 300
    simulated.submit(order(SELL_YES, 48, 10), NOON_NS)
    simulated.advance(0)
    assert simulated.account[a.POSITION_E2] == 0
    assert resting(simulated.account) == []


def test_cash_cuts_a_fill_and_drops_the_rest() -> None:
    simulated = manager(market(), fees=FeeSchedule())
    simulated.account[a.CASH_E6] = 1_000_000
    simulated.submit(order(BUY_YES, 48, 10), NOON_NS)
    simulated.advance(0)
    assert 190 <= simulated.account[a.POSITION_E2] < 208
    assert 0 <= simulated.account[a.CASH_E6] < 10_000
    assert resting(simulated.account) == []


def test_the_age_of_an_order_counts_from_its_arrival_and_cancel_takes_it_out() -> None:
    simulated = manager(market())
    simulated.submit(order(BUY_YES, 44, 10), NOON_NS)
    assert resting(simulated.account) == []
    simulated.advance(0)
    assert simulated.account[a.ORDERS + a.ORDER_CREATED_NS] == NOON_NS + 50 * MS
    simulated.cancel()
    assert simulated.account[a.N_ORDERS] == 0
    assert simulated.fills == (0, 0)
    assert simulated.filled_e2 == 0


AHEAD = a.ORDERS + a.ORDER_AHEAD_E2


def rested() -> SessionBuilder:
    """A tick at 300 ms, 50 after an order came."""
    return market().at(300).delta(YES, 10, 1)


def shown(builder: SessionBuilder) -> list[int]:
    """Rests 10 at 45 behind 100 from 250 ms on -> what is shown at each tick after the first."""
    tape = make_tape(builder.build(fees=NO_FEES))
    simulated, seen = SimulatedOrderManager(tape, START, 250 * MS), []
    simulated.submit(order(BUY_YES, 45, 10), NOON_NS)
    for tick in range(len(tape.rows) - 1):
        simulated.advance(tick)
        assert simulated.account[a.N_ORDERS] == 1
        seen.append(int(simulated.account[AHEAD]))
    return seen


def test_the_place_in_the_queue_is_learned_after_an_answer_and_once_a_second() -> None:
    builder = rested().at(500).execution(NO, 45, 30).at(620).delta(YES, 10, 1)
    builder = (
        builder.at(900)
        .execution(NO, 45, 20)
        .at(1_300)
        .delta(YES, 10, 1)
        .at(1_650)
        .delta(YES, 10, 1)
    )
    assert shown(builder) == [a.UNKNOWN_AHEAD, 7_000, 7_000, 7_000, 5_000]


def test_whoever_fills_is_shown_at_the_front_at_once() -> None:
    reached = rested().at(620).delta(YES, 10, 1)
    reached = reached.at(700).delta(YES, 45, 20).execution(NO, 45, 104)
    assert shown(reached.at(900).delta(YES, 10, 1)) == [a.UNKNOWN_AHEAD, 10_000, 0]
    passed = rested().at(620).delta(YES, 10, 1).at(700).execution(NO, 44, 4)
    passed = passed.at(900).delta(YES, 10, 1).at(1_650).delta(YES, 10, 1)
    assert shown(passed) == [a.UNKNOWN_AHEAD, 10_000, 0, 0]


def test_another_order_starts_with_an_unknown_place() -> None:
    tape = make_tape(market().at(400).delta(YES, 10, 1).at(700).delta(YES, 10, 1).build())
    simulated = SimulatedOrderManager(tape, START, 250 * MS)
    simulated.submit(order(BUY_YES, 45, 10), NOON_NS)
    simulated.advance(0)
    assert simulated.account[AHEAD] == 10_000
    simulated.submit(order(BUY_YES, 44, 10), NOON_NS + 400 * MS)
    simulated.advance(1)
    assert simulated.account[AHEAD] == a.UNKNOWN_AHEAD


def test_counters() -> None:
    simulated = manager(market())
    simulated.submit(order(BUY_YES, 49, 100), NOON_NS)
    simulated.advance(0)
    assert simulated.fills == (2, 0)
    assert simulated.filled_e2 == 8_000
