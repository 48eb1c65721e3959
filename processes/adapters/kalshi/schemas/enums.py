"""The exchange's enumerations; a value that is not known here reads as UNKNOWN and is counted."""

from __future__ import annotations

from enum import StrEnum

from processes.adapters.kalshi.schemas.drift import SEEN

__all__ = [
    "BookSideText",
    "LegText",
    "LifecycleType",
    "MarketStatus",
    "OpenWord",
    "OrderStatusText",
    "Result",
    "SelfTrade",
    "TimeInForce",
]


class OpenWord(StrEnum):
    """An enumeration of the wire that may grow."""

    @classmethod
    def _missing_(cls, value: object) -> OpenWord:
        SEEN.note("value", f"{cls.__name__}={value}")
        return cls["UNKNOWN"]


class LegText(OpenWord):
    """An outcome."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class BookSideText(OpenWord):
    """The side of the YES book."""

    BID = "bid"
    ASK = "ask"
    UNKNOWN = "unknown"


class OrderStatusText(OpenWord):
    """An order's status."""

    RESTING = "resting"
    EXECUTED = "executed"
    CANCELED = "canceled"
    UNKNOWN = "unknown"


class MarketStatus(OpenWord):
    """A market's status; the filter of `GET /markets` has other values."""

    INITIALIZED = "initialized"
    INACTIVE = "inactive"
    ACTIVE = "active"
    CLOSED = "closed"
    DETERMINED = "determined"
    DISPUTED = "disputed"
    AMENDED = "amended"
    FINALIZED = "finalized"
    UNKNOWN = "unknown"


class Result(OpenWord):
    """How a market ended."""

    NONE = ""
    YES = "yes"
    NO = "no"
    SCALAR = "scalar"
    UNKNOWN = "unknown"


class LifecycleType(OpenWord):
    """What happened to a market."""

    CREATED = "created"
    ACTIVATED = "activated"
    DEACTIVATED = "deactivated"
    CLOSE_DATE_UPDATED = "close_date_updated"
    DETERMINED = "determined"
    SETTLED = "settled"
    PRICE_LEVEL_STRUCTURE_UPDATED = "price_level_structure_updated"
    METADATA_UPDATED = "metadata_updated"
    UNKNOWN = "unknown"


class TimeInForce(OpenWord):
    """How long an order waits."""

    GOOD_TILL_CANCELED = "good_till_canceled"
    IMMEDIATE_OR_CANCEL = "immediate_or_cancel"
    FILL_OR_KILL = "fill_or_kill"
    UNKNOWN = "unknown"


class SelfTrade(OpenWord):
    """Which of our own two orders yields when they would meet."""

    TAKER_AT_CROSS = "taker_at_cross"
    MAKER = "maker"
    UNKNOWN = "unknown"
