"""What one connection is subscribed to: commands out, frames in, events out. No socket, no clock.

PROTOCOL.md, 4.2 to 4.4:
- A channel has one subscription (sid) for all its markets. Only the first subscribe of a channel is
  answered by `subscribed`, later ones by `ok`. Replies come in any order, matched by id only.
- `seq` counts every sequenced frame of a sid, `ok` and errors included, and is checked first.
  Nothing is resent: after a gap ask for snapshots (`refresh`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Final

import msgspec

from processes.adapters.kalshi.schemas import frames
from processes.adapters.kalshi.schemas.frames import (
    TERMINAL_CODES,
    Channel,
    Delta,
    ErrorFrame,
    Frame,
    Ok,
    OkMsg,
    Snapshot,
    Subscribed,
    Trade,
    Unsubscribed,
)

__all__ = [
    "Ended",
    "Gap",
    "Ready",
    "Rejected",
    "SubscriptionEvent",
    "Subscriptions",
]


class Ready(msgspec.Struct, frozen=True):
    """A channel has its subscription."""

    channel: str
    sid: int


class Gap(msgspec.Struct, frozen=True):
    """Frames of a subscription are missing: none of its `tickers` can be trusted."""

    channel: str
    sid: int
    expected: int
    got: int
    tickers: tuple[str, ...]


class Ended(msgspec.Struct, frozen=True):
    """A subscription ended: by an error (`terminal`, subscribe again), or as requested."""

    channel: str
    code: int
    terminal: bool
    tickers: tuple[str, ...]


class Rejected(msgspec.Struct, frozen=True):
    """A command was refused, or the exchange complains about markets of a subscription."""

    channel: str
    tickers: tuple[str, ...]
    code: int
    message: str


SubscriptionEvent = Ready | Gap | Ended | Rejected


class _Kind(StrEnum):
    SUBSCRIBE = "subscribe"
    ADD = "add"
    REMOVE = "remove"
    REFRESH = "refresh"
    UNSUBSCRIBE = "unsubscribe"


class _Command(msgspec.Struct):
    """A command without its reply; a refresh is answered by one snapshot per ticker."""

    kind: _Kind
    channel: str
    tickers: set[str]


class _State(msgspec.Struct):
    """One channel; `sid` is 0 until the exchange assigns it."""

    sid: int = 0
    tickers: set[str] = msgspec.field(default_factory=set)


NO_CODE: Final = 0
UNKNOWN_SID: Final = 7
NOTHING: Final[Sequence[SubscriptionEvent]] = ()
_DATA: Final = (Delta, Trade)


class Subscriptions:
    """The subscriptions of one connection; a new connection needs a new object.

    Methods that change something return the command to send, as JSON, or None when there is nothing
    to send. Every frame received goes to `on_frame`.

    Args:
        on_yes_scale: Ask for NO levels of books at YES prices; they are then to be read so.
    """

    def __init__(self, *, on_yes_scale: bool = True) -> None:
        self.on_yes_scale = on_yes_scale
        self._next_id = 1
        self._commands: dict[int, _Command] = {}
        self._channels: dict[str, _State] = {}
        self._names: dict[int, str] = {}
        self._seqs: dict[int, int] = {}

    def sid(self, channel: str) -> int | None:
        """The subscription of a channel, None until it is ready."""
        state = self._channels.get(channel)
        return state.sid if state and state.sid else None

    def tickers(self, channel: str) -> tuple[str, ...]:
        """The markets of a channel, sorted."""
        state = self._channels.get(channel)
        return tuple(sorted(state.tickers)) if state else ()

    def last_seq(self, sid: int) -> int:
        """The `seq` of the last sequenced frame of a subscription, 0 before the first."""
        return self._seqs.get(sid, 0)

    def start_at(self, sid: int, seq: int) -> None:
        """Expect `seq` next of a subscription that was joined in the middle, as recordings are."""
        self._seqs[sid] = seq - 1

    def _take_id(self, kind: _Kind, channel: str, tickers: Iterable[str]) -> int:
        command_id, self._next_id = self._next_id, self._next_id + 1
        self._commands[command_id] = _Command(kind, str(channel), set(tickers))
        return command_id

    def subscribe(self, channel: str, tickers: Iterable[str] | None = None) -> bytes:
        """Subscribe a channel, of `tickers` or (None) of all that it offers; safe to repeat."""
        wanted = None if tickers is None else sorted(tickers)
        state = self._channels.setdefault(str(channel), _State())
        state.tickers.update(wanted or ())
        command_id = self._take_id(_Kind.SUBSCRIBE, channel, wanted or ())
        return frames.subscribe(command_id, [channel], wanted, use_yes_price=self.on_yes_scale)

    def add(self, channel: str, tickers: Iterable[str]) -> bytes | None:
        """More markets; None when there is nothing to add."""
        state = self._channels.setdefault(str(channel), _State())
        new = sorted(set(tickers) - state.tickers)
        if not new:
            return None
        if not state.sid:
            return self.subscribe(channel, new)
        state.tickers.update(new)
        return frames.add_markets(self._take_id(_Kind.ADD, channel, new), state.sid, new)

    def remove(self, channel: str, tickers: Iterable[str]) -> bytes | None:
        """Fewer markets; None when none of them is subscribed."""
        state = self._channels.get(str(channel), _State())
        gone = sorted(set(tickers) & state.tickers)
        if not gone or not state.sid:
            return None
        state.tickers.difference_update(gone)
        return frames.delete_markets(self._take_id(_Kind.REMOVE, channel, gone), state.sid, gone)

    def refresh(self, tickers: Iterable[str]) -> bytes | None:
        """Request snapshots of books, in place of earlier requests for them."""
        state = self._channels.get(Channel.BOOK, _State())
        wanted = sorted(state.tickers.intersection(tickers))
        if not wanted or not state.sid:
            return None
        self._forget_refreshes(wanted)
        command_id = self._take_id(_Kind.REFRESH, Channel.BOOK, wanted)
        return frames.get_snapshot(command_id, state.sid, wanted)

    def unsubscribe(self, channel: str) -> bytes | None:
        """End a channel's subscription; None when there is none."""
        sid = self.sid(channel)
        if sid is None:
            return None
        return frames.unsubscribe(self._take_id(_Kind.UNSUBSCRIBE, channel, ()), [sid])

    def _forget_refreshes(self, tickers: Iterable[str]) -> None:
        """Stop waiting for these markets' snapshots: they came, or are requested again."""
        waiting = [(i, c) for i, c in self._commands.items() if c.kind is _Kind.REFRESH]
        for command_id, command in waiting:
            command.tickers.difference_update(tickers)
            if not command.tickers:
                del self._commands[command_id]

    def on_frame(self, frame: Frame) -> Sequence[SubscriptionEvent]:
        """What a frame means for the subscriptions; nearly always nothing.

        `Gap` comes before anything else that the frame means.
        """
        if isinstance(frame, _DATA) and self._seqs.get(frame.sid, 0) + 1 == frame.seq:
            self._seqs[frame.sid] = frame.seq  # nearly every frame
            return NOTHING
        events: list[SubscriptionEvent] = []
        if frame.seq is not None and frame.sid is not None:
            self._check_seq(frame.sid, frame.seq, events)
        if isinstance(frame, Snapshot):
            self._forget_refreshes((frame.msg.market_ticker,))
        elif isinstance(frame, Subscribed):
            self._answered(frame.id)
            self._ready(frame.msg.channel, frame.msg.sid, events)
        elif isinstance(frame, Ok):
            self._on_ok(frame, events)
        elif isinstance(frame, Unsubscribed):
            self._answered(frame.id)
            self._end(frame.sid, NO_CODE, terminal=False, events=events)
        elif isinstance(frame, ErrorFrame):
            self._on_error(frame, events)
        return events

    def _check_seq(self, sid: int, seq: int, events: list[SubscriptionEvent]) -> None:
        expected = self._seqs.get(sid, 0) + 1
        self._seqs[sid] = seq
        if seq != expected:
            channel = self._names.get(sid, "")
            tickers = self.tickers(channel)
            if channel == Channel.BOOK:  # what was on its way may be among the lost
                self._forget_refreshes(tickers)
            events.append(Gap(channel, sid, expected, seq, tickers))

    def _answered(self, command_id: int | None) -> _Command | None:
        return self._commands.pop(command_id, None) if command_id is not None else None

    def _ready(self, channel: str, sid: int, events: list[SubscriptionEvent]) -> None:
        state = self._channels.setdefault(channel, _State())
        if state.sid != sid:
            state.sid = sid
            self._names[sid] = channel
            events.append(Ready(channel, sid))

    def _on_ok(self, frame: Ok, events: list[SubscriptionEvent]) -> None:
        command = self._commands.get(frame.id) if frame.id is not None else None
        if command is None:
            return
        if command.kind is not _Kind.REFRESH:  # a refresh is answered by its snapshots
            self._answered(frame.id)
        if command.kind is _Kind.SUBSCRIBE and frame.sid is not None:
            self._ready(command.channel, frame.sid, events)
        if isinstance(frame.msg, OkMsg):
            self._note_refused(command, frame.msg, events)

    def _note_refused(self, command: _Command, msg: OkMsg, events: list[SubscriptionEvent]) -> None:
        """The reply lists what is subscribed; requested markets that are not in it were refused."""
        if msg.market_tickers is None or command.kind not in (_Kind.SUBSCRIBE, _Kind.ADD):
            return
        missing = tuple(sorted(command.tickers - set(msg.market_tickers)))
        if missing:
            self._channels[command.channel].tickers.difference_update(missing)
            events.append(Rejected(command.channel, missing, NO_CODE, "not in the list"))

    def _on_error(self, frame: ErrorFrame, events: list[SubscriptionEvent]) -> None:
        command, msg = self._answered(frame.id), frame.msg
        if msg.code in TERMINAL_CODES and frame.sid is not None:
            self._end(frame.sid, msg.code, terminal=True, events=events)
            return
        if command is None and frame.id is not None and msg.code == UNKNOWN_SID:
            return  # it crossed the end of its subscription, which was reported
        channel = command.channel if command else self._names.get(frame.sid or 0, "")
        named = msg.market_tickers or ([msg.market_ticker] if msg.market_ticker else [])
        tickers = command.tickers if command else set(named)
        if command and command.kind in (_Kind.SUBSCRIBE, _Kind.ADD):
            self._channels[channel].tickers.difference_update(tickers)
        events.append(Rejected(channel, tuple(sorted(tickers)), msg.code, msg.msg))

    def _end(
        self, sid: int | None, code: int, *, terminal: bool, events: list[SubscriptionEvent]
    ) -> None:
        """Forget a subscription and its unanswered commands."""
        channel = self._names.pop(sid, None) if sid is not None else None
        if channel is None or sid is None:
            return
        tickers = self.tickers(channel)
        del self._channels[channel]
        self._seqs.pop(sid, None)
        stale = [i for i, c in self._commands.items() if c.channel == channel]
        for command_id in stale:
            del self._commands[command_id]
        events.append(Ended(channel, code, terminal, tickers))
