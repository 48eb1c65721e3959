"""Gap recovery as a table: a state, an event -> the phases of both books, and what is done."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.kalshi_frames import delta, ok, snapshot, subscribed
from support.recovery_stand import (
    BOOK,
    LIFE,
    SNAPSHOTS_NS,
    TRADE,
    Event,
    Stand,
    broken_a,
    complaint,
    connect,
    delta_a,
    disconnect,
    ended,
    follow_c,
    gap,
    half,
    late_answer,
    later,
    live,
    lost,
    missing_before_snapshot,
    missing_frame,
    missing_life,
    missing_trade,
    much_later,
    no_lives,
    offline,
    refused,
    resyncing,
    shown,
    snapshot_a,
    soon,
    subscribing,
    too_many,
    unrecorded_a,
)

from ipc.messages import MarkKind
from processes.adapters.kalshi.feed.book_feed import Distrust
from processes.collector.recovery import ASK_AGAIN_NS, BookVerdict, Phase

OFFLINE, CONNECTED, SUBSCRIBING, LIVE, GAP, RESYNCING = Phase

ALL_ANEW = [f"subscribe {LIFE}", f"subscribe {TRADE} A B", f"subscribe {BOOK} A B"]
STALE = "stale A B (gap)"

TABLE: list[tuple[Callable[[], Stand], Event, tuple[Phase, Phase], list[str]]] = [
    # no connection
    (offline, connect, (SUBSCRIBING, SUBSCRIBING), ALL_ANEW),
    (offline, disconnect, (OFFLINE, OFFLINE), []),
    (offline, soon, (OFFLINE, OFFLINE), []),
    (offline, follow_c, (OFFLINE, OFFLINE), []),
    (lost, connect, (SUBSCRIBING, SUBSCRIBING), ALL_ANEW),
    (lost, disconnect, (OFFLINE, OFFLINE), []),
    (lost, much_later, (OFFLINE, OFFLINE), []),
    # subscribed, snapshots to come
    (subscribing, snapshot_a, (LIVE, SUBSCRIBING), []),
    (subscribing, soon, (SUBSCRIBING, SUBSCRIBING), []),
    (subscribing, later, (RESYNCING, RESYNCING), ["get_snapshot sid 3 A B"]),
    (subscribing, missing_before_snapshot, (LIVE, GAP), [STALE]),
    (subscribing, ended(10, 3), (SUBSCRIBING, SUBSCRIBING), [STALE, f"subscribe {BOOK} A B"]),
    (subscribing, disconnect, (OFFLINE, OFFLINE), ["stale A B (disconnected)"]),
    (half, later, (LIVE, RESYNCING), ["get_snapshot sid 3 B"]),
    (half, missing_frame, (GAP, GAP), [STALE]),
    # refused
    (refused, later, (CONNECTED, CONNECTED), []),
    (
        refused,
        much_later,
        (SUBSCRIBING, SUBSCRIBING),
        [f"subscribe {TRADE} A B", f"subscribe {BOOK} A B"],
    ),
    (too_many, soon, (CONNECTED, CONNECTED), []),
    (
        too_many,
        later,
        (SUBSCRIBING, SUBSCRIBING),
        [f"subscribe {TRADE} A B", f"subscribe {BOOK} A B"],
    ),
    (no_lives, later, (LIVE, LIVE), [f"subscribe {LIFE}"]),
    (refused, disconnect, (OFFLINE, OFFLINE), ["stale A B (disconnected)"]),
    # live
    (live, delta_a, (LIVE, LIVE), []),
    (live, later, (LIVE, LIVE), []),
    (live, missing_frame, (GAP, GAP), [STALE]),
    (live, missing_before_snapshot, (LIVE, GAP), [STALE]),
    (live, missing_trade, (LIVE, LIVE), [f"note {TRADE}"]),
    (live, missing_life, (LIVE, LIVE), [f"note {LIFE}"]),
    (live, broken_a, (GAP, LIVE), []),
    (live, complaint, (LIVE, LIVE), ["refused A 26"]),
    (live, ended(10, 3), (SUBSCRIBING, SUBSCRIBING), [STALE, f"subscribe {BOOK} A B"]),
    (live, ended(25, 3), (SUBSCRIBING, SUBSCRIBING), [STALE, f"subscribe {BOOK} A B"]),
    (live, ended(25, 2), (LIVE, LIVE), [f"note {TRADE}", f"subscribe {TRADE} A B"]),
    (live, ended(10, 1), (LIVE, LIVE), [f"note {LIFE}", f"subscribe {LIFE}"]),
    (live, disconnect, (OFFLINE, OFFLINE), ["stale A B (disconnected)"]),
    (live, follow_c, (LIVE, LIVE), ["add_markets sid 2 C", "add_markets sid 3 C"]),
    (live, unrecorded_a, (LIVE, LIVE), ["get_snapshot sid 3 A"]),
    # a gap
    (gap, delta_a, (GAP, GAP), []),
    (gap, soon, (RESYNCING, RESYNCING), ["get_snapshot sid 3 A B"]),
    (gap, snapshot_a, (LIVE, GAP), []),
    (gap, missing_frame, (GAP, GAP), [STALE]),
    (gap, ended(25, 3), (SUBSCRIBING, SUBSCRIBING), [STALE, f"subscribe {BOOK} A B"]),
    (gap, disconnect, (OFFLINE, OFFLINE), ["stale A B (disconnected)"]),
    # a fresh snapshot is on its way
    (resyncing, soon, (RESYNCING, RESYNCING), []),
    (resyncing, snapshot_a, (LIVE, RESYNCING), []),
    (resyncing, later, (RESYNCING, RESYNCING), ["get_snapshot sid 3 A B"]),
    (resyncing, missing_frame, (GAP, GAP), [STALE]),
    (resyncing, broken_a, (GAP, RESYNCING), []),
    (resyncing, ended(25, 3), (SUBSCRIBING, SUBSCRIBING), [STALE, f"subscribe {BOOK} A B"]),
    (resyncing, disconnect, (OFFLINE, OFFLINE), ["stale A B (disconnected)"]),
]


@pytest.mark.parametrize(("state", "event", "phases", "actions"), TABLE)
def test_the_table(
    state: Callable[[], Stand], event: Event, phases: tuple[Phase, Phase], actions: list[str]
) -> None:
    stand = state()
    done = event(stand)
    assert shown(done) == actions
    assert stand.phases == phases


def test_a_snapshot_that_was_lost_is_asked_for_at_once() -> None:
    """What a gap swallowed may have been the answer: the request before it does not count."""
    stand = resyncing()
    stand.seq += 1  # the snapshot of A
    assert shown(stand.frame(stand.book(snapshot, "B"))) == [STALE]
    assert stand.phases == (GAP, LIVE)
    assert shown(stand.due(3 * SNAPSHOTS_NS)) == ["get_snapshot sid 3 A"]


def test_a_book_that_no_snapshot_mends_is_not_asked_for_without_pause() -> None:
    stand = resyncing()
    for _ in range(3):
        stand.recovery.on_verdict("A", BookVerdict.BROKEN, 3 * SNAPSHOTS_NS)
        assert stand.due(4 * SNAPSHOTS_NS) == []
    assert shown(later(stand)) == ["get_snapshot sid 3 A B"]


def test_while_snapshots_come_in_none_is_asked_for_again() -> None:
    stand = half()
    stand.recovery.on_verdict("A", BookVerdict.LIVE, ASK_AGAIN_NS)
    assert stand.due(ASK_AGAIN_NS + SNAPSHOTS_NS) == []


def test_a_closed_market_is_not_asked_for() -> None:
    stand = gap()
    assert shown(stand.due(2 * SNAPSHOTS_NS, closed="A")) == ["get_snapshot sid 3 B"]


def test_the_same_sid_after_a_reconnect_is_a_new_subscription() -> None:
    stand = lost()
    stand.recovery.on_connected(0)
    stand.frame(subscribed(1, LIFE, 1))
    stand.frame(subscribed(2, TRADE, 2))
    stand.frame(subscribed(3, BOOK, 3))
    stand.seq = 0
    assert stand.frame(stand.book(snapshot, "A")) == ()
    assert stand.frame(stand.book(snapshot, "B")) == ()
    assert stand.phases == (LIVE, LIVE)


def test_a_second_subscribe_is_answered_ok_and_its_number_counts() -> None:
    stand = live()
    follow_c(stand)
    stand.seq += 1
    assert stand.frame(ok(4, 2, 1, "A", "B", "C")) == ()
    assert stand.frame(ok(5, 3, stand.seq, "A", "B", "C")) == ()
    assert stand.frame(stand.book(snapshot, "C")) == ()
    assert stand.recovery.phase("C") is LIVE


def test_a_market_that_the_answer_leaves_out_waits_for_its_next_try() -> None:
    stand = live()
    follow_c(stand)
    stand.seq += 1
    assert shown(stand.frame(ok(5, 3, stand.seq, "A", "B"))) == ["refused C 0"]
    assert stand.recovery.phase("C") is CONNECTED
    assert shown(much_later(stand)) == ["add_markets sid 3 C"]


def test_a_market_that_left_is_unsubscribed_and_what_still_comes_of_it_is_counted() -> None:
    stand = live()
    done = stand.recovery.follow([], ["B"], 0)
    assert shown(done) == ["delete_markets sid 2 B", "delete_markets sid 3 B"]
    assert stand.frame(stand.book(delta, "B")) == ()
    stand.seq += 1
    assert shown(stand.frame(stand.book(delta, "A"))) == ["stale A (gap)"]


def test_a_market_that_left_before_its_channel_was_ready_is_unsubscribed_then() -> None:
    stand = Stand()
    stand.recovery.on_connected(0)
    assert stand.recovery.follow([], ["B"], 0) == []
    assert shown(stand.frame(subscribed(2, TRADE, 2))) == ["delete_markets sid 2 B"]
    assert shown(stand.frame(subscribed(3, BOOK, 3))) == ["delete_markets sid 3 B"]


STEPS: Sequence[Event] = (
    *(connect, disconnect, snapshot_a, delta_a, missing_frame, missing_before_snapshot, broken_a),
    *(ended(10, 3), ended(25, 3), soon, later),
)


# 1 to 3 subscribe to lives, trades and books; what follows is 4 and up.
CROSSING: list[tuple[list[Event], Event, list[str], tuple[Phase, Phase]]] = [
    # on their way when the books' subscription ended with 25: the refresh, and an older one
    ([missing_frame, soon, ended(25, 3)], late_answer(4), [], (SUBSCRIBING, SUBSCRIBING)),
    (
        [missing_frame, soon, missing_frame, later, ended(25, 3)],
        late_answer(4),
        [],
        (SUBSCRIBING, SUBSCRIBING),
    ),
    (
        [missing_frame, soon, missing_frame, later, ended(25, 3)],
        late_answer(5),
        [],
        (SUBSCRIBING, SUBSCRIBING),
    ),
    # a market more, on both channels: trades' is alive
    ([follow_c, ended(25, 3)], late_answer(5), [], (SUBSCRIBING, SUBSCRIBING)),
    ([follow_c, ended(25, 3)], late_answer(4), ["refused C 7"], (SUBSCRIBING, SUBSCRIBING)),
    # the subscription that replaces it was refused; and a refresh while nothing has ended
    ([ended(25, 3)], late_answer(4, 26), ["refused A B 26"], (CONNECTED, CONNECTED)),
    ([missing_frame, soon], late_answer(4), ["refused A B 7"], (RESYNCING, RESYNCING)),
]


@pytest.mark.parametrize(("before", "answer", "actions", "after"), CROSSING)
def test_what_crossed_the_end_of_its_subscription_is_not_refused_to_us(
    before: list[Event], answer: Event, actions: list[str], after: tuple[Phase, Phase]
) -> None:
    stand = live()
    for event in before:
        event(stand)
    assert shown(answer(stand)) == actions
    assert stand.phases == after


@given(st.lists(st.sampled_from(STEPS), max_size=40))
def test_a_book_is_live_only_after_a_snapshot_with_nothing_missing_since(
    steps: list[Event],
) -> None:
    stand, trusted = live(), True
    for step in steps:
        connected = stand.recovery._connected
        if step not in (connect, soon, later) and not connected:
            continue  # frames come over connections only
        if step is connect and connected:
            continue
        told = step(stand)
        if step is connect or "ended" in step.__qualname__:
            stand.seq, stand.sid = 0, stand.sid + 1
            number = stand.recovery.subscriptions._next_id - 1
            stand.frame(subscribed(number, BOOK, stand.sid))
        if step in (snapshot_a, missing_before_snapshot):
            trusted = True
        elif step not in (delta_a, soon, later):
            trusted = False
        assert (stand.recovery.phase("A") is LIVE) == trusted
        assert any(isinstance(a, Distrust) and a.kind is MarkKind.GAP for a in told) == (
            step in (missing_frame, missing_before_snapshot) or "ended" in step.__qualname__
        )
