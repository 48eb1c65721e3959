"""What a test may order of this exchange: one frozen struct an order, told apart by its `kind`.

The same orders come over the admin port and from RL_EXCHANGE_FAULTS. A call is one REST request; an
empty `method` means any. A market is named by its ticker or by its series, "" means all that trade.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from processes.adapters.kalshi.schemas.frames import Channel

__all__ = [
    "KINDS",
    "Clear",
    "CloseMarket",
    "CloseTime",
    "Closing",
    "DelayAcks",
    "DelayFills",
    "Disconnect",
    "DropFrame",
    "DuplicateFills",
    "EndSubscription",
    "ErrorNext",
    "Fees",
    "FillsFirst",
    "Grid",
    "HaltAcks",
    "Lag",
    "LoseAnswer",
    "Maintenance",
    "Order",
    "Pause",
    "RateLimitNext",
    "RefuseCommands",
    "ShuffleAcks",
    "SlowAnswers",
]

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
CountOrAll = Annotated[int, Meta(ge=0, le=1_000_000)]  # 0: until cleared
Status = Annotated[int, Meta(ge=400, le=599)]
Ms = Annotated[int, Meta(ge=0, le=600_000)]
TimeMs = Annotated[int, Meta(ge=0, le=1 << 53)]
Seconds = Annotated[int, Meta(ge=0, le=30 * 86_400)]
Length = Annotated[int, Meta(ge=1, le=30 * 86_400)]
Number = Annotated[int, Meta(ge=1, le=1 << 31)]
Snapshots = Annotated[int, Meta(ge=0, le=2)]
Name = Annotated[str, Meta(min_length=1)]
Method = Literal["", "GET", "POST", "PUT", "DELETE"]


class Order(msgspec.Struct, frozen=True, tag_field="kind"):
    """One order."""


class Clear(Order, frozen=True, tag="clear"):
    """All is well again: faults and ordered maintenance end, what was held is let go."""


# Answers over REST


class ErrorNext(Order, frozen=True, tag="error_next"):
    """The next calls are refused with a status and a code."""

    status: Status = 500
    code: str = "internal_server_error"
    calls: Count = 1
    method: Method = ""


class RateLimitNext(Order, frozen=True, tag="rate_limit_next"):
    """The next calls are too many."""

    calls: Count = 1
    method: Method = ""


class SlowAnswers(Order, frozen=True, tag="slow_answers"):
    """Calls are carried out at once and answered late."""

    ms: Ms
    calls: CountOrAll = 0
    method: Method = ""


class LoseAnswer(Order, frozen=True, tag="lose_answer"):
    """The next calls are carried out; instead of their answer the connection is cut."""

    calls: Count = 1
    method: Method = ""


# Commands and frames over the WebSocket


class DelayAcks(Order, frozen=True, tag="delay_acks"):
    """Commands wait before they are carried out."""

    ms: Ms = 0


class HaltAcks(Order, frozen=True, tag="halt_acks"):
    """Commands are not heard."""

    on: bool = True


class ShuffleAcks(Order, frozen=True, tag="shuffle_acks"):
    """Commands that come together are carried out in another order."""

    on: bool = True


class RefuseCommands(Order, frozen=True, tag="refuse_commands"):
    """The next commands are too many (27), or those that add markets exceed the limit (26)."""

    code: Literal[26, 27]
    calls: Count = 1


class DropFrame(Order, frozen=True, tag="drop_frame"):
    """The next frames are lost, their `seq` is taken; of book subscriptions, if none is named."""

    frames: Count = 1
    connection: Number | None = None
    sid: Number | None = None


class EndSubscription(Order, frozen=True, tag="end_subscription"):
    """Subscriptions end with a terminal error; all of them, if none is named."""

    code: Literal[10, 25]
    connection: Number | None = None
    sid: Number | None = None
    channel: Channel | None = None


class Disconnect(Order, frozen=True, tag="disconnect"):
    """Connections are cut; all of them, if none is named."""

    connection: Number | None = None


# Private fills


class DuplicateFills(Order, frozen=True, tag="duplicate_fills"):
    """The next fills are told twice."""

    fills: Count = 1


class DelayFills(Order, frozen=True, tag="delay_fills"):
    """Fills are told late, in their order."""

    ms: Ms
    fills: CountOrAll = 0


class FillsFirst(Order, frozen=True, tag="fills_first"):
    """A fill is told before the public trade that it is of; off: after it."""

    on: bool = True


# What an exchange decides


class Pause(Order, frozen=True, tag="pause"):
    """Of trading (cancels are taken), of the exchange (nothing is), of a market."""

    what: Literal["trading", "exchange", "market"]
    ticker: str = ""
    on: bool = True


class Maintenance(Order, frozen=True, tag="maintenance"):
    """A pause of trading is announced, by market time; at its start connections are cut."""

    for_s: Length
    in_s: Seconds = 0


class Fees(Order, frozen=True, tag="fees"):
    """Other fees of a series or of one event; without a type, none of its own."""

    series_ticker: Name
    event_ticker: str = ""
    fee_type: str = ""
    fee_multiplier_e4: int | None = None
    scheduled_ms: TimeMs | None = None


class Grid(Order, frozen=True, tag="grid"):
    """Other prices from now on."""

    structure: Name
    price_ranges: list[dict[str, Any]]
    ticker: str = ""


class CloseTime(Order, frozen=True, tag="close_time"):
    """A market is said to close at another time."""

    ticker: Name
    close_ms: TimeMs


class CloseMarket(Order, frozen=True, tag="close_market"):
    """Markets close now. Without `burst` and `snapshots`, as `closing` says."""

    ticker: str = ""
    burst: bool | None = None
    snapshots: Snapshots | None = None


class Closing(Order, frozen=True, tag="closing"):
    """How markets close from now on: a removal of every level, then empty snapshots."""

    burst: bool = False
    snapshots: Snapshots = 1


class Lag(Order, frozen=True, tag="lag"):
    """How far reads lie behind."""

    orders_ms: Ms | None = None
    positions_ms: Ms | None = None


KINDS: Final[dict[str, type[Order]]] = {
    str(kind.__struct_config__.tag): kind for kind in Order.__subclasses__()
}
