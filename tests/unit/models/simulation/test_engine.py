"""The simulation: no free money, honest ends, and one environment alone walks as one of many."""

from __future__ import annotations

import functools
from collections import Counter
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.model_sessions import MS, SessionBuilder, random_session

from ipc import account_table as a
from ipc import book as b
from models.evaluation.comparison import compare
from models.evaluation.outcomes import run_policy
from models.policies.onnx import load_strategy
from models.simulation.dataset import WARMUP_TICKS, Dataset, dataset_of
from models.simulation.engine import Simulation, SimulationRules
from models.simulation.fills import SimulatedOrderManager
from models.simulation.order_state import AHEAD, FILLED_E2
from models.simulation.tape import RecordedSession, Tape, make_tape
from models.trading.actions import Action, LimitOrderActionSpace, Pricing
from models.trading.fees import NO_FEES, FeeRule, FeeSchedule

START = 100_000_000
NOWHERE = Path("nowhere")
CROSSING = SimulationRules(pricing=Pricing.AGGRESSIVE, latencies_ns=(20 * MS,))
HOLD, BUY_YES, SELL_YES, BUY_NO = (int(x) for x in list(Action)[:4])


def frozen_session(ticks: int = 40, **life: object) -> Tape:
    """45/48 for ever; what changes is far from the touch."""
    builder = SessionBuilder().snapshot({45: 100, 44: 200}, {52: 50, 51: 30})
    for i in range(ticks):
        builder.at(250 * (i + 1)).delta(b.YES, 10, 1)
    return make_tape(builder.build(**life))  # type: ignore[arg-type]


@functools.cache
def random_dataset(n: int = 3) -> Dataset:
    fees = FeeSchedule.of(FeeRule.AUGUST_2026)
    return dataset_of([make_tape(random_session(s, 900, fees=fees)) for s in range(n)])


@functools.cache
def frozen_dataset() -> Dataset:
    rules = (FeeRule.AUGUST_2026, FeeRule.OCTOBER_2026)
    return dataset_of([frozen_session(fees=FeeSchedule.of(rule)) for rule in rules])


@given(st.lists(st.integers(0, 4), max_size=25), st.sampled_from(list(Pricing)), st.integers(0, 1))
def test_no_sequence_of_actions_earns_anything_on_a_frozen_book(
    actions: list[int], pricing: Pricing, market: int
) -> None:
    """Every step costs or leaves what was there: no pair of actions makes a cent back."""
    simulation = Simulation(frozen_dataset(), SimulationRules(pricing=pricing), 1, [1])
    simulation.reset([market])
    for action in actions:
        simulation.step(np.array([action]), restart=False)
        assert simulation.changes_e6[0] <= 0
        assert simulation.accounts[0, a.CASH_E6] >= 0


def test_the_place_in_the_queue_is_what_the_fill_rules_count_and_only_gets_better() -> None:
    """Over random markets and actions; what is shown is at most a second old."""
    simulation = Simulation(random_dataset(), SimulationRules(), 3, [1, 2, 3])
    simulation.reset([0, 1, 2])
    random, last, changes = np.random.Generator(np.random.PCG64(5)), {}, Counter[str]()
    for _ in range(600):
        simulation.step(np.where(random.random(3) < 0.1, random.integers(1, 5, 3), 0), restart=True)
        for i, account in enumerate(simulation.accounts):
            if not account[a.N_ORDERS]:
                last.pop(i, None)
                continue
            shown = int(account[a.ORDERS + a.ORDER_AHEAD_E2])
            truth = int(simulation.orders[i, AHEAD])
            created = int(account[a.ORDERS + a.ORDER_CREATED_NS])
            assert shown == a.UNKNOWN_AHEAD or shown == 0 or shown >= truth
            before_ns, before = last.get(i, (0, a.UNKNOWN_AHEAD))
            if before_ns == created and before != a.UNKNOWN_AHEAD:
                assert 0 <= shown <= before
                changes["falls"] += shown < before
            changes["unknown" if shown == a.UNKNOWN_AHEAD else "known"] += 1
            last[i] = created, shown
    assert min(changes["unknown"], changes["known"], changes["falls"]) > 10, changes


@given(st.integers(0, 2**32), st.sampled_from(list(Pricing)))
def test_books_balance_on_every_market(seed: int, pricing: Pricing) -> None:
    rules = SimulationRules(pricing=pricing, market_cash_e6=20_000_000)
    simulation = Simulation(random_dataset(), rules, 3, [seed, seed + 1, seed + 2])
    simulation.reset([0, 1, 2])
    random = np.random.Generator(np.random.PCG64(seed))
    earned = np.zeros(3, np.int64)
    for _ in range(60):
        simulation.step(random.integers(0, 5, 3), restart=False)
        earned += simulation.changes_e6
        cash, basis, realized, fees = (
            simulation.accounts[:, w]
            for w in (a.CASH_E6, a.COST_BASIS_E6, a.REALIZED_E6, a.FEES_E6)
        )
        assert (cash == 20_000_000 + realized - fees - basis).all()
        assert (cash >= 0).all()
        assert (simulation.values_e6 == 20_000_000 + earned).all()


def test_the_first_decision_comes_after_the_warm_up() -> None:
    simulation = Simulation(frozen_dataset(), SimulationRules(), 1, [0])
    simulation.reset([0])
    assert simulation.ticks.tolist() == [WARMUP_TICKS]


def play(tape: Tape, actions: dict[int, int], rules: SimulationRules | None = None) -> Simulation:
    """From the first decision to the end; HOLD where nothing is said."""
    simulation = Simulation(dataset_of([tape]), rules or CROSSING, 1, [0])
    simulation.reset([0])
    for i in range(len(tape.rows) - WARMUP_TICKS):
        assert not simulation.dones[0]
        simulation.step(np.array([actions.get(i, HOLD)]), restart=False)
    assert simulation.dones[0]
    return simulation


@pytest.mark.parametrize(("value", "paid"), [(10_000, 10.0), (0, 0.0), (3_000, 3.0)])
def test_the_market_settles_at_its_result(value: int, paid: float) -> None:
    end = play(frozen_session(yes_value_e4=value, fees=NO_FEES), {0: BUY_YES})
    assert end.values_e6[0] == START + (paid - 4.8) * 1_000_000
    assert end.accounts[0, a.POSITION_E2] == 0


def test_without_a_result_the_last_touch_counts_less_the_fee() -> None:
    end = play(frozen_session(fees=NO_FEES), {0: BUY_YES})
    assert end.values_e6[0] == START - 300_000
    assert end.accounts[0, a.POSITION_E2] == 1_000
    charged = play(frozen_session(fees=FeeSchedule()), {0: BUY_YES}).values_e6[0]
    fee = FeeSchedule().fee_e6
    paid = fee(4_800, 1_000, is_buy=True, is_taker=True)
    to_pay = fee(4_500, 1_000, is_buy=False, is_taker=True)
    assert charged == START - 300_000 - paid - to_pay


def test_a_forbidden_action_is_a_hold() -> None:
    simulation = play(frozen_session(), {0: SELL_YES, 1: int(Action.SELL_NO_LIMIT)})
    assert simulation.values_e6[0] == START


def test_an_order_on_its_way_at_the_end_dies_with_the_market() -> None:
    tape = frozen_session(fees=NO_FEES)
    last = len(tape.rows) - WARMUP_TICKS - 1
    end = play(tape, {last: BUY_YES}, SimulationRules(pricing=Pricing.PASSIVE))
    assert end.accounts[0, a.N_ORDERS] == 0


def test_observations_are_the_builders_of_tick_and_account() -> None:
    tape = frozen_session()
    simulation = Simulation(
        dataset_of([tape]), msgspec.structs.replace(CROSSING, latencies_ns=(0,)), 1, [0]
    )
    simulation.reset([0])
    np.testing.assert_array_equal(simulation.observations[0, :35], tape.features[WARMUP_TICKS])
    simulation.step(np.array([BUY_NO]), restart=False)
    np.testing.assert_array_equal(simulation.observations[0, :35], tape.features[WARMUP_TICKS + 1])
    assert simulation.observations[0, 40] == 1  # short YES


def test_masks_are_those_of_the_action_space() -> None:
    dataset = random_dataset()
    rules = SimulationRules(pricing=Pricing.PASSIVE)
    simulation = Simulation(dataset, rules, 3, [1, 2, 3])
    simulation.reset([0, 1, 2])
    space = LimitOrderActionSpace(rules.pricing, fees=FeeSchedule.of(FeeRule.AUGUST_2026))
    random = np.random.Generator(np.random.PCG64(5))
    seen = set()
    for _ in range(80):
        masks = simulation.masks()
        for i, tick in enumerate(simulation.ticks):
            expected = space.mask(dataset.rows[tick], simulation.accounts[i])
            np.testing.assert_array_equal(masks[i], expected)
            seen.add(tuple(expected.tolist()))
        simulation.step(random.integers(0, 5, 3), restart=False)
    assert len(seen) > 2


def with_another_future(session: RecordedSession, cut: int, seed: int) -> RecordedSession:
    """The same up to event `cut`; then another market's book and all that becomes of it."""
    past, future = session.events[:cut], random_session(seed, 500).events.copy()
    future["recv_ns"] += past["recv_ns"][-1] - future["recv_ns"][0] + MS
    future["exch_ms"] = future["recv_ns"] // MS
    events = np.concatenate([past, future])
    events["event_no"] = np.arange(1, len(events) + 1)
    return msgspec.structs.replace(session, events=events)


@pytest.mark.parametrize("pricing", list(Pricing))
@pytest.mark.parametrize("seed", range(3))
def test_nothing_seen_or_earned_depends_on_the_future(seed: int, pricing: Pricing) -> None:
    session = random_session(seed, 900)
    cut = len(session.events) // 2
    futures = [session, *(with_another_future(session, cut, seed + n) for n in (10, 20))]
    tapes = [make_tape(future) for future in futures]
    shared = int((tapes[0].tick_event < cut).sum())  # ticks before the futures part
    walks = []
    for tape in tapes:
        assert (tape.tick_event[:shared] == tapes[0].tick_event[:shared]).all()
        simulation = Simulation(dataset_of([tape]), SimulationRules(pricing=pricing), 1, [seed])
        walk = [simulation.reset([0]).copy()]
        random = np.random.default_rng(seed)
        for _ in range(shared - 1 - WARMUP_TICKS):
            simulation.step(random.integers(0, 5, 1), restart=False)
            walk += [simulation.observations.copy(), simulation.accounts.copy()]
            walk += [simulation.values_e6.copy(), simulation.masks()]
        walks.append(walk)
    assert simulation.orders[0, FILLED_E2] > 0
    for walk in walks[1:]:
        assert all((x == y).all() for x, y in zip(walks[0], walk, strict=True))


def trajectory(seeds: list[int], steps: int, actions: np.ndarray) -> list[np.ndarray]:
    rules = SimulationRules(pricing=Pricing.PASSIVE, random_start=True)
    simulation = Simulation(random_dataset(), rules, len(seeds), seeds)
    seen = [simulation.reset().copy()]
    for i in range(steps):
        simulation.step(actions[i], restart=True)
        seen += [simulation.observations.copy(), simulation.changes_e6.copy()]
        seen.append(simulation.dones.copy())
    return seen


def test_one_alone_walks_as_one_of_many() -> None:
    n, steps = 8, 12_500
    actions = np.random.Generator(np.random.PCG64(3)).integers(0, 5, (steps, n))
    together = trajectory(list(range(n)), steps, actions)
    for i in range(n):
        alone = trajectory([i], steps, actions[:, i : i + 1])
        assert len(alone) == len(together)
        assert all((x[i] == y[0]).all() for x, y in zip(together, alone, strict=True))
    assert any(x.any() for x in together[3::3])  # markets ended and began anew


def test_the_same_seed_gives_the_same_walk_and_another_another() -> None:
    actions = np.random.Generator(np.random.PCG64(3)).integers(0, 5, (200, 2))
    first, again, other = (trajectory(s, 200, actions) for s in ([1, 2], [1, 2], [3, 4]))
    assert all((x == y).all() for x, y in zip(first, again, strict=True))
    assert any((x != y).any() for x, y in zip(first, other, strict=True))


@pytest.mark.parametrize("pricing", list(Pricing))
def test_the_kernel_is_the_order_manager(pricing: Pricing) -> None:
    """The batch and `SimulatedOrderManager` with `LimitOrderActionSpace`: one set of rules."""
    tape = make_tape(random_session(7, 900))
    rules = SimulationRules(pricing=pricing, latencies_ns=(35 * MS,))
    simulation = Simulation(dataset_of([tape]), rules, 1, [0])
    simulation.reset([0])
    manager = SimulatedOrderManager(tape, rules.market_cash_e6, 35 * MS)
    space = LimitOrderActionSpace(pricing, fees=tape.fees.at_ms(0))
    random = np.random.Generator(np.random.PCG64(1))
    for tick in range(WARMUP_TICKS, len(tape.rows)):
        action = int(random.integers(5))
        request = space.order_for(action, tape.rows[tick], manager.account)
        if request is not None:
            manager.submit(request, int(tape.rows[tick, b.RECV_NS]))
        manager.advance(tick)
        simulation.step(np.array([action]), restart=False)
        if not simulation.dones[0]:
            np.testing.assert_array_equal(manager.account, simulation.accounts[0])
    assert manager.filled_e2 > 0


def test_evaluation_counts_what_happened() -> None:
    tapes = [frozen_session(yes_value_e4=v, fees=NO_FEES) for v in (0, 10_000)]
    dataset = dataset_of(tapes)
    held = run_policy(dataset, SimulationRules(), load_strategy("baseline:hold", data_dir=NOWHERE))
    assert held.net_e6 == (0, 0)
    assert held.action_shares["HOLD"] == 1
    assert held.decisions == sum(len(t.rows) - WARMUP_TICKS for t in tapes)
    rules = msgspec.structs.replace(SimulationRules(), pricing=Pricing.AGGRESSIVE)
    random = load_strategy("baseline:random", seed=3, data_dir=NOWHERE)
    traded = run_policy(dataset, rules, random)
    assert sum(traded.filled_e2) > 0
    assert traded.taker_fills > 0
    assert traded.mean_dollars == pytest.approx(sum(traded.net_e6) / 2e6)
    mean, low, high = compare(traded, held)
    assert low <= mean <= high
    assert mean == pytest.approx(traded.mean_dollars)
    assert compare(held, held) == (0, 0, 0)


def test_what_cannot_be_simulated_is_refused() -> None:
    short = frozen_session(ticks=9)
    with pytest.raises(ValueError, match="none of 1 markets has more than 11 ticks"):
        dataset_of([short])
    with pytest.raises(ValueError, match="1 seeds for 2 environments"):
        Simulation(frozen_dataset(), SimulationRules(), 2, [0])
