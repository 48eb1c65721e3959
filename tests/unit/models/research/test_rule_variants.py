"""Variants of the simple rules: what each wants of books made for the question."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.model_builders import book

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import new_account
from models.observation.builder import LiveObservationAdapter
from models.research.rule_variants import VARIANTS, RulePolicy, favourite, follower, maker
from models.trading.actions import Action, LimitOrderActionSpace

WIDE = ({47: 100}, {48: 120})  # 47 to 52 cents, a little heavier on the ask side
NARROW = ({50: 100}, {49: 120})
HARD = ({47: 2_000}, {48: 20})
LIKELY = ({93: 100}, {5: 100})  # 93 to 95 cents
UNLIKELY = ({5: 100}, {93: 100})

QUIET = maker(3)
LEAN = follower("touch_imbalance", 0.6, 3, seconds=60)


def action(rule: Any, legs: Any, *, position_e2: int = 0, left_s: int = 600) -> Action:
    """What a rule does on a book, holding so much, so long before the close."""
    policy, adapter = RulePolicy("r", rule), LiveObservationAdapter(RulePolicy.builder)
    row, account = book(*legs), new_account(100_000_000)
    row[b.CLOSE_MS] = row[b.RECV_NS] // 1_000_000 + 1_000 * left_s
    account[a.POSITION_E2], account[a.COST_BASIS_E6] = position_e2, abs(position_e2) * 5_000
    adapter.tick("M", row)
    observation = adapter.observe("M", row, account)
    mask = LimitOrderActionSpace("passive").mask(row, account)
    return Action(int(policy.decide(observation[None], mask[None]).actions[0]))


@pytest.mark.parametrize(
    ("rule", "legs", "more", "expected"),
    [
        (QUIET, WIDE, {}, Action.BUY_YES_LIMIT),
        (maker(3, thick=True), WIDE, {}, Action.BUY_NO_LIMIT),
        (maker(5), WIDE, {}, Action.BUY_YES_LIMIT),
        (maker(6), WIDE, {}, Action.HOLD),
        (QUIET, NARROW, {}, Action.HOLD),
        (QUIET, HARD, {}, Action.HOLD),
        (maker(3, most_lean=0.05), WIDE, {}, Action.HOLD),
        (maker(3, seconds=300), WIDE, {"left_s": 299}, Action.HOLD),
        (maker(3, seconds=300), WIDE, {"left_s": 300}, Action.BUY_YES_LIMIT),
        (maker(3, calm=-0.1), WIDE, {}, Action.HOLD),
        (QUIET, NARROW, {"position_e2": 500}, Action.SELL_YES_LIMIT),
        (QUIET, NARROW, {"position_e2": -500}, Action.SELL_NO_LIMIT),
        (LEAN, HARD, {}, Action.BUY_YES_LIMIT),
        (LEAN, (HARD[1], HARD[0]), {}, Action.BUY_NO_LIMIT),
        (LEAN, WIDE, {}, Action.HOLD),
        (LEAN, HARD, {"left_s": 59}, Action.HOLD),
        (LEAN, HARD, {"position_e2": 500}, Action.HOLD),
        (LEAN, WIDE, {"position_e2": 500}, Action.SELL_YES_LIMIT),
        (LEAN, HARD, {"position_e2": -500}, Action.SELL_NO_LIMIT),
        (favourite(0.9, 120), LIKELY, {"left_s": 100}, Action.BUY_YES_LIMIT),
        (favourite(0.9, 120), UNLIKELY, {"left_s": 100}, Action.BUY_NO_LIMIT),
        (favourite(0.95, 120), LIKELY, {"left_s": 100}, Action.HOLD),
        (favourite(0.9, 120), LIKELY, {"left_s": 121}, Action.HOLD),
        (favourite(0.9, 120), LIKELY, {"left_s": 4}, Action.HOLD),
        (favourite(0.9, 120), LIKELY, {"left_s": 100, "position_e2": 500}, Action.HOLD),
    ],
)
def test_what_a_rule_wants(rule: Any, legs: Any, more: Any, expected: Action) -> None:
    assert action(rule, legs, **more) is expected


def test_no_rule_does_what_its_mask_forbids() -> None:
    random = np.random.Generator(np.random.PCG64(1))
    observations = random.uniform(-2, 2, (200, RulePolicy.builder.size)).astype(np.float32)
    masks = random.random((200, 5)) < 0.5
    masks[:, 0] = True
    for name, rule in VARIANTS.items():
        decided = RulePolicy(name, rule).decide(observations, masks)
        assert masks[np.arange(200), decided.actions].all(), name


def test_each_variant_is_another_policy() -> None:
    hashes = {RulePolicy(name, rule).model_hash for name, rule in VARIANTS.items()}
    assert len(hashes) == len(VARIANTS)
