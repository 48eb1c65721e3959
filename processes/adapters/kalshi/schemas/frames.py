"""The WebSocket's frames and commands, typed (asyncapi.yaml; PROTOCOL.md, 4).

Frames: amounts stay text, `normalise` makes integers. Unknown fields are ignored, unknown enum
values read as UNKNOWN, unknown frame types become `UnknownFrame`; a known frame that lacks a
required field is refused by name.

Commands: an `id` is the client's own, and commands are not answered in order. A book subscription
always says whether NO levels come at YES prices (`use_yes_price`), because the exchange will change
its default. We ask for YES prices; a reader of recorded frames must know which it was.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any, Final, get_args

import msgspec

from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.schemas.decoding import (
    UNREADABLE,
    Count,
    Millis,
    Number,
    decode,
    reason_of,
)
from processes.adapters.kalshi.schemas.stream_messages import (
    DeltaMsg,
    ErrorMsg,
    EventFeeUpdateMsg,
    EventLifecycleMsg,
    FillMsg,
    LifecycleMsg,
    MarketPositionMsg,
    OkMsg,
    OrderGroupMsg,
    SnapshotMsg,
    SubscribedMsg,
    TradeMsg,
    UserOrderMsg,
)

__all__ = [
    "ERROR_CODES",
    "FRAME_TYPES",
    "TERMINAL_CODES",
    "Channel",
    "Command",
    "CommandParams",
    "Delta",
    "DeltaMsg",
    "ErrorFrame",
    "ErrorMsg",
    "EventFeeUpdate",
    "EventFeeUpdateMsg",
    "EventLifecycle",
    "EventLifecycleMsg",
    "Fill",
    "FillMsg",
    "Frame",
    "Lifecycle",
    "LifecycleMsg",
    "MarketPosition",
    "MarketPositionMsg",
    "Ok",
    "OkMsg",
    "OrderGroupMsg",
    "OrderGroupUpdate",
    "Snapshot",
    "SnapshotMsg",
    "Subscribed",
    "SubscribedMsg",
    "Trade",
    "TradeMsg",
    "UnknownFrame",
    "Unsubscribed",
    "UserOrder",
    "UserOrderMsg",
    "add_markets",
    "decode_command",
    "decode_frame",
    "delete_markets",
    "encode_frame",
    "get_snapshot",
    "list_subscriptions",
    "subscribe",
    "unsubscribe",
]

ERROR_CODES: Final = frozenset(range(1, 29)) - {6, 16, 17}  # PROTOCOL.md, 4.3
TERMINAL_CODES: Final = frozenset({10, 25})  # channel error, buffer overflow: subscribe again


class _Frame(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    omit_defaults=True,
    gc=False,
):
    """Base of all frames."""

    id: Number | None = None
    sid: Count | None = None
    seq: Count | None = None
    sending_ts_ms: Millis | None = None


class Snapshot(_Frame, frozen=True, tag="orderbook_snapshot"):
    """A whole book; carries the command's `id` when it answers `get_snapshot`."""

    sid: Count
    seq: Count
    msg: SnapshotMsg


class Delta(_Frame, frozen=True, tag="orderbook_delta"):
    """A change of one level."""

    sid: Count
    seq: Count
    msg: DeltaMsg


class Trade(_Frame, frozen=True, tag="trade"):
    """A public execution."""

    sid: Count
    seq: Count
    msg: TradeMsg


class Subscribed(_Frame, frozen=True, tag="subscribed"):
    """The first subscribe of a channel."""

    msg: SubscribedMsg


class Ok(_Frame, frozen=True, tag="ok"):
    """Any other command that was done; takes a `seq` of its subscription."""

    msg: OkMsg | list[SubscribedMsg] | None = None


class Unsubscribed(_Frame, frozen=True, tag="unsubscribed"):
    """A subscription that we ended."""

    msg: Any = None


class ErrorFrame(_Frame, frozen=True, tag="error"):
    """A command or a subscription that failed."""

    msg: ErrorMsg


class Fill(_Frame, frozen=True, tag="fill"):
    """An execution of ours; never sequenced."""

    msg: FillMsg


class UserOrder(_Frame, frozen=True, tag="user_order"):
    """An order of ours; never sequenced."""

    msg: UserOrderMsg


class MarketPosition(_Frame, frozen=True, tag="market_position"):
    """A position of ours; never sequenced."""

    msg: MarketPositionMsg


class Lifecycle(_Frame, frozen=True, tag="market_lifecycle_v2"):
    """A market was created, changed, decided or settled."""

    msg: LifecycleMsg


class EventLifecycle(_Frame, frozen=True, tag="event_lifecycle"):
    """An event was created; comes on the channel `market_lifecycle_v2`."""

    msg: EventLifecycleMsg


class EventFeeUpdate(_Frame, frozen=True, tag="event_fee_update"):
    """An event's fees changed; comes on the channel `market_lifecycle_v2`."""

    msg: EventFeeUpdateMsg


class OrderGroupUpdate(_Frame, frozen=True, tag="order_group_updates"):
    """A change of an order group of ours."""

    sid: Count
    seq: Count
    msg: OrderGroupMsg


class UnknownFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A frame of a type that is not typed here; its `seq` still counts."""

    type: str
    id: Number | None = None
    sid: Count | None = None
    seq: Count | None = None
    sending_ts_ms: Millis | None = None
    msg: msgspec.Raw = msgspec.Raw(b"null")


class Channel(StrEnum):
    """What can be subscribed to."""

    BOOK = "orderbook_delta"
    TRADE = "trade"
    FILL = "fill"
    USER_ORDERS = "user_orders"
    MARKET_POSITIONS = "market_positions"
    ORDER_GROUPS = "order_group_updates"
    LIFECYCLE = "market_lifecycle_v2"
    TICKER = "ticker"
    MULTIVARIATE_LIFECYCLE = "multivariate_market_lifecycle"
    COMMUNICATIONS = "communications"
    CF_BENCHMARKS = "cfbenchmarks_value"
    CF_BENCHMARKS_5HZ = "cfbenchmarks_value_5hz"
    PYTH = "pyth_value"


class CommandParams(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a command is about."""

    channels: list[str] | None = None
    market_ticker: str | None = None
    market_tickers: list[str] | None = None
    sid: int | None = None
    sids: list[int] | None = None
    action: str | None = None
    use_yes_price: bool | None = None
    skip_ticker_ack: bool | None = None
    send_initial_snapshot: bool | None = None


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One command; `id` 0 asks for no correlation."""

    id: int = 0
    cmd: str
    params: CommandParams | None = None


_Known = (
    Snapshot
    | Delta
    | Trade
    | Subscribed
    | Ok
    | Unsubscribed
    | ErrorFrame
    | Fill
    | UserOrder
    | MarketPosition
    | Lifecycle
    | EventLifecycle
    | EventFeeUpdate
    | OrderGroupUpdate
)
Frame = _Known | UnknownFrame

_decoder: Final[msgspec.json.Decoder[_Known]] = msgspec.json.Decoder(_Known)
_unknown: Final = msgspec.json.Decoder(UnknownFrame)
_command_decoder: Final = msgspec.json.Decoder(Command)
_encoder: Final = msgspec.json.Encoder()
FRAME_TYPES: Final[dict[str, type[msgspec.Struct]]] = {
    str(kind.__struct_config__.tag): kind for kind in get_args(_Known)
}


def decode_frame(data: bytes) -> Frame:
    """One frame; `WireError` names the field that a known frame lacks or that does not fit."""
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError as error:
        return _decode_unknown(data, error)
    except UNREADABLE as error:
        raise WireError(f"a frame that is not JSON: {reason_of(error)}") from None


def _decode_unknown(data: bytes, error: msgspec.ValidationError) -> UnknownFrame:
    """The frame as one of an unknown type, unless its type is known."""
    frame = decode(_unknown, data, "a frame that does not fit")
    if frame.type in FRAME_TYPES:
        raise WireError(f"{frame.type}: {reason_of(error)}")
    return frame


def encode_frame(frame: Frame) -> bytes:
    """The frame as the exchange sends it, newline included."""
    return _encoder.encode(frame) + b"\n"


def decode_command(data: bytes | str) -> Command:
    """A client's command, for the local exchange; `WireError` names what is wrong."""
    return decode(_command_decoder, data, "not a command")


def _encode(command_id: int, cmd: str, params: CommandParams | None = None) -> bytes:
    return _encoder.encode(Command(id=command_id, cmd=cmd, params=params))


def subscribe(
    command_id: int,
    channels: Iterable[str],
    market_tickers: Iterable[str] | None = None,
    *,
    use_yes_price: bool = True,
) -> bytes:
    """Subscribe to channels, of some markets or of all that the channel offers."""
    names = [str(c) for c in channels]
    tickers = None if market_tickers is None else list(market_tickers)
    yes_price = use_yes_price if Channel.BOOK in names else None
    params = CommandParams(channels=names, market_tickers=tickers, use_yes_price=yes_price)
    return _encode(command_id, "subscribe", params)


def _update(command_id: int, sid: int, action: str, tickers: Iterable[str]) -> bytes:
    params = CommandParams(sids=[sid], action=action, market_tickers=list(tickers))
    return _encode(command_id, "update_subscription", params)


def add_markets(command_id: int, sid: int, tickers: Iterable[str]) -> bytes:
    """More markets on a subscription."""
    return _update(command_id, sid, "add_markets", tickers)


def delete_markets(command_id: int, sid: int, tickers: Iterable[str]) -> bytes:
    """Fewer markets on a subscription."""
    return _update(command_id, sid, "delete_markets", tickers)


def get_snapshot(command_id: int, sid: int, tickers: Iterable[str]) -> bytes:
    """A fresh snapshot of markets of a book subscription."""
    return _update(command_id, sid, "get_snapshot", tickers)


def unsubscribe(command_id: int, sids: Iterable[int]) -> bytes:
    """End subscriptions."""
    return _encode(command_id, "unsubscribe", CommandParams(sids=list(sids)))


def list_subscriptions(command_id: int) -> bytes:
    """Ask which subscriptions there are."""
    return _encode(command_id, "list_subscriptions")
