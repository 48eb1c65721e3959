"""Inference's journal: ticks and decisions, accepted before anything is done about them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final

from ipc.journal import FramedWriter, stream_folder
from ipc.messages import Doorbell, Message, SessionEnded, SessionStarted
from ipc.sockets import Pusher

__all__ = ["PRODUCER", "Bell", "Records"]

PRODUCER: Final = "inference"
RING_PAUSE: Final = 0.02  # seconds
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


class Bell:
    """Tells the recorder that the journal grew: at once, then at most every `RING_PAUSE`."""

    def __init__(self, pusher: Pusher, session_uid: str) -> None:
        self._pusher = pusher
        self._message = Doorbell(stream=f"{PRODUCER}/{session_uid}")
        self._resting: asyncio.TimerHandle | None = None
        self._asked = False

    def ring(self) -> None:
        """Ring now or when the pause is over; what a full doorbell refuses, the next ring says."""
        if self._resting is not None:
            self._asked = True
            return
        self._asked = False
        self._pusher.send(self._message)
        self._resting = asyncio.get_running_loop().call_later(RING_PAUSE, self._rested)

    def _rested(self) -> None:
        self._resting = None
        if self._asked:
            self.ring()

    def close(self) -> None:
        """No more rings."""
        if self._resting is not None:
            self._resting.cancel()
        self._pusher.close()
