"""The mid after every event: what a tick sees, a last known touch, none before there is one."""

from __future__ import annotations

import numpy as np
import pytest
from support.model_sessions import SessionBuilder, random_session
from support.recordings import needs_recordings, recordings_folder

from ipc import book as b
from ipc.units import ONE_DOLLAR_E4
from models.evaluation.mids import UNKNOWN, market_mids, mid_before
from models.simulation.dataset import world_of
from models.simulation.tape import RecordedSession, make_tape
from processes.adapters.kalshi.recordings.sessions import load_sessions

YES, NO = b.YES, b.NO


def mids_of(session: RecordedSession) -> list[int]:
    """Of a market alone in its world."""
    return [int(m) for m in market_mids(world_of([make_tape(session, throttle_ms=0)]), 0)]


def padded(builder: SessionBuilder) -> RecordedSession:
    """Long enough to be simulated: what is added is far from any touch."""
    for i in range(20):
        builder.at(10_000 + i).delta(YES, 1, 1)
    return builder.build()


def assert_mids_are_those_of_the_ticks(sessions: list[RecordedSession]) -> None:
    tapes = [make_tape(s) for s in sessions]
    world = world_of(tapes)
    for market, tape in enumerate(tapes):
        yes, no = tape.touch[:, YES], tape.touch[:, NO]
        expected = (yes + ONE_DOLLAR_E4 - no) // 2
        expected[(yes == 0) | (no == 0)] = UNKNOWN
        mids = market_mids(world, market)
        np.testing.assert_array_equal(mids[tape.tick_event], expected)
        assert len(mids) == len(tape.ns)


def test_at_every_tick_it_is_the_mid_of_the_touch() -> None:
    assert_mids_are_those_of_the_ticks([random_session(s, 900) for s in range(5)])


@needs_recordings
def test_at_every_tick_of_a_real_recording_too() -> None:
    folder, _ = recordings_folder()
    assert folder is not None
    files = sorted((folder / "gold15m-2026-08").glob("*.ndjson.gz"))[:2]
    if not files:
        pytest.skip("no gold markets among the recordings")
    assert_mids_are_those_of_the_ticks([s for f in files for s in load_sessions(f)])


def test_it_follows_both_sides_event_by_event() -> None:
    builder = SessionBuilder().snapshot({45: 100, 44: 200}, {52: 50, 51: 30}).at(10)
    builder.delta(YES, 46, 5).delta(YES, 46, -5).delta(NO, 52, -50).delta(NO, 40, 1)
    assert mids_of(padded(builder))[5:10] == [4_650, 4_700, 4_650, 4_700, 4_700]


def test_a_side_that_is_empty_counts_at_its_last_known_bid() -> None:
    builder = SessionBuilder().snapshot({45: 100}, {52: 50}).at(10).delta(NO, 52, -50)
    assert mids_of(padded(builder))[3:5] == [4_650, 4_650]


def test_half_a_snapshot_is_no_book() -> None:
    builder = SessionBuilder().snapshot({45: 100}, {52: 50}).at(10).snapshot({30: 1}, {60: 1})
    mids = mids_of(padded(builder))
    assert mids[:4] == [UNKNOWN, UNKNOWN, UNKNOWN, 4_650]
    assert mids[4:8] == [4_650, 4_650, 4_650, 3_500]


def test_there_is_none_before_both_sides_have_had_a_bid() -> None:
    builder = SessionBuilder().snapshot({45: 100}, {}).at(10).delta(NO, 52, 50)
    assert mids_of(padded(builder))[2:4] == [UNKNOWN, 4_650]


def test_an_event_meets_the_mid_before_it() -> None:
    mids = np.array([4_000, 4_100, 4_200], np.int64)
    assert mid_before(mids, np.array([0, 1, 3])).tolist() == [UNKNOWN, 4_000, 4_200]
