"""Frames of the exchange in; journal, shared books and triggers out. No socket and no clock.

A book that cannot be trusted turns STALE; one whose record has a hole is in `holes`. Both need a
fresh snapshot, which the client asks for.
"""

from __future__ import annotations

from collections import Counter

from ipc.messages import MarkKind, UpdateType
from processes.adapters.kalshi.normalise import (
    change_of_delta,
    exchange_ms,
    levels_of_snapshot,
    trade_of,
)
from processes.adapters.kalshi.wire import Delta, Frame, Lifecycle, Snapshot, Trade
from processes.collector.markets import Followed, Markets
from processes.collector.session import Session
from processes.collector.triggers import Triggers
from processes.collector.write_queue import Refusal, Stamps, WriteQueue

__all__ = ["BookFeed"]

ENDINGS = frozenset({"determined", "settled"})


class BookFeed:
    """Applies every frame of the public channels to the book it belongs to."""

    def __init__(
        self, markets: Markets, queue: WriteQueue, session: Session, triggers: Triggers
    ) -> None:
        self._markets = markets
        self._queue = queue
        self._session = session
        self._triggers = triggers
        self.holes: set[str] = set()
        self._on_yes_scale = False
        self.news = False  # the exchange spoke of a market's life: look at its list
        self.counts: Counter[str] = Counter()

    def on_frame(
        self, frame: Frame, recv_ns: int, mono_ns: int, *, on_yes_scale: bool = False
    ) -> None:
        """One frame whose `seq` has been checked; `on_yes_scale` as its subscription was made."""
        self._on_yes_scale = on_yes_scale
        if isinstance(frame, Delta):
            self._on_delta(frame, recv_ns, mono_ns)
        elif isinstance(frame, Trade):
            self._on_trade(frame, recv_ns, mono_ns)
        elif isinstance(frame, Snapshot):
            self._on_snapshot(frame, recv_ns, mono_ns)
        elif isinstance(frame, Lifecycle):
            self._on_lifecycle(frame, recv_ns)

    def _on_delta(self, frame: Delta, recv_ns: int, mono_ns: int) -> None:
        market = self._market(frame.msg.market_ticker)
        if market is None:
            return
        clock = frame.msg.clock
        if clock is not None and clock <= market.snapshot_clock:
            self.counts["deltas_before_snapshot"] += 1  # the snapshot holds them
            return
        side, price_e4, delta_e2 = change_of_delta(frame.msg, on_yes_scale=self._on_yes_scale)
        stamps = Stamps(frame.seq, exchange_ms(frame.msg.ts_ms, frame.msg.ts), recv_ns, mono_ns)
        accepted = self._queue.enqueue_delta(market.row, side, price_e4, delta_e2, stamps)
        self._settle(market, UpdateType.DELTA, accepted, recv_ns)

    def _on_trade(self, frame: Trade, recv_ns: int, mono_ns: int) -> None:
        market = self._market(frame.msg.market_ticker)
        if market is None:
            return
        taker_side, yes_price_e4, count_e2 = trade_of(frame.msg)
        stamps = Stamps(frame.seq, exchange_ms(frame.msg.ts_ms, frame.msg.ts), recv_ns, mono_ns)
        accepted = self._queue.enqueue_trade(market.row, taker_side, yes_price_e4, count_e2, stamps)
        self._settle(market, UpdateType.TRADE, accepted, recv_ns)

    def _on_snapshot(self, frame: Snapshot, recv_ns: int, mono_ns: int) -> None:
        market = self._market(frame.msg.market_ticker)
        if market is None:
            return
        stamps = Stamps(frame.seq, 0, recv_ns, mono_ns)
        levels = levels_of_snapshot(frame.msg, on_yes_scale=self._on_yes_scale)
        accepted = self._queue.enqueue_snapshot(market.row, *levels, stamps)
        ticker = market.info.ticker
        if not self._queue.last.broken:
            market.snapshot_clock = frame.msg.clock or 0
        if accepted and ticker in self.holes:
            self.holes.discard(ticker)
            self._session.mark(MarkKind.HEALED, ticker, recv_ns)
        self._settle(market, UpdateType.SNAPSHOT, accepted, recv_ns)

    def _on_lifecycle(self, frame: Lifecycle, recv_ns: int) -> None:
        self.news = True
        if frame.msg.event_type in ENDINGS:
            self._markets.close(frame.msg.market_ticker, recv_ns, str(frame.msg.event_type))

    def _market(self, ticker: str) -> Followed | None:
        market = self._markets.get(ticker)
        if market is None:
            self.counts["frames_of_unknown_markets"] += 1
        return market

    def _settle(
        self, market: Followed, update_type: UpdateType, accepted: bool, recv_ns: int
    ) -> None:
        """Trigger on what was accepted; remember what was not."""
        ticker = market.info.ticker
        if accepted:
            self._triggers.mark(market.row, ticker, update_type)
            return
        refusal = self._queue.last.refusal
        if refusal is Refusal.JOURNAL_FULL and ticker not in self.holes:
            self.holes.add(ticker)
            self._session.mark(MarkKind.HOLE, ticker, recv_ns, str(refusal))
        elif self._queue.last.broken:
            self._markets.make_stale([ticker])
            self._session.mark(MarkKind.GAP, ticker, recv_ns, str(refusal))

    def on_gap(self, tickers: tuple[str, ...], recv_ns: int, detail: str) -> None:
        """A frame of these markets' subscription is missing: none of their books can be trusted."""
        self.counts["gaps"] += 1
        self._markets.make_stale(tickers)
        self._session.mark(MarkKind.GAP, None, recv_ns, detail)

    def on_disconnect(self, recv_ns: int, reason: str) -> None:
        """The connection is gone and with it every subscription."""
        self._markets.make_stale(self._markets.tickers)
        self._session.mark(MarkKind.DISCONNECTED, None, recv_ns, reason)
