"""Frames of the exchange in; journal, shared books and triggers out. No socket and no clock.

A book that cannot be trusted turns STALE; one whose record has a hole is in `holes`. Both need a
fresh snapshot; `Recovery` is told what became of a book, and asks for it.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

from ipc.messages import MarkKind, UpdateType
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.normalise import (
    change_of_delta,
    exchange_ms,
    levels_of_snapshot,
    trade_of,
)
from processes.adapters.kalshi.schemas.frames import Delta, Frame, Lifecycle, Snapshot, Trade
from processes.collector.markets import Followed, Markets
from processes.collector.recovery import Recovery, Verdict
from processes.collector.results import Results
from processes.collector.session import Session
from processes.collector.triggers import Triggers
from processes.collector.write_queue import Refusal, Stamps, WriteQueue

__all__ = ["BookFeed"]

Data = Delta | Trade | Snapshot
_DATA: Final = (Delta, Trade, Snapshot)  # for every frame: a tuple is told apart faster
ENDINGS = frozenset({"determined", "settled"})


class BookFeed:
    """Applies every frame of the public channels to the book it belongs to."""

    def __init__(
        self,
        markets: Markets,
        queue: WriteQueue,
        session: Session,
        triggers: Triggers,
        recovery: Recovery,
        results: Results,
    ) -> None:
        self._markets = markets
        self._queue = queue
        self._session = session
        self._triggers = triggers
        self._recovery = recovery
        self._results = results
        self.holes: set[str] = set()
        self._on_yes_scale = False
        self.news = False  # the exchange spoke of a market's life: look at its list
        self.counts: Counter[str] = Counter()

    def on_frame(
        self, frame: Frame, recv_ns: int, mono_ns: int, *, on_yes_scale: bool = False
    ) -> None:
        """One frame whose `seq` has been checked; `on_yes_scale` as its subscription was made."""
        self._on_yes_scale = on_yes_scale
        if isinstance(frame, _DATA):
            market = self._markets.get(frame.msg.market_ticker)
            if market is None:
                self.counts["frames_of_unknown_markets"] += 1
                return
            try:
                if isinstance(frame, Delta):
                    self._on_delta(frame, market, recv_ns, mono_ns)
                elif isinstance(frame, Trade):
                    self._on_trade(frame, market, recv_ns, mono_ns)
                else:
                    self._on_snapshot(frame, market, recv_ns, mono_ns)
            except WireError as error:  # typed but not an amount: as good as a missing frame
                self.counts["malformed_amounts"] += 1
                self._lose(market, frame, recv_ns, mono_ns, str(error))
        elif isinstance(frame, Lifecycle):
            self._on_lifecycle(frame, recv_ns)

    def _on_delta(self, frame: Delta, market: Followed, recv_ns: int, mono_ns: int) -> None:
        msg = frame.msg
        if msg.clock is not None and msg.clock <= market.snapshot_clock:
            self.counts["deltas_before_snapshot"] += 1  # the snapshot holds them
            return
        side, price_e4, delta_e2 = change_of_delta(msg, on_yes_scale=self._on_yes_scale)
        stamps = Stamps(frame.seq, exchange_ms(msg.ts_ms, msg.ts), recv_ns, mono_ns)
        accepted = self._queue.enqueue_delta(market.row, side, price_e4, delta_e2, stamps)
        self._settle(market, frame, UpdateType.DELTA, accepted, stamps)

    def _on_trade(self, frame: Trade, market: Followed, recv_ns: int, mono_ns: int) -> None:
        msg = frame.msg
        taker_side, yes_price_e4, count_e2 = trade_of(msg)
        stamps = Stamps(frame.seq, exchange_ms(msg.ts_ms, msg.ts), recv_ns, mono_ns)
        accepted = self._queue.enqueue_trade(market.row, taker_side, yes_price_e4, count_e2, stamps)
        self._settle(market, frame, UpdateType.TRADE, accepted, stamps)

    def _on_snapshot(self, frame: Snapshot, market: Followed, recv_ns: int, mono_ns: int) -> None:
        stamps = Stamps(frame.seq, 0, recv_ns, mono_ns)
        levels = levels_of_snapshot(frame.msg, on_yes_scale=self._on_yes_scale)
        accepted = self._queue.enqueue_snapshot(market.row, *levels, stamps)
        ticker = market.info.ticker
        if accepted and ticker in self.holes:
            self.holes.discard(ticker)
            self._session.mark(MarkKind.HEALED, ticker, recv_ns)
        if self._settle(market, frame, UpdateType.SNAPSHOT, accepted, stamps):
            market.snapshot_clock = frame.msg.clock or 0
            self._recovery.on_verdict(ticker, Verdict.LIVE, mono_ns)

    def _on_lifecycle(self, frame: Lifecycle, recv_ns: int) -> None:
        self.news = True
        if frame.msg.event_type in ENDINGS:
            self._markets.close(frame.msg.market_ticker, recv_ns, str(frame.msg.event_type))
            try:
                self._results.on_lifecycle(frame.msg, recv_ns)
            except WireError:  # it is asked for
                self.counts["malformed_amounts"] += 1

    def _settle(
        self,
        market: Followed,
        frame: Data,
        update_type: UpdateType,
        accepted: bool,
        stamps: Stamps,
    ) -> bool:
        """Trigger on what was accepted, remember what was not; False when it is not in the book."""
        ticker = market.info.ticker
        if accepted:
            self._triggers.mark(market.row, ticker, update_type)
            return True
        refusal = self._queue.last_refusal
        if refusal is Refusal.JOURNAL_FULL:
            if ticker not in self.holes:
                self.holes.add(ticker)
                self._session.mark(MarkKind.HOLE, ticker, stamps.recv_ns, str(refusal))
            return True
        if refusal is not Refusal.NOT_LIVE:
            self._lose(market, frame, stamps.recv_ns, stamps.frame_mono_ns, str(refusal))
        return False

    def _lose(self, market: Followed, frame: Data, recv_ns: int, mono_ns: int, reason: str) -> None:
        """The frame cannot be true: if it is of the book, what we hold is not the exchange's."""
        ticker = market.info.ticker
        self._session.mark(MarkKind.GAP, ticker, recv_ns, reason)
        if not isinstance(frame, Trade):  # no level depends on trades
            self._markets.make_stale([ticker])
            self._recovery.on_verdict(ticker, Verdict.BROKEN, mono_ns)

    def distrust(self, kind: MarkKind, tickers: tuple[str, ...], recv_ns: int, detail: str) -> None:
        """Believe none of these books: a frame of theirs is missing, or their connection gone."""
        self.counts["gaps"] += kind is MarkKind.GAP
        self._markets.make_stale(tickers)
        self._session.mark(kind, None, recv_ns, detail)
