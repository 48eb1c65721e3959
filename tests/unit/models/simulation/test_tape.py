"""A recorded market as a tape: ticks by the live rule, and what its events mean to an order."""

from __future__ import annotations

import msgspec
import numpy as np
import pytest
from support.model_builders import NOON_NS
from support.model_sessions import MS, SessionBuilder, random_session

from ipc import account_table as a
from ipc import book as b
from models.observation.builder import LiveObservationAdapter
from models.simulation.tape import (
    CHANGE,
    CLEAR,
    EXECUTED,
    WHOLE,
    SessionError,
    build_observation_from_session_data,
    make_tape,
)

YES, NO = b.YES, b.NO


def steady(*at_ms: int) -> SessionBuilder:
    """A book at 45/48 and one small change at each moment."""
    builder = SessionBuilder().snapshot({45: 100}, {52: 50})
    for ms in at_ms:
        builder.at(ms).delta(YES, 40, 1)
    return builder


def test_ticks_are_a_throttle_apart() -> None:
    tape = make_tape(steady(100, 249, 250, 300, 499, 501, 800).build())
    assert (tape.rows[:, b.RECV_NS] - NOON_NS).tolist() == [0, 250 * MS, 501 * MS, 800 * MS]
    assert tape.tick_event.tolist() == [3, 6, 9, 10]
    assert tape.rows[:, b.EVENT_NO].tolist() == [4, 7, 10, 11]
    assert len(make_tape(steady(100, 249, 250).build(), throttle_ms=0).rows) == 4


def test_the_row_of_a_tick_is_the_book_of_its_event() -> None:
    tape = make_tape(steady(250, 300, 500).build())
    assert [b.levels_of(row, b.YES)[0] for row in tape.rows] == [
        (4_500, 10_000),
        (4_000, 100),
        (4_000, 300),
    ]


def test_nothing_ticks_before_the_first_snapshot() -> None:
    builder = SessionBuilder().delta(YES, 40, 1).trade(YES, 40, 1).at(1_000)
    tape = make_tape(builder.snapshot({45: 1}, {52: 1}).build())
    assert tape.tick_event.tolist() == [5]


def test_nothing_ticks_or_fills_after_the_close() -> None:
    tape = make_tape(steady(300, 900, 1_000, 1_500).build(close_ms=1_000))
    assert tape.tick_event.tolist() == [3, 4, 5]
    assert len(tape.ns) == 6


def test_every_snapshot_starts_the_history_over() -> None:
    builder = steady(300, 600, 900).state(b.BookState.STALE).at(1_200).delta(YES, 44, 5)
    tape = make_tape(builder.at(1_500).snapshot({45: 7}, {52: 7}).build())
    assert tape.tick_event.tolist() == [3, 4, 5, 6, 12]
    assert tape.rows[-1, b.LIVE_EVENT_NO] == 13
    assert tape.features[-2, 21] == pytest.approx(0.3 / 300)
    assert tape.features[-1, 21] == 0
    again = make_tape(steady(300, 600).at(900).snapshot({45: 7}, {52: 7}).build())
    assert again.features[-1, 21] == 0  # a snapshot begins another life, as it does live


def test_last_known_touch() -> None:
    builder = SessionBuilder().snapshot({45: 1}, {}).at(300).delta(NO, 52, 1)
    builder.at(600).delta(YES, 45, -1).at(900).delta(YES, 30, 1)
    tape = make_tape(builder.build())
    assert tape.touch.tolist() == [[4_500, 0], [4_500, 5_200], [4_500, 5_200], [3_000, 5_200]]


def test_a_trade_and_its_delta_count_once() -> None:
    builder = steady().execution(YES, 48, 20).trade(NO, 45, 5)
    tape = make_tape(builder.delta(YES, 45, -4).build())
    assert tape.meaning.tolist() == [
        CLEAR, CHANGE, CHANGE, WHOLE, 0, CHANGE | EXECUTED, EXECUTED, CHANGE,
    ]  # fmt: skip
    assert (tape.leg[5], tape.price_e4[5], tape.count_e2[5]) == (NO, 5_200, -2_000)
    assert (tape.leg[6], tape.price_e4[6], tape.count_e2[6]) == (YES, 4_500, 500)


def test_a_trade_whose_delta_came_first() -> None:
    tape = make_tape(steady().delta(NO, 52, -20).trade(YES, 48, 20).build())
    assert tape.meaning.tolist()[-2:] == [CHANGE | EXECUTED, 0]


def test_an_unpaired_trade_on_the_no_leg_has_its_price() -> None:
    tape = make_tape(steady().trade(YES, 48, 7).build())
    assert (tape.meaning[-1], tape.leg[-1], tape.price_e4[-1]) == (EXECUTED, NO, 5_200)


def test_a_block_trade_fills_nobody_and_is_no_flow() -> None:
    tape = make_tape(steady(250).at(300).block_trade(NO, 45, 20).at(600).delta(YES, 40, 1).build())
    assert not (tape.meaning & EXECUTED).any()
    assert tape.rows[-1, b.TRADE_FLOW] == tape.rows[-1, b.N_TRADES] == 0


def test_what_does_not_fit_names_market_and_event() -> None:
    with pytest.raises(SessionError, match="M: event 5 does not fit the book: NEGATIVE"):
        make_tape(steady().delta(YES, 45, -101).build())
    with pytest.raises(SessionError, match="M: event 5 does not fit the book: OFF_GRID"):
        make_tape(steady().delta(YES, 45.5, 1).build())
    with pytest.raises(SessionError, match="M: the recording holds no events"):
        make_tape(SessionBuilder().build())
    session = steady().build()
    other = msgspec.structs.replace(session, events=np.zeros(3, np.int64))
    with pytest.raises(SessionError, match="another layout"):
        make_tape(other)


@pytest.mark.parametrize("seed", range(3))
def test_the_future_does_not_reach_back(seed: int) -> None:
    session = random_session(seed)
    whole = make_tape(session)
    cut = len(session.events) // 2
    part = make_tape(msgspec.structs.replace(session, events=session.events[:cut]))
    n = len(part.rows)
    assert 0 < n < len(whole.rows)
    np.testing.assert_array_equal(part.features, whole.features[:n])
    np.testing.assert_array_equal(part.rows, whole.rows[:n])


def test_an_observation_from_a_session_is_the_live_one_of_that_moment() -> None:
    tape = make_tape(random_session(5))
    account = a.new_account(73_000_000)
    account[a.POSITION_E2], account[a.COST_BASIS_E6] = 1_200, 6_000_000
    live = LiveObservationAdapter()
    for tick, row in enumerate(tape.rows):
        live.tick("R5", row)
        then = build_observation_from_session_data(tape, tick, account)
        np.testing.assert_array_equal(live.observe("R5", row, account), then)
    assert len(tape.rows) > 20
    with pytest.raises(IndexError):
        build_observation_from_session_data(tape, len(tape.rows), account)
