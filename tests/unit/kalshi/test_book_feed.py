"""The rules of the one feed: what a frame does to a book, and what the session notes of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from support.frames import delta, snapshot, trade

from ipc import book as b
from ipc.journal import EventSegments
from ipc.messages import MarkKind, UpdateType
from ipc.units import LINEAR_CENT
from processes.adapters.kalshi.feed.book_feed import (
    Book,
    BookFeed,
    Data,
    Distrust,
    Effect,
    Mark,
    Note,
    Outcome,
    WriteQueue,
    loss_of,
)
from processes.adapters.kalshi.stream.subscriptions import Ended, Gap, Ready

LEVELS = ([("0.4600", "10.00"), ("0.4700", "3.00")], [("0.4800", "2.00")])
GAP = MarkKind.GAP


class Stand:
    """Two markets, A and B, and room for so many records."""

    def __init__(self, folder: Path, records: int = 1_000) -> None:
        rows = np.stack([b.new_row(99, LINEAR_CENT) for _ in "AB"])
        self.books = SimpleNamespace(live=rows, tick_rows=rows.copy())
        self.journal = EventSegments(folder, capacity=records, max_bytes=40 * records)
        self.known = {"A": Book("A", 0), "B": Book("B", 1)}
        self.feed = BookFeed(WriteQueue(self.books, self.journal, 0), self.known.get)

    def take(self, frame: Data) -> Outcome:
        return self.feed.on_frame(frame, 1_000, 1, 2, on_yes_scale=False)

    def state(self, ticker: str = "A") -> int:
        return int(self.books.live[self.known[ticker].row, b.STATE])


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    made = Stand(tmp_path)
    made.take(snapshot("A", *LEVELS, clock=10))
    return made


CASES: list[tuple[Callable[[], Data], Effect, UpdateType, Mark | None, bool]] = [
    (
        lambda: delta("A", "yes", "0.4600", "-3.00", clock=11),
        *(Effect.RECORDED, UpdateType.DELTA, None, False),
    ),
    (lambda: trade("A", "0.5", "1.00", "no"), Effect.RECORDED, UpdateType.TRADE, None, False),
    (lambda: snapshot("A", *LEVELS), Effect.RECORDED, UpdateType.SNAPSHOT, None, False),
    (
        lambda: delta("A", "yes", "0.4600", "1.00", clock=10),
        *(Effect.IN_SNAPSHOT, UpdateType.DELTA, None, False),
    ),
    (
        lambda: delta("B", "yes", "0.4600", "1.00"),
        *(Effect.NOT_LIVE, UpdateType.DELTA, None, False),
    ),
    (
        lambda: delta("Z", "yes", "0.4600", "1.00"),
        *(Effect.UNKNOWN_MARKET, UpdateType.DELTA, None, False),
    ),
    (
        lambda: delta("A", "yes", "0.4600", "-11.00"),
        *(Effect.MISFIT, UpdateType.DELTA),
        *(Mark(GAP, "A", "the frame does not fit the book: negative_size"), True),
    ),
    (
        lambda: delta("A", "yes", "half", "1.00"),
        *(Effect.MALFORMED, UpdateType.DELTA),
        *(Mark(GAP, "A", "A: price 'half' is not a decimal number"), True),
    ),
    (
        lambda: trade("A", "0.5000", "-1.00", "no"),
        *(Effect.MISFIT, UpdateType.TRADE),
        *(Mark(GAP, "A", "the frame does not fit the book: negative_size"), False),
    ),
]


@pytest.mark.parametrize(("frame", "effect", "update_type", "mark", "is_stale"), CASES)
def test_what_a_frame_does(
    stand: Stand,
    frame: Callable[[], Data],
    effect: Effect,
    update_type: UpdateType,
    mark: Mark | None,
    is_stale: bool,
) -> None:
    outcome = stand.take(frame())
    assert (outcome.effect, outcome.update_type) == (effect, update_type)
    assert outcome.mark == mark
    assert outcome.is_stale == is_stale
    assert stand.state() == (b.STALE if is_stale else b.LIVE)


def test_only_a_snapshot_ends_distrust(stand: Stand) -> None:
    stand.feed.distrust(["A", "B", "Z"])
    assert (stand.state("A"), stand.state("B")) == (b.STALE, b.EMPTY)  # B never was LIVE
    before = stand.journal.next_event_no
    assert stand.take(delta("A", "yes", "0.4600", "1.00")).effect is Effect.NOT_LIVE
    assert stand.take(trade("A", "0.5000", "1.00", "no")).effect is Effect.NOT_LIVE
    assert stand.journal.next_event_no == before
    assert stand.take(snapshot("A", *LEVELS)).is_in_book
    assert stand.state("A") == b.LIVE


def test_a_hole_is_marked_at_both_ends_and_once(tmp_path: Path) -> None:
    stand = Stand(tmp_path, records=6)  # a snapshot takes five
    stand.take(snapshot("A", *LEVELS))
    stand.take(delta("A", "yes", "0.4600", "1.00"))
    first, second = (stand.take(delta("A", "yes", "0.4600", "1.00")) for _ in range(2))
    assert first.mark == Mark(MarkKind.HOLE, "A", "journal_full")
    assert (second.effect, second.mark) == (Effect.UNRECORDED, None)
    assert stand.books.live[0, b.YES_TOTAL] == 1_600  # the book is true all the same
    assert stand.feed.holes == ("A",)
    stand.journal._max_bytes = 1 << 20  # the recorder made room
    assert stand.take(snapshot("A", *LEVELS)).mark == Mark(MarkKind.HEALED, "A")
    assert stand.feed.holes == ()


def test_the_hole_of_a_market_that_left_is_not_one_of_the_market_that_came(tmp_path: Path) -> None:
    stand = Stand(tmp_path, records=5)
    stand.take(snapshot("A", *LEVELS))
    stand.take(delta("A", "yes", "0.4600", "1.00"))
    assert stand.feed.holes == ("A",)
    stand.known["A"] = Book("A", 0)
    assert stand.feed.holes == ()


LOSSES = [
    (Gap("c", 3, 4, 6, ("A",)), "orderbook_delta", Distrust(GAP, ("A",), "expected seq 4, got 6")),
    (Gap("c", 2, 4, 6, ("A",)), "trade", Note("trade", "trade: expected seq 4, got 6")),
    (
        Ended("c", 25, terminal=True, tickers=("A",)),
        "orderbook_delta",
        Distrust(GAP, ("A",), "orderbook_delta ended: 25"),
    ),
    (Ended("c", 25, terminal=True, tickers=()), "trade", Note("trade", "trade ended: 25")),
    (Ended("c", 0, terminal=False, tickers=("A",)), "orderbook_delta", None),
    (Ready("c", 3), "orderbook_delta", None),
]


@pytest.mark.parametrize(("event", "channel", "loss"), LOSSES)
def test_what_a_subscription_loses(event: Gap, channel: str, loss: Distrust | Note | None) -> None:
    assert loss_of(event, channel) == loss
