"""Which frames are applied to a book, and what the session notes about those that are not.

Frames in; rows, records and outcomes out. No socket, no clock, no file: time comes with a frame,
and what is to be noted in the session is part of the outcome.

- Only a snapshot makes a book LIVE. A missing frame of its subscription, the end of the
  subscription or of the connection, and a frame that cannot be of the book make it STALE. While it
  is STALE nothing is applied or recorded.
- A delta that the exchange's clock puts before the book's snapshot is in that snapshot already.
- No level depends on trades: a trade that is missing or cannot be read leaves the book LIVE.
- What the journal refuses is in the book all the same. From the first refusal to the next accepted
  snapshot the market's record has a hole, marked at both ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from enum import Enum
from typing import Final

import msgspec

from ipc.messages import MarkKind, UpdateType
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.feed.write_queue import WriteQueue, Written
from processes.adapters.kalshi.normalise import (
    change_of_delta,
    exchange_ms,
    levels_of_snapshot,
    trade_of,
)
from processes.adapters.kalshi.schemas.frames import (
    Channel,
    Delta,
    Frame,
    Lifecycle,
    Snapshot,
    Trade,
)
from processes.adapters.kalshi.stream.subscriptions import Ended, Gap, SubscriptionEvent

__all__ = [
    "DATA",
    "Book",
    "BookFeed",
    "Data",
    "Distrust",
    "Effect",
    "Mark",
    "Note",
    "Outcome",
    "channel_of",
    "loss_of",
]

Data = Delta | Trade | Snapshot
Times = tuple[int, int, int]  # recv_ns, frame_mono_ns, written_mono_ns
MAX_SEQ: Final = 2**32 - 1  # of a record
DATA: Final = (Delta, Trade, Snapshot)  # `isinstance` takes a tuple faster than a union


class Book(msgspec.Struct):
    """A market's row. `snapshot_clock`: the exchange's clock of its last snapshot, 0 if unsaid."""

    ticker: str
    row: int
    snapshot_clock: int = 0
    has_hole: bool = False


class Effect(Enum):
    """What a frame did to the book of its market."""

    RECORDED = "applied, and accepted by the journal"
    UNRECORDED = "applied, and refused by the journal"
    NOT_LIVE = "none: the book waits for a snapshot"
    IN_SNAPSHOT = "none: the book's snapshot holds this delta"
    MALFORMED = "none: an amount cannot be parsed"
    MISFIT = "none: the frame contradicts the book"
    UNKNOWN_MARKET = "none: the market has no book here"


class Mark(msgspec.Struct, frozen=True):
    """To be noted in the session at this place of its events; `ticker` None: of several markets."""

    kind: MarkKind
    ticker: str | None
    detail: str = ""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one frame; `is_stale`: it made its book STALE."""

    effect: Effect
    update_type: UpdateType
    book: Book | None = None
    mark: Mark | None = None
    is_stale: bool = False

    @property
    def is_in_book(self) -> bool:
        """Whether the frame was applied."""
        return self.effect is Effect.RECORDED or self.effect is Effect.UNRECORDED


class Distrust(msgspec.Struct, frozen=True):
    """None of these books is up to date from now on."""

    kind: MarkKind
    tickers: tuple[str, ...]
    detail: str


class Note(msgspec.Struct, frozen=True):
    """Something is missing that no book depends on."""

    channel: str
    detail: str


def channel_of(frame: Frame) -> str:
    """The channel that a frame belongs to by its kind; '' when its kind does not say."""
    if isinstance(frame, Delta | Snapshot):
        return Channel.BOOK
    if isinstance(frame, Trade):
        return Channel.TRADE
    return Channel.LIFECYCLE if isinstance(frame, Lifecycle) else ""


def loss_of(event: SubscriptionEvent, channel: str) -> Distrust | Note | None:
    """What a subscription's event invalidates: the books of `channel`, something else, or nothing.

    Args:
        event: of one subscription.
        channel: the one that it is subscribed to.
    """
    match event:
        case Gap():
            detail = f"expected seq {event.expected}, got {event.got}"
            if channel == Channel.BOOK:
                return Distrust(MarkKind.GAP, event.tickers, detail)
            return Note(channel, f"{channel}: {detail}")
        case Ended(terminal=True):
            detail = f"{channel} ended: {event.code}"
            if channel == Channel.BOOK:
                return Distrust(MarkKind.GAP, event.tickers, detail)
            return Note(channel, detail)
        case _:
            return None


class BookFeed:
    """Applies the frames of books and trades to the rows of their markets.

    Args:
        queue: books and journal.
        find: the book of a market, None when it has none here.
    """

    def __init__(self, queue: WriteQueue, find: Callable[[str], Book | None]) -> None:
        self._queue = queue
        self._find = find
        self._holes: dict[str, Book] = {}

    @property
    def holes(self) -> tuple[str, ...]:
        """Markets whose record has a hole that no accepted snapshot has ended."""
        for ticker in [t for t, book in self._holes.items() if self._find(t) is not book]:
            del self._holes[ticker]  # its row is another's, or free
        return tuple(self._holes)

    def on_frame(
        self, frame: Data, recv_ns: int, frame_mono_ns: int, now_mono_ns: int, *, on_yes_scale: bool
    ) -> Outcome:
        """Apply one frame whose `seq` has been checked.

        Args:
            frame: of the channel of books or of trades.
            recv_ns: market time of its receipt.
            frame_mono_ns: monotonic time of its receipt.
            now_mono_ns: monotonic time now, kept as the time of writing.
            on_yes_scale: whether NO levels come at YES prices in this subscription.
        """
        book = self._find(frame.msg.market_ticker)
        if book is None:
            return Outcome(Effect.UNKNOWN_MARKET, _TYPES[type(frame)])
        times = recv_ns, frame_mono_ns, now_mono_ns
        try:
            if frame.seq > MAX_SEQ:
                raise WireError(f"seq={frame.seq} is out of range; allowed: 0 to {MAX_SEQ}")
            if isinstance(frame, Delta):
                return self._on_delta(frame, book, times, on_yes_scale)
            if isinstance(frame, Trade):
                return self._on_trade(frame, book, times)
            return self._on_snapshot(frame, book, times, on_yes_scale)
        except WireError as error:  # typed, but no amount: as good as a missing frame
            return self._misfit(frame, book, Effect.MALFORMED, str(error))

    def distrust(self, tickers: Iterable[str]) -> None:
        """Make these books STALE; markets without a book are passed over."""
        for ticker in tickers:
            if (book := self._find(ticker)) is not None:
                self._queue.make_stale(book.row)

    def _on_delta(self, frame: Delta, book: Book, times: Times, on_yes_scale: bool) -> Outcome:
        msg = frame.msg
        if msg.clock is not None and msg.clock <= book.snapshot_clock:
            return Outcome(Effect.IN_SNAPSHOT, _DELTA, book)
        leg, price_e4, delta_e2 = change_of_delta(msg, on_yes_scale=on_yes_scale)
        stamps = frame.seq, exchange_ms(msg.ts_ms, msg.ts), *times
        written = self._queue.enqueue_delta(book.row, leg, price_e4, delta_e2, stamps)
        if written is _ACCEPTED:
            return Outcome(_RECORDED, _DELTA, book)
        return self._refused(frame, book, written)

    def _on_trade(self, frame: Trade, book: Book, times: Times) -> Outcome:
        msg = frame.msg
        taker_leg, yes_price_e4, count_e2 = trade_of(msg)
        stamps = frame.seq, exchange_ms(msg.ts_ms, msg.ts), *times
        written = self._queue.enqueue_trade(book.row, taker_leg, yes_price_e4, count_e2, stamps)
        if written is _ACCEPTED:
            return Outcome(_RECORDED, UpdateType.TRADE, book)
        return self._refused(frame, book, written)

    def _on_snapshot(
        self, frame: Snapshot, book: Book, times: Times, on_yes_scale: bool
    ) -> Outcome:
        levels = levels_of_snapshot(frame.msg, on_yes_scale=on_yes_scale)
        written = self._queue.enqueue_snapshot(book.row, *levels, (frame.seq, 0, *times))
        if written is Written.ACCEPTED or written is Written.JOURNAL_FULL:
            book.snapshot_clock = frame.msg.clock or 0
        if written is not Written.ACCEPTED:
            return self._refused(frame, book, written)
        healed = None
        if book.has_hole:
            book.has_hole = False
            self._holes.pop(book.ticker, None)
            healed = Mark(MarkKind.HEALED, book.ticker)
        return Outcome(Effect.RECORDED, UpdateType.SNAPSHOT, book, healed)

    def _refused(self, frame: Data, book: Book, written: Written) -> Outcome:
        """What was not accepted: applied without a record, or not of a book as it stands."""
        if written is Written.NOT_LIVE:
            return Outcome(Effect.NOT_LIVE, _TYPES[type(frame)], book)
        if written is not Written.JOURNAL_FULL:
            detail = f"the frame does not fit the book: {written}"
            return self._misfit(frame, book, Effect.MISFIT, detail)
        hole = None
        if not book.has_hole:
            book.has_hole = True
            self._holes[book.ticker] = book
            hole = Mark(MarkKind.HOLE, book.ticker, str(written))
        return Outcome(Effect.UNRECORDED, _TYPES[type(frame)], book, hole)

    def _misfit(self, frame: Data, book: Book, effect: Effect, detail: str) -> Outcome:
        """The frame cannot be true: if it is of the book, what we hold is not the exchange's."""
        is_stale = not isinstance(frame, Trade)
        if is_stale:
            self._queue.make_stale(book.row)
        mark = Mark(MarkKind.GAP, book.ticker, detail)
        return Outcome(effect, _TYPES[type(frame)], book, mark, is_stale)


# Looked up for every frame: a name of the module is found faster than a member of an Enum.
_RECORDED: Final = Effect.RECORDED
_ACCEPTED: Final = Written.ACCEPTED
_DELTA: Final = UpdateType.DELTA
_TYPES: Final = {
    Delta: UpdateType.DELTA,
    Trade: UpdateType.TRADE,
    Snapshot: UpdateType.SNAPSHOT,
}
