"""Variants of the simple rules: what each wants of books made for the question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.model_builders import book
from support.training_sessions import market

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import new_account
from models.evaluation.outcomes import Datasets
from models.learning.settings import TrainingSettings
from models.learning.splits import Split
from models.observation.builder import LiveObservationAdapter
from models.research import rules
from models.research.rules import VARIANTS, RulePolicy, favourite, follower, maker
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


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Three rules instead of dozens."""
    chosen = {"one": maker(1), "never": favourite(2.0, 600), "two": maker(1, thick=True)}
    monkeypatch.setattr(rules, "VARIANTS", chosen)
    return chosen


@pytest.fixture(scope="module")
def split() -> Split:
    """Two markets to learn from, one to choose by, two to judge by."""
    made = [market(f"2026-08-0{n}T08:00", seed=n, events=600) for n in range(1, 6)]
    return Split(tuple(made[:2]), tuple(made[2:3]), tuple(made[3:]))


def test_earlier_markets_choose_and_later_ones_judge(
    few: dict[str, object], split: Split, tmp_path: Path
) -> None:
    lines = rules.search(split, TrainingSettings(), tmp_path)
    figures = json.loads((tmp_path / rules.FIGURES).read_text())
    for part, sessions in (
        ("chosen by", split.train + split.validation),
        ("judged on", split.test),
    ):
        outcome = Datasets(sessions, 250).run(
            RulePolicy("one", maker(1)), TrainingSettings().rules(random_start=False)
        )
        assert figures[part]["one"] == [v / 1e6 for v in outcome.net_e6]
        assert any(figures[part]["one"])
        assert figures[part]["never"] == [0.0] * len(sessions)
    means = {name: sum(nets) for name, nets in figures["chosen by"].items()}
    best_first = sorted(means, key=lambda name: -means[name])
    assert [line.partition(":")[0] for line in lines[:3]] == best_first
    assert lines[3].startswith("chosen by 3 markets: the best of 3 without any edge looks as good")
    assert lines[4].startswith("judged on 2 markets: the best of 3 ")


def test_a_split_without_a_test_is_refused(split: Split, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no markets are left to judge on"):
        rules.search(Split(split.train, split.validation), TrainingSettings(), tmp_path)


def test_what_means_nothing_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert rules.main(["--out", str(tmp_path), "--recordings", "r", "--n-envs", "0"]) == 2
    assert capsys.readouterr().err.startswith("rules: invalid value 0 for --n-envs")
