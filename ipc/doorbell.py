"""Tells the recorder that a journal grew; the journal itself is the truth."""

from __future__ import annotations

import asyncio
from typing import Final

from ipc.messages import Doorbell
from ipc.sockets import Pusher

__all__ = ["Bell"]

RING_PAUSE: Final = 0.02  # seconds


class Bell:
    """Tells the recorder that the journal grew: at once, then at most every `RING_PAUSE`."""

    def __init__(self, pusher: Pusher, stream: str) -> None:
        self._pusher = pusher
        self._message = Doorbell(stream=stream)
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
