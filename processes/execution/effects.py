"""What follows from events: messages, requests, log lines, changed rows. Nothing here does I/O."""

from __future__ import annotations

from typing import NamedTuple

from ipc.messages import Message
from processes.execution.orders import OrderRequest

__all__ = ["ExecutionEffects", "LogNote"]


class LogNote(NamedTuple):
    """A message for the journal, and whether subscribers get it too."""

    message: Message
    publish: bool


class ExecutionEffects:
    """What follows from the events since the last call of `drain`, in order.

    Emptied after every event, so it holds what one event causes and needs no bound of its own.

    Attributes:
        markets: Tickers whose row of the account table changed, in order.
        retired: Tickers whose row is not needed any more.
        notes: Messages for the journal and for subscribers.
        requests: What to ask of the exchange.
        warnings: (action, facts) of log lines.
        queue_wanted: Whether an order rests whose place in the queue is not known.
    """

    def __init__(self) -> None:
        self.markets: dict[str, None] = {}  # whose row of the account table changed
        self.retired: list[str] = []  # markets whose row is not needed any more
        self.notes: list[LogNote] = []
        self.requests: list[OrderRequest] = []
        self.warnings: list[tuple[str, dict[str, object]]] = []  # actions and facts of log lines
        self.queue_wanted = False  # an order rests whose place in the queue is not known

    def note(self, message: Message, *, publish: bool = True) -> None:
        """Journal a message, and publish it."""
        self.notes.append(LogNote(message, publish))

    def warn(self, action: str, **facts: object) -> None:
        """Write a warning to the log."""
        self.warnings.append((action, facts))
