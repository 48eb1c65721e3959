"""What the core reports, as frozen facts; `stream.hub` turns them into frames (PROTOCOL 4.5, 4.6).

Prices are 1e-4 dollars (`_e4`), counts 1e-2 contracts (`_e2`), money 1e-6 dollars (`_e6`), times
Unix milliseconds of market time (`_ms`).
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from processes.exchange.core.books import Level
from processes.exchange.core.ledger import TradingAccount
from processes.exchange.core.markets import ListedMarket
from processes.exchange.core.orders import AccountOrder

__all__ = [
    "BookChanged",
    "BookReplaced",
    "Event",
    "EventCreated",
    "EventFeeChanged",
    "GroupChanged",
    "GroupEvent",
    "LifecycleChanged",
    "OrderChanged",
    "OrderFilled",
    "PositionChanged",
    "TradePrinted",
]


class BookChanged(msgspec.Struct, frozen=True, gc=False):
    """A level changed. `sent_ms` is the frame's time; `order` is whose change it was.

    `ts_us` is `ts_ms` to the microsecond, 0 where only the millisecond is known.
    """

    market: ListedMarket
    leg: int
    price_e4: int
    delta_e2: int
    ts_ms: int
    sent_ms: int
    order: AccountOrder | None = None
    ts_us: int = 0


class BookReplaced(msgspec.Struct, frozen=True):
    """The book is a new snapshot."""

    market: ListedMarket
    levels: tuple[Level, ...]
    sent_ms: int


class TradePrinted(msgspec.Struct, frozen=True):
    """A public trade; the taker bought `taker_leg`."""

    market: ListedMarket
    trade_id: str
    yes_price_e4: int
    count_e2: int
    taker_leg: int
    ts_ms: int
    sent_ms: int
    is_block: bool = False  # agreed off the book
    number: int = 0  # its place among all trades


class OrderFilled(msgspec.Struct, frozen=True):
    """One execution of an account's order; `position_e2` is the signed position after it."""

    account: TradingAccount
    order: AccountOrder
    trade_id: str
    yes_price_e4: int
    count_e2: int
    fee_e6: int
    is_taker: bool
    position_e2: int
    ts_ms: int


class OrderChanged(msgspec.Struct, frozen=True):
    """An account's order was created or changed."""

    account: TradingAccount
    order: AccountOrder
    ts_ms: int


class PositionChanged(msgspec.Struct, frozen=True):
    """An account's position in one market changed."""

    account: TradingAccount
    ticker: str
    ts_ms: int


class GroupEvent(StrEnum):
    """What happened to an order group."""

    CREATED = "created"
    TRIGGERED = "triggered"
    RESET = "reset"
    DELETED = "deleted"
    LIMIT_UPDATED = "limit_updated"


class GroupChanged(msgspec.Struct, frozen=True):
    """An account's order group changed; `limit_e2` where the limit is new."""

    account: TradingAccount
    group_id: str
    event_type: GroupEvent
    limit_e2: int | None
    ts_ms: int


class EventCreated(msgspec.Struct, frozen=True):
    """The first market of an event opens."""

    market: ListedMarket
    sent_ms: int


class EventFeeChanged(msgspec.Struct, frozen=True):
    """An event's own fees; None means that its series' fees apply again."""

    event_ticker: str
    fee_type: str | None
    multiplier_e4: int | None
    sent_ms: int


class LifecycleChanged(msgspec.Struct, frozen=True):
    """A market was created, determined or settled; `facts` are the event's own fields."""

    market: ListedMarket
    event_type: str
    facts: dict[str, Any]
    sent_ms: int


Event = (
    BookChanged
    | BookReplaced
    | TradePrinted
    | OrderFilled
    | OrderChanged
    | PositionChanged
    | LifecycleChanged
    | GroupChanged
    | EventCreated
    | EventFeeChanged
)
