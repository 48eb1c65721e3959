"""What the pure part wants done: messages to journal and publish, requests, warnings to log.

Emptied after every event, so it holds what one event causes and needs no bound of its own.
"""

from __future__ import annotations

from typing import NamedTuple

import msgspec

from ipc.clock import NS_PER_MS
from ipc.messages import Message
from processes.execution.orders import Order

__all__ = [
    "CancelOrder",
    "FetchFills",
    "FindOrder",
    "LookUpOrder",
    "Moment",
    "Outbox",
    "RenewOrder",
    "Request",
    "SendOrder",
]


class Moment(NamedTuple):
    """Market time and this machine's monotonic time."""

    ns: int
    mono_ns: int

    @property
    def ms(self) -> int:
        """Market time in milliseconds."""
        return self.ns // NS_PER_MS


class SendOrder(msgspec.Struct, frozen=True):
    """Create this order, unless the deadline has passed."""

    order: Order
    deadline_mono_ns: int


class CancelOrder(msgspec.Struct, frozen=True):
    """Cancel what is left of this order."""

    order: Order


class RenewOrder(msgspec.Struct, frozen=True):
    """Move this order's exchange-side expiry; price, size and place in the queue stay."""

    order: Order
    expire_ms: int


class FindOrder(msgspec.Struct, frozen=True):
    """Find out whether a create of unknown outcome arrived."""

    order: Order


class LookUpOrder(msgspec.Struct, frozen=True):
    """Ask what has become of an order whose id is known."""

    order: Order


class FetchFills(msgspec.Struct, frozen=True):
    """Read the fills of an order that has more contracts filled than fills arrived."""

    order: Order


Request = SendOrder | CancelOrder | RenewOrder | FindOrder | LookUpOrder | FetchFills


class Note(NamedTuple):
    """A message for the journal, and whether it is news to subscribers too."""

    message: Message
    publish: bool


class Outbox:
    """Effects of the events since it was last emptied, in order."""

    def __init__(self) -> None:
        self.markets: dict[str, None] = {}  # whose row of the account table changed
        self.retired: list[str] = []  # markets whose row is not needed any more
        self.notes: list[Note] = []
        self.requests: list[Request] = []
        self.warnings: list[tuple[str, dict[str, object]]] = []
        self.queue_wanted = False  # an order rests whose place in the queue is not known

    def note(self, message: Message, *, publish: bool = True) -> None:
        """Journal, and publish."""
        self.notes.append(Note(message, publish))

    def request(self, request: Request) -> None:
        """Ask the exchange."""
        self.requests.append(request)

    def warn(self, action: str, **facts: object) -> None:
        """Say it in the log, as a warning."""
        self.warnings.append((action, facts))
