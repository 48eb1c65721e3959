"""One WebSocket connection without its socket: commands in, frames out, subscriptions with `seq`.

Commands, replies and error codes: PROTOCOL 4.2 to 4.4.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from typing import Any, Final, Protocol

import msgspec

from processes.adapters.kalshi.schemas.frames import Channel
from processes.exchange.core.access import Caller
from processes.exchange.core.markets import ListedMarket, MarketPhase
from processes.exchange.stream.frames import (
    Frame,
    encode_json,
    snapshot_frame,
    ticker_frame,
    unknown_snapshot_frame,
)

__all__ = ["ALL_MARKETS", "ERRORS", "NO_STATE", "UNSEQUENCED", "StreamSession", "Subscription"]

UNSEQUENCED: Final = frozenset(
    {Channel.TICKER, Channel.FILL, Channel.USER_ORDERS, Channel.MARKET_POSITIONS}
)
ALL_MARKETS: Final = None
NO_STATE: Final = -1
_STATE_BITS: Final = 40
_DELTA: Final = 1 << 39  # in a state: the frame was its last event, not the whole book
_EVENTS: Final = _DELTA - 1
DELTA_FRAME: Final = "orderbook_delta"
MOST_STATES: Final = 4_000_000  # then the older half goes


class Subscription:
    """`tickers` is `ALL_MARKETS` or the set of markets it covers."""

    def __init__(
        self, sid: int, channel: Channel, tickers: Iterable[str] | None, *, on_yes_scale: bool
    ) -> None:
        self.sid = sid
        self.channel = channel
        self.tickers = ALL_MARKETS if tickers is None else set(tickers)
        self.on_yes_scale = on_yes_scale
        self.is_sequenced = channel not in UNSEQUENCED  # whether its frames carry `seq`
        self._shows_books = channel is Channel.BOOK
        self.seq = 0
        self.frames = 0
        self.drop_next = 0  # frames to lose, for tests of gap recovery
        self._heads: dict[str, bytes] = {}
        self._states = array("q", [NO_STATE])  # by seq: which market's book, after which event
        self._first = 0  # the `seq` of the first of them

    @property
    def kept(self) -> int:
        """Frames of books whose past it remembers."""
        return len(self._states)

    def covers(self, ticker: str) -> bool:
        """Whether a market's frames belong here."""
        return self.tickers is ALL_MARKETS or ticker in self.tickers

    def listed(self) -> list[str] | None:
        """Its tickers, sorted, as an `ok` lists them."""
        return ALL_MARKETS if self.tickers is ALL_MARKETS else sorted(self.tickers)

    def stamp(self, frame: Frame, market: ListedMarket | None = None) -> bytes:
        """The frame for this subscription; a sequenced one takes the next `seq`."""
        frame_type, tail = frame
        head = self._heads.get(frame_type)
        if head is None:
            head = self._heads[frame_type] = self._head(frame_type)
        self.frames += 1
        if not self.is_sequenced:
            return head + tail
        is_delta = frame_type == DELTA_FRAME
        return b"%b%d%b" % (head, self.next_seq(market, is_delta=is_delta), tail)

    def _head(self, frame_type: str) -> bytes:
        seq = ',"seq":' if self.is_sequenced else ""
        return f'{{"type":"{frame_type}","sid":{self.sid}{seq}'.encode()

    def next_seq(self, market: ListedMarket | None = None, *, is_delta: bool = False) -> int:
        """Take the next `seq`; with a market, the frame shows its book as it is now."""
        self.seq += 1
        if self._shows_books:
            state = NO_STATE
            if market is not None:
                state = (market.number << _STATE_BITS) | market.log.events | _DELTA * is_delta
            self._states.append(state)
            if len(self._states) > MOST_STATES:
                del self._states[: MOST_STATES // 2]
                self._first += MOST_STATES // 2
        return self.seq

    def states_before(self, seq: int) -> Iterable[tuple[int, int]]:
        """(market number, events in its book) of the frames up to `seq`, newest first."""
        for n in range(min(seq, self.seq), self._first - 1, -1):
            word = self._states[n - self._first]
            if word != NO_STATE:
                yield word >> _STATE_BITS, word & _EVENTS

    def frames_between(self, first: int, last: int) -> Iterable[tuple[int, int, int, bool]]:
        """(seq, market number, events in its book, whether it is the last of them) of books."""
        for seq in range(max(first, 1, self._first), min(last, self.seq) + 1):
            word = self._states[seq - self._first]
            if word != NO_STATE:
                yield seq, word >> _STATE_BITS, word & _EVENTS, bool(word & _DELTA)


ERRORS: Final = {
    1: "Unable to process message",
    2: "Params required",
    3: "Channels required",
    4: "Subscription IDs required",
    5: "Unknown command",
    7: "Unknown subscription ID",
    8: "Unknown channel name",
    10: "Channel error",
    11: "Invalid parameter",
    12: "Exactly one subscription ID is required",
    13: "Unsupported action",
    14: "Market Ticker required",
    15: "Action required",
    25: "Subscription buffer overflow",
    26: "Subscription market limit exceeded",
    27: "Too many requests",
}
KEPT_ENDED: Final = 16  # subscriptions that have ended, whose past can still be asked for
UPDATE_ACTIONS: Final = ("add_markets", "delete_markets", "get_snapshot")


class CommandRefusal(Protocol):
    """Asks for the error code that a command is to be answered with."""

    def __call__(self, *, adds_markets: bool) -> int | None:
        """None to carry it out."""
        ...


def _none(**_: bool) -> None:
    """Every command is carried out."""


def _adds_markets(command: dict[str, Any]) -> bool:
    """Whether a command, if it is carried out, follows more markets."""
    params = command.get("params")
    action = params.get("action") if isinstance(params, dict) else None
    return command.get("cmd") == "subscribe" or action == "add_markets"


class _CommandError(Exception):
    """A command refused: the error's code."""

    def __init__(self, code: int) -> None:
        super().__init__(ERRORS[code])
        self.code = code


class StreamSession:
    """Subscriptions of one connection.

    `number` names the connection, `caller` is whose key opened it, `send` takes encoded frames,
    `market` finds a listed market by its ticker, `by_id` by its id.
    """

    def __init__(
        self,
        number: int,
        caller: Caller,
        send: Callable[[bytes], None],
        market: Callable[[str], ListedMarket | None],
        by_id: Callable[[str], ListedMarket | None] = lambda _: None,
    ) -> None:
        self.number = number
        self.caller = caller
        self.send = send
        self.by_sid: dict[int, Subscription] = {}
        self.history: dict[int, Subscription] = {}
        self.refusal: CommandRefusal = _none  # the error that is ordered for a command
        self._market = market
        self._by_id = by_id
        self._last_sid = 0

    @property
    def kept(self) -> int:
        """Frames of books whose past its subscriptions remember."""
        return sum(subscription.kept for subscription in self.history.values())

    def of(self, channel: Channel) -> Subscription | None:
        """The subscription to a channel, if there is one."""
        return next((s for s in self.by_sid.values() if s.channel is channel), None)

    def handle(self, data: str | bytes) -> None:
        """Answer one command (PROTOCOL 4.2); a bad one gets an error frame (4.3)."""
        try:
            command = msgspec.json.decode(data)
        except (ValueError, RecursionError):  # also bad UTF-8, and nesting without end
            self._refuse(0, 1)
            return
        if not isinstance(command, dict):
            self._refuse(0, 1)
            return
        given = command.get("id", 0)
        command_id = given if isinstance(given, int) and given >= 0 else 0
        code = self.refusal(adds_markets=_adds_markets(command))
        if code is not None:
            self._refuse(command_id, code, self._meant(command))
            return
        try:
            self._dispatch(command_id, command)
        except _CommandError as error:
            self._refuse(command_id, error.code)

    def _meant(self, command: dict[str, Any]) -> Subscription | None:
        """The subscription that a command names, if it is one of this connection's."""
        params = command.get("params")
        named = params if isinstance(params, dict) else {}
        sids = named.get("sids")
        wanted = [named.get("sid"), *(sids if isinstance(sids, list) else ())]
        return next((s for s in self.by_sid.values() if s.sid in wanted), None)

    def _dispatch(self, command_id: int, command: dict[str, Any]) -> None:
        match command.get("cmd"):
            case "list_subscriptions":
                self._list(command_id)
            case "subscribe":
                self._subscribe(command_id, _params(command))
            case "unsubscribe":
                self._unsubscribe(command_id, _params(command))
            case "update_subscription":
                self._update(command_id, _params(command))
            case _:
                raise _CommandError(5)

    # Commands

    def _list(self, command_id: int) -> None:
        listed = [{"channel": str(s.channel), "sid": s.sid} for s in self.by_sid.values()]
        self._answer({"type": "ok", **_id(command_id), "msg": listed})

    def _subscribe(self, command_id: int, params: dict[str, Any]) -> None:
        names = params.get("channels")
        if not isinstance(names, list) or not names:
            raise _CommandError(3)
        tickers, ids = _tickers(params), _ids(params)
        if ids is not None:
            tickers = self._tickers_of(names, ids, tickers)
        fresh: list[tuple[Subscription, Iterable[str]]] = []
        for name in dict.fromkeys(name if isinstance(name, str) else "" for name in names):
            if name not in tuple(Channel):
                self._refuse(command_id, 8)
            elif name == Channel.BOOK and tickers is None:
                self._refuse(command_id, 14)
            else:
                fresh.append(self._open(command_id, Channel(name), tickers, params))
        for subscription, new in fresh:  # acknowledgements precede data
            self._snapshots(subscription, new)
            if subscription.channel is Channel.TICKER and params.get("send_initial_snapshot"):
                self._tickers_now(new)

    def _open(
        self, command_id: int, channel: Channel, tickers: list[str] | None, params: dict[str, Any]
    ) -> tuple[Subscription, Iterable[str]]:
        """Acknowledge one channel -> what is new on it."""
        known = self.of(channel)
        if known is not None:
            return known, self._extend(command_id, known, tickers, params)
        self._last_sid += 1
        yes_scale = params.get("use_yes_price") is True
        new = Subscription(self._last_sid, channel, tickers, on_yes_scale=yes_scale)
        self.by_sid[new.sid] = self.history[new.sid] = new
        ended = [sid for sid in self.history if sid not in self.by_sid]
        for sid in ended[:-KEPT_ENDED]:
            del self.history[sid]
        msg = {"channel": str(channel), "sid": new.sid}
        self._answer({"type": "subscribed", **_id(command_id), "msg": msg})
        return new, tickers or ()

    def _extend(
        self,
        command_id: int,
        subscription: Subscription,
        tickers: list[str] | None,
        params: dict[str, Any],
    ) -> list[str]:
        """More markets for a channel that is subscribed: `ok` -> what is new."""
        new: list[str] = []
        if tickers is None:
            subscription.tickers = ALL_MARKETS
        elif subscription.tickers is not ALL_MARKETS:
            new = [t for t in dict.fromkeys(tickers) if t not in subscription.tickers]
            subscription.tickers.update(new)
        self._ok(command_id, subscription, params)
        return new

    def _unsubscribe(self, command_id: int, params: dict[str, Any]) -> None:
        sids = params.get("sids")
        if not isinstance(sids, list) or not sids:
            raise _CommandError(4)
        for sid in sids:
            self._named(sid)
        for sid in dict.fromkeys(sids):
            seq = self.by_sid.pop(sid).next_seq()  # on channels without a sequence, too
            self._answer({"type": "unsubscribed", **_id(command_id), "sid": sid, "seq": seq})

    def _update(self, command_id: int, params: dict[str, Any]) -> None:
        subscription = self._one_subscription(params)
        action = params.get("action")
        if action is None:
            raise _CommandError(15)
        if action not in UPDATE_ACTIONS:
            raise _CommandError(13)
        tickers, ids = _tickers(params), _ids(params)
        if ids is not None:
            tickers = self._tickers_of([subscription.channel], ids, tickers)
        elif not tickers:
            raise _CommandError(14)
        if action == "add_markets":
            new = self._extend(command_id, subscription, tickers, params)
            self._snapshots(subscription, new)
        elif action == "delete_markets":
            if subscription.tickers is not ALL_MARKETS:
                subscription.tickers.difference_update(tickers)
            self._ok(command_id, subscription, params)
        elif subscription.channel is not Channel.BOOK:
            raise _CommandError(13)
        else:
            self._snapshots(subscription, tickers, command_id)

    def _tickers_of(
        self, channels: list[Any], ids: list[str], tickers: list[str] | None
    ) -> list[str]:
        """Markets by their ids, which only the ticker channel takes; unknown ones have none."""
        if tickers is not None or any(channel != Channel.TICKER for channel in channels):
            raise _CommandError(11)
        found = [self._by_id(market_id) for market_id in ids]
        return [market.ticker for market in found if market is not None]

    def _one_subscription(self, params: dict[str, Any]) -> Subscription:
        sid, sids = params.get("sid"), params.get("sids")
        if sid is None and not sids:
            raise _CommandError(12)
        if sid is None:
            if not isinstance(sids, list) or len(sids) != 1:
                raise _CommandError(12)
            sid = sids[0]
        elif sids:
            raise _CommandError(12)
        return self._named(sid)

    def _named(self, sid: Any) -> Subscription:
        if not isinstance(sid, int) or sid not in self.by_sid:
            raise _CommandError(7)
        return self.by_sid[sid]

    # Frames

    def push(
        self, subscription: Subscription, frame: Frame, market: ListedMarket | None = None
    ) -> int:
        """Send a data frame, unless a test wants it lost -> how many were sent."""
        data = subscription.stamp(frame, market)
        if subscription.drop_next:
            subscription.drop_next -= 1
            return 0
        self.send(data)
        return 1

    def _snapshots(
        self, subscription: Subscription, tickers: Iterable[str], command_id: int = 0
    ) -> None:
        """The present books; a market that is not open yet sends its book when it opens."""
        if subscription.channel is not Channel.BOOK:
            return
        for ticker in tickers:
            market = self._market(ticker)
            if market is None:
                frame = unknown_snapshot_frame(ticker)
            elif market.status is MarketPhase.INITIALIZED:
                continue
            else:
                frame = snapshot_frame(
                    market,
                    market.book.levels(),
                    market.flow_ms,
                    on_yes_scale=subscription.on_yes_scale,
                )
            if command_id:
                frame = frame._replace(tail=b',"id":%d%b' % (command_id, frame.tail))
            self.push(subscription, frame, market)

    def _tickers_now(self, tickers: Iterable[str]) -> None:
        """The present quotes of markets that are newly followed."""
        subscription = self.of(Channel.TICKER)
        for ticker in tickers:
            market = self._market(ticker)
            if market is not None and subscription is not None:
                self.push(subscription, ticker_frame(market))

    def _ok(self, command_id: int, subscription: Subscription, params: dict[str, Any]) -> None:
        seq = {"seq": subscription.next_seq()} if subscription.is_sequenced else {}
        listed = subscription.listed()
        quiet = params.get("skip_ticker_ack") is True or listed is None
        msg = {} if quiet else {"msg": {"market_tickers": listed}}
        self._answer({"type": "ok", **_id(command_id), "sid": subscription.sid, **seq, **msg})

    def end(self, subscription: Subscription, code: int) -> None:
        """End a subscription with a terminal error."""
        self.by_sid.pop(subscription.sid, None)
        self._refuse(0, code, subscription)

    def _refuse(self, command_id: int, code: int, subscription: Subscription | None = None) -> None:
        """An error, of a command or of a subscription or of both."""
        scope = {}
        if subscription is not None:
            scope["sid"] = subscription.sid
            if subscription.is_sequenced:
                scope["seq"] = subscription.next_seq()
        msg = {"code": code, "msg": ERRORS[code]}
        self._answer({"type": "error", **_id(command_id), **scope, "msg": msg})

    def _answer(self, frame: dict[str, Any]) -> None:
        self.send(encode_json(frame) + b"\n")


def _id(command_id: int) -> dict[str, int]:
    return {"id": command_id} if command_id else {}


def _params(command: dict[str, Any]) -> dict[str, Any]:
    params = command.get("params")
    if not isinstance(params, dict):
        raise _CommandError(2)
    return params


def _ids(params: dict[str, Any]) -> list[str] | None:
    """`market_id` xor `market_ids`; None when neither is given."""
    one, many = params.get("market_id"), params.get("market_ids")
    if one is None and many is None:
        return None
    ids = [one] if many is None else many
    if (one is not None and many is not None) or not isinstance(ids, list):
        raise _CommandError(11)
    if not all(isinstance(i, str) and i for i in ids):
        raise _CommandError(11)
    return ids


def _tickers(params: dict[str, Any]) -> list[str] | None:
    """`market_ticker` xor `market_tickers`; None when neither is given."""
    one, many = params.get("market_ticker"), params.get("market_tickers")
    if one is not None and many is not None:
        raise _CommandError(11)
    tickers = [one] if one is not None else many
    if tickers is None or tickers == []:
        return None
    if not isinstance(tickers, list) or not all(isinstance(t, str) and t for t in tickers):
        raise _CommandError(11)
    return tickers
