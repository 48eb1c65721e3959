"""The statistics of a tape, and the synthetic flow's beside the real ones."""

from __future__ import annotations

import gzip

import pytest
from support.recordings import needs_recordings, recordings_folder

from processes.exchange.calibration.compare import (
    PLANS,
    Plan,
    lines,
    missed,
    read_recordings,
    sample,
)
from processes.exchange.calibration.statistics import figures, median_figures
from processes.exchange.calibration.tape import Happening, TapeMark, recorded_tapes, walk
from processes.exchange.calibration.targets import SLOW_TARGETS, Target
from processes.exchange.core.books import NO, YES

SECOND = 1_000_000
GROUPS = {"rate", "Fano factor", "idle share", "inter-arrival", "place", "spread", "depth"}


def change(at_us: int, leg: int, cents: int, size: int) -> TapeMark:
    return TapeMark(at_us, Happening.CHANGE, leg, cents * 100, size * 100)


def trade(at_us: int, leg: int, cents: int, size: int) -> TapeMark:
    return TapeMark(at_us, Happening.TRADE, leg, cents * 100, size * 100)


BOOK = TapeMark(
    0, Happening.SNAPSHOT, 0, 0, 0, ((YES, 4_000, 1_000), (YES, 3_900, 500), (NO, 5_800, 200))
)
TAPE = [
    BOOK,
    change(0, YES, 40, 5),  # at the best
    change(1_000, YES, 39, -5),  # empties its level, and comes back three cents below
    change(1_000, YES, 37, 5),
    change(2_000, YES, 41, 1),  # improves, opens a level
    change(3 * SECOND, NO, 58, -2),  # executed: the NO side is empty
    trade(3 * SECOND, NO, 58, 2),
    trade(3 * SECOND, NO, 58, 1),
]


class TestStatistics:
    def test_of_a_tape_that_was_counted_by_hand(self):
        found = figures(TAPE)
        assert found["rate mean"] == pytest.approx(5 / 4)
        assert found["idle seconds"] == 50
        assert found["Fano factor"] == pytest.approx(((4 - 1.25) ** 2 + 1.25**2 * 2 + 0.25**2) / 5)
        assert found["same time"] == 25
        assert found["at the best"] == 40
        assert found["improves"] == 20
        assert found["within 2 c"] == 80
        assert found["changes the best"] == 40
        assert found["additions"] == 60
        assert found["opens a level"] == found["empties a level"] == 40
        assert found["re-quoted"] == 50
        assert found["re-added"] == 0
        assert found["size p50"] == 5
        assert found["deltas a trade"] == 2.5
        assert found["trades in runs"] == 100
        assert found["spread p50"] == 1
        assert found["empty side"] == 0

    def test_a_tape_of_nothing_has_none(self):
        assert figures([BOOK]) == {}
        assert figures([BOOK, change(0, YES, 40, 5)]) == {}

    def test_the_median_is_taken_figure_by_figure(self):
        each = [{"a": 1.0, "b": 5.0}, {"a": 3.0}, {"a": 2.0}]
        assert median_figures(each) == {"a": 2.0, "b": 5.0}


class TestVerdict:
    @pytest.mark.parametrize(
        ("value", "ratio", "near"),
        [
            (12, 1.0, True),
            (15, 1.0, True),
            (22.5, 1.5, True),
            (23, 23 / 15, False),
            (6, 0.6, False),
        ],
    )
    def test_a_figure_is_near_within_a_factor_of_its_range(self, value, ratio, near):
        target = Target("g", "n", 10, 15)
        assert target.ratio(value) == pytest.approx(ratio)
        assert target.is_near(value) is near

    def test_nothing_is_near_to_zero_but_zero(self):
        target = Target("g", "n", 0, 0)
        assert (target.is_near(0), target.is_near(0.001)) == (True, False)

    def test_what_was_not_measured_is_missed(self):
        table = list(lines(SLOW_TARGETS, {}))
        assert len(table) == len(SLOW_TARGETS) + 2
        assert all("MISS" in row for row in table[2:])
        assert len(missed(SLOW_TARGETS, {})) == len(SLOW_TARGETS)


@pytest.mark.parametrize(
    ("plan", "windows"), [(PLANS[0], 6), (PLANS[1], 8)], ids=["active", "slow"]
)
def test_the_flow_is_near_the_real_statistics(plan: Plan, windows: int):
    each = [
        figures(sample(plan.profile, 1, window, plan.seconds, plan.skip_s).tape)
        for window in range(windows)
    ]
    ours = median_figures(each)
    assert {t.group for t in plan.targets} > GROUPS
    assert len(missed(plan.targets, ours)) <= 3, "\n".join(lines(plan.targets, ours))


@needs_recordings
def test_real_recordings_are_measured_by_the_same_code():
    folder, _ = recordings_folder()
    assert folder is not None
    slow_market = folder / "btcmaxy-cents-2025-11-02_05"
    _, slow = read_recordings(slow_market)
    checked = [t for t in SLOW_TARGETS if t.group in ("place", "idle share", "sizes")]
    assert missed(tuple(checked), slow) == []
    file = slow_market / "2025-11-05T1440Z.ndjson.gz"
    ((_, tape),) = recorded_tapes(file)
    with gzip.open(file) as lines_of_file:
        deltas = sum(b'"orderbook_delta","sid"' in line for line in lines_of_file)
    assert sum(mark.what is Happening.CHANGE for mark in tape) == deltas
    assert walk(tape).negative == 0
