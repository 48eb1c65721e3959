"""Books rebuilt from rows: what cannot have been so is counted, what can is not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pytest
from support.model_sessions import SessionBuilder, random_session

from processes.adapters.postgres.sessions import StoredMarket
from processes.recorder.sessions.books import MarketCheck, MarketReport

CENTS = [(0, 10_000, 100)]
WRONG = ("negative_sizes", "off_grid", "lasting_crossings", "without_book", "broken_snapshots")
Events = npt.NDArray[np.void]


def checked(events: Events, block: int = 1 << 20) -> MarketReport:
    check = MarketCheck(StoredMarket(1, "KXTEST-1", CENTS, 0, 0))
    for start in range(0, len(events), block):
        check.take(events[start : start + block])
    return check.report()


def wrongs(report: MarketReport) -> dict[str, int]:
    return {name: getattr(report, name) for name in WRONG if getattr(report, name)}


def book() -> SessionBuilder:
    """0.30 bid for YES, 0.60 for NO: asked at 0.40."""
    return SessionBuilder().at(0).snapshot({29: 10, 30: 5}, {59: 10, 60: 5}).at(10)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("block", [1 << 20, 7, 1])
def test_a_true_recording_has_no_errors_however_it_is_cut(seed: int, block: int) -> None:
    events = random_session(seed, 400).events
    report = checked(events, block)
    assert report.errors == 0
    assert (report.events, report.crossings) == (len(events), 0)
    kinds = np.bincount(events["kind"], minlength=7).tolist()
    assert [report.snapshots, report.deltas, report.trades] == kinds[3:6]


FAULTS: list[tuple[str, Callable[[SessionBuilder], object]]] = [
    ("negative_sizes", lambda b: b.delta(0, 30, -6)),
    ("negative_sizes", lambda b: b.delta(0, 10, -1)),
    ("off_grid", lambda b: b.delta(0, 30.5, 1)),
    ("lasting_crossings", lambda b: b.delta(0, 41, 1).at(11).delta(0, 20, 1)),
]


@pytest.mark.parametrize(("name", "fault"), FAULTS)
def test_what_cannot_be_is_counted_by_its_name(
    name: str, fault: Callable[[SessionBuilder], object]
) -> None:
    builder = book()
    assert checked(builder.events()).errors == 0
    fault(builder)
    report = checked(builder.events())
    assert wrongs(report) == {name: 1}
    assert report.errors == 1


def test_a_crossing_within_one_exchange_millisecond_is_a_sweep() -> None:
    builder = book().delta(0, 41, 1).delta(0, 42, 1).delta(1, 60, -5).delta(1, 59, -10)
    builder.at(11).delta(0, 20, 1)
    report = checked(builder.events())
    assert (report.crossings, report.errors) == (3, 0)


def test_a_locked_book_is_no_crossing() -> None:
    assert checked(book().delta(0, 40, 1).at(11).delta(0, 20, 1).events()).crossings == 0


def test_a_delta_before_any_snapshot_has_no_book() -> None:
    events = book().delta(0, 30, 1).events()
    assert wrongs(checked(events[-1:])) == {"without_book": 1}


@pytest.mark.parametrize("cut", range(6))
@pytest.mark.parametrize("block", [1 << 20, 2])
def test_a_snapshot_that_lacks_a_record_is_broken_and_its_book_not_believed(
    cut: int, block: int
) -> None:
    events = book().delta(0, 30, 1).events()  # BEGIN, four levels, END, the delta
    report = checked(np.delete(events, cut), block)
    whole = {"without_book": 1}
    assert wrongs(report) == (
        whole if cut == 5 else whole | {"broken_snapshots": 1 + 4 * (cut == 0)}
    )
    again = np.concatenate([np.delete(events, cut), book().delta(0, 30, 1).events()])
    assert checked(again, block).without_book == 1  # the next snapshot heals


@pytest.mark.parametrize("block", [1 << 20, 2])
def test_a_snapshot_that_begins_within_another_is_one_broken_and_one_whole(block: int) -> None:
    events = book().delta(0, 30, 1).events()
    report = checked(np.concatenate([events[:3], events]), block)
    assert (report.broken_snapshots, report.snapshots, report.errors) == (1, 1, 1)


def test_more_levels_than_the_grid_has_prices_are_broken() -> None:
    events = book().events()
    level = np.repeat(events[1:2], 300)
    report = checked(np.concatenate([events[:1], level, events[-1:]]))
    assert report.broken_snapshots == 300 - 2 * 99 + 1
