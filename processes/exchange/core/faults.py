"""Faults that are active now in REST answers and WebSocket commands; none at the start."""

from __future__ import annotations

from typing import Any, Final, Generic, TypeVar

from processes.exchange.core.rejections import Rejection, too_many_requests

__all__ = ["AnswerFaults", "CommandFaults", "Faults"]

UNTIL_CLEARED: Final = 0
ANY: Final = ""
MARKET_LIMIT: Final = 26  # the error code that only commands which add markets can have

What = TypeVar("What")


class _PendingFaults(Generic[What]):
    """Faults that wait for calls of a method (or of any), each as often as it was ordered."""

    def __init__(self) -> None:
        self._ordered: list[tuple[str, int, What]] = []

    def add(self, method: str, calls: int, what: What) -> None:
        """Apply to the next calls, or to all until cleared."""
        self._ordered.append((method, calls, what))

    def take(self, method: str) -> What | None:
        """The fault for a call of this method, the oldest command first."""
        for at, (named, calls, what) in enumerate(self._ordered):
            if named in (ANY, method):
                if calls == 1:
                    del self._ordered[at]
                elif calls != UNTIL_CLEARED:
                    self._ordered[at] = named, calls - 1, what
                return what
        return None

    def clear(self) -> None:
        """Nothing waits any more."""
        self._ordered.clear()

    @property
    def calls(self) -> int:
        """How many calls will fail; a fault that lasts until cleared counts as one."""
        return sum(max(calls, 1) for _, calls, _ in self._ordered)


class AnswerFaults:
    """REST calls that are refused, answered late, or never answered."""

    def __init__(self) -> None:
        self._refused: _PendingFaults[Rejection] = _PendingFaults()
        self._slow: _PendingFaults[float] = _PendingFaults()
        self._lost: _PendingFaults[bool] = _PendingFaults()
        self.has_unknowns = False  # markets come with a status and a field that nobody documents
        self._odd: _PendingFaults[str] = _PendingFaults()
        self._repeated: _PendingFaults[bool] = _PendingFaults()
        self._duplicated: _PendingFaults[bool] = _PendingFaults()

    def clear(self) -> None:
        """End all faults."""
        waiting = (self._refused, self._slow, self._lost, self._odd)
        for pending in (*waiting, self._repeated, self._duplicated):
            pending.clear()
        self.has_unknowns = False

    def refuse_next(self, status: int, code: str, calls: int, method: str = ANY) -> None:
        """The next calls fail with this status and code."""
        refusal = too_many_requests() if status == 429 else Rejection.nested(status, code)
        self._refused.add(method, calls, refusal)

    def slow(self, ms: int, calls: int = UNTIL_CLEARED, method: str = ANY) -> None:
        """Calls are answered late."""
        self._slow.add(method, calls, ms / 1000)

    def lose_next(self, calls: int, method: str = ANY) -> None:
        """The next calls are carried out and not answered."""
        self._lost.add(method, calls, True)

    def replace_next(self, what: str, calls: int, method: str = ANY) -> None:
        """The next calls are carried out and answered with one of `ODD_ANSWERS`."""
        self._odd.add(method, calls, what)

    def repeat_next(self, calls: int, method: str = ANY) -> None:
        """The next calls are carried out twice."""
        self._repeated.add(method, calls, True)

    def repeats(self, method: str) -> bool:
        """Whether a call of this method is carried out twice."""
        return self._repeated.take(method) is not None

    def duplicate_next(self, calls: int, method: str = ANY) -> None:
        """The answers of the next calls are sent twice."""
        self._duplicated.add(method, calls, True)

    def duplicates(self, method: str) -> bool:
        """Whether the answer to a call of this method is sent twice."""
        return self._duplicated.take(method) is not None

    def replaced(self, method: str) -> str | None:
        """What a call of this method is answered with instead, if anything."""
        return self._odd.take(method)

    def check(self, method: str) -> None:
        """Raise the refusal that waits for a call of this method, if any."""
        refusal = self._refused.take(method)
        if refusal is not None:
            raise refusal

    def delay_s(self, method: str) -> float:
        """How late a call of this method is answered."""
        return self._slow.take(method) or 0.0

    def loses(self, method: str) -> bool:
        """Whether a call of this method is not answered."""
        return self._lost.take(method) is not None

    def state(self) -> dict[str, Any]:
        """For the admin port."""
        return {
            "errors_waiting": self._refused.calls,
            "slow_waiting": self._slow.calls,
            "lost_waiting": self._lost.calls,
            "unknowns_sent": self.has_unknowns,
            "odd_waiting": self._odd.calls,
            "repeats_waiting": self._repeated.calls,
            "duplicates_waiting": self._duplicated.calls,
        }


class CommandFaults:
    """WebSocket commands that are late, unheard, refused, or carried out in another order."""

    def __init__(self) -> None:
        self.waiting = 0  # commands that came and are late
        self.clear()

    def clear(self) -> None:
        """End all faults."""
        self.delay_s = 0.0
        self.halted = False
        self.shuffled = False
        self.refuses_sockets = 0  # the status that refuses an upgrade; 0: none is refused
        self._refused: list[int] = []

    def refuse_next(self, code: int, calls: int) -> None:
        """The next commands that this error code is for are answered with it."""
        self._refused += [code] * calls

    def refusal(self, *, adds_markets: bool) -> int | None:
        """The error code that waits for such a command, if any."""
        for at, code in enumerate(self._refused):
            if adds_markets or code != MARKET_LIMIT:
                return self._refused.pop(at)
        return None

    def state(self) -> dict[str, Any]:
        """For the admin port."""
        return {
            "ack_delay_ms": self.delay_s * 1000,
            "acks_halted": self.halted,
            "acks_shuffled": self.shuffled,
            "commands_refused": len(self._refused),
            "sockets_refused": self.refuses_sockets,
            "commands_waiting": self.waiting,
        }


class Faults:
    """Both, as `ExchangeState` holds them."""

    def __init__(self) -> None:
        self.answers = AnswerFaults()
        self.commands = CommandFaults()

    def clear(self) -> None:
        """End all faults."""
        self.answers.clear()
        self.commands.clear()

    def state(self) -> dict[str, Any]:
        """For the admin port."""
        return self.answers.state() | self.commands.state()
