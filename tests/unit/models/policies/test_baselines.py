"""Rules that a learned policy has to beat: what they do on books made for the question."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.model_builders import book

from ipc import account_table as a
from ipc.account_table import new_account
from models.observation.builder import LiveObservationAdapter
from models.policies.baselines import BASELINES
from models.trading.actions import Action, LimitOrderActionSpace

LEANING_UP = ({50: 2_000, 49: 10}, {49: 20, 48: 10})  # 50 to 51 cents, bids a hundred times asks
LEANING_DOWN = ({50: 20, 49: 10}, {49: 2_000, 48: 10})
EVEN = ({50: 100}, {49: 100})
WIDE = ({47: 100}, {48: 120})  # 47 to 52 cents
HARD = ({47: 2_000}, {48: 20})


def action(name: str, legs: Any, position_e2: int = 0) -> Action:
    """What a baseline does on a book, holding so much."""
    policy = BASELINES[name](0)
    row, account, adapter = (
        book(*legs),
        new_account(100_000_000),
        LiveObservationAdapter(policy.builder),
    )
    account[a.POSITION_E2], account[a.COST_BASIS_E6] = position_e2, abs(position_e2) * 5_000
    adapter.tick("M", row)
    observation = adapter.observe("M", row, account)
    mask = LimitOrderActionSpace("passive").mask(row, account)
    return Action(int(policy.decide(observation[None], mask[None]).actions[0]))


@pytest.mark.parametrize(
    ("name", "legs", "position_e2", "expected"),
    [
        ("hold", LEANING_UP, 0, Action.HOLD),
        ("touch_imbalance", EVEN, 0, Action.HOLD),
        ("touch_imbalance", EVEN, 500, Action.HOLD),
        ("touch_imbalance", LEANING_DOWN, 500, Action.SELL_YES_LIMIT),
        ("touch_imbalance", LEANING_UP, -500, Action.SELL_NO_LIMIT),
        ("microprice", EVEN, 0, Action.HOLD),
        ("microprice", HARD, 0, Action.BUY_YES_LIMIT),
        ("microprice", LEANING_DOWN, 500, Action.SELL_YES_LIMIT),
        ("market_maker", EVEN, 0, Action.HOLD),
        ("market_maker", WIDE, 0, Action.BUY_YES_LIMIT),
        ("market_maker", (WIDE[1], WIDE[0]), 0, Action.BUY_NO_LIMIT),
        ("market_maker", HARD, 0, Action.HOLD),
        ("market_maker", EVEN, 500, Action.SELL_YES_LIMIT),
        ("market_maker", EVEN, -500, Action.SELL_NO_LIMIT),
        ("join_best", WIDE, 0, Action.BUY_YES_LIMIT),
        ("join_best", WIDE, 500, Action.SELL_YES_LIMIT),
    ],
)
def test_what_a_rule_does(name: str, legs: Any, position_e2: int, expected: Action) -> None:
    assert action(name, legs, position_e2) is expected


def test_a_forecast_that_pays_for_its_costs_is_taken() -> None:
    """The costs fall towards the ends of the scale: at 3 cents a lean is worth taking."""
    assert action("touch_imbalance", ({3: 9_000}, {96: 10})) is Action.BUY_YES_LIMIT
    assert action("touch_imbalance", ({96: 10}, {3: 9_000})) is Action.BUY_NO_LIMIT


@pytest.mark.parametrize("name", BASELINES)
def test_no_rule_does_what_its_mask_forbids(name: str) -> None:
    policy = BASELINES[name](0)
    random = np.random.Generator(np.random.PCG64(1))
    observations = random.uniform(-2, 2, (200, policy.builder.size)).astype(np.float32)
    masks = random.random((200, 5)) < 0.5
    masks[:, 0] = True
    decided = policy.decide(observations, masks)
    assert masks[np.arange(200), decided.actions].all()
    assert decided.logits.shape == (200, 5)
