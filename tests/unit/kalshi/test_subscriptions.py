"""The state of a connection's subscriptions, from frames alone."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.kalshi_frames import delta, error, fill, ok, raw, snapshot, subscribed, trade
from support.recordings import needs_recordings, recordings_folder

from processes.adapters.kalshi.schemas.frames import Channel, decode_frame
from processes.adapters.kalshi.stream.subscriptions import (
    Ended,
    Gap,
    Ready,
    Rejected,
    SubscriptionEvent,
    Subscriptions,
)

BOOK = "orderbook_delta"


def told(subscriptions: Subscriptions, *frames: bytes) -> list[SubscriptionEvent]:
    return [e for data in frames for e in subscriptions.on_frame(decode_frame(data))]


def pending(subscriptions: Subscriptions) -> int:
    """Commands without a reply: what would grow for ever if replies were not matched."""
    return len(subscriptions._commands)


def said(command: bytes | None) -> dict[str, Any]:
    assert command is not None
    parsed: dict[str, Any] = json.loads(command)
    return parsed


def ready(*tickers: str) -> Subscriptions:
    """A book subscription, sid 1, with a snapshot of each market: last seq = number of markets."""
    subscriptions = Subscriptions()
    subscriptions.subscribe(Channel.BOOK, tickers)
    told(subscriptions, subscribed(1, BOOK, 1))
    told(subscriptions, *(snapshot(i, ticker=t) for i, t in enumerate(tickers, 1)))
    return subscriptions


def test_a_channel_becomes_ready() -> None:
    subscriptions = Subscriptions()
    command = said(subscriptions.subscribe(Channel.BOOK, ["B", "A"]))
    assert command["params"]["market_tickers"] == ["A", "B"]
    assert (pending(subscriptions), subscriptions.sid(BOOK)) == (1, None)
    assert told(subscriptions, subscribed(command["id"], BOOK, 4)) == [Ready(BOOK, 4)]
    assert (pending(subscriptions), subscriptions.sid(BOOK)) == (0, 4)
    assert subscriptions.tickers(BOOK) == ("A", "B")


def test_a_channel_of_everything_needs_no_tickers() -> None:
    subscriptions = Subscriptions()
    command = said(subscriptions.subscribe(Channel.FILL))
    assert "market_tickers" not in command["params"]
    assert told(subscriptions, subscribed(command["id"], "fill", 2)) == [Ready("fill", 2)]


def test_answers_come_in_any_order_and_only_one_is_subscribed() -> None:
    """Twelve subscribes of one channel, answered as a capture of August 2026 shows it."""
    subscriptions = Subscriptions()
    tickers = [f"M{i}" for i in range(1, 13)]
    for ticker in tickers:
        subscriptions.subscribe(Channel.BOOK, [ticker])
    events = told(subscriptions, subscribed(2, BOOK, 1))
    listed, seq = ["M2"], 0
    for command_id in (4, 3, 6, 5, 1, 8, 9, 7, 12, 11, 10):
        listed.append(f"M{command_id}")
        seq += 2
        answer = ok(command_id, 1, seq - 1, *sorted(listed))
        events += told(subscriptions, answer, snapshot(seq, ticker=f"M{command_id}"))
    assert events == [Ready(BOOK, 1)]
    assert pending(subscriptions) == 0
    assert set(subscriptions.tickers(BOOK)) == set(tickers)


def test_an_ok_that_overtakes_is_ready_too() -> None:
    subscriptions = Subscriptions()
    subscriptions.subscribe(Channel.BOOK, ["A"])
    subscriptions.subscribe(Channel.BOOK, ["B"])
    assert told(subscriptions, ok(2, 7, 1, "A", "B")) == [Ready(BOOK, 7)]
    assert told(subscriptions, subscribed(1, BOOK, 7)) == []


def test_every_sequenced_frame_counts_whatever_it_is() -> None:
    subscriptions = ready("A")
    subscriptions.add(BOOK, ["B"])
    frames = [
        delta(2, ticker="A"),
        ok(2, 1, 3, "A", "B"),
        snapshot(4, ticker="B"),
        raw("news", {"any": 1}, sid=1, seq=5),
        error(11, sid=1, seq=6),
        delta(7, ticker="B"),
    ]
    assert not any(isinstance(e, Gap) for e in told(subscriptions, *frames))
    assert subscriptions.last_seq(1) == 7


def test_a_gap_names_all_markets_of_its_subscription() -> None:
    subscriptions = ready("A", "B")
    assert told(subscriptions, delta(5, ticker="A")) == [Gap(BOOK, 1, 3, 5, ("A", "B"))]
    assert told(subscriptions, delta(6, ticker="A")) == []  # told once


def test_a_frame_that_comes_twice_is_a_gap() -> None:
    subscriptions = ready("A")
    assert told(subscriptions, delta(2), delta(2)) == [Gap(BOOK, 1, 3, 2, ("A",))]


def test_subscriptions_count_each_for_itself() -> None:
    subscriptions = ready("A")
    subscriptions.subscribe(Channel.TRADE, ["A"])
    told(subscriptions, subscribed(2, "trade", 2))
    assert told(subscriptions, trade(1), delta(2), trade(2), fill(), delta(3)) == []
    assert told(subscriptions, trade(4)) == [Gap("trade", 2, 3, 4, ("A",))]


@given(st.lists(st.integers(1, 40), min_size=1, max_size=60))
def test_there_is_a_gap_exactly_where_the_count_breaks(seqs: list[int]) -> None:
    subscriptions, last = ready(), 0
    for seq in seqs:
        gaps = [e for e in told(subscriptions, delta(seq)) if isinstance(e, Gap)]
        assert bool(gaps) == (seq != last + 1)
        last = seq


def test_markets_are_added_and_removed() -> None:
    subscriptions = ready("A")
    added = said(subscriptions.add(BOOK, ["A", "B"]))
    assert added["params"] == {"sids": [1], "action": "add_markets", "market_tickers": ["B"]}
    assert subscriptions.add(BOOK, ["B"]) is None
    removed = said(subscriptions.remove(BOOK, ["A", "Z"]))
    assert removed["params"] == {"sids": [1], "action": "delete_markets", "market_tickers": ["A"]}
    assert subscriptions.tickers(BOOK) == ("B",)
    assert told(subscriptions, ok(3, 1, 2, "B"), ok(2, 1, 3, "B")) == []
    assert pending(subscriptions) == 0


def test_adding_before_the_channel_is_ready_subscribes() -> None:
    subscriptions = Subscriptions()
    subscriptions.subscribe(Channel.BOOK, ["A"])
    assert said(subscriptions.add(BOOK, ["B"]))["cmd"] == "subscribe"
    assert subscriptions.remove(BOOK, ["A"]) is None


def test_snapshots_answer_one_by_one() -> None:
    subscriptions = ready("A", "B")
    command = said(subscriptions.refresh(["A", "B", "Z"]))
    assert command["params"]["action"] == "get_snapshot"
    assert command["params"]["market_tickers"] == ["A", "B"]
    told(subscriptions, raw("orderbook_snapshot", {"market_ticker": "A"}, id=2, sid=1, seq=3))
    assert pending(subscriptions) == 1  # B's is still to come
    told(subscriptions, snapshot(4, ticker="B"))
    assert pending(subscriptions) == 0


def test_a_snapshot_that_is_asked_for_again_is_waited_for_once() -> None:
    subscriptions = ready("A", "B")
    subscriptions.refresh(["A", "B"])
    assert said(subscriptions.refresh(["B"]))["params"]["market_tickers"] == ["B"]
    assert pending(subscriptions) == 2
    told(subscriptions, snapshot(3, ticker="A"))
    assert pending(subscriptions) == 1


def test_a_refresh_that_is_acknowledged_still_waits_for_its_snapshot() -> None:
    subscriptions = ready("A")
    subscriptions.refresh(["A"])
    told(subscriptions, ok(2, 1, 2, "A"))
    assert pending(subscriptions) == 1
    told(subscriptions, snapshot(3, ticker="A"))
    assert pending(subscriptions) == 0


def test_a_snapshot_that_may_be_among_the_lost_frames_is_asked_for_again() -> None:
    subscriptions = ready("A", "B")
    subscriptions.refresh(["A", "B"])
    assert told(subscriptions, snapshot(5, ticker="A")) == [Gap(BOOK, 1, 3, 5, ("A", "B"))]
    assert said(subscriptions.refresh(["A", "B"]))["params"]["market_tickers"] == ["A", "B"]


def test_a_refused_refresh_may_be_tried_again() -> None:
    subscriptions = ready("A")
    subscriptions.refresh(["A"])
    assert told(subscriptions, error(27, id=2)) == [Rejected(BOOK, ("A",), 27, "so it is")]
    assert subscriptions.refresh(["A"]) is not None
    assert subscriptions.tickers(BOOK) == ("A",)


@pytest.mark.parametrize("code", [10, 25])
def test_a_terminal_error_ends_the_subscription(code: int) -> None:
    subscriptions = ready("A", "B")
    subscriptions.refresh(["A"])
    assert told(subscriptions, error(code, sid=1, seq=3)) == [Ended(BOOK, code, True, ("A", "B"))]
    assert (subscriptions.sid(BOOK), pending(subscriptions)) == (None, 0)
    assert subscriptions.refresh(["A"]) is None
    again = said(subscriptions.subscribe(Channel.BOOK, ["A", "B"]))
    assert told(subscriptions, subscribed(again["id"], BOOK, 3)) == [Ready(BOOK, 3)]
    assert told(subscriptions, snapshot(1, sid=3, ticker="A")) == []


def test_other_errors_of_a_subscription_leave_it_alive() -> None:
    subscriptions = ready("A")
    complaint = raw("error", {"code": 26, "msg": "full", "market_ticker": "A"}, sid=1, seq=2)
    assert told(subscriptions, complaint) == [Rejected(BOOK, ("A",), 26, "full")]
    assert subscriptions.sid(BOOK) == 1


def test_a_refused_subscribe_is_forgotten() -> None:
    subscriptions = Subscriptions()
    subscriptions.subscribe("weather", ["A"])
    assert told(subscriptions, error(8, id=1)) == [Rejected("weather", ("A",), 8, "so it is")]
    assert (pending(subscriptions), subscriptions.tickers("weather")) == (0, ())


def test_markets_that_the_answer_leaves_out_were_refused() -> None:
    subscriptions = ready("A")
    subscriptions.add(BOOK, ["B", "C"])
    rejected = told(subscriptions, ok(2, 1, 2, "A", "B"))
    assert rejected == [Rejected(BOOK, ("C",), 0, "not in the list")]
    assert subscriptions.tickers(BOOK) == ("A", "B")


def test_we_may_end_a_subscription() -> None:
    subscriptions = ready("A")
    assert said(subscriptions.unsubscribe(BOOK))["params"] == {"sids": [1]}
    answer = raw("unsubscribed", id=2, sid=1, seq=2)
    assert told(subscriptions, answer) == [Ended(BOOK, 0, False, ("A",))]
    assert subscriptions.unsubscribe(BOOK) is None


def test_answers_to_nobody_are_ignored() -> None:
    subscriptions = ready("A")
    assert told(subscriptions, ok(99, 1, 2, "A"), raw("unsubscribed", id=9, sid=9)) == []


def _recorded(name: str) -> list[bytes]:
    folder, _ = recordings_folder()
    (path,) = ((folder or Path()) / name).glob("[!r]*.jsonl.gz")
    with gzip.open(path) as lines:
        parsed = [json.loads(line) for line in lines]
    return [(p["raw"] if "raw" in p else json.dumps(p)).encode() for p in parsed]


@needs_recordings
@pytest.mark.parametrize("name", ["demo-env-2026-07-01", "btc-range-2026-04-18"])
def test_recorded_connections_have_no_gap(name: str) -> None:
    subscriptions, frames = Subscriptions(), _recorded(name)
    assert not [e for e in told(subscriptions, *frames) if isinstance(e, Gap)]
    counted = [f for f in frames if b'"seq"' in f and b'"sid":1' in f.replace(b" ", b"")]
    assert subscriptions.last_seq(1) == len(counted)
