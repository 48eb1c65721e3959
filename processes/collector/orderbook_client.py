"""OrderbookClient: one WebSocket after the other, each subscribed to everything that is followed.

What to ask, and which books are up to date, is decided by `Recovery`; here are the socket and the
clock. A lost connection does not end the session: the next one subscribes to everything again. A
quiet market is not a lost connection: it is alive as long as pings are answered.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Final

import numpy as np

from ipc.clock import NS_PER_MS, Clock, mono_ns
from ipc.messages import MarkKind
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.errors import AuthError, KalshiError, SocketClosed, WireError
from processes.adapters.kalshi.feed.book_feed import Distrust, Note
from processes.adapters.kalshi.feed.session import SessionJournal
from processes.adapters.kalshi.schemas.frames import Channel, Frame
from processes.adapters.kalshi.stream.socket import KalshiSocket, Stamped
from processes.collector.feed import CollectorFeed, Triggers
from processes.collector.markets import Changes, Markets
from processes.collector.recovery import Action, Recovery, Refused, Send
from processes.runtime.log import Log
from processes.runtime.tasks import Backoff

__all__ = ["RECONNECT", "OrderbookClient"]

BATCH: Final = 64  # frames between two flushes of triggers
RECONNECT: Final = Backoff(first_s=0.1, longest_s=5.0)


class OrderbookClient:
    """Connects, subscribes, checks sequences and hands frames to the feed.

    Args:
        target: host and environment.
        signer: signs the handshake.
        market_tickers: markets to follow from the first connection on; `follow` changes them.
        feed, recovery, markets, session, triggers: the other parts of this run's collector.
        clock: market time.
        log: one line per change of the connection.
        rng: the jitter of pauses.
    """

    def __init__(
        self,
        target: KalshiTarget,
        signer: Signer,
        *,
        market_tickers: Iterable[str] = (),
        feed: CollectorFeed,
        recovery: Recovery,
        markets: Markets,
        session: SessionJournal,
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
        self._recovery = recovery
        self._socket: KalshiSocket | None = None
        self._outbox: deque[bytes] = deque()  # commands that no socket has taken yet
        self._failures = 0
        self.counts: Counter[str] = Counter()
        self.markets_changed = asyncio.Event()  # the exchange's list is to be read again
        recovery.follow(market_tickers, (), mono_ns())

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._socket is not None

    async def run(self) -> None:
        """Connect again and again; only being cancelled ends it."""
        while True:
            try:
                socket = await KalshiSocket.connect(self._target, self._signer)
            except KalshiError as error:
                self._lost(error)
            else:
                await self._live(socket)
            await asyncio.sleep(RECONNECT.jittered(self._failures, self._rng))

    async def _live(self, socket: KalshiSocket) -> None:
        """One connection, from its opening to its end."""
        self._socket = socket
        self._session.mark(MarkKind.CONNECTED, None, self._clock.now_ns(), self._target.ws_url)
        self._log("exchange_connected", url=self._target.ws_url)
        try:
            self._do(self._recovery.on_connected(mono_ns()), self._clock.now_ns())
            await self._send()
            while True:
                await self._take_batch(socket)
        except KalshiError as error:
            self._lost(error)  # before closing, which takes time
        finally:
            self._socket = None
            self._outbox.clear()
            await socket.close()

    async def _take_batch(self, socket: KalshiSocket) -> None:
        try:
            frames = await socket.recv_many(BATCH)
        except WireError as error:
            self.counts["malformed_frames"] += 1
            raise SocketClosed(f"malformed frame: {error}") from None
        self.take(frames)
        self._failures = 0
        await self._send()
        await asyncio.sleep(0)  # a full queue would otherwise never let others run

    def take(self, frames: Sequence[Stamped]) -> None:
        """Frames in their order; their triggers leave together."""
        self.counts["frames"] += len(frames)
        now_ns, ahead_ns = self._clock.now_ns(), mono_ns()
        replaying = self._clock.replaying
        for frame, stamp_ns in frames:
            if not replaying:
                recv_ns = now_ns - (ahead_ns - stamp_ns)
            elif frame.sending_ts_ms is not None:  # a replayed frame carries its time of receipt
                recv_ns = frame.sending_ts_ms * NS_PER_MS
            else:
                recv_ns = now_ns
            self._take(frame, recv_ns, stamp_ns)
        self._triggers.flush()

    def _take(self, frame: Frame, recv_ns: int, stamp_ns: int) -> None:
        """The subscription's number first, then what the frame says."""
        if actions := self._recovery.on_frame(frame, stamp_ns):
            self._do(actions, recv_ns)
        on_yes_scale = self._recovery.subscriptions.on_yes_scale
        if self._feed.on_frame(frame, recv_ns, stamp_ns, on_yes_scale=on_yes_scale):
            self.markets_changed.set()

    def _do(self, actions: Sequence[Action], recv_ns: int) -> None:
        """Books turn STALE at once; commands wait for the socket."""
        for action in actions:
            match action:
                case Send(command=command):
                    self._outbox.append(command)
                case Distrust():
                    facts = {"reason": action.kind, "markets": len(action.tickers)}
                    self._log.warning("books_distrusted", **facts, detail=action.detail)
                    self._feed.distrust(action.kind, action.tickers, recv_ns, action.detail)
                case Note():
                    self.counts["gaps_beside_books"] += 1
                    self._session.mark(MarkKind.GAP, None, recv_ns, action.detail)
                    if action.channel == Channel.LIFECYCLE:  # a change may be among the missing
                        self.markets_changed.set()
                case Refused():
                    self.counts["commands_rejected"] += 1
                    facts = {"channel": action.channel, "code": action.code}
                    self._log.warning("command_rejected", **facts, error=action.message)

    async def _send(self) -> None:
        while self._outbox and self._socket is not None:
            await self._socket.send(self._outbox.popleft())

    async def follow(self, changes: Changes) -> None:
        """Bring the subscriptions up to what is followed now."""
        actions = self._recovery.follow(changes.added, changes.removed, mono_ns())
        await self._act(actions)

    async def recover(self) -> None:
        """Ask for what is missing; to be called again and again."""
        now_ns = self._clock.now_ns()
        healable = {t for t in self._feed.holes if self._has_room(t)}
        is_open = partial(self._markets.is_open, now_ns=now_ns)
        await self._act(self._recovery.due(mono_ns(), healable, is_open))

    async def _act(self, actions: Sequence[Action]) -> None:
        self._do(actions, self._clock.now_ns())
        try:
            await self._send()
        except SocketClosed:
            return  # the next connection asks for everything anyway

    def _has_room(self, ticker: str) -> bool:
        market = self._markets.get(ticker)
        return market is not None and self._session.segments.room(2 * market.info.grid.size + 2)

    def _lost(self, error: KalshiError) -> None:
        self.counts["connections_lost"] += 1
        if self._failures == 0:
            self._log.warning("exchange_disconnected", error=error)
        self._do(self._recovery.on_disconnected(str(error)), self._clock.now_ns())
        if isinstance(error, AuthError):
            self._log.error("exchange_refused_key", error=error)
        self._failures += 1
        self._triggers.flush()
