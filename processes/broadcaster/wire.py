"""`/rl/ws`: what travels on it, and its connections.

A message is `{type, seq, ts_ms, data}`, the data of each type a struct.

Prices, counts and money are decimal strings ("0.4700", "10.00", "12.345678"); what is unknown is
null. `*_ms` are market time since the Unix epoch, `*_mono_ns` the monotonic clock of the machine,
`*_us` differences of it. `seq` counts from 1 per connection; `ts_ms` is real time of sending.

`WebSocketManager` holds the connections, each with its own numbering and its own bound. A message
is written to every socket at once, without waiting. What a client has not read yet stays in its
socket's buffer; beyond the bound the client is closed with 1013 and counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from enum import StrEnum
from typing import Final

import msgspec
from websockets.asyncio.connection import broadcast
from websockets.asyncio.server import ServerConnection
from websockets.exceptions import ConnectionClosed
from websockets.frames import CloseCode

__all__ = [
    "MAX_CLIENTS",
    "PROTOCOL",
    "ActionData",
    "ActionHops",
    "ActorData",
    "ConnectionData",
    "FillData",
    "HotMarketsData",
    "LastTrade",
    "MarketChangeData",
    "MarketScoreData",
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
    "ShardData",
    "StatsData",
    "TradingData",
    "TradingEventData",
    "Update",
    "WebSocketManager",
    "envelope",
    "update_of",
]

PROTOCOL: Final = 1
MAX_CLIENTS: Final = 100
CLOSE_TIMEOUT: Final = 1.0  # seconds that a client may take to answer a close


class MessageType(StrEnum):
    """Every message type."""

    CONNECTION = "connection"
    ORDERBOOK_SNAPSHOT = "orderbook_snapshot"
    SESSION = "session"
    STATS = "stats"
    TRADING = "trading"
    ACTOR_ACTION = "actor_action"
    ACTOR_ORDER = "actor_order"
    ACTOR_FILL = "actor_fill"
    ACTOR_POSITION = "actor_position"
    ACTOR_PNL = "actor_pnl"
    ACTOR_MODELS = "actor_models"
    ACTOR_SHADOW = "actor_shadow"
    ACTOR_MARKETS = "actor_markets"
    TRADING_EVENT = "trading_event"


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


class TradingData(_Data, frozen=True):
    """Whether the exchange trades; `markets` are those whose state is another than `state`.

    The states are those of `TradingState`. `until_ms` and `next_pause_ms` are market time.
    """

    state: str
    until_ms: int | None
    next_pause_ms: int | None
    markets: dict[str, str]


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
    """One market's book.

    Attributes:
        state: `empty`, `live` or `stale`.
        flags: Of `unrecorded`, `warming`, `closed`.
        generation: Of the table's writer.
        event_no: The last accepted record of the market's session.
        seq: The exchange's, of the last frame.
        exch_ms: Exchange time of the last frame.
        recv_ms: Market time of its receipt.
        yes: Bids of YES, (price, count), best first, as many as the depth of `ConnectionData`.
        no: Bids of NO at their own price, alike.
        yes_levels: How many levels there are, beyond the depth too.
        yes_total: Contracts over all levels.
        n_deltas: Deltas applied since the row was made.
        n_trades: Trades, alike.
        mids: The chart so far as (ms, mid), only with a connection's first snapshot.
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
    """One decision, HOLD included.

    `session_uid`, `event_no` and `account_version` name the book and the account that were read:
    with them the decision can be made again from the recording.

    Attributes:
        action: Number of the action, as `models.trading.actions.Action`.
        reason: Why it was this one, such as `policy` or `masked`.
        observation_hash: Of what the model read.
        logits: As the policy gave them.
        mask: What was allowed, by action.
        intent_id: The intent that was sent to execution, None for HOLD.
        decided_ms: Market time of the decision.
        recv_ms: Market time of the row.
        frame_mono_ns: When the frame was read; the other hops follow in time.
    """

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


class MarketScoreData(_Data, frozen=True):
    """What speaks for a market in mode `hot`, see docs/market-choice.md.

    Attributes:
        volume: Contracts a minute.
        updates: Changes of levels a minute.
        spread: Of now, None when a side is missing.
        touch: The smaller of the sizes at the touch.
        bar: Why it is not eligible; empty when it is.
        since_ms: Since when the actor is in it, None when it is not.
    """

    ticker: str
    score: int
    volume: str
    updates: int
    spread: str | None
    touch: str
    bar: str
    since_ms: int | None


class MarketChangeData(_Data, frozen=True):
    """The actor went into a market (`entered`) or left it."""

    ticker: str
    entered: bool
    reason: str
    score: int
    at_ms: int


class HotMarketsData(_Data, frozen=True):
    """In which markets the actor is in mode `hot`: those with `since_ms`, then the hottest others.

    Attributes:
        on_switch: `hold`, `reduce` or `flatten`.
        leaving: Markets that were left and whose position is being closed.
        changes: The newest, oldest first.
    """

    at_ms: int
    on_switch: str
    leaving: tuple[str, ...]
    markets: tuple[MarketScoreData, ...]
    changes: tuple[MarketChangeData, ...]


class OrderHops(_Data, frozen=True):
    """Microseconds from the decision to the exchange's answer; null where a hop is not known."""

    decided_to_received: float | None
    received_to_sent: float | None
    sent_to_acknowledged: float | None
    frame_to_acknowledged: float | None


class TradingEventData(_Data, frozen=True):
    """One line of the audit of trading.

    Attributes:
        kind: What sort of line: a word of `TradingEventKind`.
        name: The command, the mode, the limit or the quantity that it is about.
        who: Who caused it.
        why: The reason, for people.
        ticker: The market, None when it concerns all.
        numbers: What was compared, integers by names that end in their unit.
        ts_ms: When.
    """

    kind: str
    name: str
    who: str
    why: str
    ticker: str | None
    numbers: dict[str, int]
    ts_ms: int


class OrderData(_Data, frozen=True):
    """An order's state.

    Attributes:
        order_id: The exchange's, None before its answer.
        client_order_id: Ours, derived from the intent.
        leg: `yes` or `no`.
        book_side: `bid` or `ask` of the YES book.
        price: Limit on the leg's scale.
        yes_price: The same on the YES scale.
        expire_ms: When the exchange cancels it by itself.
        ts_ms: When this happened.
    """

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


class ShardData(_Data, frozen=True):
    """What new orders may use on one shard of the exchange."""

    exchange_index: int
    balance: str


class PnlData(_Data, frozen=True):
    """The whole account; `shards` is empty until the exchange has reported them."""

    balance: str
    realized: str
    fees: str
    positions: int
    open_orders: int
    account_version: int
    ts_ms: int
    shards: tuple[ShardData, ...] = ()


class Update(msgspec.Struct, frozen=True):
    """A message before it has a connection: its type and its data as JSON."""

    kind: MessageType
    body: str


_encoder = msgspec.json.Encoder()


def update_of(kind: MessageType, data: _Data) -> Update:
    """Encode an update once, for all connections."""
    return Update(kind, _encoder.encode(data).decode())


def envelope(update: Update, seq: int, ts_ms: int) -> str:
    """The text of one message of one connection."""
    return f'{{"type":"{update.kind}","seq":{seq},"ts_ms":{ts_ms},"data":{update.body}}}'


class _Client:
    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.seq = 0


class WebSocketManager:
    """All connections of `/rl/ws`.

    Args:
        welcome: Gives the updates that a new connection starts with.
        now_ms: Real time of sending, in milliseconds since the Unix epoch.
        buffer_bytes: What a client may leave unread; beyond it, it is closed with code 1013.

    Attributes:
        sent: Messages, since the start.
        connected: Connections, since the start.
        dropped_slow: Clients closed for what they left unread, since the start.
    """

    def __init__(
        self,
        welcome: Callable[[], Iterable[Update]],
        now_ms: Callable[[], int],
        buffer_bytes: int,
    ) -> None:
        self._welcome = welcome
        self._now_ms = now_ms
        self._buffer_bytes = buffer_bytes
        self._clients: dict[ServerConnection, _Client] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self.sent = 0
        self.connected = 0
        self.dropped_slow = 0

    @property
    def clients(self) -> int:
        """Connections that get messages now."""
        return len(self._clients)

    @property
    def full(self) -> bool:
        """Whether another connection would be one too many."""
        return len(self._clients) >= MAX_CLIENTS

    async def handle(self, socket: ServerConnection) -> None:
        """Serve one connection from its first message to its end; what clients send is ignored."""
        client = self._clients[socket] = _Client(socket)
        self.connected += 1
        try:
            for update in self._welcome():
                self._send(client, update, self._now_ms())
            async for _ in socket:
                continue
        except ConnectionClosed:
            return
        finally:
            self._clients.pop(socket, None)

    def publish(self, updates: Iterable[Update]) -> None:
        """Send every update to every connection, numbered for each; never waits, never raises.

        Afterwards clients whose buffer is over the bound are dropped.
        """
        now_ms = self._now_ms()
        for update in updates:
            for client in tuple(self._clients.values()):
                self._send(client, update, now_ms)
        for client in tuple(self._clients.values()):
            if client.socket.transport.get_write_buffer_size() > self._buffer_bytes:
                self._drop(client)

    def _send(self, client: _Client, update: Update, ts_ms: int) -> None:
        client.seq += 1
        self.sent += 1
        broadcast((client.socket,), envelope(update, client.seq, ts_ms))

    def _drop(self, client: _Client) -> None:
        del self._clients[client.socket]
        self.dropped_slow += 1
        task = asyncio.create_task(
            _close_within(client.socket, CloseCode.TRY_AGAIN_LATER, "too slow: buffer full")
        )
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close every connection with 1001; each has at most `CLOSE_TIMEOUT` seconds."""
        closing = [
            _close_within(client.socket, CloseCode.GOING_AWAY, "server stops")
            for client in self._clients.values()
        ]
        await asyncio.gather(*closing, *self._closing)


async def _close_within(socket: ServerConnection, code: CloseCode, reason: str) -> None:
    """Close; `close()` waits for the buffer to drain without a bound, so bound it here."""
    try:
        async with asyncio.timeout(CLOSE_TIMEOUT):
            await socket.close(code, reason)
    except TimeoutError:
        socket.transport.abort()
