"""The WebSocket's frames, typed. Amounts stay text here; `normalise` makes integers.

Unknown fields are ignored, unknown enum values read as UNKNOWN, unknown frame types become
`UnknownFrame`; a known frame that lacks a required field is refused by name.
"""

from __future__ import annotations

from typing import Any, Final, get_args

import msgspec

from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.schemas.commands import (
    Channel,
    Command,
    CommandParams,
    add_markets,
    decode_command,
    delete_markets,
    get_snapshot,
    list_subscriptions,
    subscribe,
    unsubscribe,
)
from processes.adapters.kalshi.schemas.rest import Market
from processes.adapters.kalshi.schemas.stream_messages import (
    Count,
    DeltaMsg,
    ErrorMsg,
    EventFeeUpdateMsg,
    EventLifecycleMsg,
    FillMsg,
    LifecycleMsg,
    MarketPositionMsg,
    Millis,
    OkMsg,
    SnapshotMsg,
    SubscribedMsg,
    TradeMsg,
    UserOrderMsg,
)

__all__ = [
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
    "Market",
    "MarketPosition",
    "MarketPositionMsg",
    "Ok",
    "OkMsg",
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

TERMINAL_CODES: Final = frozenset({10, 25})  # channel error, buffer overflow: subscribe anew


class _Frame(
    msgspec.Struct,
    frozen=True,
    kw_only=True,
    tag_field="type",
    omit_defaults=True,
    gc=False,
):
    """Base of all frames."""

    id: int | None = None
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
    """A market's life."""

    msg: LifecycleMsg


class EventLifecycle(_Frame, frozen=True, tag="event_lifecycle"):
    """An event's life, on the channel of markets' lives."""

    msg: EventLifecycleMsg


class EventFeeUpdate(_Frame, frozen=True, tag="event_fee_update"):
    """An event's fees, on the channel of markets' lives."""

    msg: EventFeeUpdateMsg


class UnknownFrame(msgspec.Struct, frozen=True, kw_only=True):
    """A frame of a type that is not typed here; its `seq` still counts."""

    type: str
    id: int | None = None
    sid: Count | None = None
    seq: Count | None = None
    sending_ts_ms: Millis | None = None
    msg: msgspec.Raw = msgspec.Raw(b"null")


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
)
Frame = _Known | UnknownFrame

_decoder: Final[msgspec.json.Decoder[_Known]] = msgspec.json.Decoder(_Known)
_unknown: Final = msgspec.json.Decoder(UnknownFrame)
_encoder: Final = msgspec.json.Encoder()
_TYPES: Final = frozenset(str(kind.__struct_config__.tag) for kind in get_args(_Known))


def decode_frame(data: bytes) -> Frame:
    """One frame; `WireError` names the field that a known frame lacks or that does not fit."""
    try:
        return _decoder.decode(data)
    except msgspec.ValidationError as error:
        return _decode_unknown(data, error)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise WireError(f"a frame that is not JSON: {error}") from None


def _decode_unknown(data: bytes, error: msgspec.ValidationError) -> UnknownFrame:
    """The frame as one of an unknown type, unless its type is known."""
    try:
        frame = _unknown.decode(data)
    except (
        msgspec.DecodeError,
        UnicodeDecodeError,
    ) as deeper:
        raise WireError(f"a frame that does not fit: {deeper}") from None
    if frame.type in _TYPES:
        raise WireError(f"{frame.type}: {error}")
    return frame


def encode_frame(frame: Frame) -> bytes:
    """The frame as the exchange sends it, newline included."""
    return _encoder.encode(frame) + b"\n"
