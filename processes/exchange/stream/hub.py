"""Hands what the core says to every connection that subscribed to it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Set
from typing import Final

from processes.adapters.kalshi.schemas.frames import Channel
from processes.exchange.core.events import (
    BookChanged,
    BookReplaced,
    Event,
    EventCreated,
    EventFeeChanged,
    GroupChanged,
    LifecycleChanged,
    OrderChanged,
    OrderFilled,
    PositionChanged,
    Traded,
)
from processes.exchange.core.ledger import Account
from processes.exchange.core.markets import Market
from processes.exchange.stream.frames import (
    Frame,
    delta_frame,
    fill_frame,
    order_frame,
    position_frame,
    snapshot_frame,
    ticker_frame,
    trade_frame,
)
from processes.exchange.stream.life_frames import (
    event_fee_frame,
    event_frame,
    group_frame,
    lifecycle_frame,
)
from processes.exchange.stream.session import Session
from processes.exchange.stream.subscriptions import Subscription

__all__ = ["Hub", "SentCounters"]

OVERFLOW: Final = 25  # the client does not read

Pair = tuple[Session, Subscription]

KEPT_SESSIONS: Final = 128  # of those that have gone
KEPT_FRAMES: Final = 8_000_000  # of all of them: eight bytes each
FORGOTTEN: Final = "forgotten"


class SentCounters:
    """Frames sent, by kind and market, over all connections."""

    def __init__(self) -> None:
        self.deltas: Counter[str] = Counter()
        self.snapshots: Counter[str] = Counter()
        self.trades: Counter[str] = Counter()

    def forget(self, tickers: Set[str]) -> None:
        """Count these markets as one from now on."""
        for counter in (self.deltas, self.snapshots, self.trades):
            for ticker in counter.keys() & tickers:
                counter[FORGOTTEN] += counter.pop(ticker)


class Hub:
    """The sink of the core's events."""

    def __init__(self) -> None:
        self.sessions: dict[int, Session] = {}
        self.known: dict[int, Session] = {}  # those that have gone, too: the admin port asks
        self.sent = SentCounters()
        self._tops: dict[str, tuple[int, ...]] = {}
        self._book_pairs: dict[str, list[Pair]] = {}
        self._has_ticker = False  # whether anybody follows quotes
        self._handlers: dict[type[Event], Callable[..., None]] = {
            BookChanged: self._on_change,
            BookReplaced: self._on_replaced,
            Traded: self._on_trade,
            OrderFilled: self._on_fill,
            OrderChanged: self._on_order,
            PositionChanged: self._on_position,
            LifecycleChanged: lambda e: self._on_life(lifecycle_frame(e)),
            EventCreated: lambda e: self._on_life(event_frame(e)),
            EventFeeChanged: lambda e: self._on_life(event_fee_frame(e)),
            GroupChanged: self._on_group,
        }

    def add(self, session: Session) -> None:
        """A client connected."""
        self.sessions[session.number] = self.known[session.number] = session

    def remove(self, session: Session) -> None:
        """A client is gone."""
        self.sessions.pop(session.number, None)
        self._subscriptions_changed()
        gone = [number for number in self.known if number not in self.sessions]
        room = KEPT_FRAMES
        for place, number in enumerate(reversed(gone)):
            room -= self.known[number].kept
            if place >= KEPT_SESSIONS or room < 0:
                del self.known[number]

    def forget(self, tickers: Set[str]) -> None:
        """These markets are not there any more; what was sent of them stays counted."""
        for ticker in tickers:
            self._tops.pop(ticker, None)
            self._book_pairs.pop(ticker, None)
        self.sent.forget(tickers)

    def command(self, session: Session, data: str | bytes) -> None:
        """A client said something; its subscriptions may have changed."""
        session.handle(data)
        self._subscriptions_changed()

    def end(self, session: Session, subscription: Subscription, code: int = OVERFLOW) -> None:
        """A subscription is over: its client is told why, and that is its last frame."""
        session.end(subscription, code)
        self._subscriptions_changed()

    def _subscriptions_changed(self) -> None:
        self._book_pairs.clear()
        self._has_ticker = any(s.of(Channel.TICKER) for s in self.sessions.values())

    def __call__(self, event: Event) -> None:
        """Publish one event."""
        self._handlers[type(event)](event)

    def pairs(self, channel: Channel, ticker: str) -> list[Pair]:
        """Connections and subscriptions that cover a market on a channel."""
        return [
            (session, subscription)
            for session in self.sessions.values()
            for subscription in session.by_sid.values()
            if subscription.channel is channel and subscription.covers(ticker)
        ]

    def book_pairs(self, ticker: str) -> list[Pair]:
        """Those who follow a market's book."""
        pairs = self._book_pairs.get(ticker)
        if pairs is None:
            pairs = self._book_pairs[ticker] = self.pairs(Channel.BOOK, ticker)
        return pairs

    def has_book_followers(self) -> bool:
        """Whether anybody follows a book at all."""
        return any(session.of(Channel.BOOK) for session in self.sessions.values())

    # Public

    def _on_change(self, change: BookChanged) -> None:
        market = change.market
        pairs = self.book_pairs(market.ticker)
        if pairs:
            self.sent.deltas[market.ticker] += self._send_change(change, pairs)
        if self._has_ticker:
            self._tick(market)

    @staticmethod
    def _send_change(change: BookChanged, pairs: list[Pair]) -> int:
        """To all who follow the book -> how many frames were sent."""
        market, order = change.market, change.order
        frames: dict[tuple[bool, bool], Frame] = {}
        sent = 0
        for session, subscription in pairs:
            own = order is not None and session.asker.sees(order.account)
            form = subscription.on_yes_scale, own
            frame = frames.get(form)
            if frame is None:
                frame = frames[form] = delta_frame(change, on_yes_scale=form[0], own=own)
            sent += session.push(subscription, frame, market)
        return sent

    def _on_replaced(self, event: BookReplaced) -> None:
        market = event.market
        for session, subscription in self.book_pairs(market.ticker):
            frame = snapshot_frame(
                market,
                market.book.levels(),
                event.sent_ms,
                on_yes_scale=subscription.on_yes_scale,
            )
            self.sent.snapshots[market.ticker] += session.push(subscription, frame, market)
        self._tick(market)

    def _on_trade(self, trade: Traded) -> None:
        ticker = trade.market.ticker
        pairs = self.pairs(Channel.TRADE, ticker)
        if pairs:
            frame = trade_frame(trade)
            for session, subscription in pairs:
                self.sent.trades[ticker] += session.push(subscription, frame)
        self._tick(trade.market)

    def _on_life(self, frame: Frame) -> None:
        """The channel takes no filter of markets."""
        for session in self.sessions.values():
            subscription = session.of(Channel.LIFECYCLE)
            if subscription is not None:
                session.push(subscription, frame)

    def _tick(self, market: Market) -> None:
        """The ticker channel: any change of quotes, last trade or volume."""
        if not self._has_ticker:
            return
        now = (*market.top(), market.last_price_e4, market.volume_e2)
        if self._tops.get(market.ticker) == now:
            return
        self._tops[market.ticker] = now
        frame = ticker_frame(market)
        for session, subscription in self.pairs(Channel.TICKER, market.ticker):
            session.push(subscription, frame)

    # Private

    def _private(self, channel: Channel, account: Account, ticker: str, frame: Frame) -> None:
        for session, subscription in self.pairs(channel, ticker):
            if session.asker.sees(account):
                session.push(subscription, frame)

    def _on_fill(self, fill: OrderFilled) -> None:
        self._private(Channel.FILL, fill.account, fill.order.ticker, fill_frame(fill))

    def _on_order(self, change: OrderChanged) -> None:
        frame = order_frame(change)
        self._private(Channel.USER_ORDERS, change.account, change.order.ticker, frame)

    def _on_position(self, change: PositionChanged) -> None:
        frame = position_frame(change)
        self._private(Channel.MARKET_POSITIONS, change.account, change.ticker, frame)

    def _on_group(self, change: GroupChanged) -> None:
        frame = group_frame(change)
        for session in self.sessions.values():
            subscription = session.of(Channel.ORDER_GROUPS)
            if subscription is not None and session.asker.sees(change.account):
                session.push(subscription, frame)
