"""A search over rules: chosen by one part of the markets, judged on another."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from support.training_sessions import market

from models.evaluation.outcomes import Worlds
from models.learning.settings import Settings
from models.learning.splits import Split
from models.research import rule_search
from models.research.rule_variants import RulePolicy, favourite, maker


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> dict[str, object]:
    """Three rules instead of dozens."""
    rules = {"one": maker(1), "never": favourite(2.0, 600), "two": maker(1, thick=True)}
    monkeypatch.setattr(rule_search, "VARIANTS", rules)
    return rules


@pytest.fixture(scope="module")
def split() -> Split:
    """Two markets to learn from, one to choose by, two to judge by."""
    made = [market(f"2026-08-0{n}T08:00", seed=n, events=600) for n in range(1, 6)]
    return Split(tuple(made[:2]), tuple(made[2:3]), tuple(made[3:]))


def test_earlier_markets_choose_and_later_ones_judge(
    few: dict[str, object], split: Split, tmp_path: Path
) -> None:
    lines = rule_search.search(split, Settings(), tmp_path)
    figures = json.loads((tmp_path / rule_search.FIGURES).read_text())
    for part, sessions in (
        ("chosen by", split.train + split.validation),
        ("judged on", split.test),
    ):
        outcome = Worlds(sessions, 250).run(
            RulePolicy("one", maker(1)), Settings().rules(random_start=False)
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
        rule_search.search(Split(split.train, split.validation), Settings(), tmp_path)


def test_what_means_nothing_is_said(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert rule_search.main(["--out", str(tmp_path), "--recordings", "r", "--n-envs", "0"]) == 2
    assert capsys.readouterr().err.startswith("rule_search: --n-envs 0 means nothing")
