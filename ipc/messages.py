"""Every event that crosses a process border: frozen, tagged, versioned, units in the field names.

Suffixes: `_e4` 1e-4 dollars, `_e2` 1e-2 contracts, `_e6` 1e-6 dollars, `_ns` and `_ms` market
time since the Unix epoch, `_mono_ns` this machine's monotonic clock. Prices are on the YES scale
unless the field says otherwise; `position_e2` is signed, YES positive.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

__all__ = [
    "SCHEMA_VERSION",
    "AccountVersion",
    "ActorAction",
    "ActorFill",
    "ActorModels",
    "ActorOrder",
    "ActorPnl",
    "ActorPosition",
    "BookSide",
    "Doorbell",
    "Environment",
    "Intent",
    "Leg",
    "MarkKind",
    "MarketListed",
    "MarketResult",
    "Message",
    "OrderStatus",
    "ProcessStats",
    "SessionEnded",
    "SessionInfo",
    "SessionMark",
    "SessionStarted",
    "ShadowActions",
    "Tick",
    "Trigger",
    "UpdateType",
    "decode",
    "encode",
]

SCHEMA_VERSION: Final = 1


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
    """An order's life as execution knows it. `UNKNOWN`: sent, no answer that settles it yet."""

    PENDING = "pending"
    RESTING = "resting"
    EXECUTED = "executed"
    CANCELED = "canceled"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class MarkKind(StrEnum):
    """What a session notes beside its events."""

    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    GAP = "gap"
    HOLE = "hole"
    HEALED = "healed"
    CLOSED = "market_closed"


class _WireMessage(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Base of all events; the tag is the class name."""


class Trigger(_WireMessage, frozen=True):
    """A market's row changed and the change is journalled: the only thing that wakes the actor."""

    market_ticker: str
    row: int
    generation: int
    update_type: UpdateType
    sequence_number: int
    event_no: int
    tick_event_no: int
    recv_ns: int
    frame_mono_ns: int
    written_mono_ns: int


class SessionInfo(_WireMessage, frozen=True):
    """The collector's present session, sent when it changes and once a second."""

    session_uid: str
    environment: Environment
    websocket_url: str
    started_ns: int
    markets: tuple[str, ...]
    live_markets: int
    status: str


class ProcessStats(_WireMessage, frozen=True):
    """A process's counters, once a second."""

    process: str
    mono_ns: int
    counters: dict[str, int]


class Tick(_WireMessage, frozen=True):
    """One evaluation of one market; names the row that was read."""

    session_uid: str
    market_ticker: str
    event_no: int
    recv_ns: int
    history: int


class Intent(_WireMessage, frozen=True):
    """What a decision wants done; worthless after its deadline.

    `price_e4` is the price of `leg`, `yes_price_e4` the same on the YES scale, `book_side` the side
    of the YES book on which it acts. `expire_ms` is the exchange-side expiry in market time.
    """

    intent_id: str
    market_ticker: str
    action: int
    action_name: str
    leg: Leg
    is_buy: bool
    book_side: BookSide
    price_e4: int
    yes_price_e4: int
    count_e2: int
    deadline_mono_ns: int
    decided_ns: int
    session_uid: str
    event_no: int
    account_version: int
    model: str
    frame_mono_ns: int
    written_mono_ns: int
    decided_mono_ns: int


class ActorAction(_WireMessage, frozen=True):
    """One decision, HOLD included, with all that is needed to rebuild it.

    A `shadow`'s is recorded and shown, never sent: it has no intent.
    """

    session_uid: str
    market_ticker: str
    action: int
    action_name: str
    reason: str
    model: str
    model_hash: str
    observation_hash: str
    event_no: int
    account_version: int
    logits: tuple[float, ...]
    value: float | None
    mask: tuple[bool, ...]
    intent_id: str | None
    decided_ns: int
    recv_ns: int
    frame_mono_ns: int
    written_mono_ns: int
    woken_mono_ns: int
    decided_mono_ns: int
    observation: bytes = b""  # float32, little-endian; empty where no account was known
    shadow: bool = False


class ShadowActions(_WireMessage, frozen=True):
    """What a shadow decided on one batch, told after the live model's decisions on the same."""

    actions: tuple[ActorAction, ...]


class ActorModels(_WireMessage, frozen=True):
    """Who decides and who shadows it, sent when it changes and once a second."""

    live: str
    live_hash: str
    shadow: str | None
    shadow_hash: str | None


class ActorOrder(_WireMessage, frozen=True):
    """An order's state after something happened to it."""

    order_id: str | None
    client_order_id: str
    intent_id: str | None
    market_ticker: str
    leg: Leg
    is_buy: bool
    book_side: BookSide
    yes_price_e4: int
    initial_count_e2: int
    fill_count_e2: int
    remaining_count_e2: int
    status: OrderStatus
    reason: str
    expire_ms: int | None
    ts_ns: int
    received_mono_ns: int
    sent_mono_ns: int
    acknowledged_mono_ns: int


class ActorFill(_WireMessage, frozen=True):
    """One execution of one of our orders, from the private channel or from REST."""

    trade_id: str
    order_id: str
    client_order_id: str | None
    market_ticker: str
    book_side: BookSide
    yes_price_e4: int
    count_e2: int
    is_taker: bool
    fee_e6: int
    ts_ms: int


class ActorPosition(_WireMessage, frozen=True):
    """One market's sub-account after a change; `cash_e6` starts at `RL_ACTOR_MARKET_CASH`."""

    market_ticker: str
    position_e2: int
    cost_basis_e6: int
    cash_e6: int
    realized_e6: int
    fees_e6: int
    open_orders: int
    account_version: int
    ts_ns: int


class AccountVersion(_WireMessage, frozen=True):
    """A market's row of the account table as it was written: what decisions have read.

    `words` are the row's from `ACCOUNT_VERSION` on, without the unused order slots at the end;
    `layout` is the account table's, 1 where a record does not say.
    """

    market_ticker: str
    account_version: int
    words: tuple[int, ...]
    layout: int = 1


class ActorPnl(_WireMessage, frozen=True):
    """The whole account as the exchange reports it, and what we made of it since the start."""

    balance_e6: int
    realized_e6: int
    fees_e6: int
    positions: int
    open_orders: int
    account_version: int
    ts_ns: int


class Doorbell(_WireMessage, frozen=True):
    """A journal has grown; the journal, not this message, is the truth."""

    stream: str


class SessionStarted(_WireMessage, frozen=True):
    """First record of a collector run's journal of marks."""

    session_uid: str
    environment: Environment
    websocket_url: str
    started_ns: int
    schema_version: int = SCHEMA_VERSION


class MarketListed(_WireMessage, frozen=True):
    """From event `from_event_no` on, table row `row` holds this market.

    `price_ranges` is the grid as (start_e4, end_e4, step_e4).
    """

    row: int
    market_ticker: str
    from_event_no: int
    price_ranges: tuple[tuple[int, int, int], ...]
    open_ms: int
    close_ms: int


class MarketResult(_WireMessage, frozen=True):
    """What a market paid, as its exchange says at `reported_ns`; a later report replaces it.

    `result` is the exchange's word, empty when none stands; `yes_value_e4` what a YES contract
    paid. None is what the exchange did not say.
    """

    market_ticker: str
    result: str
    yes_value_e4: int | None
    determined_ms: int | None
    settled_ms: int | None
    reported_ns: int = msgspec.field(name="told_ns")  # its name in every journal


class SessionMark(_WireMessage, frozen=True):
    """A reconnect, a gap, a hole in what was recorded, or its healing."""

    kind: MarkKind
    market_ticker: str | None
    event_no: int
    ts_ns: int
    detail: str


class SessionEnded(_WireMessage, frozen=True):
    """Last record of a clean run."""

    ended_ns: int
    event_no: int


Message = (
    Trigger
    | SessionInfo
    | ProcessStats
    | Tick
    | Intent
    | ActorAction
    | ShadowActions
    | ActorModels
    | ActorOrder
    | ActorFill
    | ActorPosition
    | AccountVersion
    | ActorPnl
    | Doorbell
    | SessionStarted
    | MarketListed
    | MarketResult
    | SessionMark
    | SessionEnded
)

_encoder = msgspec.msgpack.Encoder()
_decoder: msgspec.msgpack.Decoder[Message] = msgspec.msgpack.Decoder(Message)


def encode(message: Message) -> bytes:
    """One event as msgpack."""
    return _encoder.encode(message)


def decode(data: bytes | memoryview) -> Message:
    """msgpack -> event; `msgspec.ValidationError` names the field that does not fit."""
    return _decoder.decode(data)
