"""What the collector does with a frame: books and journal by the one feed, triggers for the actor.

`CollectorFeed` is the shell around `processes.adapters.kalshi.feed`: it writes down what the core
says is to be noted, tells `Recovery` which books need a snapshot, and marks what has changed.
`Triggers` publishes that, one trigger per market however long the burst.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from ipc import book as b
from ipc.book_table import BookTableWriter
from ipc.clock import mono_ns
from ipc.messages import MarkKind, Trigger, UpdateType
from ipc.sockets import Publisher
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.feed.book_feed import DATA, BookFeed, Effect, Outcome
from processes.adapters.kalshi.feed.session import SessionJournal
from processes.adapters.kalshi.feed.write_queue import WriteQueue
from processes.adapters.kalshi.schemas.frames import Frame, Lifecycle
from processes.collector.markets import Markets
from processes.collector.recovery import BookVerdict, Recovery
from processes.collector.results import Results

__all__ = ["TOPIC", "CollectorFeed", "Triggers"]

TOPIC = "trigger"
ENDINGS: Final = frozenset({"determined", "settled"})
_RECORDED: Final = Effect.RECORDED  # a name of the module is found faster than a member of an Enum
_SNAPSHOT: Final = UpdateType.SNAPSHOT
COUNTED: Final = {
    Effect.UNKNOWN_MARKET: "frames_of_unknown_markets",
    Effect.IN_SNAPSHOT: "deltas_before_snapshot",
    Effect.MALFORMED: "malformed_amounts",
}


class Triggers:
    """Marks rows as changed and publishes what they hold at the time of the flush."""

    def __init__(self, table: BookTableWriter, publisher: Publisher) -> None:
        self._table = table
        self._publisher = publisher
        self._dirty: dict[int, tuple[str, UpdateType]] = {}
        self.published = 0

    def mark(self, row: int, ticker: str, update_type: UpdateType) -> None:
        """A row has changed and the change is in the journal."""
        self._dirty[row] = ticker, update_type

    def flush(self) -> int:
        """Publish one trigger per changed row -> how many."""
        if not self._dirty:
            return 0
        for row, (ticker, update_type) in self._dirty.items():
            self._publisher.send(TOPIC, self._trigger(row, ticker, update_type))
        count = len(self._dirty)
        self._dirty.clear()
        self.published += count
        return count

    def _trigger(self, row: int, ticker: str, update_type: UpdateType) -> Trigger:
        words = self._table.live[row]
        return Trigger(
            market_ticker=ticker,
            row=row,
            generation=int(words[b.GENERATION]),
            update_type=update_type,
            sequence_number=int(words[b.SEQ]),
            event_no=int(words[b.EVENT_NO]),
            tick_event_no=int(words[b.TICK_EVENT_NO]),
            recv_ns=int(words[b.RECV_NS]),
            frame_mono_ns=int(words[b.FRAME_MONO_NS]),
            written_mono_ns=int(words[b.WRITTEN_MONO_NS]),
        )


class CollectorFeed:
    """Every frame of the public channels, to the parts of the collector that it concerns."""

    def __init__(
        self,
        markets: Markets,
        queue: WriteQueue,
        session: SessionJournal,
        triggers: Triggers,
        recovery: Recovery,
        results: Results,
    ) -> None:
        self._markets = markets
        self._session = session
        self._triggers = triggers
        self._recovery = recovery
        self._results = results
        self._books = BookFeed(queue, markets.get)
        self.counts: Counter[str] = Counter()

    @property
    def holes(self) -> tuple[str, ...]:
        """Markets whose record has a hole: a fresh snapshot ends it once the journal has room."""
        return self._books.holes

    def on_frame(
        self, frame: Frame, recv_ns: int, frame_mono_ns: int, *, on_yes_scale: bool = False
    ) -> bool:
        """Take one frame whose `seq` has been checked.

        Args:
            frame: of any public channel.
            recv_ns: market time of its receipt.
            frame_mono_ns: monotonic time of its receipt.
            on_yes_scale: whether NO levels come at YES prices in this subscription.

        Returns:
            Whether a market's status changed, so that the exchange's list is to be read again.
        """
        if isinstance(frame, DATA):
            outcome = self._books.on_frame(
                frame, recv_ns, frame_mono_ns, mono_ns(), on_yes_scale=on_yes_scale
            )
            if outcome.effect is not _RECORDED or outcome.update_type is _SNAPSHOT:
                self._on_outcome(outcome, recv_ns, frame_mono_ns)
            elif (book := outcome.book) is not None:  # nearly every frame
                self._triggers.mark(book.row, book.ticker, outcome.update_type)
            return False
        if isinstance(frame, Lifecycle):
            self._on_lifecycle(frame, recv_ns)
            return True
        return False

    def _on_outcome(self, outcome: Outcome, recv_ns: int, frame_mono_ns: int) -> None:
        book, effect = outcome.book, outcome.effect
        if book is None:
            self.counts[COUNTED[effect]] += 1
            return
        if effect is Effect.RECORDED:
            self._triggers.mark(book.row, book.ticker, outcome.update_type)
        elif effect in COUNTED:
            self.counts[COUNTED[effect]] += 1
        if outcome.mark is not None:
            mark = outcome.mark
            self._session.mark(mark.kind, mark.ticker, recv_ns, mark.detail)
        if outcome.is_stale:
            self._recovery.on_verdict(book.ticker, BookVerdict.BROKEN, frame_mono_ns)
        elif outcome.update_type is UpdateType.SNAPSHOT and outcome.is_in_book:
            self._recovery.on_verdict(book.ticker, BookVerdict.LIVE, frame_mono_ns)

    def _on_lifecycle(self, frame: Lifecycle, recv_ns: int) -> None:
        if frame.msg.event_type in ENDINGS:
            self._markets.close(frame.msg.market_ticker, recv_ns, str(frame.msg.event_type))
            try:
                self._results.on_lifecycle(frame.msg, recv_ns)
            except WireError:  # it is asked for over REST
                self.counts["malformed_amounts"] += 1

    def distrust(self, kind: MarkKind, tickers: tuple[str, ...], recv_ns: int, detail: str) -> None:
        """Believe none of these books: a frame of theirs is missing, or their connection gone."""
        self.counts["gaps"] += kind is MarkKind.GAP
        self._books.distrust(tickers)
        self._session.mark(kind, None, recv_ns, detail)
