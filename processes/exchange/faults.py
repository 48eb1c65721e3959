"""Faults that a test orders over the admin port: refused calls, slow answers, lost frames."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from processes.exchange.rejections import Rejection

__all__ = ["KINDS", "Faults"]

KINDS: Final = ("error_next", "rate_limit_next", "delay_acks", "halt_acks", "drop_frame", "clear")
TOO_MANY: Final = {"error": "too many requests"}


class Faults:
    """What is wrong right now; everything off at the start."""

    def __init__(self) -> None:
        self.ack_delay_s = 0.0
        self.acks_halted = False
        self._next: deque[Rejection] = deque()

    def clear(self) -> None:
        """All is well again."""
        self.ack_delay_s, self.acks_halted = 0.0, False
        self._next.clear()

    def refuse_next(self, status: int, code: str, calls: int) -> None:
        """The next REST calls fail with this status and code."""
        if status == 429:
            self._next.extend(Rejection(429, dict(TOO_MANY)) for _ in range(calls))
        else:
            self._next.extend(Rejection.nested(status, code) for _ in range(calls))

    def check(self) -> None:
        """Raise the fault that waits for a REST call, if any."""
        if self._next:
            raise self._next.popleft()

    def state(self) -> dict[str, Any]:
        """For the admin port."""
        return {
            "ack_delay_ms": self.ack_delay_s * 1000,
            "acks_halted": self.acks_halted,
            "errors_waiting": len(self._next),
        }
