"""OrderbookClient: one WebSocket after the other, each subscribed to everything that is followed.

A connection's death is not the session's: its books turn STALE, the session gets a mark, and the
next connection subscribes anew. Data age and liveness are two things: a quiet market is alive as
long as pings are answered.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Final

import numpy as np

from ipc.clock import Clock, mono_ns
from ipc.messages import MarkKind
from processes.adapters.kalshi.environments import KalshiTarget
from processes.adapters.kalshi.errors import AuthError, KalshiError, SocketClosed, WireError
from processes.adapters.kalshi.signing import Signer
from processes.adapters.kalshi.subscriptions import (
    Ended,
    Gap,
    Ready,
    Rejected,
    SubscriptionEvent,
    Subscriptions,
)
from processes.adapters.kalshi.websocket import KalshiSocket
from processes.adapters.kalshi.wire import Channel, Frame
from processes.collector.feed import BookFeed
from processes.collector.markets import Changes, Markets
from processes.collector.session import Session
from processes.collector.triggers import Triggers
from processes.runtime.log import Log

__all__ = ["OrderbookClient"]

BATCH: Final = 64  # frames between two flushes of triggers
FIRST_PAUSE: Final = 0.1  # seconds before the first try to connect again
LONGEST_PAUSE: Final = 5.0
ASK_AGAIN_NS: Final = 2_000_000_000  # a snapshot that did not come is asked for again
# A time-out, a limit of markets, too many commands: what may be taken when it is given again.
PASSING: Final = frozenset({18, 26, 27})
PER_MARKET: Final = (Channel.BOOK, Channel.TRADE)
_NS_PER_MS: Final = 1_000_000


class OrderbookClient:
    """Connects, subscribes, checks sequences and hands frames to the feed."""

    def __init__(
        self,
        target: KalshiTarget,
        signer: Signer,
        *,
        feed: BookFeed,
        markets: Markets,
        session: Session,
        triggers: Triggers,
        clock: Clock,
        log: Log,
        rng: np.random.Generator,
    ) -> None:
        self._target = target
        self._signer = signer
        self._feed = feed
        self._markets = markets
        self._session = session
        self._triggers = triggers
        self._clock = clock
        self._log = log
        self._rng = rng
        self._socket: KalshiSocket | None = None
        self._subscriptions = Subscriptions()
        self._asked: dict[str, int] = {}
        self._failures = 0
        self._refused_ns = 0  # when a command was refused that is to be given again, 0 for none
        self.counts: Counter[str] = Counter()

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._socket is not None

    async def run(self) -> None:
        """Connect again and again; only being cancelled ends it."""
        while True:
            try:
                await self._live()
            except KalshiError as error:
                self._lost(error)
            await asyncio.sleep(self._pause())

    async def _live(self) -> None:
        """One connection, from its opening to its end."""
        socket = await KalshiSocket.connect(self._target, self._signer)
        self._subscriptions, self._socket = Subscriptions(), socket
        self._asked.clear()
        self._refused_ns = 0
        self._session.mark(MarkKind.CONNECTED, None, self._clock.now_ns(), self._target.ws_url)
        self._log("connected", url=self._target.ws_url)
        try:
            await self._subscribe_all()
            while True:
                await self._take_batch(socket)
        finally:
            self._socket = None
            await socket.close()

    async def _take_batch(self, socket: KalshiSocket) -> None:
        try:
            frames = await socket.recv_many(BATCH)
        except WireError as error:
            self.counts["malformed_frames"] += 1
            raise SocketClosed(f"malformed frame: {error}") from None
        for frame, stamp_ns in frames:
            await self._take(frame, stamp_ns)
        self._failures = 0
        self._triggers.flush()
        await asyncio.sleep(0)  # a full queue would otherwise never let others run

    async def _take(self, frame: Frame, stamp_ns: int) -> None:
        """The subscription's number first, then what the frame says."""
        self.counts["frames"] += 1
        recv_ns = self._received(frame)
        for event in self._subscriptions.on_frame(frame):
            await self._on_event(event, recv_ns)
        try:
            on_yes_scale = self._subscriptions.on_yes_scale
            self._feed.on_frame(frame, recv_ns, stamp_ns, on_yes_scale=on_yes_scale)
        except WireError as error:  # typed but not an amount: as good as a missing frame
            self.counts["malformed_frames"] += 1
            self._feed.on_gap(self._subscriptions.tickers(Channel.BOOK), recv_ns, str(error))

    def _received(self, frame: Frame) -> int:
        """Market time of receipt; a replayed frame carries its own."""
        if self._clock.replaying and frame.sending_ts_ms is not None:
            return frame.sending_ts_ms * _NS_PER_MS
        return self._clock.now_ns()

    async def _on_event(self, event: SubscriptionEvent, recv_ns: int) -> None:
        match event:
            case Gap(channel=Channel.BOOK):
                detail = f"expected seq {event.expected}, got {event.got}"
                self._log("gap", channel=event.channel, detail=detail)
                self._feed.on_gap(event.tickers, recv_ns, detail)
                self._asked.clear()
            case Gap():
                self.counts["gaps_beside_books"] += 1
                detail = f"{event.channel}: expected seq {event.expected}, got {event.got}"
                self._session.mark(MarkKind.GAP, None, recv_ns, detail)
            case Ended(terminal=True):
                self._feed.on_gap(event.tickers, recv_ns, f"{event.channel} ended: {event.code}")
                await self._again(event)
            case Rejected():
                self.counts["commands_rejected"] += 1
                self._log("rejected", channel=event.channel, code=event.code, what=event.message)
                if event.code in PASSING:
                    self._refused_ns = mono_ns()
            case Ready() | Ended():
                pass

    async def _again(self, event: Ended) -> None:
        """Subscribe anew what the exchange has ended: to the same markets, or to all."""
        if event.channel not in PER_MARKET:
            await self._send(self._subscriptions.subscribe(event.channel))
        elif event.tickers:
            await self._send(self._subscriptions.subscribe(event.channel, event.tickers))

    async def follow(self, changes: Changes) -> None:
        """Bring the subscriptions up to what is followed now."""
        try:
            for channel in PER_MARKET:
                await self._send(self._subscriptions.remove(channel, changes.removed))
            await self._subscribe(changes.added)
        except SocketClosed:
            return  # the next connection subscribes to everything

    async def _subscribe_all(self) -> None:
        """What is not subscribed yet of all that is followed."""
        if self._subscriptions.sid(Channel.LIFECYCLE) is None:
            await self._send(self._subscriptions.subscribe(Channel.LIFECYCLE))
        await self._subscribe(self._markets.tickers)

    async def subscribe_refused(self) -> None:
        """Subscribe again, after a while, what was refused for now."""
        if self._refused_ns and mono_ns() - self._refused_ns > ASK_AGAIN_NS:
            self._refused_ns = 0
            try:
                await self._subscribe_all()
            except SocketClosed:
                return  # the next connection subscribes to everything

    async def _subscribe(self, tickers: tuple[str, ...]) -> None:
        """Trades first: once a book is there, its first execution is not missed."""
        if self._socket is not None and tickers:
            self._asked.update(dict.fromkeys(tickers, mono_ns()))
            for channel in reversed(PER_MARKET):
                await self._send(self._subscriptions.add(channel, tickers))

    async def ask_for_snapshots(self) -> None:
        """Refresh the books that cannot be believed or recorded, once there is room for them."""
        now_ns = mono_ns()
        wanted = [t for t in self._missing() if now_ns - self._asked.get(t, 0) > ASK_AGAIN_NS]
        if not wanted or self._socket is None:
            return
        self._subscriptions.give_up(wanted)
        command = self._subscriptions.refresh(wanted)
        if command is None:
            return
        self._asked.update(dict.fromkeys(wanted, now_ns))
        self.counts["snapshots_asked"] += len(wanted)
        try:
            await self._send(command)
        except SocketClosed:
            return  # the next connection brings snapshots anyway

    def _missing(self) -> set[str]:
        healable = {t for t in self._feed.holes if self._has_room(t)}
        return healable | self._markets.without_book(self._clock.now_ns())

    def _has_room(self, ticker: str) -> bool:
        market = self._markets.get(ticker)
        return market is not None and self._session.segments.room(2 * market.info.grid.size + 2)

    async def _send(self, command: bytes | None) -> None:
        if command is not None and self._socket is not None:
            await self._socket.send(command)

    def _lost(self, error: KalshiError) -> None:
        self.counts["connections_lost"] += 1
        if self._failures == 0:
            self._log("disconnected", reason=error)
            self._feed.on_disconnect(self._clock.now_ns(), str(error))
        if isinstance(error, AuthError):
            self._log("refused", reason=error)
        self._failures += 1
        self._triggers.flush()

    def _pause(self) -> float:
        """Exponential, with jitter: many clients must not come back at the same moment."""
        pause = min(FIRST_PAUSE * 2 ** min(self._failures, 16), LONGEST_PAUSE)
        return float(pause * self._rng.uniform(0.5, 1.0))
