"""The environments as gymnasium and stable-baselines3 want them."""

from __future__ import annotations

import gymnasium.utils.env_checker
import numpy as np
import pytest
from support.model_sessions import random_session

from models.simulation.dataset import WARMUP_TICKS
from models.simulation.engine import SimulationRules
from models.simulation.environment import MarketAgnosticKalshiEnv
from models.simulation.tape import make_tape

pytestmark = pytest.mark.train


def env(**rules: object) -> MarketAgnosticKalshiEnv:
    tapes = [make_tape(random_session(seed, 900)) for seed in range(2)]
    return MarketAgnosticKalshiEnv(tapes, SimulationRules(**rules))  # type: ignore[arg-type]


def test_gymnasium_finds_nothing_wrong() -> None:
    with pytest.warns(UserWarning, match="render"):
        gymnasium.utils.env_checker.check_env(env(), skip_render_check=False)


def test_stable_baselines_finds_nothing_wrong() -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(env())


def test_an_episode_is_one_market_from_its_first_decision_to_its_end() -> None:
    game = env()
    dataset = game._simulation.dataset
    for market in range(2):
        _, info = game.reset(options={"market": market})
        assert info["market"] == market
        steps, done = 0, False
        while not done:
            _, _, done, truncated, _ = game.step(0)
            assert not truncated
            steps += 1
        ticks = dataset.first_tick[market + 1] - dataset.first_tick[market]
        assert steps == ticks - WARMUP_TICKS


def test_the_seed_alone_decides_what_happens() -> None:
    actions = np.random.default_rng(3).integers(0, 5, 200)

    def walk(seed: int) -> list[tuple[float, int]]:
        game = env(random_start=True)
        game.reset(seed=seed)
        told = []
        for action in actions:
            _, reward, done, _, info = game.step(action)
            told.append((reward, info["cash_e6"]))
            if done:
                break
        return told

    assert walk(5) == walk(5) != walk(6)
