"""Every message that crosses a process border: frozen, tagged, versioned, units in the field names.

Suffixes: `_e4` 1e-4 dollars, `_e2` 1e-2 contracts, `_e6` 1e-6 dollars, `_ns` and `_ms` market
time since the Unix epoch, `_mono_ns` this machine's monotonic clock. Prices are on the YES scale
unless the field says otherwise; `position_e2` is signed, YES positive.

The same messages are the records of `ipc.record_journal`, so a field keeps its name on the wire for
good; one that is renamed in Python says so with `msgspec.field(name=...)`.
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
    """The states of an order as execution knows them.

    `UNKNOWN`: sent, without a conclusive answer yet.
    """

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
    """Base of all messages; the tag is the class name."""


class Trigger(_WireMessage, frozen=True):
    """A market's row changed and the change is in the journal: the only thing that wakes the actor.

    Attributes:
        row: Row number in the table of books.
        generation: The table's writer.
        sequence_number: The exchange's, of the subscription that brought the change.
        event_no: The change's number in the session.
        tick_event_no: Event number of the market's last tick.
        recv_ns: Market time of receipt.
        frame_mono_ns: When the frame was received.
        written_mono_ns: When the row was written.
    """

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
    """One evaluation of one market; names the row that was read.

    Attributes:
        event_no: Event number of the tick row.
        history: Ticks of the market before this one.
    """

    session_uid: str
    market_ticker: str
    event_no: int
    recv_ns: int
    history: int


class Intent(_WireMessage, frozen=True):
    """What a decision wants done; void after its deadline.

    Attributes:
        price_e4: Limit on the scale of `leg`.
        yes_price_e4: The same on the YES scale.
        book_side: The side of the YES book on which it acts.
        deadline_mono_ns: Until when it may be sent.
        event_no: The book that was read.
        account_version: The account that was read.
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

    A shadow model's decision is recorded and shown but never sent: it has no intent.

    Attributes:
        reason: Why an action became HOLD, or what was decided.
        observation_hash: 16 hex digits over the observation, empty where no account was known.
        logits: One per action; empty where the policy was not asked.
        value: The policy's estimate, None where it has none.
        mask: Allowed actions, in the order of `Action`.
        woken_mono_ns: When the actor began to work on the batch.
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
    """What a shadow model decided on one batch, sent after the live model's decisions on it."""

    actions: tuple[ActorAction, ...]


class ActorModels(_WireMessage, frozen=True):
    """Which model decides and which shadows it, sent when it changes and once a second."""

    live: str
    live_hash: str
    shadow: str | None
    shadow_hash: str | None


class ActorOrder(_WireMessage, frozen=True):
    """An order's state after something happened to it.

    Attributes:
        order_id: The exchange's, None until it has answered.
        client_order_id: Ours, derived from the intent.
        expire_ms: When the exchange cancels it by itself, market time.
    """

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
    """The whole account as the exchange reports it, and the profit and loss since the start."""

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
    """First record of a run's journal.

    Attributes:
        session_uid: The run's own name, of whichever producer wrote the journal.
    """

    session_uid: str
    environment: Environment
    websocket_url: str
    started_ns: int
    schema_version: int = SCHEMA_VERSION


class MarketListed(_WireMessage, frozen=True):
    """From event `from_event_no` on, a row of the table holds this market.

    Attributes:
        row: Row number.
        price_ranges: The grid as (start_e4, end_e4, step_e4).
        open_ms: When it opens, 0 unknown.
        close_ms: When it closes, 0 unknown.
    """

    row: int
    market_ticker: str
    from_event_no: int
    price_ranges: tuple[tuple[int, int, int], ...]
    open_ms: int
    close_ms: int


class MarketResult(_WireMessage, frozen=True):
    """What a market paid, as its exchange says at `reported_ns`; a later report replaces it.

    Attributes:
        result: The exchange's word, empty when there is none.
        yes_value_e4: What a YES contract paid; None when the exchange did not say.
        determined_ms: When the result was determined; None when the exchange did not say.
        settled_ms: When it was paid; None when the exchange did not say.
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
    """Last record of a run that ended cleanly."""

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
    """Encode one message as msgpack."""
    return _encoder.encode(message)


def decode(data: bytes | memoryview) -> Message:
    """Decode msgpack.

    Raises:
        msgspec.ValidationError: Unknown message, or a field that is missing or of another type.
        msgspec.DecodeError: Not msgpack.
    """
    return _decoder.decode(data)
