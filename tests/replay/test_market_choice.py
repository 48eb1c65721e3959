"""Mode `hot` replayed: on recorded evenings of gold markets and on synthetic ones.

Ten synthetic evenings and one way of leaving, with recordings all of them; `make test-faults` plays
a hundred, and every way. docs/market-choice.md shows the table that the same command prints.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from support.recordings import needs_recordings, recordings_folder

from models.evaluation import market_choices
from models.evaluation.market_choices import (
    ChoiceReport,
    MarketLooks,
    evenings_of,
    replay,
    synthetic_evening,
)
from models.trading.market_choice import HotRules, OnSwitch
from processes.adapters.kalshi.recordings.sessions import load_sessions

RULES = HotRules()


def synthetic(evenings: int) -> list[list[MarketLooks]]:
    return [synthetic_evening(seed) for seed in range(evenings)]


@pytest.fixture(scope="module")
def recorded() -> list[list[MarketLooks]]:
    folder, _ = recordings_folder()
    assert folder is not None
    return list(evenings_of(load_sessions(folder / "gold15m-2026-08")))


def assert_as_promised(report: ChoiceReport, on_switch: OnSwitch, closes: int) -> None:
    """Always in an eligible market when there is one, never in another, no flapping."""
    assert report.eligible > 0.5 * report.steps
    assert (report.missed, report.barred, report.returns) == (0, 0, 0)
    assert report.shortest_ms is None or report.shortest_ms >= RULES.dwell_ms
    assert report.closes >= closes
    if on_switch is OnSwitch.HOLD:
        assert report.held_over + report.no_bid == report.closes
    else:
        assert report.held_over == 0


@pytest.mark.parametrize(
    ("evenings", "on_switch"),
    [
        (10, OnSwitch.FLATTEN),
        *(pytest.param(100, way, marks=pytest.mark.slow) for way in OnSwitch),
    ],
)
def test_synthetic_evenings(evenings: int, on_switch: OnSwitch) -> None:
    report = replay(synthetic(evenings), RULES, on_switch)
    assert (report.evenings, report.markets) == (evenings, 5 * evenings)
    assert_as_promised(report, on_switch, evenings)
    assert report.left["hotter"] > evenings // 2
    assert all(report.left.values())


@needs_recordings
@pytest.mark.parametrize(
    "on_switch",
    [
        pytest.param(OnSwitch.HOLD, marks=pytest.mark.slow),
        pytest.param(OnSwitch.REDUCE, marks=pytest.mark.slow),
        OnSwitch.FLATTEN,
    ],
)
def test_recorded_evenings_of_gold_markets(
    recorded: list[list[MarketLooks]], on_switch: OnSwitch
) -> None:
    report = replay(recorded, RULES, on_switch)
    assert (report.evenings, report.markets) == (len(recorded), 26)
    assert_as_promised(report, on_switch, 26)


def test_what_a_replay_counts() -> None:
    """The witness sees what the rule must not do: it is not the rule's own code."""
    evenings = synthetic(5)
    never_leaves = HotRules(close_ms=0, max_spread_e4=9_999, dwell_ms=0, margin=0)
    report = replay(evenings, never_leaves, OnSwitch.FLATTEN)
    assert report.held_over + report.no_bid > 0
    assert report.left["hotter"] > 50
    assert report.shortest_ms is not None
    assert report.shortest_ms < RULES.dwell_ms


def test_the_command_prints_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert market_choices.main(["--synthetic", "2"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" | ")[0] for line in lines[2:]] == [
        f"| synthetic, {on_switch}" for on_switch in OnSwitch
    ]
    assert len({line.count("|") for line in lines}) == 1


def test_a_folder_that_is_not_there_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert market_choices.main(["--recordings", str(tmp_path / "nowhere")]) == 2
    assert "nowhere" in capsys.readouterr().err
    assert market_choices.main([]) == 2
    assert capsys.readouterr().err.startswith("market_choices: nothing to replay")
