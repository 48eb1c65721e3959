"""Fault commands: one frozen struct each, distinguished by its `kind`; and their decoding.

The same commands come over the admin port and from RL_EXCHANGE_FAULTS. A call is one REST request;
an empty `method` means any. A market is named by its ticker or its series, "" means all that trade.
"""

from __future__ import annotations

from functools import cache
from typing import Annotated, Any, Final, Literal, get_type_hints

import msgspec
from msgspec import Meta, inspect

from ipc.errors import KalshiActorError
from processes.adapters.kalshi.schemas.frames import Channel

__all__ = [
    "FAULT_KINDS",
    "AnnounceMaintenance",
    "ChangeFees",
    "ChangeGrid",
    "ClearFaults",
    "CloseMarket",
    "DelayAcks",
    "DelayFills",
    "Disconnect",
    "DropFrame",
    "DuplicateAnswers",
    "DuplicateFills",
    "EndSubscription",
    "ErrorNext",
    "FaultCommand",
    "FaultCommandError",
    "FillsFirst",
    "HaltAcks",
    "LimitOrders",
    "LoseAnswer",
    "MoveCloseTime",
    "OddAnswers",
    "OddFrames",
    "RateLimitNext",
    "RefuseCommands",
    "RefuseSockets",
    "ReorderFills",
    "RepeatCalls",
    "SendUnknowns",
    "SetClosing",
    "SetCutoff",
    "SetExclusive",
    "SetPause",
    "SetReadLag",
    "SetResult",
    "ShuffleAcks",
    "SkewClock",
    "SlowAnswers",
    "fault_command_of",
]

Count = Annotated[int, Meta(ge=1, le=1_000_000)]
CountOrAll = Annotated[int, Meta(ge=0, le=1_000_000)]  # 0: until cleared
Status = Annotated[int, Meta(ge=400, le=599)]
Ms = Annotated[int, Meta(ge=0, le=600_000)]
AgeMs = Annotated[int, Meta(ge=0, le=30 * 86_400_000)]
PriceE4 = Annotated[int, Meta(ge=0, le=10_000)]
CountE2 = Annotated[int, Meta(ge=0, le=100_000_000)]
TimeMs = Annotated[int, Meta(ge=0, le=1 << 53)]
Seconds = Annotated[int, Meta(ge=0, le=30 * 86_400)]
Length = Annotated[int, Meta(ge=1, le=30 * 86_400)]
Number = Annotated[int, Meta(ge=1, le=1 << 31)]
Snapshots = Annotated[int, Meta(ge=0, le=2)]
Name = Annotated[str, Meta(min_length=1)]
Method = Literal["", "GET", "POST", "PUT", "DELETE"]


class FaultCommand(msgspec.Struct, frozen=True, tag_field="kind"):
    """One fault command."""


class ClearFaults(FaultCommand, frozen=True, tag="clear"):
    """End all faults and announced maintenance; send what was held."""


# Answers over REST


class ErrorNext(FaultCommand, frozen=True, tag="error_next"):
    """The next calls are refused with a status and a code."""

    status: Status = 500
    code: str = "internal_server_error"
    calls: Count = 1
    method: Method = ""


class RateLimitNext(FaultCommand, frozen=True, tag="rate_limit_next"):
    """The next calls are too many."""

    calls: Count = 1
    method: Method = ""


class SlowAnswers(FaultCommand, frozen=True, tag="slow_answers"):
    """Calls are carried out at once and answered late."""

    ms: Ms
    calls: CountOrAll = 0
    method: Method = ""


class LoseAnswer(FaultCommand, frozen=True, tag="lose_answer"):
    """The next calls are carried out; instead of their answer the connection is cut."""

    calls: Count = 1
    method: Method = ""


class RepeatCalls(FaultCommand, frozen=True, tag="repeat_calls"):
    """The next calls are carried out twice, as by a proxy that repeats them; the second answers."""

    calls: Count = 1
    method: Method = ""


class DuplicateAnswers(FaultCommand, frozen=True, tag="duplicate_answers"):
    """The answers of the next calls are sent twice on their connection."""

    calls: Count = 1
    method: Method = ""


class OddAnswers(FaultCommand, frozen=True, tag="odd_answers"):
    """The next calls are carried out; instead of their answer comes what is no answer."""

    what: Literal[
        "html", "html_502", "redirect", "nested", "not_utf8", "number", "huge", "gzip_bomb", "empty"
    ]
    calls: Count = 1
    method: Method = ""


# Commands and frames over the WebSocket


class DelayAcks(FaultCommand, frozen=True, tag="delay_acks"):
    """Commands wait before they are carried out."""

    ms: Ms = 0


class HaltAcks(FaultCommand, frozen=True, tag="halt_acks"):
    """Commands are ignored: no answer comes."""

    on: bool = True


class ShuffleAcks(FaultCommand, frozen=True, tag="shuffle_acks"):
    """Commands that come together are carried out in another order."""

    on: bool = True


class RefuseCommands(FaultCommand, frozen=True, tag="refuse_commands"):
    """The next commands are too many (27), or those that add markets exceed the limit (26)."""

    code: Literal[26, 27]
    calls: Count = 1


class DropFrame(FaultCommand, frozen=True, tag="drop_frame"):
    """The next frames are lost, their `seq` is taken; of book subscriptions, if none is named."""

    frames: Count = 1
    connection: Number | None = None
    sid: Number | None = None


class OddFrames(FaultCommand, frozen=True, tag="odd_frames"):
    """Frames that are no messages are sent; to every connection, if none is named."""

    what: Literal["html", "nested", "not_utf8", "number", "huge", "empty"]
    frames: Annotated[int, Meta(ge=1, le=1_000)] = 1
    connection: Number | None = None


class EndSubscription(FaultCommand, frozen=True, tag="end_subscription"):
    """Subscriptions end with a terminal error; all of them, if none is named."""

    code: Literal[10, 25]
    connection: Number | None = None
    sid: Number | None = None
    channel: Channel | None = None


class Disconnect(FaultCommand, frozen=True, tag="disconnect"):
    """Connections are cut; all of them, if none is named."""

    connection: Number | None = None


class RefuseSockets(FaultCommand, frozen=True, tag="refuse_sockets"):
    """WebSocket upgrades are refused with a status, until cleared; 0: no longer."""

    status: Annotated[int, Meta(ge=0, le=599)] = 503


class SkewClock(FaultCommand, frozen=True, tag="clock"):
    """The exchange's clock, which judges signatures and dates replies, is off by so much."""

    ahead_ms: Annotated[int, Meta(ge=-86_400_000, le=86_400_000)] = 0


class SendUnknowns(FaultCommand, frozen=True, tag="unknowns"):
    """Markets are listed with a status and a field that no specification has."""

    on: bool = True


# Private fills


class DuplicateFills(FaultCommand, frozen=True, tag="duplicate_fills"):
    """The next fills are sent twice."""

    fills: Count = 1


class DelayFills(FaultCommand, frozen=True, tag="delay_fills"):
    """Fills are sent late, in their order."""

    ms: Ms
    fills: CountOrAll = 0


class ReorderFills(FaultCommand, frozen=True, tag="reorder_fills"):
    """The next fills are held together and sent in reverse, so long after the first of them."""

    ms: Ms
    fills: Annotated[int, Meta(ge=2, le=1_000)] = 2


class FillsFirst(FaultCommand, frozen=True, tag="fills_first"):
    """A fill is sent before its public trade; off: after it."""

    on: bool = True


# What an exchange decides


class SetPause(FaultCommand, frozen=True, tag="pause"):
    """Of trading (cancels are taken), of the exchange (nothing is), of a market."""

    what: Literal["trading", "exchange", "market"]
    ticker: str = ""
    on: bool = True


class AnnounceMaintenance(FaultCommand, frozen=True, tag="maintenance"):
    """A pause of trading is announced, by market time; at its start connections are cut."""

    for_s: Length
    in_s: Seconds = 0


class ChangeFees(FaultCommand, frozen=True, tag="fees"):
    """Other fees of a series or of one event; without a type, none of its own."""

    series_ticker: Name
    event_ticker: str = ""
    fee_type: str = ""
    fee_multiplier_e4: int | None = None
    scheduled_ms: TimeMs | None = None


class ChangeGrid(FaultCommand, frozen=True, tag="grid"):
    """Other prices from now on."""

    structure: Name
    price_ranges: list[dict[str, Any]]
    ticker: str = ""


class MoveCloseTime(FaultCommand, frozen=True, tag="close_time"):
    """A market is said to close at another time."""

    ticker: Name
    close_ms: TimeMs


class CloseMarket(FaultCommand, frozen=True, tag="close_market"):
    """Markets close now. Without `burst` and `snapshots`, as `closing` says."""

    ticker: str = ""
    burst: bool | None = None
    snapshots: Snapshots | None = None


class SetClosing(FaultCommand, frozen=True, tag="closing"):
    """How markets close from now on: a removal of every level, then empty snapshots."""

    burst: bool = False
    snapshots: Snapshots = 1


class SetResult(FaultCommand, frozen=True, tag="result"):
    """A closed market settles at this value; one that has settled at another is corrected."""

    ticker: Name
    value_e4: PriceE4
    word: str = ""  # the result's name; without one, by the value


class LimitOrders(FaultCommand, frozen=True, tag="order_limits"):
    """The smallest order of a market, and the largest position in it; 0: no limit."""

    ticker: str = ""
    minimum_e2: CountE2 = 1
    position_e2: CountE2 = 0


class SetExclusive(FaultCommand, frozen=True, tag="mutually_exclusive"):
    """At most one market of an event resolves to yes; they return collateral to each other."""

    event_ticker: Name
    on: bool = True


class SetCutoff(FaultCommand, frozen=True, tag="history"):
    """What ended so long ago is read under `/historical` only."""

    after_ms: AgeMs


class SetReadLag(FaultCommand, frozen=True, tag="lag"):
    """How far reads lie behind."""

    orders_ms: Ms | None = None
    positions_ms: Ms | None = None


FAULT_KINDS: Final[dict[str, type[FaultCommand]]] = {
    str(kind.__struct_config__.tag): kind for kind in FaultCommand.__subclasses__()
}


class FaultCommandError(KalshiActorError, ValueError):
    """A command that is not valid: which field, its value, what is allowed."""


@cache
def _hints(kind: type[FaultCommand]) -> dict[str, Any]:
    """The fields of a kind of command, with their types."""
    return {
        name: get_type_hints(kind, include_extras=True)[name] for name in kind.__struct_fields__
    }


def _allowed(kind: inspect.Type) -> str:
    """In words, what a field takes."""
    match kind:
        case inspect.IntType(ge=int(low), le=int(high)):
            return f"a whole number, {low} to {high}"
        case inspect.IntType():
            return "a whole number"
        case inspect.BoolType():
            return "true, false"
        case inspect.LiteralType(values=values):
            return ", ".join(str(value) or '""' for value in values)
        case inspect.EnumType(cls=words):
            return ", ".join(words)
        case inspect.StrType(min_length=length):
            return "text that is not empty" if length else "text"
        case inspect.UnionType(types=types):
            return ", ".join(_allowed(t) for t in types if not isinstance(t, inspect.NoneType))
        case _:
            return "a list of objects"


def fault_command_of(body: dict[str, Any]) -> FaultCommand:
    """Decode a JSON object; `FaultCommandError` names the first field that is not valid."""
    name = body.get("kind")
    kind = FAULT_KINDS.get(name) if isinstance(name, str) else None
    if kind is None:
        raise FaultCommandError(f"kind={name!r} is unknown; allowed: {', '.join(FAULT_KINDS)}")
    hints = _hints(kind)
    for field, value in body.items():
        if field not in hints and field != "kind":
            allowed = ", ".join(hints) or "none"
            raise FaultCommandError(f"{field}={value!r} is no field of {name}; allowed: {allowed}")
    for field in inspect.type_info(kind).fields:  # type: ignore[attr-defined]
        if field.name not in body:
            if field.required:
                text = f"{field.name} of {name} is missing"
                raise FaultCommandError(f"{text}; allowed: {_allowed(field.type)}")
            continue
        try:
            msgspec.convert(body[field.name], hints[field.name])
        except msgspec.ValidationError:
            text = f"{field.name}={body[field.name]!r} of {name} cannot be used"
            raise FaultCommandError(f"{text}; allowed: {_allowed(field.type)}") from None
    return msgspec.convert(body, kind)
