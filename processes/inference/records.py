"""Inference's journal: ticks and decisions, accepted before anything is done about them."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ipc.journal import FramedWriter, stream_folder
from ipc.messages import Message, SessionEnded, SessionStarted

__all__ = ["PRODUCER", "Records"]

PRODUCER: Final = "inference"
FILE_BYTES: Final = 16 << 20


class Records:
    """The journal of one run; its first record says whose it is, its last that it ended."""

    def __init__(self, data_dir: Path, started: SessionStarted, max_bytes: int) -> None:
        self._writer = FramedWriter(
            stream_folder(data_dir, PRODUCER, started.session_uid),
            file_bytes=min(FILE_BYTES, max_bytes // 4),  # room comes back file by file
            max_bytes=max_bytes,
        )
        self._heading: tuple[Message, ...] = (started,)
        self.append()  # the heading alone; refused, it goes with the next

    def append(self, *messages: Message) -> bool:
        """All accepted, or none."""
        if not self._writer.append(*self._heading, *messages):
            return False
        self._heading = ()
        return True

    def end(self, ended_ns: int, event_no: int) -> None:
        """The last record of a clean run."""
        self.append(SessionEnded(ended_ns=ended_ns, event_no=event_no))
        self._writer.close()
