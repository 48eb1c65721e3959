"""Which frames are applied to a book, and what the session notes about those that are not.

Frames in; rows, records and outcomes out. No socket, no clock, no file: time comes with a frame,
and what is to be noted in the session is part of the outcome.

- Only a snapshot makes a book LIVE. A missing frame of its subscription, the end of the
  subscription or of the connection, and a frame that cannot be of the book make it STALE. While it
  is STALE nothing is applied or recorded.
- A delta that the exchange's clock puts before the book's snapshot is in that snapshot already.
- No level depends on trades: a trade that is missing or cannot be read leaves the book LIVE.
- What the journal refuses is in the book all the same: it must be true. From the first refusal to
  the next accepted snapshot the row is UNRECORDED and the market's record has a hole, marked at
  both ends.

`WriteQueue` writes what is applied, without waiting: an update is journalled and applied in one
kernel call, and `enqueue_*` answers whether the journal accepted it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from enum import Enum, StrEnum
from typing import Final, Protocol

import msgspec
import numpy as np
import numpy.typing as npt

from ipc import book as b
from ipc.book_kernels import (
    NOT_LIVE,
    TOO_LARGE,
    record_delta,
    record_snapshot,
    record_trade,
    set_state,
)
from ipc.messages import MarkKind, UpdateType
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.schemas.frames import (
    Channel,
    Delta,
    Frame,
    Lifecycle,
    Snapshot,
    Trade,
)
from processes.adapters.kalshi.schemas.normalise import (
    change_of_delta,
    exchange_ms,
    levels_of_snapshot,
    trade_of,
)
from processes.adapters.kalshi.stream.subscriptions import Ended, Gap, SubscriptionEvent

__all__ = [
    "DATA",
    "Book",
    "BookFeed",
    "Books",
    "Data",
    "Distrust",
    "Effect",
    "Journal",
    "Mark",
    "Note",
    "Outcome",
    "Stamps",
    "WriteQueue",
    "Written",
    "channel_of",
    "loss_of",
]

Words = npt.NDArray[np.int64]
Data = Delta | Trade | Snapshot
# Where and when a frame came from, as the kernels take it: seq, exch_ms (0 if the exchange did not
# say), recv_ns in market time, then frame_mono_ns and written_mono_ns of the monotonic clock.
Stamps = tuple[int, int, int, int, int]
Times = tuple[int, int, int]  # recv_ns, frame_mono_ns, written_mono_ns
MAX_SEQ: Final = 2**32 - 1  # of a record
DATA: Final = (Delta, Trade, Snapshot)  # `isinstance` takes a tuple faster than a union


class Book(msgspec.Struct):
    """A market's row, as the feed knows it.

    Attributes:
        ticker: The market.
        row: Row number in the books of the write queue.
        snapshot_clock: The exchange's clock of its last snapshot, 0 where it did not say.
        has_hole: Whether the journal refused a change since the last accepted snapshot.
    """

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
    """To be noted in the session at this place of its events.

    Attributes:
        kind: What happened.
        ticker: The market, None for several.
        detail: For people.
    """

    kind: MarkKind
    ticker: str | None
    detail: str = ""


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """What became of one frame.

    Attributes:
        effect: What it did to its book.
        update_type: What kind of frame it was.
        book: Its market's, None for a market without one.
        mark: To be noted in the session, None for nothing.
        is_stale: Whether it made its book STALE.
    """

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
    """None of these books is up to date from now on.

    Attributes:
        kind: `GAP`, or `DISCONNECTED` when the connection ended.
        tickers: The markets; of a recording, empty for all of its file.
        detail: For people.
    """

    kind: MarkKind
    tickers: tuple[str, ...]
    detail: str


class Note(msgspec.Struct, frozen=True):
    """Something is missing that no book depends on.

    Attributes:
        channel: Where it is missing.
        detail: For people.
    """

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
        event: Of one subscription.
        channel: The one that it is subscribed to.

    Returns:
        `Distrust` for a gap or an end of the channel of books, `Note` for one of another channel,
        None for everything else.
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


class Books(Protocol):
    """Rows of `ipc.book`, in shared memory or not, one market each."""

    @property
    def live(self) -> Words:
        """[rows, words] the books as they stand."""

    @property
    def tick_rows(self) -> Words:
        """[rows, words] each row as of its last tick."""


class Journal(Protocol):
    """Where records go: `ipc.journal.EventSegments`, or memory."""

    @property
    def words(self) -> Words:
        """The segment in use, as the kernels write it."""

    @property
    def left(self) -> int:
        """Records that the segment in use has room for."""

    def room(self, records: int) -> bool:
        """Make room for so many more records; False: they will be refused."""


class Written(StrEnum):
    """What became of an update; only ACCEPTED is true.

    Attributes:
        ACCEPTED: In the book and in the journal.
        JOURNAL_FULL: In the book, not in the journal. All others: in neither.
        NOT_LIVE: The book waits for a snapshot.
        OFF_GRID: Its price is not on the market's grid.
        NEGATIVE: A level would fall below zero.
        TOO_LARGE: A size beyond a record's 32 bits.
    """

    ACCEPTED = "accepted"
    JOURNAL_FULL = "journal_full"
    NOT_LIVE = "not_live"
    OFF_GRID = "off_grid"
    NEGATIVE = "negative_size"
    TOO_LARGE = "too_large"

    def __bool__(self) -> bool:
        return self is Written.ACCEPTED


_STATUSES: Final = {
    0: Written.JOURNAL_FULL,
    NOT_LIVE: Written.NOT_LIVE,
    b.OFF_GRID: Written.OFF_GRID,
    b.NEGATIVE: Written.NEGATIVE,
    TOO_LARGE: Written.TOO_LARGE,
}


class WriteQueue:
    """Books and journal of one run.

    Args:
        books: Rows to apply updates to.
        journal: Takes one record per delta and trade, and one per level and two more per snapshot.
        throttle_ns: Market time between two ticks of a market.

    Attributes:
        refused: How many updates were not accepted, by `Written`.
        accepted: Records that the journal has taken.
    """

    def __init__(self, books: Books, journal: Journal, throttle_ns: int) -> None:
        self._books = books
        self._journal = journal
        self._throttle_ns = throttle_ns
        self.refused: Counter[Written] = Counter()
        self.accepted = 0  # records
        self._left = 0  # records that the segment in use has room for, at least

    def enqueue_delta(
        self, row: int, leg: b.LegCode, price_e4: int, delta_e2: int, stamps: Stamps
    ) -> Written:
        """Offer and apply a change of one level.

        Args:
            row: Row number of the market.
            leg: The leg whose bids change.
            price_e4: On the scale of that leg.
            delta_e2: Signed.
            stamps: seq, exch_ms (0 unknown), recv_ns, frame_mono_ns, written_mono_ns.
        """
        return self._conclude(
            record_delta(
                self._books.live,
                self._books.tick_rows,
                *self._segment(1),
                row,
                (leg, price_e4, delta_e2),
                stamps,
                self._throttle_ns,
            ),
            1,
        )

    def enqueue_trade(
        self,
        row: int,
        taker_leg: b.LegCode,
        yes_price_e4: int,
        count_e2: int,
        stamps: Stamps,
        *,
        is_block: bool,
    ) -> Written:
        """Offer and note a public trade; no level changes.

        Args:
            row: Row number of the market.
            taker_leg: The leg that the taker bought.
            yes_price_e4: On the YES scale.
            count_e2: Contracts.
            stamps: As of `enqueue_delta`.
            is_block: Whether it was agreed off the book.
        """
        return self._conclude(
            record_trade(
                self._books.live,
                self._books.tick_rows,
                *self._segment(1),
                row,
                (taker_leg, yes_price_e4, count_e2, is_block),
                stamps,
                self._throttle_ns,
            ),
            1,
        )

    def enqueue_snapshot(
        self,
        row: int,
        legs: npt.NDArray[np.uint8],
        prices_e4: npt.NDArray[np.int64],
        counts_e2: npt.NDArray[np.int64],
        stamps: Stamps,
    ) -> Written:
        """Offer and apply a whole book; the row is LIVE unless it misfits.

        Args:
            row: Row number of the market.
            legs: uint8[n], `YES` or `NO` of each level.
            prices_e4: int64[n], on the scale of the level's leg.
            counts_e2: int64[n].
            stamps: As of `enqueue_delta`.
        """
        records = len(legs) + 2
        return self._conclude(
            record_snapshot(
                self._books.live,
                self._books.tick_rows,
                *self._segment(records),
                row,
                (legs, prices_e4, counts_e2),
                stamps,
                self._throttle_ns,
            ),
            records,
        )

    def make_stale(self, row: int) -> None:
        """Mark a LIVE row as out of date until its next snapshot; any other row stays as it is."""
        if self._books.live[row, b.STATE] == b.LIVE:
            set_state(self._books.live, row, b.STALE, 0)

    def _segment(self, records: int) -> tuple[Words, bool]:
        """The segment in use and whether it takes so many more; it is asked when in doubt only."""
        room = True
        if self._left < records:
            room = self._journal.room(records)
            self._left = self._journal.left
        return self._journal.words, room

    def _conclude(self, status: int, records: int) -> Written:
        if status > 0:
            self.accepted += records
            self._left -= records
            return Written.ACCEPTED
        written = _STATUSES[status]
        self.refused[written] += 1
        return written


class BookFeed:
    """Applies the frames of books and trades to the rows of their markets.

    The collector, the importer and the reader of recordings share it: the same frames make the same
    rows and records wherever they come from.

    Args:
        queue: Books and journal.
        find: The book of a market, None when it has none here.
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
            frame: Of the channel of books or of trades.
            recv_ns: Market time of its receipt.
            frame_mono_ns: Monotonic time of its receipt.
            now_mono_ns: Monotonic time now, kept as the time of writing.
            on_yes_scale: Whether NO levels come at YES prices in this subscription.

        Returns:
            What became of it. Nothing is raised: a frame that cannot be read has the effect of one
            that is missing.
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
        change = book.row, taker_leg, yes_price_e4, count_e2, stamps
        written = self._queue.enqueue_trade(*change, is_block=msg.is_block_trade is True)
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
