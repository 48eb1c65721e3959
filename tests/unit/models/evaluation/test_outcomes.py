"""A policy played over markets made by hand: what is counted is what happened."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from support.model_sessions import MS, SessionBuilder, random_session

from ipc import book as b
from models.evaluation.attribution import Attribution
from models.evaluation.outcomes import Datasets, PolicyOutcome, run_policy
from models.observation.builder import DEFAULT, OBSERVATION_V2, builder_of
from models.policies.interface import Decisions, Observations
from models.simulation.dataset import WARMUP_TICKS, dataset_of
from models.simulation.engine import Simulation, SimulationRules
from models.simulation.order_state import (
    ARRIVED,
    COUNT_E2,
    FILLED_E2,
    KIND,
    MAKER,
    MAKER_FILLS,
    RESTED,
    TAKER,
    TAKER_FILLS,
)
from models.simulation.tape import RecordedSession, make_tape
from models.trading.actions import Action, Mask, Pricing
from models.trading.fees import NO_FEES

AGGRESSIVE = SimulationRules(pricing=Pricing.AGGRESSIVE, latencies_ns=(20 * MS,))
BUY_YES, SELL_YES = Action.BUY_YES_LIMIT, Action.SELL_YES_LIMIT


class Script:
    """Does at each decision what it was told, then holds."""

    model = "script"
    model_hash = "0" * 16
    builder = DEFAULT

    def __init__(self, *actions: Action) -> None:
        self._actions = list(actions)

    def decide(self, observations: Observations, masks: Mask) -> Decisions:  # noqa: ARG002
        action = self._actions.pop(0) if self._actions else Action.HOLD
        logits = np.zeros((len(observations), 5), np.float32)
        return Decisions(np.full(len(observations), int(action)), logits, None)


def stepped(**life: object) -> RecordedSession:
    """45/48 until the decisions begin; then down to 40/43, and up to 50/53 a second later."""
    builder = SessionBuilder().snapshot({45: 100, 44: 200}, {52: 50, 51: 30})
    for i in range(WARMUP_TICKS + 3):
        builder.at(250 * (i + 1)).delta(b.YES, 10, 1)
    builder.at(builder.ms + 250).snapshot({40: 100}, {57: 100})
    for _ in range(4):
        builder.at(builder.ms + 250).delta(b.YES, 10, 1)
    builder.at(builder.ms + 250).snapshot({50: 100}, {47: 100})
    for _ in range(4):
        builder.at(builder.ms + 250).delta(b.YES, 10, 1)
    return builder.build(fees=NO_FEES, **life)  # type: ignore[arg-type]


def played(*actions: Action, **life: object) -> PolicyOutcome:
    return run_policy(dataset_of([make_tape(stepped(**life))]), AGGRESSIVE, Script(*actions))


def test_drawdown_is_the_deepest_fall_from_a_peak() -> None:
    """10 at 48: worth 45 at once, 40 at the lowest, 50 at the end."""
    assert played(BUY_YES).drawdown_e6 == (800_000,)
    assert played(BUY_YES).net_e6 == (200_000,)
    assert played().drawdown_e6 == (0,)


def test_a_loss_at_settlement_is_part_of_the_drawdown() -> None:
    assert played(BUY_YES, yes_value_e4=0).drawdown_e6 == (5_000_000,)
    assert played(BUY_YES, yes_value_e4=10_000).drawdown_e6 == (800_000,)


def test_a_round_trip_is_counted() -> None:
    outcome = played(BUY_YES, Action.HOLD, SELL_YES)
    assert outcome.net_e6 == (-300_000,)
    assert outcome.turnover_e6 == (4_800_000 + 4_500_000,)
    assert outcome.ordered_e2 == (2_000,)
    assert outcome.fill_ratio == 1
    assert outcome.holding_seconds == 0.5
    assert outcome.taker_fills == 2


def test_a_market_that_is_over_is_not_looked_at_again() -> None:
    """Two markets of different length: the shorter does as it does alone."""
    short, long = random_session(1, 300), random_session(2, 900)
    policy_of = {n: Datasets(s, 250) for n, s in (("both", [short, long]), ("alone", [short]))}
    outcomes = {}
    for name, datasets in policy_of.items():
        script = Script(*[BUY_YES, SELL_YES, Action.BUY_NO_LIMIT, Action.HOLD] * 500)
        outcomes[name] = datasets.run(script, AGGRESSIVE, seed=4)
    for field in ("net_e6", "drawdown_e6", "filled_e2", "attribution", "turnover_e6", "holding"):
        both, alone = (getattr(outcomes[name], field) for name in ("both", "alone"))
        assert both[0] == alone[0], field
        assert len(both) == 2
    assert outcomes["both"].filled_e2[1] > 0


def test_markets_keep_their_names_and_those_too_short_are_left_out() -> None:
    brief = SessionBuilder().snapshot({45: 100}, {52: 50}).build(ticker="BRIEF")
    datasets = Datasets([random_session(1, 300), brief, random_session(2, 300)], 250)
    outcome = datasets.run(Script(), AGGRESSIVE)
    assert outcome.tickers == ("R1", "R2")
    assert len(outcome.net_e6) == 2
    datasets.of(builder_of(OBSERVATION_V2.name))
    assert datasets.tickers == ("R1", "R2")


def test_without_an_order_there_is_no_ratio_and_no_time() -> None:
    outcome = played()
    assert outcome.fill_ratio is None
    assert outcome.holding_seconds is None


@pytest.mark.parametrize("pricing", list(Pricing))
def test_the_log_holds_every_fill(pricing: Pricing) -> None:
    dataset = dataset_of([make_tape(random_session(s, 900)) for s in range(3)])
    rules = msgspec.structs.replace(AGGRESSIVE, pricing=pricing)
    simulation = Simulation(dataset, rules, 3, [1, 2, 3], log_rows=200)
    silent = Simulation(dataset, rules, 3, [1, 2, 3])
    simulation.reset([0, 1, 2])
    silent.reset([0, 1, 2])
    random = np.random.Generator(np.random.PCG64(5))
    kept: dict[int, list[np.ndarray]] = {0: [], 1: [], 2: []}
    for _ in range(100):
        actions = random.integers(0, 5, 3)
        simulation.step(actions, restart=False)
        silent.step(actions, restart=False)
        for market, rows in simulation.take_log().items():
            kept[market].append(rows)
        np.testing.assert_array_equal(simulation.accounts, silent.accounts)
    for market, rows in kept.items():
        log, order = np.concatenate(rows), simulation.orders[market]
        kinds, counts = log[:, KIND], log[:, COUNT_E2]
        assert (kinds == TAKER).sum() == order[TAKER_FILLS]
        assert (kinds == MAKER).sum() == order[MAKER_FILLS]
        assert counts[(kinds == TAKER) | (kinds == MAKER)].sum() == order[FILLED_E2]
        assert (kinds == ARRIVED).sum() >= (kinds == RESTED).sum()
        assert kinds[0] == ARRIVED


def test_a_fill_while_resting_meets_the_mid_before_it() -> None:
    """Behind 100 at 45; what takes 105 there takes our 5, and the bid falls to 44."""
    builder = SessionBuilder().snapshot({45: 100, 44: 200}, {52: 50, 51: 30})
    for i in range(WARMUP_TICKS + 3):
        builder.at(250 * (i + 1)).delta(b.YES, 10, 1)
    taken_ms = builder.ms + 100
    builder.at(taken_ms).trade(b.NO, 45, 105).delta(b.YES, 45, 5).delta(b.YES, 45, -105)
    for i in range(8):
        builder.at(taken_ms + 250 * (i + 1)).delta(b.YES, 10, 1)
    rules = msgspec.structs.replace(AGGRESSIVE, pricing=Pricing.PASSIVE)
    dataset = dataset_of([make_tape(builder.build(fees=NO_FEES))])
    outcome = run_policy(dataset, rules, Script(BUY_YES))
    assert outcome.filled_e2 == (500,)
    assert outcome.fill_ratio == 0.5
    assert outcome.maker_fills == 1
    assert outcome.attribution == (
        Attribution(spread_e6=500 * 150, move_e6=-500 * 50, settlement_e6=-500 * 200),
    )
    assert [m.moved_e6 for m in outcome.markouts if m.filled_e2] == [-500 * 50]
    assert outcome.holding_seconds == 2
    behind = [(s.ahead_up_to_e2, s.rested_e2, s.filled_e2) for s in outcome.queue if s.orders]
    assert behind == [(10_000, 1_000, 500)]


def test_a_log_that_is_too_short_is_said() -> None:
    dataset = dataset_of([make_tape(stepped())])
    simulation = Simulation(dataset, AGGRESSIVE, 1, [0], log_rows=1)
    simulation.reset([0])
    simulation.step(np.array([int(BUY_YES)]), restart=False)
    with pytest.raises(ValueError, match="2 rows in an order log of 1"):
        simulation.take_log()
