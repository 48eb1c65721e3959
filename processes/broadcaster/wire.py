"""What travels on `/rl/ws`: `{type, seq, ts_ms, data}`, the data of each type as a struct.

Prices, counts and money are decimal strings ("0.4700", "10.00", "12.345678"); what is unknown is
null. `*_ms` are market time since the Unix epoch, `*_mono_ns` the monotonic clock of the machine,
`*_us` differences of it. `seq` counts from 1 per connection; `ts_ms` is real time of sending.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Final

import msgspec

__all__ = [
    "PROTOCOL",
    "ActionData",
    "ActionHops",
    "ActorData",
    "ConnectionData",
    "FillData",
    "LastTrade",
    "MessageType",
    "ModelsData",
    "OrderData",
    "OrderHops",
    "OrderbookData",
    "PartData",
    "PnlData",
    "PositionData",
    "SessionData",
    "ShadowData",
    "StatsData",
    "Update",
    "envelope",
    "update_of",
]

PROTOCOL: Final = 1


class MessageType(StrEnum):
    """Every message type."""

    CONNECTION = "connection"
    ORDERBOOK_SNAPSHOT = "orderbook_snapshot"
    SESSION = "session"
    STATS = "stats"
    ACTOR_ACTION = "actor_action"
    ACTOR_ORDER = "actor_order"
    ACTOR_FILL = "actor_fill"
    ACTOR_POSITION = "actor_position"
    ACTOR_PNL = "actor_pnl"
    ACTOR_MODELS = "actor_models"
    ACTOR_SHADOW = "actor_shadow"


class _Data(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all data."""


class ActorData(_Data, frozen=True):
    """How the actor is set up."""

    enabled: bool
    strategy: str
    throttle_ms: int
    contract_size: str
    market_cash: str
    pricing: str


class ConnectionData(_Data, frozen=True):
    """First message of a connection: environment, protocol and settings of the sender."""

    protocol: int
    environment: str
    depth: int
    book_interval_ms: int
    started_ms: int
    actor: ActorData


class SessionData(_Data, frozen=True):
    """The collector's session."""

    session_uid: str
    environment: str
    websocket_url: str
    started_ms: int
    markets: tuple[str, ...]
    live_markets: int
    status: str


class PartData(_Data, frozen=True):
    """Whether a part of the stack is alive, and how old its last sign is."""

    fresh: bool
    age_ms: int | None


class StatsData(_Data, frozen=True):
    """A process's counters; `parts` and `market_ms` only in the broadcaster's own."""

    process: str
    counters: dict[str, int]
    parts: dict[str, PartData] | None = None
    market_ms: int | None = None


class LastTrade(_Data, frozen=True):
    """The newest public trade of a market."""

    yes_price: str
    count: str
    ts_ms: int | None


class OrderbookData(_Data, frozen=True):
    """One market's book. `yes` and `no` are bids of that leg at its own price, best first.

    `mids`, the chart so far as (ms, mid), comes only with a connection's first snapshot.
    """

    ticker: str
    state: str
    flags: tuple[str, ...]
    generation: int
    event_no: int
    seq: int
    exch_ms: int | None
    recv_ms: int | None
    open_ms: int | None
    close_ms: int | None
    best_yes_bid: str | None
    best_yes_ask: str | None
    best_no_bid: str | None
    best_no_ask: str | None
    mid: str | None
    spread: str | None
    yes: tuple[tuple[str, str], ...]
    no: tuple[tuple[str, str], ...]
    yes_levels: int
    no_levels: int
    yes_total: str
    no_total: str
    last_trade: LastTrade | None
    n_deltas: int
    n_trades: int
    mids: tuple[tuple[int, str], ...] | None = None


class ActionHops(_Data, frozen=True):
    """Microseconds between the hops of a decision."""

    frame_to_written: float | None
    written_to_woken: float | None
    woken_to_decided: float | None
    frame_to_decided: float | None


class ActionData(_Data, frozen=True):
    """One decision, HOLD included."""

    session_uid: str
    ticker: str
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
    decided_ms: int
    recv_ms: int
    frame_mono_ns: int
    written_mono_ns: int
    woken_mono_ns: int
    decided_mono_ns: int
    latency_us: ActionHops


class ModelsData(_Data, frozen=True):
    """The live model and its shadow; without a shadow both of its fields are None."""

    live: str
    live_hash: str
    shadow: str | None
    shadow_hash: str | None


class ShadowData(_Data, frozen=True):
    """One decision of the shadow beside the live model's on the same request.

    `live_*` is None where the live decision is not known; `agrees` also where one of the two models
    was not asked (warming up, account unknown, actor off, fault).
    """

    session_uid: str
    ticker: str
    event_no: int
    action: int
    action_name: str
    reason: str
    model: str
    model_hash: str
    logits: tuple[float, ...]
    value: float | None
    decided_ms: int
    live_action: int | None
    live_action_name: str | None
    live_model: str | None
    live_model_hash: str | None
    agrees: bool | None


class OrderHops(_Data, frozen=True):
    """Microseconds from the decision to the exchange's answer; null where a hop is not known."""

    decided_to_received: float | None
    received_to_sent: float | None
    sent_to_acknowledged: float | None
    frame_to_acknowledged: float | None


class OrderData(_Data, frozen=True):
    """An order's state. `price` is of its leg, `yes_price` the same on the YES scale."""

    order_id: str | None
    client_order_id: str
    intent_id: str | None
    ticker: str
    leg: str
    is_buy: bool
    book_side: str
    price: str
    yes_price: str
    initial_count: str
    fill_count: str
    remaining_count: str
    status: str
    reason: str
    expire_ms: int | None
    ts_ms: int
    received_mono_ns: int | None
    sent_mono_ns: int | None
    acknowledged_mono_ns: int | None
    latency_us: OrderHops


class FillData(_Data, frozen=True):
    """One execution."""

    trade_id: str
    order_id: str
    client_order_id: str | None
    ticker: str
    book_side: str
    yes_price: str
    count: str
    is_taker: bool
    fee: str
    ts_ms: int


class PositionData(_Data, frozen=True):
    """One market's sub-account; `position` is signed, YES positive."""

    ticker: str
    position: str
    cost_basis: str
    cash: str
    realized: str
    fees: str
    open_orders: int
    account_version: int
    ts_ms: int


class PnlData(_Data, frozen=True):
    """The whole account."""

    balance: str
    realized: str
    fees: str
    positions: int
    open_orders: int
    account_version: int
    ts_ms: int


class Update(msgspec.Struct, frozen=True):
    """A message before it has a connection: its type and its data as JSON."""

    kind: MessageType
    body: str


_encoder = msgspec.json.Encoder()


def update_of(kind: MessageType, data: _Data) -> Update:
    """Encode once, send to many."""
    return Update(kind, _encoder.encode(data).decode())


def envelope(update: Update, seq: int, ts_ms: int) -> str:
    """The text of one message of one connection."""
    return f'{{"type":"{update.kind}","seq":{seq},"ts_ms":{ts_ms},"data":{update.body}}}'
