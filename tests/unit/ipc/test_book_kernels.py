"""Journal, book, seqlock and tick in one call: what is accepted, what is seen, what wakes."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.kernel_stand import SECOND, Stamps, Stand
from support.naive_book import NaiveBook, assert_book_equals, changes, grids

from ipc import book as b
from ipc.book_kernels import NOT_LIVE, REFUSED, TOO_LARGE
from ipc.journal import Kind
from ipc.units import LINEAR_CENT, PriceGrid

BOOK = [(0, 8000, 100), (0, 7900, 300), (1, 1800, 200)]
MAX = 2**31 - 1


def live_stand(**kwargs: int) -> Stand:
    """Row 0 LIVE and recorded, its snapshot journalled."""
    stand = Stand(**kwargs)
    assert stand.snapshot(0, BOOK) == kwargs.get("first", 1) + len(BOOK) + 1
    return stand


def levels(stand: Stand, row: int = 0) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    return b.levels_of(stand.live[row], b.YES), b.levels_of(stand.live[row], b.NO)


# Accepting and refusing


def test_an_accepted_delta_is_journalled_and_applied() -> None:
    stand = live_stand()
    assert stand.delta(0, (0, 8000, -30), Stamps(seq=9, exch_ms=8, recv_ns=77)) == 6
    assert levels(stand)[0] == [(7900, 300), (8000, 70)]
    row = stand.live[0]
    assert row[[b.EVENT_NO, b.SEQ, b.EXCH_MS, b.RECV_NS]].tolist() == [6, 9, 8, 77]
    assert row[[b.FRAME_MONO_NS, b.WRITTEN_MONO_NS]].tolist() == [4, 5]
    last = stand.records[-1]
    assert last.tolist() == (6, 77, 8, -30, 9, Kind.DELTA, 0, 0, 8000)
    assert row[b.VERSION] % 2 == 0


def test_a_snapshot_is_begin_levels_end_counted_together() -> None:
    stand = Stand(first=41)
    assert stand.snapshot(1, BOOK, Stamps(seq=3)) == 45
    kinds = [Kind.SNAPSHOT_BEGIN, *3 * [Kind.SNAPSHOT_LEVEL], Kind.SNAPSHOT_END]
    assert stand.records["kind"].tolist() == kinds
    assert stand.records["event_no"].tolist() == [41, 42, 43, 44, 45]
    assert stand.records[["leg", "price_e4", "count_e2"]].tolist()[1:4] == BOOK
    assert set(stand.records["seq"].tolist()) == {3}
    assert set(stand.records["row"].tolist()) == {1}
    assert stand.records["count_e2"][[0, 4]].tolist() == [3, 3]
    assert stand.live[1][b.LIVE_EVENT_NO] == stand.live[1][b.EVENT_NO] == 45


def test_a_trade_is_journalled_and_noted() -> None:
    stand = live_stand()
    book_seq = int(stand.live[0][b.SEQ])
    assert stand.trade(0, (1, 8000, 40), Stamps(seq=book_seq + 7, exch_ms=12)) == 6
    assert stand.records[-1][["kind", "leg", "price_e4", "count_e2"]].tolist() == (
        Kind.TRADE,
        1,
        8000,
        40,
    )
    assert stand.records[-1]["seq"] == book_seq + 7
    assert stand.live[0][b.SEQ] == book_seq
    assert stand.live[0][b.TRADE_FLOW] == -40
    assert stand.live[0][b.LAST_TRADE_MS] == 12


def test_a_block_trade_is_journalled_and_no_part_of_the_flow() -> None:
    stand = live_stand()
    assert stand.trade(0, (1, 8000, 40), Stamps(seq=7, exch_ms=12), is_block=True) == 6
    assert stand.records[-1]["kind"] == Kind.BLOCK_TRADE
    row = stand.live[0]
    assert row[b.EVENT_NO] == 6
    assert (row[b.TRADE_FLOW], row[b.N_TRADES], row[b.LAST_TRADE_MS]) == (0, 0, 0)


def test_a_row_keeps_the_count_of_its_book_beside_that_of_its_trades() -> None:
    stand = live_stand()
    stand.delta(0, (0, 8000, -30), Stamps(seq=9))
    stand.trade(0, (1, 8000, 40), Stamps(seq=3))
    assert stand.live[0][b.SEQ] == 9
    assert stand.records["seq"].tolist()[-2:] == [9, 3]


@pytest.mark.parametrize("full", ["no room", "capacity"])
def test_a_refused_change_is_applied_but_not_journalled(full: str) -> None:
    stand = live_stand(capacity=1_000 if full == "no room" else 5)
    stand.room = full != "no room"
    assert stand.delta(0, (0, 8000, 50)) == REFUSED
    assert levels(stand)[0][-1] == (8000, 150)
    assert len(stand.records) == 5
    assert stand.live[0][b.FLAGS] & b.UNRECORDED
    assert stand.live[0][b.EVENT_NO] == 5


def test_only_an_accepted_snapshot_ends_a_hole() -> None:
    stand = live_stand()
    stand.room = False
    assert stand.trade(0, (0, 8200, 1)) == REFUSED
    stand.room = True
    assert stand.delta(0, (0, 8000, 50)) == REFUSED  # there is room, but the hole is before it
    assert stand.trade(0, (0, 8200, 1)) == REFUSED
    stand.room = False
    assert stand.snapshot(0, BOOK) == REFUSED
    assert stand.live[0][b.FLAGS] & b.UNRECORDED
    stand.room = True
    healed = stand.snapshot(0, BOOK)
    assert healed == 10
    assert not stand.live[0][b.FLAGS] & b.UNRECORDED
    assert stand.live[0][b.LIVE_EVENT_NO] == healed  # what came before cannot be rebuilt
    assert stand.delta(0, (0, 8000, 50)) == 11


def test_a_hole_of_one_market_is_not_one_of_another() -> None:
    stand = live_stand()
    stand.snapshot(1, BOOK)
    stand.room = False
    stand.delta(0, (0, 8000, 1))
    stand.room = True
    assert stand.delta(1, (0, 8000, 1)) == 11


def test_a_refused_first_snapshot_makes_a_live_book_that_nobody_may_use() -> None:
    stand = Stand()
    stand.room = False
    assert stand.snapshot(0, BOOK) == REFUSED
    row = stand.live[0]
    assert (row[b.STATE], row[b.FLAGS] & b.UNRECORDED) == (b.LIVE, b.UNRECORDED)
    assert row[b.TICK_EVENT_NO] == row[b.LIVE_EVENT_NO] == row[b.EVENT_NO] == 0


@pytest.mark.parametrize("state", [b.EMPTY, b.STALE])
def test_a_book_that_is_not_live_takes_only_snapshots(state: int) -> None:
    stand = live_stand()
    stand.set_state(0, state)
    before = stand.live[0].copy()
    assert stand.delta(0, (0, 8000, 1)) == NOT_LIVE
    assert stand.trade(0, (0, 8000, 1)) == NOT_LIVE
    assert (stand.live[0] == before).all()
    assert len(stand.records) == 5
    assert stand.snapshot(0, BOOK) == 10
    assert stand.live[0][b.STATE] == b.LIVE


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ((0, 8050, 1), b.OFF_GRID),
        ((0, 0, 1), b.OFF_GRID),
        ((0, 10_000, 1), b.OFF_GRID),
        ((0, 8000, -101), b.NEGATIVE),
        ((1, 8000, -1), b.NEGATIVE),
        ((0, 8000, MAX + 1), TOO_LARGE),
        ((0, 8000, -MAX - 1), TOO_LARGE),
    ],
)
def test_a_change_that_cannot_be_changes_nothing(change: tuple[int, int, int], status: int) -> None:
    stand = live_stand()
    before = stand.live.copy(), stand.tick_rows.copy(), stand.words.copy()
    assert stand.delta(0, change) == status
    assert stand.snapshot(0, [(0, 7900, 1), change]) < 0
    after = stand.live, stand.tick_rows, stand.words
    assert all((x == y).all() for x, y in zip(before, after, strict=True))


def test_a_trade_that_cannot_be_changes_nothing() -> None:
    stand = live_stand()
    assert stand.trade(0, (0, 8000, MAX + 1)) == TOO_LARGE
    assert stand.trade(0, (0, 8000, -1)) == b.NEGATIVE
    assert stand.trade(0, (0, -1, 1)) == b.OFF_GRID
    assert stand.trade(0, (0, 10_001, 1)) == b.OFF_GRID
    assert len(stand.records) == 5
    assert stand.live[0][b.N_TRADES] == 0


def test_a_snapshot_that_does_not_fit_is_refused_whole() -> None:
    stand = Stand(capacity=4)
    assert stand.snapshot(0, BOOK) == REFUSED
    assert len(stand.records) == 0
    assert stand.snapshot(0, BOOK[:2]) == 4


def test_an_empty_snapshot_is_an_empty_live_book() -> None:
    stand = live_stand()
    assert stand.snapshot(0, []) == 7
    assert levels(stand) == ([], [])
    assert stand.live[0][b.STATE] == b.LIVE
    assert stand.records["kind"][-2:].tolist() == [Kind.SNAPSHOT_BEGIN, Kind.SNAPSHOT_END]


# Records, byte for byte


@given(
    seq=st.integers(0, 2**32 - 1),
    exch_ms=st.integers(0, 2**53),
    recv_ns=st.integers(0, 2**62),
    side=st.integers(0, 1),
    qty=st.integers(-MAX, MAX),
    price=st.sampled_from(LINEAR_CENT.prices.tolist()),
)
def test_a_record_holds_every_value_that_can_come(
    seq: int, exch_ms: int, recv_ns: int, side: int, qty: int, price: int
) -> None:
    stand = live_stand(first=2**40)
    stand.snapshot(0, [(side, price, MAX)])
    at = len(stand.records)
    stamps = Stamps(seq=seq, exch_ms=exch_ms, recv_ns=recv_ns)
    assert stand.delta(0, (side, price, qty), stamps) == 2**40 + at
    packed = stand.records[at].tobytes()
    expected = (2**40 + at, recv_ns, exch_ms, qty, seq, Kind.DELTA, side, 0, price)
    assert struct.unpack("<qqqiIBBHi", packed) == expected
    assert len(packed) == 40


def test_the_last_row_of_the_largest_table_and_the_highest_price_fit() -> None:
    stand = Stand(rows=65_535, capacity=10)
    stand.snapshot(65_534, BOOK, Stamps(seq=2**31 + 5))
    stand.trade(65_534, (1, 10_000, MAX))
    assert set(stand.records["row"].tolist()) == {65_534}
    assert stand.records[-1][["price_e4", "count_e2"]].tolist() == (10_000, MAX)
    assert stand.records["seq"][0] == 2**31 + 5


# Ticks


def test_a_tick_freezes_the_row_as_it_is_at_that_event() -> None:
    stand = live_stand()
    stand.throttle_ns = 250
    at = 100 * SECOND
    assert stand.tick_rows[0][b.EVENT_NO] == 5
    stand.delta(0, (0, 8000, 1), Stamps(recv_ns=at + 249))
    assert stand.tick_rows[0][b.EVENT_NO] == 5
    assert stand.live[0][b.TICK_EVENT_NO] == 5
    stand.delta(0, (0, 8000, 2), Stamps(recv_ns=at + 250))
    assert (stand.tick_rows[0][1:] == stand.live[0][1:]).all()
    assert stand.live[0][b.TICK_EVENT_NO] == 7
    stand.delta(0, (0, 8000, 4), Stamps(recv_ns=at + 499))
    assert stand.tick_rows[0][b.EVENT_NO] == 7
    assert b.best_bid(stand.tick_rows[0], b.YES) == (8000, 103)
    stand.trade(0, (0, 8200, 4), Stamps(recv_ns=at + 500))
    assert stand.live[0][b.TICK_EVENT_NO] == 9


@pytest.mark.parametrize(
    ("state", "flags"),
    [
        (b.LIVE, b.UNRECORDED),
        (b.LIVE, b.CLOSED),
    ],
)
def test_no_tick_while_the_book_may_not_be_traded_on(state: int, flags: int) -> None:
    stand = live_stand()
    stand.set_state(0, state, flags)
    stand.delta(0, (0, 8000, 1))
    stand.trade(0, (0, 8000, 1))
    assert stand.live[0][b.TICK_EVENT_NO] == stand.tick_rows[0][b.EVENT_NO] == 5


def test_no_tick_at_or_after_the_close_of_the_market() -> None:
    stand = live_stand()
    stand.live[0][b.CLOSE_MS] = 200_000
    stand.delta(0, (0, 8000, 1), Stamps(recv_ns=200 * SECOND - 1))
    assert stand.live[0][b.TICK_EVENT_NO] == 6
    stand.delta(0, (0, 8000, 1), Stamps(recv_ns=200 * SECOND))
    assert stand.live[0][b.TICK_EVENT_NO] == 6


def test_ticks_go_on_when_a_replay_starts_over() -> None:
    stand = live_stand()
    stand.throttle_ns = SECOND
    stand.set_state(0, b.STALE)
    stand.snapshot(0, BOOK, Stamps(recv_ns=3 * SECOND))
    assert stand.live[0][b.TICK_EVENT_NO] == 10
    stand.delta(0, (0, 8000, 1), Stamps(recv_ns=4 * SECOND))
    assert stand.live[0][b.TICK_EVENT_NO] == 11
    assert stand.live[0][b.SINCE_NS] == 3 * SECOND


def test_flow_words_warm_up_for_a_minute() -> None:
    stand = live_stand()
    start = stand.live[0][b.SINCE_NS]
    assert start == 100 * SECOND
    stand.delta(0, (0, 8000, 1), Stamps(recv_ns=start + 60 * SECOND))
    assert stand.live[0][b.FLAGS] & b.WARMING
    stand.delta(0, (0, 8000, 1), Stamps(recv_ns=start + 60 * SECOND + 1))
    assert not stand.live[0][b.FLAGS] & b.WARMING


def test_state_changes_add_flags_and_leave_the_version_even() -> None:
    stand = live_stand()
    stand.set_state(0, b.STALE, b.CLOSED)
    row = stand.live[0]
    assert (row[b.STATE], row[b.FLAGS] & b.CLOSED) == (b.STALE, b.CLOSED)
    assert row[b.VERSION] % 2 == 0
    assert row[b.VERSION] > 2


# All of it against the naive model


class NaiveCollector:
    """The accept rule and the tick rule in words."""

    def __init__(self, grid: PriceGrid, capacity: int, throttle_ns: int) -> None:
        self.book = NaiveBook(grid)
        self.journal: list[tuple[int, ...]] = []
        self.capacity, self.throttle_ns = capacity, throttle_ns
        self.state, self.hole, self.event_no = "empty", False, 0
        self.tick = (0, 0)  # event, time
        self.tick_rows: dict[int, int] = {}

    def _accept(self, records: list[tuple[int, ...]], now: int, *, heals: bool = False) -> int:
        accepted = (heals or not self.hole) and len(self.journal) + len(records) <= self.capacity
        self.hole = not accepted
        if not accepted:
            return 0
        self.journal += records
        self.event_no = len(self.journal)
        self._tick(now)
        return self.event_no

    def _tick(self, now: int) -> None:
        if abs(now - self.tick[1]) >= self.throttle_ns:
            self.tick = (self.event_no, now)
            self.tick_rows = dict(self.book.legs[0])

    def delta(self, change: tuple[int, int, int], now: int) -> int:
        if self.state != "live":
            return NOT_LIVE
        if not self.book.delta(*change):
            return -1
        return self._accept([(Kind.DELTA, *change)], now)

    def trade(self, change: tuple[int, int, int], now: int) -> int:
        if self.state != "live":
            return NOT_LIVE
        if change[2] < 0:
            return -1
        self.book.trade(change[0], change[2])
        return self._accept([(Kind.TRADE, *change)], now)

    def snapshot(self, levels: list[tuple[int, int, int]], now: int) -> int:
        if not self.book.snapshot(levels):
            return -1
        self.state = "live"
        n = len(levels)
        records = [(Kind.SNAPSHOT_BEGIN, 0, 0, n)]
        records += [(Kind.SNAPSHOT_LEVEL, *level) for level in levels]
        return self._accept([*records, (Kind.SNAPSHOT_END, 0, 0, n)], now, heals=True)


@settings(max_examples=150)
@given(
    data=st.data(),
    grid=grids(),
    capacity=st.integers(1, 60),
    throttle_ns=st.sampled_from([0, 3, 10]),
)
def test_any_run_of_a_collector_equals_the_naive_one(
    data: st.DataObject, grid: PriceGrid, capacity: int, throttle_ns: int
) -> None:
    stand, naive = (
        Stand(grid, rows=1, capacity=capacity),
        NaiveCollector(grid, capacity, throttle_ns),
    )
    stand.throttle_ns, now = throttle_ns, 100
    row = stand.live[0]
    for kind in data.draw(st.lists(st.sampled_from("sdddddttg"), max_size=12)):
        now += data.draw(st.integers(0, 6))
        stamps = Stamps(recv_ns=now)
        drawn = data.draw(changes(grid, most=4))
        if kind == "g":
            stand.set_state(0, b.STALE)
            naive.state = "stale"
        elif kind == "s":
            given_levels = [(s, p, c) for (s, p), c in {(s, p): c for s, p, c in drawn}.items()]
            assert np.sign(stand.snapshot(0, given_levels, stamps)) == np.sign(
                naive.snapshot(given_levels, now)
            )
        for change in drawn if kind in "dt" else ():
            call, model = (stand.delta, naive.delta) if kind == "d" else (stand.trade, naive.trade)
            result, expected = call(0, change, stamps), model(change, now)
            assert result == expected if expected >= 0 else result < 0
        assert_book_equals(row, naive.book)
        assert bool(row[b.FLAGS] & b.UNRECORDED) == naive.hole
        assert row[[b.EVENT_NO, b.TICK_EVENT_NO]].tolist() == [naive.event_no, naive.tick[0]]
        assert dict(b.levels_of(stand.tick_rows[0], b.YES)) == naive.tick_rows
    fields = stand.records[["kind", "leg", "price_e4", "count_e2"]].tolist()
    assert fields == naive.journal
    assert stand.records["event_no"].tolist() == list(range(1, len(fields) + 1))
