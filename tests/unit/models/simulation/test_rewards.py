"""Rewards of training, against the accounts that they are read from."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.model_sessions import SessionBuilder, random_session

from ipc import account_table as a
from ipc import book as b
from models.simulation.dataset import dataset_of
from models.simulation.engine import Simulation, SimulationRules
from models.simulation.rewards import Reward, Rewards
from models.simulation.tape import RecordedSession, make_tape
from models.trading.actions import Action, Pricing

TAKER = SimulationRules(pricing=Pricing.AGGRESSIVE, latencies_ns=(1_000_000,))


def play(
    session: RecordedSession, actions: Any, reward: Reward, risk_aversion: float = 0.0
) -> tuple[list[float], list[tuple[float, int]], int]:
    """One market to its end -> (rewards, (mid in dollars, contracts) before each step, net)."""
    simulation = Simulation(dataset_of([make_tape(session)]), TAKER, 1, [3])
    simulation.reset([0])
    rewards = Rewards(reward, risk_aversion, simulation)
    got, stood = [], []
    while not simulation.dones[0]:
        row = simulation.dataset.rows[simulation.ticks[0]]
        stood.append((int(row[b.LAST_MID2]) / 2e4, int(simulation.accounts[0, a.POSITION_E2])))
        simulation.step(np.array([actions(len(got))]), restart=False)
        got.append(float(rewards.after_step()[0]))
    return got, stood, int(simulation.values_e6[0]) - TAKER.market_cash_e6


def at_random(step: int) -> int:
    return int(np.random.Generator(np.random.PCG64(step)).integers(5))


@pytest.mark.parametrize("reward", [Reward.LIQUIDATION, Reward.MID])
def test_all_of_a_market_s_rewards_are_its_net(reward: Reward) -> None:
    for seed in range(3):
        got, stood, net_e6 = play(random_session(seed), at_random, reward)
        assert any(position for _, position in stood)
        assert sum(got) == pytest.approx(net_e6 / 1e6, abs=1e-3)


def buys_once() -> RecordedSession:
    """A book of 40 to 44 cents that moves to 50 to 54 after three seconds, then pays a dollar."""
    session = SessionBuilder().snapshot({40: 100}, {56: 100})
    for ms in range(100, 6_000, 100):
        session.at(ms).delta(b.YES, 10, 1)
        if ms == 4_000:
            session.delta(b.NO, 46, 100).delta(b.NO, 56, -100).delta(b.YES, 50, 100)
    return session.build(yes_value_e4=10_000)


def buys(action: Action) -> Any:
    """That action first, then nothing."""
    return lambda step: action if step == 0 else Action.HOLD


@pytest.mark.parametrize(
    ("action", "sign", "paid"), [(Action.BUY_YES_LIMIT, 1, 0.44), (Action.BUY_NO_LIMIT, -1, 0.60)]
)
def test_the_mid_values_what_is_held_without_its_spread(
    action: Action, sign: int, paid: float
) -> None:
    """Ten contracts, two cents each and the fee are gone; the other half of the spread is not."""
    mid, _, net_e6 = play(buys_once(), buys(action), Reward.MID)
    fee = 10 * ((sign > 0) - paid) - net_e6 / 1e6
    assert mid[0] == pytest.approx(-10 * 0.02 - fee)
    liquidation, _, _ = play(buys_once(), buys(action), Reward.LIQUIDATION)
    assert liquidation[0] < -10 * 0.04 - fee
    moved = [r for r in mid[1:-1] if r]
    assert moved == pytest.approx([sign * 10 * 0.10])
    assert mid[-1] == pytest.approx(sign * 10 * (1 - 0.52))


def test_risk_costs_the_variance_that_was_held() -> None:
    mid, _, _ = play(buys_once(), buys(Action.BUY_YES_LIMIT), Reward.MID)
    risk, _, _ = play(buys_once(), buys(Action.BUY_YES_LIMIT), Reward.RISK, 3.0)
    # The mid's ten cents come in parts, a change of the touch each.
    penalties = [m - r for m, r in zip(mid, risk, strict=True)]
    parts = [p for p in penalties[:-1] if p]
    assert parts == pytest.approx([3.0 / 2 * 10**2 * (0.05**2 + 0.05**2)])
    assert penalties[-1] == pytest.approx(3.0 / 2 * 4.8**2)


def test_without_a_position_or_an_aversion_risk_costs_nothing() -> None:
    session = random_session(2)
    idle, _, _ = play(session, lambda _: Action.HOLD, Reward.RISK, 5.0)
    assert set(idle) == {0.0}
    careless, _, _ = play(session, at_random, Reward.RISK, 0.0)
    assert careless == play(session, at_random, Reward.MID)[0]


@pytest.mark.train
@pytest.mark.parametrize("reward", list(Reward))
def test_a_batch_that_restarts_is_rewarded_as_its_markets_alone(reward: Reward) -> None:
    pytest.importorskip("stable_baselines3")
    from models.simulation.vec_env import BatchedVecEnv

    session = random_session(5, 600)
    dataset = dataset_of([make_tape(session)])
    env = BatchedVecEnv(dataset, TAKER, 1, 3, reward, 0.5)
    env.reset()
    alone, _, _ = play(session, lambda step: step % 5, reward, 0.5)
    for episode in range(2):
        got: list[float] = []
        dones = np.zeros(1, np.bool_)
        while not dones[0]:
            _, rewards, dones, infos = env.step(np.array([len(got) % 5]))
            got.append(float(rewards[0]))
        assert got == pytest.approx(alone), episode
        assert infos[0]["episode"]["r"] == pytest.approx(sum(alone), abs=1e-4)
