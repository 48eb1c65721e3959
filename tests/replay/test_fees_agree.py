"""Exchange, simulator, evaluation and risk on one market's fees, to the micro-dollar.

One order takes what crosses and rests with what is left, which a recorded trade then fills; what
was bought is sold to a bid. Fee type, multiplier, prices, counts and the moment at which the fees
change are drawn. What is compared, fill by fill: the exchange's charge, the simulator's, and the
fees in evaluation's attribution. Before an order is sent its fills are not known, so risk holds the
fee of one taker fill at the limit: that amount, and the exchange's own check, are compared at the
border of the account's cash. Of an order that is filled piece by piece it may be short of one
alignment unit ($0.0001) for each further piece.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.exchange_core import START_MS, Core, ask, bid
from support.model_sessions import MS, NOON_MS, SessionBuilder, random_session

from ipc import account_table as a
from ipc.messages import BookSide, Leg
from models.evaluation.attribution import attribute, ending_of, fills_of, market_mids
from models.evaluation.outcomes import PolicyOutcome, run_policy
from models.policies.baselines import BASELINES
from models.simulation.dataset import Dataset, dataset_of
from models.simulation.engine import Simulation, SimulationRules
from models.simulation.fills import SimulatedOrderManager
from models.simulation.order_state import (
    ARRIVED,
    COUNT_E2,
    FEE_E6,
    KIND,
    LOG_WORDS,
    MAKER,
    ORDER_ACTION,
    PRICE_E4,
    TAKER,
)
from models.simulation.tape import make_tape
from models.trading.actions import Action, OrderRequest, Pricing, side_of
from models.trading.fees import PRECISION_E6, FeeRule, FeeSchedule, FeeStep, MarketFees, OrderFees
from processes.exchange.core.books import NO, YES
from processes.exchange.core.events import OrderFilled
from processes.exchange.core.fees import ScheduledFeeChange
from processes.exchange.core.rejections import Rejection

TYPES = ("quadratic", "quadratic_with_maker_fees", "quadratic_with_combo_maker_fees", "flat")
TERMS = st.tuples(st.sampled_from(TYPES), st.sampled_from([0, 5_000, 10_000, 20_000]))
CASH_E6 = 100_000_000
TAKE_MS, REST_MS, SELL_MS = 1_001, 2_500, 3_501  # when each fill happens


class Case(NamedTuple):
    """Prices in cents, counts in 1e-2 contracts; the fees change `change_ms` after the start."""

    rule: FeeRule
    first: tuple[str, int]
    then: tuple[str, int]
    change_ms: int
    buy: int
    sell: int
    taken_e2: int
    rested_e2: int

    @property
    def count_e2(self) -> int:
        return self.taken_e2 + self.rested_e2


CASES = st.builds(
    Case,
    st.sampled_from(list(FeeRule)),
    TERMS,
    TERMS,
    st.one_of(
        st.integers(900, 3_600), st.sampled_from([TAKE_MS, REST_MS, SELL_MS, TAKE_MS + 1, 3_502])
    ),
    st.integers(2, 98),
    st.integers(1, 98),
    st.integers(1, 3_000),
    st.integers(1, 3_000),
)


def fees_of(case: Case) -> MarketFees:
    steps = [FeeStep(0, *case.first), FeeStep(NOON_MS + case.change_ms, *case.then)]
    return MarketFees.of(case.rule, steps)


def core_of(case: Case, cash_e6: int = CASH_E6) -> Core:
    """The exchange with the book of the start."""
    schedule = FeeSchedule.of(case.rule, *case.first)
    no_price_e4 = 10_000 - 100 * case.buy
    core = Core((YES, 100, 1_000), (NO, no_price_e4, case.taken_e2), fees=schedule, cash_e6=cash_e6)
    at_ms = START_MS + case.change_ms
    change = ScheduledFeeChange("c", "KXTEST", "", *case.then, at_ms)
    core.venue.fees.changes.append(change)
    return core


def exchange_fills(case: Case) -> list[OrderFilled]:
    core = core_of(case)

    def at(ms: int) -> int:
        core.now_ms = START_MS + ms
        return core.now_ms

    at(TAKE_MS)
    core.order_entry.create(core.accounts[0], bid(100 * case.buy, case.count_e2))
    core.change(NO, 10_000 - 100 * case.buy, -case.taken_e2, at(1_500))
    core.trade(YES, 100 * case.buy, case.rested_e2, at(REST_MS))
    core.change(YES, 100 * case.sell, case.count_e2, at(3_000))
    at(SELL_MS)
    core.order_entry.create(core.accounts[0], ask(100 * case.sell, case.count_e2))
    return [event for event in core.said if isinstance(event, OrderFilled)]


def simulated(case: Case) -> tuple[list[int], a.AccountRow, np.ndarray, Dataset]:
    """(fees of each fill, the account, the log, the market) of the same orders."""
    builder = SessionBuilder().snapshot({1: 10.0}, {100 - case.buy: case.taken_e2 / 100})
    builder.at(1_000).delta(YES, 1, 1)
    builder.at(1_500).delta(NO, 100 - case.buy, -case.taken_e2 / 100)
    builder.at(REST_MS).trade(NO, case.buy, case.rested_e2 / 100)
    builder.at(3_000).delta(YES, case.sell, case.count_e2 / 100)
    builder.at(3_500).delta(YES, 1, 1)
    for ms in range(4_000, 18_000, 1_000):  # a dataset takes markets of more ticks than these
        builder.at(ms).delta(YES, 1, 1)
    tape = make_tape(builder.build(fees=fees_of(case), yes_value_e4=0), throttle_ms=0)
    manager = SimulatedOrderManager(tape, CASH_E6, MS)
    manager._log = np.zeros((32, LOG_WORDS), np.int64)
    charged, ns = [0], tape.ns[tape.tick_event]
    for tick, now_ns in enumerate(ns.tolist()):
        if now_ns == (NOON_MS + 1_000) * MS:
            manager.submit(request(Action.BUY_YES_LIMIT, case.buy, case.count_e2), now_ns)
        if now_ns == (NOON_MS + 3_500) * MS:
            manager.submit(request(Action.SELL_YES_LIMIT, case.sell, case.count_e2), now_ns)
        manager.advance(tick)
        charged.append(int(manager.account[a.FEES_E6]))
    log = manager._log[manager._log[:, KIND] > 0]
    return np.diff(charged).tolist(), manager.account, log, dataset_of([tape])


def request(action: Action, cents: int, count_e2: int) -> OrderRequest:
    side = BookSide.BID if action is Action.BUY_YES_LIMIT else BookSide.ASK
    return OrderRequest(
        action, Leg.YES, side is BookSide.BID, 100 * cents, 100 * cents, side, count_e2
    )


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_exchange_simulator_and_evaluation_charge_the_same(case: Case) -> None:
    fills = exchange_fills(case)
    assert [(f.is_taker, f.count_e2) for f in fills] == [
        (True, case.taken_e2),
        (False, case.rested_e2),
        (True, case.count_e2),
    ]
    charged, account, log, market = simulated(case)
    wanted = [fill.fee_e6 for fill in fills]
    assert fills_of(log)[:, FEE_E6].tolist() == wanted
    assert [fee for fee in charged if fee] == [fee for fee in wanted if fee]
    parts = attribute(fills_of(log), market_mids(market, 0), ending_of(market, 0))
    assert parts.fees_e6 == -sum(wanted)
    assert parts.net_e6 == account[a.CASH_E6] - CASH_E6


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_risk_holds_what_the_exchange_would_charge(case: Case) -> None:
    fees = fees_of(case)
    cost_e6 = 100 * case.buy * case.taken_e2
    now = fees.bound(NOON_MS + TAKE_MS, NOON_MS + TAKE_MS)
    fee_e6 = now.fee_e6(100 * case.buy, case.taken_e2, is_buy=True, is_taker=True)
    enough, short = (core_of(case, cost_e6 + fee_e6 - less) for less in (0, 1))
    for core in (enough, short):
        core.now_ms = START_MS + TAKE_MS
    asked = bid(100 * case.buy, case.taken_e2)
    made = enough.order_entry.create(enough.accounts[0], asked)
    assert (made.filled_e2, made.fee_e6) == (case.taken_e2, fee_e6)
    assert enough.accounts[0].cash_e6 == 0
    with pytest.raises(Rejection) as refusal:
        short.order_entry.create(short.accounts[0], asked)
    assert refusal.value.code == "insufficient_balance"


@settings(max_examples=60, deadline=None)
@given(CASES)
def test_risk_bounds_an_order_over_the_time_that_it_rests(case: Case) -> None:
    bound = fees_of(case).bound(NOON_MS + TAKE_MS, NOON_MS + REST_MS)
    most_e6 = bound.fee_e6(100 * case.buy, case.count_e2, is_buy=True, is_taker=True)
    taken, rested, _ = exchange_fills(case)
    assert taken.fee_e6 + rested.fee_e6 <= most_e6 + PRECISION_E6


def played(rules: SimulationRules, dataset: Dataset, name: str) -> list[np.ndarray]:
    """Every market's order log, as `run_policy` plays it."""
    n = len(dataset.yes_value_e4)
    simulation, policy = Simulation(dataset, rules, n, range(n), log_rows=512), BASELINES[name](0)
    logs: list[list[np.ndarray]] = [[np.zeros((0, LOG_WORDS), np.int64)] for _ in range(n)]
    alive = np.ones(n, np.bool_)
    simulation.reset(range(n))
    while alive.any():
        actions = policy.decide(simulation.observations, simulation.masks()).actions
        simulation.step(actions, restart=False)
        for i, rows in simulation.take_log().items():
            if alive[i]:
                logs[i].append(rows)
        alive &= ~simulation.dones
    return [np.concatenate(log) for log in logs]


def recharged_e6(log: np.ndarray, schedule: FeeSchedule) -> int:
    """What the fills of a log cost under another schedule, each order with its own accumulator."""
    total, fees = 0, OrderFees(schedule)
    for row in log:
        if row[KIND] == ARRIVED:
            total, fees = total + fees.charged_e6, OrderFees(schedule)
        elif row[KIND] in (TAKER, MAKER):
            price, count = int(row[PRICE_E4]), int(row[COUNT_E2])
            is_buy = side_of(int(row[ORDER_ACTION])) == 0
            fees.charge(price, count, is_buy=is_buy, is_taker=bool(row[KIND] == TAKER))
    return total + fees.charged_e6


@pytest.mark.parametrize("pricing", [Pricing.PASSIVE, Pricing.MID])
def test_with_and_without_maker_fees_a_policy_differs_by_what_its_fills_say(
    pricing: Pricing,
) -> None:
    free = FeeSchedule.of(FeeRule.OCTOBER_2026)
    paid = FeeSchedule.of(FeeRule.OCTOBER_2026, "quadratic_with_maker_fees")
    rules = SimulationRules(pricing=pricing, contract_size_e2=300)
    datasets = [
        dataset_of([make_tape(random_session(seed, 900, fees=fees)) for seed in range(4)])
        for fees in (free, paid)
    ]
    without, with_fees = (run_policy(d, rules, BASELINES["random"](0)) for d in datasets)
    assert without.maker_fills == with_fees.maker_fills > 0
    logs = played(rules, datasets[0], "random")
    more = [recharged_e6(log, paid) - recharged_e6(log, free) for log in logs]
    assert differences(without, with_fees) == more
    assert sum(more) > 0


def differences(one: PolicyOutcome, other: PolicyOutcome) -> list[int]:
    """Net of the first less net of the second, by market; the fees are all of it."""
    nets = [x - y for x, y in zip(one.net_e6, other.net_e6, strict=True)]
    assert nets == [y - x for x, y in zip(one.fees_e6, other.fees_e6, strict=True)]
    return nets
