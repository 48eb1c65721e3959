"""Dirty flags: what changed since the last flush, one trigger per market however long the burst."""

from __future__ import annotations

from ipc import book as b
from ipc.book_table import BookTableWriter
from ipc.messages import Trigger, UpdateType
from ipc.sockets import Publisher

__all__ = ["TOPIC", "Triggers"]

TOPIC = "trigger"


class Triggers:
    """Marks rows and publishes what they hold at the time of the flush."""

    def __init__(self, table: BookTableWriter, publisher: Publisher) -> None:
        self._table = table
        self._publisher = publisher
        self._dirty: dict[int, tuple[str, UpdateType]] = {}
        self.published = 0

    def mark(self, row: int, ticker: str, update_type: UpdateType) -> None:
        """A row changed and the change is in the journal."""
        self._dirty[row] = ticker, update_type

    def flush(self) -> int:
        """Publish one trigger per dirty row -> how many."""
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
