"""A producer's journal of its run: the first record says whose it is, the last that it ended."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Final

from ipc.journal import FramedWriter, stream_folder
from ipc.messages import Message, SessionEnded, SessionStarted

__all__ = ["RunJournal"]

FILE_BYTES: Final = 16 << 20
MAX_WAITING: Final = 10_000  # records that the journal refused; beyond it the oldest goes, counted


class RunJournal:
    """One run's framed journal, written in one of two ways.

    `append` is for what may be refused: nothing is done about it unless it was accepted. `keep` is
    for what has happened: it waits, in order, for as long as the journal has no room.
    """

    def __init__(
        self, data_dir: Path, producer: str, started: SessionStarted, max_bytes: int = 1 << 30
    ) -> None:
        """Begin the stream `producer/started.session_uid`, of at most `max_bytes` on disk."""
        self.stream = f"{producer}/{started.session_uid}"
        self.folder = stream_folder(data_dir, producer, started.session_uid)
        self.dropped = 0  # records that waited too long
        self._writer = FramedWriter(
            self.folder,
            file_bytes=min(FILE_BYTES, max_bytes // 4),  # room comes back file by file
            max_bytes=max_bytes,
        )
        self._heading: SessionStarted | None = started  # until it is accepted
        self._waiting: deque[Message] = deque()
        self._is_open = True
        self.flush()

    @property
    def healthy(self) -> bool:
        """Whether nothing waits for room."""
        return self._heading is None and not self._waiting

    @property
    def waiting(self) -> int:
        """Records that the journal has refused so far."""
        return len(self._waiting)

    def append(self, *messages: Message) -> bool:
        """Accept all of them, in order, or none; refused while older records wait."""
        return self.flush() and self._writer.append(*messages)

    def keep(self, message: Message) -> None:
        """Journal what has happened, now or as soon as there is room."""
        self._waiting.append(message)
        self.flush()
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1

    def flush(self) -> bool:
        """Offer again what waits -> whether nothing waits any more."""
        if self._heading is not None and self._writer.append(self._heading):
            self._heading = None
        while self._heading is None and self._waiting and self._writer.append(self._waiting[0]):
            self._waiting.popleft()
        return self.healthy

    def end(self, ended_ns: int, event_no: int = 0) -> None:
        """The last record of a clean run, at market time `ended_ns` and event `event_no`."""
        self.keep(SessionEnded(ended_ns=ended_ns, event_no=event_no))
        self.close()

    def close(self) -> None:
        """Close without a last record: the recorder ends the stream. Safe to repeat."""
        if self._is_open:
            self._is_open = False
            self._writer.close()
