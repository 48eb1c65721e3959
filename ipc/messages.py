"""Every message that crosses a process border: frozen, tagged, versioned, units in the field names.

Suffixes: `_e4` 1e-4 dollars, `_e2` 1e-2 contracts, `_e6` 1e-6 dollars, `_ns` and `_ms` market
time since the Unix epoch, `_mono_ns` this machine's monotonic clock. Prices are on the YES scale
unless the field says otherwise; `position_e2` is signed, YES positive.

The same messages are the records of `ipc.journal`, so a field keeps its name on the wire for
good; one that is renamed in Python says so with `msgspec.field(name=...)`.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ipc.enums import (
    BookSide,
    Environment,
    Leg,
    MarkKind,
    OrderStatus,
    TradingEventKind,
    TradingState,
    UpdateType,
)
from ipc.market_messages import LeaveMarket, MarketChange, MarketsChosen, MarketScore

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
    "LeaveMarket",
    "Leg",
    "MarkKind",
    "MarketChange",
    "MarketListed",
    "MarketResult",
    "MarketScore",
    "MarketTerms",
    "MarketsChosen",
    "Message",
    "OrderStatus",
    "ProcessStats",
    "ProgramListed",
    "SessionEnded",
    "SessionInfo",
    "SessionMark",
    "SessionStarted",
    "ShadowActions",
    "Tick",
    "TradingEvent",
    "TradingEventKind",
    "TradingState",
    "TradingStatus",
    "Trigger",
    "UpdateType",
    "decode",
    "encode",
]

SCHEMA_VERSION: Final = 1


class _WireMessage(msgspec.Struct, frozen=True, tag=True, kw_only=True):
    """Base of all messages; the tag is the class name."""


class Trigger(_WireMessage, frozen=True):
    """A market's row changed and the change is in the journal: the only thing that wakes the actor.

    Sent by the collector. The receiver reads the row itself; by then it may be newer than this.

    Attributes:
        market_ticker: The market.
        row: Row number in the table of books.
        generation: The table's writer; a trigger of another one is void.
        update_type: What changed.
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
    """The collector's present session, sent when it changes and once a second.

    Attributes:
        session_uid: Name of the session, also of the collector's journal.
        environment: Where the data comes from.
        websocket_url: The stream it is connected to.
        started_ns: Market time of its start.
        markets: Tickers that are followed.
        live_markets: How many of them have a LIVE book.
        status: The stream's state, a word for people.
        fees: Of the markets whose fees are known, as in `MarketTerms`.
    """

    session_uid: str
    environment: Environment
    websocket_url: str
    started_ns: int
    markets: tuple[str, ...]
    live_markets: int
    status: str
    fees: dict[str, tuple[tuple[int, str, int], ...]] = {}


class TradingStatus(_WireMessage, frozen=True):
    """Whether the exchange trades, as the collector knows it; sent at changes and once a second.

    Attributes:
        state: Of the exchange as a whole.
        until_ms: Market time at which trading is expected to go on; None while it goes on, or when
            the exchange does not say.
        next_pause_ms: Market time at which the next announced pause begins; None when none is.
        takes_cancels: Whether the exchange takes cancels; in a pause of trading it does.
        markets: Followed markets whose state is not `state`.
        checked_mono_ns: When the exchange was asked for what this says.
        valid_until_mono_ns: After this moment nothing is known.
    """

    state: TradingState
    until_ms: int | None
    next_pause_ms: int | None
    takes_cancels: bool
    markets: dict[str, TradingState]
    checked_mono_ns: int
    valid_until_mono_ns: int

    def of(self, ticker: str, mono_ns: int) -> TradingState:
        """The state of one market at a moment."""
        if mono_ns > self.valid_until_mono_ns:
            return TradingState.UNKNOWN
        return self.markets.get(ticker, self.state)


class ProcessStats(_WireMessage, frozen=True):
    """A process's counters, once a second.

    Attributes:
        process: Its name, such as `collector`.
        mono_ns: When they were read.
        counters: By name; they rise from the start of the process unless the name is a gauge's,
            such as `behind`.
    """

    process: str
    mono_ns: int
    counters: dict[str, int]


class Tick(_WireMessage, frozen=True):
    """One evaluation of one market; names the row that was read.

    Attributes:
        session_uid: The collector's session.
        market_ticker: The market.
        event_no: Event number of the tick row.
        recv_ns: Market time of the tick row.
        history: Ticks of the market before this one.
    """

    session_uid: str
    market_ticker: str
    event_no: int
    recv_ns: int
    history: int


class Intent(_WireMessage, frozen=True):
    """What a decision wants done; void after its deadline.

    Sent by inference, journalled by it first: execution acts on no intent that the recording lacks.

    Attributes:
        intent_id: Unique; the order's `client_order_id` is derived from it.
        market_ticker: The market.
        action: Number in `models.trading.actions.Action`.
        action_name: The same as a word.
        leg: The leg that is bought or sold.
        is_buy: Whether the leg is bought.
        book_side: The side of the YES book on which it acts.
        price_e4: Limit on the scale of `leg`.
        yes_price_e4: The same on the YES scale.
        count_e2: Size.
        deadline_mono_ns: Until when it may be sent.
        decided_ns: Market time of the decision.
        session_uid: The collector's session that it was decided in.
        event_no: The book that was read.
        account_version: The account that was read.
        model: Name of the policy that decided.
        frame_mono_ns: When the frame behind the tick was received.
        written_mono_ns: When its row was written.
        decided_mono_ns: When it was decided.
        model_hash: Of that policy, as in `ActorAction`; empty for a command.
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
    model_hash: str = ""


class ActorAction(_WireMessage, frozen=True):
    """One decision, HOLD included, with all that is needed to rebuild it.

    A shadow model's decision is recorded and shown but never sent: it has no intent.

    Attributes:
        session_uid: The collector's session.
        market_ticker: The market.
        action: Number in `models.trading.actions.Action`.
        action_name: The same as a word.
        reason: Why an action became HOLD, or what was decided.
        model: Name of the policy.
        model_hash: 16 hex digits that distinguish policies of one name; of a model, its SHA-256's
            first.
        observation_hash: 16 hex digits over the observation, empty where no account was known.
        event_no: Event number of the tick row that was read.
        account_version: Version of the account that was read.
        logits: One per action; empty where the policy was not asked.
        value: The policy's estimate, None where it has none.
        mask: Allowed actions, in the order of `Action`.
        intent_id: Of the intent that was sent, None where there is none.
        decided_ns: Market time of the decision.
        recv_ns: Market time of the tick row.
        frame_mono_ns: When the frame behind the tick was received.
        written_mono_ns: When its row was written.
        woken_mono_ns: When the actor began to work on the batch.
        decided_mono_ns: When it was decided.
        observation: float32, little-endian; empty where no account was known.
        shadow: Whether a shadow model decided.
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
    """Which model decides and which shadows it, sent when it changes and once a second.

    Attributes:
        live: Name of the policy whose intents are sent.
        live_hash: Its `model_hash`.
        shadow: Name of the shadow model, None without one.
        shadow_hash: Its `model_hash`, None without one.
    """

    live: str
    live_hash: str
    shadow: str | None
    shadow_hash: str | None


class ActorOrder(_WireMessage, frozen=True):
    """An order's state after something happened to it.

    Attributes:
        order_id: The exchange's, None until it has answered.
        client_order_id: This stack's, derived from the intent.
        intent_id: The intent that it came of, None for an order that was found on the exchange.
        market_ticker: The market.
        leg: The leg that is bought or sold.
        is_buy: Whether the leg is bought.
        book_side: The side of the YES book.
        yes_price_e4: Limit on the YES scale.
        initial_count_e2: Size as sent.
        fill_count_e2: Filled so far.
        remaining_count_e2: What may still fill; 0 once the order has ended.
        status: Its state.
        reason: Why it has that state; empty where there is nothing to say.
        expire_ms: When the exchange cancels it by itself, market time; None without expiry.
        ts_ns: Market time of the change.
        received_mono_ns: When the intent was received.
        sent_mono_ns: When the request went out, 0 before.
        acknowledged_mono_ns: When the exchange answered, 0 before.
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
    """One fill of one of this stack's orders, from the private channel or from REST.

    Attributes:
        trade_id: The exchange's; a fill that arrives by both ways counts once.
        order_id: The exchange's.
        client_order_id: This stack's, None where it does not know the order.
        market_ticker: The market.
        book_side: The side of the YES book on which the order stood.
        yes_price_e4: Price on the YES scale.
        count_e2: Contracts.
        is_taker: Whether the order took liquidity.
        fee_e6: What the exchange charged.
        ts_ms: Exchange time.
    """

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
    """One market's sub-account after a change.

    Attributes:
        market_ticker: The market.
        position_e2: Signed contracts.
        cost_basis_e6: What the open position cost, without fees.
        cash_e6: `RL_ACTOR_MARKET_CASH` plus the cash flows of its fills, fees included.
        realized_e6: Profit and loss of closed contracts, before fees.
        fees_e6: Fees so far.
        open_orders: Orders that may still fill.
        account_version: Of the whole account, rises with every change.
        ts_ns: Market time of the change.
    """

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

    Attributes:
        market_ticker: The market.
        account_version: The version that this row has.
        words: The row from `ACCOUNT_VERSION` on, without the unused order slots at the end;
            `ipc.account_table.row_of_words` makes the row again.
        layout: The account table's, 1 where a record does not say.
    """

    market_ticker: str
    account_version: int
    words: tuple[int, ...]
    layout: int = 1


class ActorPnl(_WireMessage, frozen=True):
    """The whole account as the exchange reports it, and the profit and loss since the start.

    Attributes:
        balance_e6: The exchange's figure.
        realized_e6: Profit and loss of closed contracts, before fees, markets that are gone
            included.
        fees_e6: Fees, likewise.
        positions: Markets with a position.
        open_orders: Orders that may still fill.
        account_version: Of the whole account.
        ts_ns: Market time.
        shards_e6: (shard of the exchange, what new orders may use there), by shard.
    """

    balance_e6: int
    realized_e6: int
    fees_e6: int
    positions: int
    open_orders: int
    account_version: int
    ts_ns: int
    shards_e6: tuple[tuple[int, int], ...] = ()


class TradingEvent(_WireMessage, frozen=True):
    """One line of the audit of trading: a command, a latch, a difference.

    Attributes:
        kind: What sort of line it is.
        name: The command, the mode, the limit or the quantity that it is about.
        who: The local user and process that caused it, or the program's own part.
        why: The reason, for people.
        market_ticker: The market, None when it concerns all.
        numbers: What was compared, by names that end in their unit, such as `exposure_e6`.
        ts_ns: Market time.
    """

    kind: TradingEventKind
    name: str
    who: str
    why: str
    market_ticker: str | None
    numbers: dict[str, int]
    ts_ns: int


class Doorbell(_WireMessage, frozen=True):
    """A journal has grown; the journal, not this message, is the truth."""

    stream: str


class SessionStarted(_WireMessage, frozen=True):
    """First record of a run's journal.

    Attributes:
        session_uid: The run's own name, of whichever producer wrote the journal.
        environment: Where the producer's data comes from or its orders go.
        websocket_url: The stream it was to connect to.
        started_ns: Market time of the start.
        schema_version: Of the messages that follow; a reader of another version stops.
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
        market_ticker: The market.
        from_event_no: First event that can be of it; earlier ones of this row are another market's.
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


class MarketTerms(_WireMessage, frozen=True):
    """What a market charges, as far as its exchange has said by now; a later one replaces it.

    Attributes:
        fees: (from when in Unix milliseconds, fee type, multiplier in 1e-4), in order; those to
            come too. The first also holds before its time.
    """

    market_ticker: str
    fees: tuple[tuple[int, str, int], ...]


class ProgramListed(_WireMessage, frozen=True):
    """A program that pays for orders or volume in a market; a later one of this id replaces it.

    Attributes:
        program_id: The exchange's.
        kind: liquidity, volume, margin_maker_volume, margin_taker_volume.
        start_ms: Begin of its period, Unix milliseconds.
        end_ms: End of its period.
        reward_e6: For the whole period, not a rate.
        target_size_e2: Contracts, 1e-2; None where the exchange says none.
        discount_bps: In 1e-4; None where the exchange says none.
        most_per_account_e6: None where the exchange says none.
        listed_ns: When it was read, market time.
    """

    program_id: str
    market_ticker: str
    kind: str
    description: str
    start_ms: int
    end_ms: int
    reward_e6: int
    paid_out: bool
    target_size_e2: int | None
    discount_bps: int | None
    most_per_account_e6: int | None
    listed_ns: int


class MarketResult(_WireMessage, frozen=True):
    """What a market paid, as its exchange says at `reported_ns`; a later report replaces it.

    Attributes:
        market_ticker: The market.
        result: The exchange's word, empty when there is none.
        yes_value_e4: What a YES contract paid; None when the exchange did not say.
        determined_ms: When the result was determined; None when the exchange did not say.
        settled_ms: When it was paid; None when the exchange did not say.
        reported_ns: Market time of the report.
    """

    market_ticker: str
    result: str
    yes_value_e4: int | None
    determined_ms: int | None
    settled_ms: int | None
    reported_ns: int = msgspec.field(name="told_ns")  # its name in every journal


class SessionMark(_WireMessage, frozen=True):
    """A reconnect, a gap, a hole in what was recorded, or its healing.

    Attributes:
        kind: What happened.
        market_ticker: The market, None when it concerns all.
        event_no: The last event before it.
        ts_ns: Market time.
        detail: For people.
    """

    kind: MarkKind
    market_ticker: str | None
    event_no: int
    ts_ns: int
    detail: str


class SessionEnded(_WireMessage, frozen=True):
    """Last record of a run that ended cleanly.

    Attributes:
        ended_ns: Market time.
        event_no: Number of the last event, 0 in a journal without events.
    """

    ended_ns: int
    event_no: int


Message = (
    Trigger
    | SessionInfo
    | TradingStatus
    | ProcessStats
    | Tick
    | Intent
    | ActorAction
    | ShadowActions
    | ActorModels
    | LeaveMarket
    | MarketsChosen
    | ActorOrder
    | ActorFill
    | ActorPosition
    | AccountVersion
    | ActorPnl
    | TradingEvent
    | Doorbell
    | SessionStarted
    | MarketListed
    | MarketTerms
    | ProgramListed
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

    Fields that this version does not know are ignored, so a newer sender can add some.

    Raises:
        msgspec.ValidationError: Unknown message, or a field that is missing or of another type.
        msgspec.DecodeError: Not msgpack.
    """
    return _decoder.decode(data)
