"""Frames become rows, records and triggers; what cannot be trusted or recorded is marked."""

from __future__ import annotations

import asyncio

import pytest
from support.collector_rig import CollectorRig
from support.frames import delta, lifecycle, snapshot, trade

from ipc import book as b
from ipc.journal import Kind
from ipc.messages import MarkKind, UpdateType
from ipc.sockets import Subscriber
from processes.collector.recovery import Phase

TWO_SIDES = ([("0.4600", "10.00"), ("0.4700", "3.00")], [("0.4800", "2.00")])


@pytest.fixture
def rig(tmp_path):
    with CollectorRig(tmp_path) as rig:
        rig.follow("A", "B")
        yield rig


def assert_book_equals(row: b.Row, yes: list[tuple[int, int]], no: list[tuple[int, int]]) -> None:
    assert b.levels_of(row, b.YES) == yes
    assert b.levels_of(row, b.NO) == no


def test_a_delta_is_a_signed_change_of_one_level(rig):
    rig.take(snapshot("A", *TWO_SIDES))
    rig.take(delta("A", "yes", "0.4600", "-3.00"), delta("A", "no", "0.4800", "5.00"))
    rig.take(delta("A", "yes", "0.4700", "-3.00"))
    assert_book_equals(rig.row("A"), [(4600, 700)], [(4800, 700)])


def test_every_accepted_change_is_in_the_journal_with_the_number_that_the_row_carries(rig):
    rig.take(snapshot("A", *TWO_SIDES), delta("A", "yes", "0.4600", "-3.00"))
    rig.take(trade("A", "0.5200", "1.00", "no"))
    assert rig.events() == [
        (1, Kind.SNAPSHOT_BEGIN, 0, 0, 3),
        (2, Kind.SNAPSHOT_LEVEL, b.YES, 4600, 1000),
        (3, Kind.SNAPSHOT_LEVEL, b.YES, 4700, 300),
        (4, Kind.SNAPSHOT_LEVEL, b.NO, 4800, 200),
        (5, Kind.SNAPSHOT_END, 0, 0, 3),
        (6, Kind.DELTA, b.YES, 4600, -300),
        (7, Kind.TRADE, b.NO, 5200, 100),
    ]
    assert rig.row("A")[b.EVENT_NO] == 7


def test_a_market_is_listed_in_the_journal_before_its_first_event(rig):
    listed = [m for m in rig.messages() if type(m).__name__ == "MarketListed"]
    assert [(m.market_ticker, m.from_event_no) for m in listed] == [("A", 1), ("B", 1)]


async def test_a_burst_is_one_trigger_per_market_that_names_the_newest_state(rig):
    subscriber = Subscriber(rig.context, ["collector"], rig.data_dir, {}, ["trigger"])
    while not rig.publisher.is_asked_for("trigger"):  # noqa: ASYNC110  sockets tell nobody
        await asyncio.sleep(0.002)
    rig.take(snapshot("A", *TWO_SIDES), snapshot("B", *TWO_SIDES))
    rig.take(*[delta("A", "yes", "0.4600", "1.00", seq=2 + i) for i in range(20)])
    assert rig.triggers.flush() == 2
    found = {t.market_ticker: t for t in await rig.triggers_of(subscriber, 2)}
    subscriber.close()
    assert found["A"].event_no == rig.row("A")[b.EVENT_NO]
    assert found["A"].sequence_number == 21
    assert found["A"].update_type is UpdateType.DELTA
    assert found["B"].update_type is UpdateType.SNAPSHOT


def test_a_gap_makes_every_book_of_the_subscription_stale_until_its_snapshot(rig):
    rig.take(snapshot("A", *TWO_SIDES), snapshot("B", *TWO_SIDES))
    rig.feed.distrust(MarkKind.GAP, ("A", "B"), rig.now_ns, "expected 3, got 5")
    before = rig.events()
    rig.take(delta("A", "yes", "0.4600", "-3.00"))
    assert rig.row("A")[b.STATE] == b.STALE
    assert rig.events() == before
    rig.take(snapshot("A", [("0.4600", "1.00")], []))
    assert rig.row("A")[b.STATE] == b.LIVE
    assert rig.row("B")[b.STATE] == b.STALE
    assert rig.marks() == [("gap", None)]


@pytest.mark.parametrize(
    "bad", [delta("A", "yes", "0.4600", "-11.00"), delta("A", "yes", "0.4650", "1.00")]
)
def test_a_delta_that_contradicts_the_book_makes_it_stale(rig, bad):
    rig.take(snapshot("A", *TWO_SIDES), bad)
    assert rig.row("A")[b.STATE] == b.STALE
    assert rig.marks() == [("gap", "A")]
    assert rig.recovery.phase("A") is Phase.GAP


def test_a_delta_that_the_snapshot_already_holds_is_skipped(rig):
    rig.take(snapshot("A", *TWO_SIDES, clock=10), delta("A", "yes", "0.4600", "1.00", clock=10))
    assert_book_equals(rig.row("A"), [(4600, 1000), (4700, 300)], [(4800, 200)])
    rig.take(delta("A", "yes", "0.4600", "1.00", clock=11))
    assert rig.row("A")[b.YES_TOTAL] == 1400


def test_frames_of_markets_that_are_not_followed_are_counted_and_nothing_else(rig):
    rig.take(snapshot("Z", *TWO_SIDES), delta("Z", "yes", "0.4600", "1.00"))
    assert rig.feed.counts["frames_of_unknown_markets"] == 2
    assert rig.events() == []


def test_a_decided_market_is_closed_and_no_longer_ticks(rig):
    rig.take(snapshot("A", *TWO_SIDES))
    ticked = rig.row("A")[b.TICK_EVENT_NO]
    (changed,) = rig.take(lifecycle("A", "determined"))
    rig.take(delta("A", "yes", "0.4600", "1.00"), step_ms=1_000)
    assert changed
    assert rig.row("A")[b.FLAGS] & b.CLOSED
    assert rig.row("A")[b.TICK_EVENT_NO] == ticked
    assert rig.marks() == [("market_closed", "A")]


def test_a_lost_connection_makes_everything_stale_and_is_a_mark_in_the_same_session(rig):
    rig.take(snapshot("A", *TWO_SIDES), snapshot("B", *TWO_SIDES))
    rig.feed.distrust(MarkKind.DISCONNECTED, ("A", "B"), rig.now_ns, "gone")
    assert rig.markets.live_count() == 0
    assert rig.marks() == [("disconnected", None)]


class TestFullJournal:
    """Sixteen records fit: a snapshot of three levels takes five of them."""

    @pytest.fixture
    def rig(self, tmp_path):
        with CollectorRig(tmp_path, segment_records=16, max_bytes=16 * 40) as rig:
            rig.follow("A")
            rig.take(snapshot("A", *TWO_SIDES))
            for i in range(11):
                rig.take(delta("A", "yes", "0.4600", "1.00", seq=2 + i))
            rig.triggers.flush()
            yield rig

    def test_a_refused_change_is_in_the_book_but_not_in_the_journal_and_triggers_nothing(self, rig):
        rig.take(delta("A", "yes", "0.4600", "1.00", seq=13))
        assert rig.row("A")[b.YES_TOTAL] == 1300 + 1200
        assert rig.row("A")[b.FLAGS] & b.UNRECORDED
        assert len(rig.events()) == 16
        assert rig.triggers.flush() == 0
        assert rig.marks() == [("hole", "A")]

    def test_only_an_accepted_snapshot_heals(self, rig):
        rig.take(*[delta("A", "yes", "0.4600", "1.00", seq=13 + i) for i in range(3)])
        rig.take(snapshot("A", *TWO_SIDES))
        assert rig.row("A")[b.FLAGS] & b.UNRECORDED
        rig.session.segments._max_bytes = 1 << 20  # the recorder made room
        rig.take(delta("A", "yes", "0.4600", "1.00", seq=17))
        assert rig.row("A")[b.FLAGS] & b.UNRECORDED
        rig.take(snapshot("A", *TWO_SIDES))
        assert not rig.row("A")[b.FLAGS] & b.UNRECORDED
        assert rig.triggers.flush() == 1
        assert rig.marks() == [("hole", "A"), ("healed", "A")]
        assert [e[0] for e in rig.events()] == list(range(1, 22))
