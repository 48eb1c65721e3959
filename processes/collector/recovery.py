"""Which books are up to date, and what is asked for those that are not. No socket and no clock.

    offline -> subscribing -> live -> gap -> resyncing -> live

Events in (a connection, a frame, what became of a book, time), actions out. Every phase but LIVE is
left by a snapshot only; a missing frame, the end of a subscription and the end of the connection
put all markets concerned back at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from enum import Enum, StrEnum
from typing import Final

import msgspec

from ipc.messages import MarkKind
from processes.adapters.kalshi.feed.book_feed import Distrust, Note, loss_of
from processes.adapters.kalshi.schemas.frames import Channel, Frame
from processes.adapters.kalshi.stream.subscriptions import (
    Ended,
    Gap,
    Ready,
    Rejected,
    SubscriptionEvent,
    Subscriptions,
)

__all__ = ["Action", "BookVerdict", "Phase", "Recovery", "Refused", "Send"]

ASK_AGAIN_NS: Final = 2_000_000_000  # without any snapshot, before one is asked for again
REFUSED_AGAIN_NS: Final = 30_000_000_000  # before a market that was refused is tried again
# A time-out, a limit of markets, too many commands: what may be taken when it is given again soon.
PASSING: Final = frozenset({18, 26, 27})
PER_MARKET: Final = (Channel.TRADE, Channel.BOOK)  # in this order: no execution of a book is missed
NEVER_NS: Final = -(1 << 62)


class Phase(StrEnum):
    """Where a market's book stands; only a LIVE one is the exchange's."""

    OFFLINE = "offline"  # no connection
    CONNECTED = "connected"  # a connection, but no subscription: it was refused
    SUBSCRIBING = "subscribing"  # its first snapshot is to come
    LIVE = "live"
    GAP = "gap"  # out of date, and no snapshot asked for yet
    RESYNCING = "resyncing"  # a fresh snapshot is to come


class BookVerdict(Enum):
    """What a frame did to the book it belongs to, when that changes whether it is up to date."""

    LIVE = "a snapshot was applied"
    BROKEN = "the frame cannot be of this book"


class Send(msgspec.Struct, frozen=True):
    """A command for the exchange."""

    command: bytes


class Refused(msgspec.Struct, frozen=True):
    """The exchange did not do what was asked."""

    channel: str
    tickers: tuple[str, ...]
    code: int
    message: str


Action = Send | Distrust | Note | Refused
NOTHING: Final[Sequence[Action]] = ()


class _Book(msgspec.Struct):
    phase: Phase = Phase.OFFLINE
    asked_ns: int = NEVER_NS


class Recovery:
    """All followed markets over all connections of a run."""

    def __init__(self) -> None:
        self.subscriptions = Subscriptions()
        self._connected = False
        self._books: dict[str, _Book] = {}
        self._missing: dict[str, _Book] = {}  # those that are not LIVE
        self._last_snapshot_ns = NEVER_NS  # the last snapshot, of any market
        self._refused_ns: int | None = None  # when a command was refused that may be taken later

    def phase(self, ticker: str) -> Phase:
        """Of a followed market; `KeyError` for others."""
        return self._books[ticker].phase

    # Events

    def on_connected(self, now_ns: int) -> Sequence[Action]:
        """A new connection: an equal sid is a new subscription, whose count starts again."""
        self.subscriptions, self._connected = Subscriptions(), True
        return self._subscribe_all(now_ns)

    def on_disconnected(self, reason: str) -> Sequence[Action]:
        """The connection is gone, and with it every subscription."""
        if not self._connected:
            return NOTHING
        self._connected = False
        return self._distrust(MarkKind.DISCONNECTED, self._books, reason, Phase.OFFLINE)

    def follow(self, added: Iterable[str], removed: Iterable[str], now_ns: int) -> Sequence[Action]:
        """Other markets than before."""
        for ticker in removed:
            self._books.pop(ticker, None)
            self._missing.pop(ticker, None)
        for ticker in added:
            self._books[ticker] = self._missing[ticker] = _Book()
        if not self._connected:
            return NOTHING  # the next connection subscribes to everything
        leave = (self.subscriptions.remove(channel, removed) for channel in PER_MARKET)
        return [*_sent(leave), *self._subscribe(added, now_ns)]

    def on_frame(self, frame: Frame, now_ns: int) -> Sequence[Action]:
        """The frame's place in its subscription; to be asked before the frame is applied."""
        events = self.subscriptions.on_frame(frame)
        if not events:
            return NOTHING
        return [action for event in events for action in self._on_event(event, now_ns)]

    def on_verdict(self, ticker: str, verdict: BookVerdict, now_ns: int) -> None:
        """What the frame did to its book, after it was applied."""
        book = self._books[ticker]
        if verdict is BookVerdict.LIVE:
            book.phase, self._last_snapshot_ns = Phase.LIVE, now_ns
            self._missing.pop(ticker, None)
        else:
            self._lose(ticker, Phase.GAP)

    def due(
        self, now_ns: int, unrecorded: Collection[str], is_open: Callable[[str], bool]
    ) -> Sequence[Action]:
        """What is to be asked for now: to be called again and again.

        `unrecorded` are markets whose journal has room again for a snapshot that heals.
        """
        if not self._connected:
            return NOTHING
        if self._refused_ns is not None and now_ns - self._refused_ns > ASK_AGAIN_NS:
            return self._subscribe_all(now_ns)
        if not (self._missing or unrecorded):
            return NOTHING
        asked = {
            t for t in unrecorded if t in self._books and self._may_ask(self._books[t], now_ns)
        }
        refused = []
        for ticker, book in self._missing.items():
            if book.phase is Phase.CONNECTED:
                if now_ns - book.asked_ns > REFUSED_AGAIN_NS and is_open(ticker):
                    refused.append(ticker)
            elif self._may_ask(book, now_ns) and is_open(ticker):
                asked.add(ticker)
        return [*self._refresh(asked, now_ns), *self._subscribe(refused, now_ns)]

    # What events mean

    def _on_event(self, event: SubscriptionEvent, now_ns: int) -> Sequence[Action]:
        match event:
            case Gap():
                return self._on_loss(event)
            case Ended(terminal=True):
                return self._on_ended(event, now_ns)
            case Ready(channel=channel) if channel in PER_MARKET:
                gone = set(self.subscriptions.tickers(channel)) - self._books.keys()
                return _sent([self.subscriptions.remove(channel, gone)])
            case Rejected():
                return self._on_rejected(event, now_ns)
            case _:
                return NOTHING

    def _on_loss(self, event: Gap | Ended) -> Sequence[Action]:
        loss = loss_of(event, event.channel)
        if isinstance(loss, Distrust):
            return self._distrust(loss.kind, loss.tickers, loss.detail, Phase.GAP)
        return [] if loss is None else [loss]

    def _on_ended(self, event: Ended, now_ns: int) -> Sequence[Action]:
        """Code 10 or 25: subscribe again to what is followed."""
        lost = self._on_loss(event)
        if event.channel == Channel.BOOK:
            return [*lost, *self._subscribe(event.tickers, now_ns)]
        again = event.tickers if event.channel in PER_MARKET else None
        return [*lost, Send(self.subscriptions.subscribe(event.channel, again))]

    def _on_rejected(self, event: Rejected, now_ns: int) -> Sequence[Action]:
        """A market that is not subscribed now is tried again later."""
        subscribed = self.subscriptions.tickers(Channel.BOOK)
        for ticker in set(event.tickers).difference(subscribed) & self._books.keys():
            self._lose(ticker, Phase.CONNECTED)
            self._books[ticker].asked_ns = now_ns
        if event.code in PASSING:
            self._refused_ns = now_ns
        return [Refused(event.channel, event.tickers, event.code, event.message)]

    def _distrust(
        self, kind: MarkKind, tickers: Iterable[str], detail: str, phase: Phase
    ) -> Sequence[Action]:
        known = tuple(t for t in tickers if t in self._books)
        for ticker in known:
            self._lose(ticker, phase)
            self._books[ticker].asked_ns = NEVER_NS
        return [Distrust(kind, known, detail)]

    def _lose(self, ticker: str, phase: Phase) -> None:
        book = self._books[ticker]
        book.phase = phase
        self._missing[ticker] = book

    # What is asked for

    def _may_ask(self, book: _Book, now_ns: int) -> bool:
        """While snapshots come in, this market's may be among those on their way."""
        last_ns = book.asked_ns
        if book.phase is not Phase.GAP:
            last_ns = max(last_ns, self._last_snapshot_ns)
        return now_ns - last_ns > ASK_AGAIN_NS

    def _subscribe_all(self, now_ns: int) -> Sequence[Action]:
        """What is not subscribed yet of all that is followed."""
        self._refused_ns = None
        lifecycle = []
        if self.subscriptions.sid(Channel.LIFECYCLE) is None:
            lifecycle = [Send(self.subscriptions.subscribe(Channel.LIFECYCLE))]
        there = self.subscriptions.tickers(Channel.BOOK)
        new = self._subscribe(set(self._books).difference(there), now_ns)
        trades = self.subscriptions.add(Channel.TRADE, self._books)
        return [*lifecycle, *new, *_sent([trades])]

    def _subscribe(self, tickers: Iterable[str], now_ns: int) -> Sequence[Action]:
        wanted = [t for t in tickers if t in self._books]
        if not wanted:
            return NOTHING
        for ticker in wanted:
            self._lose(ticker, Phase.SUBSCRIBING)
            self._books[ticker].asked_ns = now_ns
        return _sent([self.subscriptions.add(channel, wanted) for channel in PER_MARKET])

    def _refresh(self, tickers: set[str], now_ns: int) -> Sequence[Action]:
        command = self.subscriptions.refresh(tickers) if tickers else None
        if command is None:
            return NOTHING
        for ticker in tickers:
            book = self._books[ticker]
            book.asked_ns = now_ns
            if book.phase is not Phase.LIVE:
                book.phase = Phase.RESYNCING
        return [Send(command)]


def _sent(commands: Iterable[bytes | None]) -> list[Action]:
    return [Send(command) for command in commands if command is not None]
