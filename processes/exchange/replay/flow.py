"""Replays recordings: their frames in their own time, at a speed, waiting for its subscribers.

The published book is exactly the recorded book: orders of accounts are not in it (see
`matching`), so every client gets the same frames whatever the actor does, at every speed. A frame
carries its recorded receive time as `sending_ts_ms`.

A market is known from the start (`initialized`) and opens with its first recorded snapshot. Time
then stands until a client has subscribed to its book, `PATIENCE_S` at most, so that a collector
misses nothing. Silence is cut to two seconds: market time jumps, frames keep their times.
"""

from __future__ import annotations

import asyncio
import math
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from ipc.clock import NS_PER_S, mono_ns
from ipc.units import ONE_DOLLAR_E4
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.recordings import RecordedFrame, RecordingError
from processes.adapters.kalshi.schemas.frames import Delta, Snapshot, Trade
from processes.adapters.kalshi.schemas.normalise import (
    change_of_delta,
    exchange_ms,
    levels_of_snapshot,
    trade_of,
)
from processes.adapters.kalshi.schemas.stream_messages import DeltaMsg, SnapshotMsg, TradeMsg
from processes.exchange.core.books import YES, Level
from processes.exchange.core.events import BookChanged, TradePrinted
from processes.exchange.core.markets import ListedMarket, MarketPhase
from processes.exchange.core.order_entry import OrderEntry
from processes.exchange.core.venue import Venue
from processes.exchange.replay.timeline import Item, ReplaySource, Step, facts_of, timeline
from processes.exchange.shared.market_time import MarketTime
from processes.exchange.stream.hub import Hub
from processes.runtime.log import Log

__all__ = ["PATIENCE_S", "Replay"]

PATIENCE_S: Final = 10.0  # real time that a market waits for its first subscriber
FIRST_PATIENCE_S: Final = 30.0  # before anybody has subscribed: the others are still starting
GRACE_S: Final = 0.2  # after it, for the same client's other channels
POLL_S: Final = 0.005
SILENCE_MS: Final = 2_000
PASS_GAP_MS: Final = 60_000  # between the end of one pass and the start of the next
BATCH: Final = 256  # steps between two breaths
LAG_S: Final = 0.25  # real time; further behind, market time is paused until the frames are there
NAP_S: Final = 0.05


class Replay:
    """The flow of recorded markets. `room` waits until the slowest client has room again."""

    def __init__(
        self,
        recordings: list[ReplaySource],
        venue: Venue,
        order_entry: OrderEntry,
        hub: Hub,
        time: MarketTime,
        room: Callable[[], Awaitable[None]],
        log: Log,
    ) -> None:
        self._recordings = recordings
        self._venue = venue
        self._order_entry = order_entry
        self._hub = hub
        self._time = time
        self._room = room
        self._log = log
        self._shift_ms = 0
        self._last_ms = recordings[0].starts_ms
        self._allowed_ms: float = 0
        self._passes = 0
        self._anyone_yet = False
        self._values: dict[str, int | None] = {}

    async def run(self, *, loop: bool) -> None:
        """Replay once, or again and again; then time stands."""
        while True:
            self._prepare()
            await self._pass()
            self._log("replay_finished", passes=self._passes, market_ms=self._last_ms)
            if not loop:
                break
            first_ms = self._recordings[0].starts_ms
            self._shift_ms = self._last_ms + PASS_GAP_MS - first_ms
        self._time.pause(max(self._last_ms, self._time.now_ms()))

    def _prepare(self) -> None:
        """Make the markets of this pass known."""
        self._passes += 1
        for recording in self._recordings:
            for market in recording.markets:
                facts = facts_of(market, self._shift_ms, recording.starts_ms)
                self._venue.add_market(facts)
                self._values[market.ticker] = market.yes_value_e4

    async def _pass(self) -> None:
        taken = 0
        self._allowed_ms = math.inf if self._time.speed == 0 else self._last_ms
        for item in timeline(self._recordings, self._on_cut):
            ms = item.ms + self._shift_ms
            if ms > self._allowed_ms:
                await self._reach(ms)
                taken = 0
            opened = self._take(item, ms)
            taken += 1
            if opened is not None:
                await self._hold(opened, ms)
            elif taken >= BATCH or item.step is not Step.FRAME:
                await self._breathe()
                taken = 0
        await self._breathe()

    def _on_cut(self, line: str) -> None:
        """Once for each file, not in every pass."""
        if self._passes == 1:
            self._log("recording_cut", detail=line)

    # Pace

    async def _reach(self, ms: int) -> None:
        """Wait until it is `ms` by market time; a long silence is cut short."""
        if ms - self._last_ms > SILENCE_MS and not self._time.is_paused:
            await self._sleep_until(self._last_ms + SILENCE_MS)
            self._time.run(ms)
        elif self._time.is_paused:
            self._time.run(ms)
        await self._sleep_until(ms)
        now_ms = self._time.now_ms()
        if now_ms - ms > LAG_S * 1000 * self._time.speed:
            self._time.pause(now_ms)  # until the frames are there, too
        self._allowed_ms = now_ms
        await asyncio.sleep(0)

    async def _sleep_until(self, ms: int) -> None:
        while (wait_s := self._time.wait_s(ms)) > 0:
            await asyncio.sleep(min(wait_s, NAP_S))
            self._order_entry.expire(min(self._time.now_ms(), ms))

    async def _breathe(self) -> None:
        """Let clients read and write; at speed 0, wait for the slowest and announce the time."""
        if self._time.speed == 0:
            self._time.pause(self._last_ms)
            await self._room()
        await asyncio.sleep(0)

    async def _hold(self, market: ListedMarket, ms: int) -> None:
        """Time stands until a client follows the market's book, or patience ends."""
        if self._hub.book_pairs(market.ticker):
            self._anyone_yet = True
            return
        self._time.pause(ms)
        patience_s = PATIENCE_S if self._anyone_yet else FIRST_PATIENCE_S
        until_ns = mono_ns() + int(patience_s * NS_PER_S)
        while not self._hub.book_pairs(market.ticker) and mono_ns() < until_ns:  # noqa: ASYNC110
            await asyncio.sleep(POLL_S)
        if self._hub.book_pairs(market.ticker):
            self._anyone_yet = True
            await asyncio.sleep(GRACE_S)
        else:
            self._log.warning("market_not_followed", ticker=market.ticker, waited_s=patience_s)
        if self._time.speed:
            self._time.run(ms)
            self._allowed_ms = self._time.now_ms()

    # Steps

    def _take(self, item: Item, ms: int) -> ListedMarket | None:
        """Take one step -> the market that it opened."""
        self._last_ms = max(self._last_ms, ms)
        self._venue.step_ms = ms
        self._order_entry.expire(ms)
        opened = None
        if item.frame is not None:
            opened = self._on_frame(item.frame)
        else:
            self._on_end(item, ms)
        self._venue.step_ms = None
        return opened

    def _on_frame(self, recorded: RecordedFrame) -> ListedMarket | None:
        frame, sent_ms = recorded.frame, recorded.recv_ms + self._shift_ms
        try:
            if isinstance(frame, Delta):
                self._on_delta(frame.msg, sent_ms)
            elif isinstance(frame, Trade):
                self._on_trade(frame.msg, sent_ms)
            elif isinstance(frame, Snapshot):
                return self._on_snapshot(frame.msg, sent_ms)
        except WireError as error:
            raise RecordingError(recorded.path, recorded.line, str(error)) from None
        return None

    def _started(self, ticker: str) -> ListedMarket | None:
        """A market whose first snapshot has been seen."""
        market = self._venue.markets.get(ticker)
        if market is None or market.status is MarketPhase.INITIALIZED:
            return None
        return market

    def _flowing(self, ticker: str) -> ListedMarket | None:
        """The same, if its recording still speaks for it."""
        market = self._started(ticker)
        return None if market is None or market.is_cut_short else market

    def _ts(self, msg: DeltaMsg | TradeMsg, sent_ms: int) -> int:
        known_ms = exchange_ms(msg.ts_ms, msg.ts)
        return known_ms + self._shift_ms if known_ms else sent_ms

    def _on_delta(self, msg: DeltaMsg, sent_ms: int) -> None:
        market = self._flowing(msg.market_ticker)
        if market is None:
            return
        leg, price_e4, delta_e2 = change_of_delta(msg)
        ts_ms = self._ts(msg, sent_ms)
        self._venue.change_book(BookChanged(market, leg, price_e4, delta_e2, ts_ms, sent_ms))
        self._order_entry.clearings[market.ticker].matcher.on_change(leg, price_e4, delta_e2, ts_ms)

    def _on_trade(self, msg: TradeMsg, sent_ms: int) -> None:
        market = self._flowing(msg.market_ticker)
        if market is None:
            return
        taker_leg, yes_price_e4, count_e2 = trade_of(msg)
        ts_ms, trade_id = self._ts(msg, sent_ms), msg.trade_id
        is_block = msg.is_block_trade is True
        if self._passes > 1:
            trade_id = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{trade_id}/{self._passes}"))
        self._venue.print_trade(
            TradePrinted(
                market, trade_id, yes_price_e4, count_e2, taker_leg, ts_ms, sent_ms, is_block
            )
        )
        if is_block:  # agreed off the book: it takes nothing from the queue
            return
        maker_leg = 1 - taker_leg
        price_e4 = yes_price_e4 if maker_leg == YES else ONE_DOLLAR_E4 - yes_price_e4
        matcher = self._order_entry.clearings[market.ticker].matcher
        matcher.on_trade(maker_leg, price_e4, count_e2, ts_ms)

    def _on_snapshot(self, msg: SnapshotMsg, sent_ms: int) -> ListedMarket | None:
        market = self._venue.markets.get(msg.market_ticker)
        if market is None or market.is_cut_short:
            return None
        sides, prices, counts = levels_of_snapshot(msg)
        rows = zip(sides.tolist(), prices.tolist(), counts.tolist(), strict=True)
        levels: tuple[Level, ...] = tuple(rows)
        if market.status is MarketPhase.INITIALIZED:
            market.market_id = msg.market_id or market.market_id
            self._order_entry.open(market)
            market.status = MarketPhase.ACTIVE
            self._venue.replace_book(market, levels, sent_ms)
            self._venue.open_market(market, sent_ms)
            return market
        self._venue.replace_book(market, levels, sent_ms)
        self._order_entry.clearings[market.ticker].matcher.on_replaced(levels)
        return None

    def _on_end(self, item: Item, ms: int) -> None:
        """A market closes, is determined, or settles; one that never opened stays unopened."""
        market = self._started(item.ticker)
        value_e4 = self._values[item.ticker]
        if market is None or market.status is MarketPhase.FINALIZED:  # by order
            return
        if item.step is Step.CLOSE and market.is_running:
            self._order_entry.close(market)
            self._venue.close_market(market, ms)
        elif item.step is Step.DETERMINE and value_e4 is not None:
            result = {0: "no", ONE_DOLLAR_E4: "yes"}.get(value_e4, "scalar")
            self._venue.determine_market(market, result, value_e4, ms)
        elif item.step is Step.SETTLE:
            self._order_entry.settle(market, ms)
            self._venue.settle_market(market, ms)
