"""Execution's journal: intents accepted before anything is sent, then all that became of them.

Each run's stream is complete in itself: at its start it also takes down the older fills that its
sub-accounts are made of, so the same trade id may stand in the streams of several runs.
"""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Final

from ipc.journal import FramedWriter, stream_folder
from ipc.messages import Intent, Message, SessionEnded, SessionStarted

__all__ = ["PRODUCER", "Records"]

PRODUCER: Final = "execution"
FILE_BYTES: Final = 16 << 20
MAX_WAITING: Final = 10_000  # records that the journal refused; beyond it the oldest goes, counted


class Records:
    """The journal of one run. Facts that it refuses wait in order; meanwhile no intent is taken."""

    def __init__(self, data_dir: Path, started: SessionStarted, max_bytes: int) -> None:
        self._writer = FramedWriter(
            stream_folder(data_dir, PRODUCER, started.session_uid),
            file_bytes=min(FILE_BYTES, max_bytes // 4),  # room comes back file by file
            max_bytes=max_bytes,
        )
        self._waiting: deque[Message] = deque((started,))
        self.dropped = 0
        self.flush()

    @property
    def healthy(self) -> bool:
        """Whether the journal takes what it is given."""
        return not self._waiting

    def accept(self, intent: Intent) -> bool:
        """True when the intent is journalled and may be acted on."""
        return self.flush() and self._writer.append(intent)

    def keep(self, message: Message) -> None:
        """Journal what has happened, now or as soon as there is room."""
        self._waiting.append(message)
        self.flush()
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popleft()
            self.dropped += 1

    def flush(self) -> bool:
        """Whether nothing waits any more."""
        while self._waiting and self._writer.append(self._waiting[0]):
            self._waiting.popleft()
        return self.healthy

    def end(self, ended_ns: int) -> None:
        """The last record of a clean run."""
        self.keep(SessionEnded(ended_ns=ended_ns, event_no=0))
        self._writer.close()
