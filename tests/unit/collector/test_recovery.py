"""Gap recovery as a table: a state, an event -> the phases of both books, and what is done.

Two markets, A and B. Subscriptions are 1 (lives), 2 (trades) and 3 (books) at first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.kalshi_frames import delta, error, ok, raw, snapshot, subscribed, trade

from ipc.messages import MarkKind
from processes.adapters.kalshi.wire import Snapshot, decode_frame
from processes.collector.recovery import (
    ASK_AGAIN_NS,
    REFUSED_AGAIN_NS,
    Action,
    Distrust,
    Note,
    Phase,
    Recovery,
    Refused,
    Send,
    Verdict,
)

BOOK, TRADE, LIFE = "orderbook_delta", "trade", "market_lifecycle_v2"
SNAPSHOTS_NS = 1_000  # when the snapshots of a subscribe came
OFFLINE, CONNECTED, SUBSCRIBING, LIVE, GAP, RESYNCING = Phase


class Stand:
    """A recovery, fed with frames as a collector feeds it: checked first, applied then."""

    def __init__(self) -> None:
        self.recovery = Recovery()
        self.recovery.follow(["A", "B"], [], 0)
        self.seq = 0  # of the book subscription
        self.sid = 3

    def frame(self, data: bytes, now_ns: int = SNAPSHOTS_NS) -> Sequence[Action]:
        frame = decode_frame(data)
        actions = self.recovery.on_frame(frame, now_ns)
        if isinstance(frame, Snapshot):
            self.recovery.on_verdict(frame.msg.market_ticker, Verdict.LIVE, now_ns)
        return actions

    def book(self, kind: Callable[..., bytes], ticker: str = "A", **more: object) -> bytes:
        """The next frame of the book subscription."""
        self.seq += 1
        return kind(self.seq, sid=self.sid, ticker=ticker, **more)

    def due(self, now_ns: int, unrecorded: Sequence[str] = (), closed: str = "") -> list[Action]:
        return list(self.recovery.due(now_ns, unrecorded, lambda ticker: ticker not in closed))

    @property
    def phases(self) -> tuple[Phase, ...]:
        return tuple(self.recovery.phase(t) for t in ("A", "B"))


def shown(actions: Sequence[Action]) -> list[str]:
    """Actions in words."""
    return [_word(action) for action in actions]


def _word(action: Action) -> str:
    match action:
        case Send(command=command):
            parsed = json.loads(command)
            params = parsed["params"]
            what = params.get("action", parsed["cmd"])
            place = params["channels"][0] if "channels" in params else f"sid {params['sids'][0]}"
            return " ".join([what, place, *params.get("market_tickers", ())])
        case Distrust(kind=kind, tickers=tickers):
            return " ".join(["stale", *tickers, f"({kind})"])
        case Note(channel=channel):
            return f"note {channel}"
        case Refused(tickers=tickers, code=code):
            return " ".join(["refused", *tickers, str(code)])


def offline() -> Stand:
    return Stand()


def subscribing() -> Stand:
    """Connected, every channel acknowledged, no snapshot yet."""
    stand = Stand()
    stand.recovery.on_connected(0)
    for command_id, (channel, sid) in enumerate(((LIFE, 1), (TRADE, 2), (BOOK, 3)), 1):
        stand.frame(subscribed(command_id, channel, sid))
    return stand


def half() -> Stand:
    """The snapshot of A has come."""
    stand = subscribing()
    stand.frame(stand.book(snapshot, "A"))
    return stand


def live() -> Stand:
    stand = half()
    stand.frame(stand.book(snapshot, "B"))
    return stand


def gap() -> Stand:
    """A frame of the books has not come."""
    stand = live()
    stand.seq += 1
    stand.frame(stand.book(delta))
    return stand


def resyncing() -> Stand:
    stand = gap()
    stand.due(2 * SNAPSHOTS_NS)
    return stand


def refused(code: int = 11) -> Stand:
    """Both markets were refused, on both channels."""
    stand = Stand()
    stand.recovery.on_connected(0)
    stand.frame(subscribed(1, LIFE, 1))
    stand.frame(error(code, id=2), 0)
    stand.frame(error(code, id=3), 0)
    return stand


def too_many() -> Stand:
    """The same, for now."""
    return refused(27)


def no_lives() -> Stand:
    """All but the channel of lives was taken."""
    stand = Stand()
    stand.recovery.on_connected(0)
    stand.frame(error(27, id=1), 0)
    stand.frame(subscribed(2, TRADE, 2))
    stand.frame(subscribed(3, BOOK, 3))
    stand.frame(stand.book(snapshot, "A"))
    stand.frame(stand.book(snapshot, "B"))
    return stand


def lost() -> Stand:
    """The connection has gone."""
    stand = live()
    stand.recovery.on_disconnected("gone")
    return stand


Event = Callable[[Stand], Sequence[Action]]


def connect(stand: Stand) -> Sequence[Action]:
    return stand.recovery.on_connected(SNAPSHOTS_NS)


def disconnect(stand: Stand) -> Sequence[Action]:
    return stand.recovery.on_disconnected("gone")


def follow_c(stand: Stand) -> Sequence[Action]:
    return stand.recovery.follow(["C"], [], SNAPSHOTS_NS)


def snapshot_a(stand: Stand) -> Sequence[Action]:
    return stand.frame(stand.book(snapshot, "A"))


def delta_a(stand: Stand) -> Sequence[Action]:
    return stand.frame(stand.book(delta))


def missing_frame(stand: Stand) -> Sequence[Action]:
    stand.seq += 1
    return stand.frame(stand.book(delta))


def missing_before_snapshot(stand: Stand) -> Sequence[Action]:
    """The snapshot is newer than what is missing."""
    stand.seq += 1
    return stand.frame(stand.book(snapshot, "A"))


def missing_trade(stand: Stand) -> Sequence[Action]:
    return stand.frame(trade(2, sid=2))


def missing_life(stand: Stand) -> Sequence[Action]:
    msg = {"market_ticker": "A", "event_type": "activated"}
    return stand.frame(raw(LIFE, msg, sid=1, seq=2))


def broken_a(stand: Stand) -> Sequence[Action]:
    stand.recovery.on_verdict("A", Verdict.BROKEN, SNAPSHOTS_NS)
    return ()


def ended(code: int, sid: int) -> Event:
    def event(stand: Stand) -> Sequence[Action]:
        if sid != 3:
            return stand.frame(error(code, sid=sid, seq=1))
        stand.seq += 1
        return stand.frame(error(code, sid=stand.sid, seq=stand.seq))

    return event


def complaint(stand: Stand) -> Sequence[Action]:
    """An error that ends nothing."""
    stand.seq += 1
    msg = {"code": 26, "msg": "full", "market_ticker": "A"}
    return stand.frame(raw("error", msg, sid=3, seq=stand.seq))


def soon(stand: Stand) -> Sequence[Action]:
    return stand.due(2 * SNAPSHOTS_NS)


def later(stand: Stand) -> Sequence[Action]:
    return stand.due(3 * SNAPSHOTS_NS + ASK_AGAIN_NS)


def much_later(stand: Stand) -> Sequence[Action]:
    return stand.due(3 * SNAPSHOTS_NS + REFUSED_AGAIN_NS)


def unrecorded_a(stand: Stand) -> Sequence[Action]:
    """There is room again for the snapshot that heals A's hole."""
    return stand.due(3 * SNAPSHOTS_NS + ASK_AGAIN_NS, ["A"])


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
        stand.recovery.on_verdict("A", Verdict.BROKEN, 3 * SNAPSHOTS_NS)
        assert stand.due(4 * SNAPSHOTS_NS) == []
    assert shown(later(stand)) == ["get_snapshot sid 3 A B"]


def test_while_snapshots_come_in_none_is_asked_for_again() -> None:
    stand = half()
    stand.recovery.on_verdict("A", Verdict.LIVE, ASK_AGAIN_NS)
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
