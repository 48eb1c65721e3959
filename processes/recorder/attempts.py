"""Whose fault a failed stream is, and when it is tried again.

No failure is final. What is wrong with a stream itself is tried again seldom, what is wrong with
the server or the machine often at first and then less so. Each cause is
reported once, when it appears.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import Final, NamedTuple

import asyncpg
import msgspec

from ipc.errors import KalshiActorError
from ipc.journal import JournalError
from processes.runtime.tasks import Backoff

__all__ = [
    "RECONNECT",
    "DatabaseBehindError",
    "FailedStream",
    "FailedStreams",
    "Fault",
    "fault_of",
]

SERVER_BACKOFF: Final = Backoff(0.25, 30.0)
STREAM_BACKOFF: Final = Backoff(30.0, 600.0)  # a file that was mended, or a newer program
_FIGURES: Final = re.compile(r"[0-9]+")


class DatabaseBehindError(KalshiActorError):
    """The database lacks rows that it had, and that the journal no longer holds."""


class Fault(StrEnum):
    """Who has to change before a stream can be recorded."""

    STREAM = "stream"  # the journal itself: nothing that the server does will help
    SERVER = "server"  # the server or the machine: the same batch may go in later


_OF_THE_STREAM: Final = (
    JournalError,
    msgspec.MsgspecError,
    asyncpg.IntegrityConstraintViolationError,
    asyncpg.DataError,
    ValueError,  # also what the driver raises for a value that its column cannot hold
    TypeError,
    OverflowError,
)
# Only a new connection can help: this one hangs, or its schema is gone or another one.
RECONNECT: Final = (
    TimeoutError,
    ConnectionError,
    asyncpg.UndefinedTableError,
    asyncpg.UndefinedColumnError,
    asyncpg.UndefinedFunctionError,
    asyncpg.InvalidSchemaNameError,
)


def fault_of(error: Exception) -> Fault:
    """Whose fault it is that a stream could not be recorded."""
    return Fault.STREAM if isinstance(error, _OF_THE_STREAM) else Fault.SERVER


class FailedStream(NamedTuple):
    """A stream that waits for its next attempt at `due_s`, of the caller's clock."""

    fault: Fault
    cause: str
    failures: int  # in a row, of this cause
    due_s: float


class FailedStreams:
    """The streams whose last attempt failed."""

    def __init__(self) -> None:
        self._failed: dict[str, FailedStream] = {}

    def note(self, name: str, error: Exception, now_s: float) -> bool:
        """An attempt failed -> whether its cause is another than at the attempt before."""
        fault, cause = fault_of(error), _cause(error)
        before = self._failed.get(name)
        same = before is not None and before.cause == cause
        failures = before.failures + 1 if before is not None and same else 0
        backoff = STREAM_BACKOFF if fault is Fault.STREAM else SERVER_BACKOFF
        due_s = now_s + backoff.after(failures)
        self._failed[name] = FailedStream(fault, cause, failures, due_s)
        return not same

    def waits(self, name: str, now_s: float) -> bool:
        """Whether it is too early for the stream's next attempt."""
        failed = self._failed.get(name)
        return failed is not None and now_s < failed.due_s

    def recovered(self, name: str) -> bool:
        """The stream was recorded -> whether its attempt before had failed."""
        return self._failed.pop(name, None) is not None

    def keep(self, names: set[str]) -> None:
        """Forget all others: their journals are gone."""
        self._failed = {n: f for n, f in self._failed.items() if n in names}

    def number(self, fault: Fault) -> int:
        """How many streams fail by such a fault."""
        return sum(f.fault is fault for f in self._failed.values())


def _cause(error: Exception) -> str:
    """What makes two failures the same: figures and places in a message vary."""
    return f"{type(error).__name__}: {_FIGURES.sub('#', str(error))}"
