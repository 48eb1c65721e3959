"""The closed sets of words in messages; `ipc.messages` offers them too.

A word keeps its spelling for good: journals and tables hold it.
"""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "BookSide",
    "Environment",
    "Leg",
    "MarkKind",
    "OrderStatus",
    "TradingEventKind",
    "TradingState",
    "UpdateType",
]


class Environment(StrEnum):
    """Where orders go and where data comes from."""

    SIMULATED = "simulated"
    DEMO = "demo"
    PRODUCTION = "production"


class UpdateType(StrEnum):
    """What woke the actor."""

    SNAPSHOT = "snapshot"
    DELTA = "delta"
    TRADE = "trade"
    STATE = "state"


class BookSide(StrEnum):
    """The side of the one YES book: a bid buys YES or sells NO, an ask the reverse."""

    BID = "bid"
    ASK = "ask"


class Leg(StrEnum):
    """The outcome a contract pays on."""

    YES = "yes"
    NO = "no"


class OrderStatus(StrEnum):
    """The states of an order as execution knows them.

    Attributes:
        PENDING: Known to execution; the exchange has not answered yet.
        RESTING: In the book.
        EXECUTED: Filled whole; final.
        CANCELED: Ended before it was filled whole; what had filled stays. Final.
        REJECTED: Never came into the book; final. The order's `reason` says why.
        UNKNOWN: Sent, without a conclusive answer yet.
    """

    PENDING = "pending"
    RESTING = "resting"
    EXECUTED = "executed"
    CANCELED = "canceled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class MarkKind(StrEnum):
    """What a session notes beside its events.

    Attributes:
        CONNECTED: The WebSocket is connected and subscribed.
        DISCONNECTED: The connection was lost: books are STALE from here on.
        GAP: Frames are missing or do not fit the book: STALE until the next snapshot.
        HOLE: The journal refused a change of a book: it is in no recording.
        HEALED: A snapshot was accepted again after a hole.
        CLOSED: The market closed.
    """

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    GAP = "gap"
    HOLE = "hole"
    HEALED = "healed"
    CLOSED = "market_closed"
    CLOCK = "clock"  # from here on the clock's offset is the milliseconds in `detail`


class TradingState(StrEnum):
    """Whether orders are placed now, and why not.

    `PAUSED`: the exchange has stopped trading without announcing it. `MAINTENANCE`: an announced
    window, or the exchange takes no change at all. `CLOSED`: outside of the exchange's hours, or
    the market has not opened yet. `UNKNOWN`: the exchange has not said for too long.
    """

    TRADING = "trading"
    PAUSED = "paused"
    MAINTENANCE = "maintenance"
    CLOSED = "closed"
    MARKET_PAUSED = "market_paused"
    UNKNOWN = "unknown"


class TradingEventKind(StrEnum):
    """What the audit of trading notes.

    Attributes:
        COMMAND: Somebody gave a command (pause, resume, stop, flatten).
        MODE: Trading is in another mode, or a mode's work is done or cannot be: nothing rests, no
            position is left, the deadline has passed.
        LIMIT: An order was refused by a limit.
        WARNING: A measured value has passed a limit's warning threshold.
        LATCH: A limit was hit and stays in force until `resume`.
        CLEARED: A latch was taken off.
        DIFFERENCE: Our view of the account and the exchange's differ.
        AGREEMENT: Such a difference is over.
        SETTLEMENT: The exchange paid for a position, or corrected what it had paid.
    """

    COMMAND = "command"
    MODE = "mode"
    LIMIT = "limit"
    WARNING = "warning"
    LATCH = "latch"
    CLEARED = "cleared"
    DIFFERENCE = "difference"
    AGREEMENT = "agreement"
    SETTLEMENT = "settlement"
