"""Hands the core's events to every connection that subscribed to them.

The exchange sends a private fill and the public trade of the same execution in either order
(PROTOCOL 4.6). The core's own order is trade, then fill; `Delivery` can turn it round, and can send
fills twice or late, for tests.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Set
from typing import Any, Final

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
    TradePrinted,
)
from processes.exchange.core.ledger import TradingAccount
from processes.exchange.core.markets import ListedMarket
from processes.exchange.stream.frames import (
    Frame,
    delta_frame,
    event_fee_frame,
    event_frame,
    fill_frame,
    group_frame,
    lifecycle_frame,
    order_frame,
    position_frame,
    snapshot_frame,
    ticker_frame,
    trade_frame,
)
from processes.exchange.stream.session import StreamSession, Subscription

__all__ = ["Delivery", "Hub", "SentCounters"]

Emit = Callable[[Event], None]
OF_THE_EXECUTION: Final = (OrderFilled, OrderChanged, PositionChanged)
UNTIL_CLEARED: Final = -1


class Delivery:
    """`publish` is `emit` itself while no fault is ordered."""

    def __init__(self, emit: Emit) -> None:
        self.publish: Emit = emit
        self._emit = emit
        self._late: deque[OrderFilled] = deque()
        self._trades: deque[TradePrinted] = deque()
        self._reversed: list[OrderFilled] = []
        self._reset()

    def _reset(self) -> None:
        self._twice = self._delayed = self._reorders = 0
        self._reorder_s = 0.0
        self._delay_s = 0.0
        self._fills_first = False

    def duplicate(self, fills: int) -> None:
        """Send the next fills twice."""
        self._twice += fills
        self.publish = self._publish

    def delay(self, ms: int, fills: int) -> None:
        """Send the next `fills` late by `ms`; 0 for all until cleared."""
        self._delay_s, self._delayed = ms / 1000, fills or UNTIL_CLEARED
        self.publish = self._publish

    def reorder(self, ms: int, fills: int) -> None:
        """Hold the next `fills` and send them in reverse, `ms` after the first of them."""
        self._reorder_s, self._reorders = ms / 1000, fills
        self.publish = self._publish

    def fills_first(self, *, on: bool) -> None:
        """Send each fill before its public trade."""
        self._fills_first = on
        self.publish = self._publish

    def clear(self) -> None:
        """End the faults; what was held is sent now."""
        self._reset()
        while self._late:
            self._emit_late()
        self._emit_reversed()
        self._emit_trades()
        self.publish = self._emit

    def state(self) -> dict[str, Any]:
        """For the admin port."""
        return {
            "fills_duplicated": self._twice,
            "fills_delayed": self._delayed,
            "fills_held": len(self._late) + len(self._reversed),
            "fills_first": self._fills_first,
        }

    def _publish(self, event: Event) -> None:
        if isinstance(event, TradePrinted) and self._fills_first:
            self._emit_trades()
            self._trades.append(event)
            asyncio.get_running_loop().call_soon(self._emit_trades)
        elif isinstance(event, OrderFilled):
            for _ in range(self._times()):
                self._fill(event)
        else:
            if not isinstance(event, OF_THE_EXECUTION):
                self._emit_trades()
            self._emit(event)

    def _emit_trades(self) -> None:
        """The execution is complete: its trade follows."""
        while self._trades:
            self._emit(self._trades.popleft())

    def _times(self) -> int:
        if not self._twice:
            return 1
        self._twice -= 1
        return 2

    def _fill(self, fill: OrderFilled) -> None:
        if self._reorders:
            self._reorders -= 1
            if not self._reversed:
                asyncio.get_running_loop().call_later(self._reorder_s, self._emit_reversed)
            self._reversed.append(fill)
            return
        if not self._delayed:
            self._emit(fill)
            return
        if self._delayed != UNTIL_CLEARED:
            self._delayed -= 1
        self._late.append(fill)
        asyncio.get_running_loop().call_later(self._delay_s, self._emit_late)

    def _emit_late(self) -> None:
        """The oldest that is held; empty when it was cleared meanwhile."""
        if self._late:
            self._emit(self._late.popleft())

    def _emit_reversed(self) -> None:
        """The newest that is held first; nothing when it was cleared meanwhile."""
        held, self._reversed = self._reversed, []
        for fill in reversed(held):
            self._emit(fill)


OVERFLOW: Final = 25  # the client does not read

Pair = tuple[StreamSession, Subscription]

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
        self.sessions: dict[int, StreamSession] = {}
        self.known: dict[int, StreamSession] = {}  # those that have gone, too: the admin port asks
        self.sent = SentCounters()
        self._tops: dict[str, tuple[int, ...]] = {}
        self._book_pairs: dict[str, list[Pair]] = {}
        self._has_ticker = False  # whether anybody follows quotes
        self._handlers: dict[type[Event], Callable[..., None]] = {
            BookChanged: self._on_change,
            BookReplaced: self._on_replaced,
            TradePrinted: self._on_trade,
            OrderFilled: self._on_fill,
            OrderChanged: self._on_order,
            PositionChanged: self._on_position,
            LifecycleChanged: lambda e: self._on_lifecycle(lifecycle_frame(e)),
            EventCreated: lambda e: self._on_lifecycle(event_frame(e)),
            EventFeeChanged: lambda e: self._on_lifecycle(event_fee_frame(e)),
            GroupChanged: self._on_group,
        }

    def add(self, session: StreamSession) -> None:
        """A client connected."""
        self.sessions[session.number] = self.known[session.number] = session

    def remove(self, session: StreamSession) -> None:
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

    def command(self, session: StreamSession, data: str | bytes) -> None:
        """A client said something; its subscriptions may have changed."""
        session.handle(data)
        self._subscriptions_changed()

    def end(self, session: StreamSession, subscription: Subscription, code: int = OVERFLOW) -> None:
        """End a subscription with a terminal error, its last frame."""
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
            own = order is not None and session.caller.sees(order.account)
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

    def _on_trade(self, trade: TradePrinted) -> None:
        ticker = trade.market.ticker
        pairs = self.pairs(Channel.TRADE, ticker)
        if pairs:
            frame = trade_frame(trade)
            for session, subscription in pairs:
                self.sent.trades[ticker] += session.push(subscription, frame)
        self._tick(trade.market)

    def _on_lifecycle(self, frame: Frame) -> None:
        """The channel takes no filter of markets."""
        for session in self.sessions.values():
            subscription = session.of(Channel.LIFECYCLE)
            if subscription is not None:
                session.push(subscription, frame)

    def _tick(self, market: ListedMarket) -> None:
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

    def _private(
        self, channel: Channel, account: TradingAccount, ticker: str, frame: Frame
    ) -> None:
        for session, subscription in self.pairs(channel, ticker):
            if session.caller.sees(account):
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
            if subscription is not None and session.caller.sees(change.account):
                session.push(subscription, frame)
