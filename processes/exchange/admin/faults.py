"""Faults that a test orders over the admin port: refused calls, slow answers, lost frames."""

from __future__ import annotations

from collections import deque
from typing import Any, Final

from processes.exchange.core.rejections import Rejection

__all__ = ["KINDS", "Faults"]

KINDS: Final = ("error_next", "rate_limit_next", "delay_acks", "halt_acks", "drop_frame", "clear")
TOO_MANY: Final = {"error": "too many requests"}


class Faults:
    """What is wrong right now; everything off at the start."""

    def __init__(self) -> None:
        self.ack_delay_s = 0.0
        self.acks_halted = False
        self._next: deque[tuple[str, Rejection]] = deque()

    def clear(self) -> None:
        """All is well again."""
        self.ack_delay_s, self.acks_halted = 0.0, False
        self._next.clear()

    def refuse_next(self, status: int, code: str, calls: int, method: str = "") -> None:
        """The next REST calls (of one method, if it is named) fail with this status and code."""
        for _ in range(calls):
            too_many = Rejection(429, dict(TOO_MANY))
            refusal = too_many if status == 429 else Rejection.nested(status, code)
            self._next.append((method, refusal))

    def check(self, method: str) -> None:
        """Raise the fault that waits for a REST call of this method, if any."""
        if self._next and self._next[0][0] in ("", method):
            raise self._next.popleft()[1]

    def state(self) -> dict[str, Any]:
        """For the admin port."""
        return {
            "ack_delay_ms": self.ack_delay_s * 1000,
            "acks_halted": self.acks_halted,
            "errors_waiting": len(self._next),
        }
