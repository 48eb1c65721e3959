"""OrderbookClient: one WebSocket after the other, each subscribed to everything that is followed.

What to ask, and which books are up to date, is decided by `Recovery`; here are the socket and the
clock. A lost connection does not end the session: the next one subscribes to everything again. A
quiet market is not a lost connection: it is alive as long as pings are answered.

What a frame does: `CollectorFeed` is the shell around `processes.adapters.kalshi.feed`. It writes
down what the core says is to be noted, notifies `Recovery` of the books that need a snapshot, and
marks what has changed. `Triggers` publishes that, one trigger per market however long the burst.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

import numpy as np

from ipc import book as b
from ipc.book_table import BookTableWriter
from ipc.clock import NS_PER_MS, Clock, mono_ns
from ipc.messages import MarkKind, Trigger, UpdateType
from ipc.sockets import Publisher
from processes.adapters.kalshi.auth.environments import KalshiTarget
from processes.adapters.kalshi.auth.signing import Signer
from processes.adapters.kalshi.errors import AuthError, KalshiError, SocketClosed, WireError
from processes.adapters.kalshi.feed.book_feed import (
    DATA,
    BookFeed,
    Distrust,
    Effect,
    Note,
    Outcome,
    WriteQueue,
)
from processes.adapters.kalshi.feed.session import SessionJournal
from processes.adapters.kalshi.schemas.frames import (
    Channel,
    Delta,
    EventFeeUpdate,
    Frame,
    Lifecycle,
    Trade,
)
from processes.adapters.kalshi.schemas.stream_messages import LifecycleMsg
from processes.adapters.kalshi.stream.socket import Backlog, KalshiSocket, Stamped
from processes.collector.data_age import DataAge
from processes.collector.discovery_link import MarketNews
from processes.collector.markets import Changes, Markets
from processes.collector.recovery import Action, BookVerdict, Recovery, Refused, Send
from processes.collector.results import Results
from processes.collector.terms import Terms
from processes.collector.trading_status import TradingTracker
from processes.runtime.log import Log
from processes.runtime.tasks import Backoff

__all__ = ["RECONNECT", "TOPIC", "CollectorFeed", "OrderbookClient", "Triggers"]

TIMED: Final = (Delta, Trade)  # frames that say when they were sent
BATCH: Final = 64  # frames between two flushes of triggers
RECONNECT: Final = Backoff(first_s=0.1, longest_s=5.0)
TOPIC: Final = "trigger"
ENDINGS: Final = frozenset({"determined", "settled"})
_RECORDED: Final = Effect.RECORDED  # a name of the module is found faster than a member of an Enum
_SNAPSHOT: Final = UpdateType.SNAPSHOT
COUNTED: Final = {
    Effect.UNKNOWN_MARKET: "frames_of_unknown_markets",
    Effect.IN_SNAPSHOT: "deltas_before_snapshot",
    Effect.MALFORMED: "malformed_amounts",
}


class Triggers:
    """Marks rows as changed and publishes what they hold at the time of the flush."""

    def __init__(self, table: BookTableWriter, publisher: Publisher) -> None:
        self._table = table
        self._publisher = publisher
        self._dirty: dict[int, tuple[str, UpdateType]] = {}
        self.published = 0

    def mark(self, row: int, ticker: str, update_type: UpdateType) -> None:
        """A row has changed and the change is in the journal."""
        self._dirty[row] = ticker, update_type

    def flush(self) -> int:
        """Publish one trigger per changed row -> how many."""
        if not self._dirty:
            return 0
        for row, (ticker, update_type) in self._dirty.items():
            self._publisher.send(TOPIC, self._trigger(row, ticker, update_type))
        count = len(self._dirty)
        self._dirty.clear()
        self.published += count
        return count

    def _trigger(self, row: int, ticker: str, update_type: UpdateType) -> Trigger:
        words = self._table.live[row]
        return Trigger(
            market_ticker=ticker,
            row=row,
            generation=int(words[b.GENERATION]),
            update_type=update_type,
            sequence_number=int(words[b.SEQ]),
            event_no=int(words[b.EVENT_NO]),
            tick_event_no=int(words[b.TICK_EVENT_NO]),
            recv_ns=int(words[b.RECV_NS]),
            frame_mono_ns=int(words[b.FRAME_MONO_NS]),
            written_mono_ns=int(words[b.WRITTEN_MONO_NS]),
        )


class CollectorFeed:
    """Every frame of the public channels, to the parts of the collector that it concerns."""

    def __init__(
        self,
        markets: Markets,
        queue: WriteQueue,
        session: SessionJournal,
        triggers: Triggers,
        recovery: Recovery,
        results: Results,
        terms: Terms,
        trading: TradingTracker,
    ) -> None:
        self._markets = markets
        self._session = session
        self._triggers = triggers
        self._recovery = recovery
        self._results = results
        self._terms = terms
        self._trading = trading
        self._books = BookFeed(queue, markets.get)
        self.counts: Counter[str] = Counter()

    @property
    def holes(self) -> tuple[str, ...]:
        """Markets whose record has a hole: a fresh snapshot ends it once the journal has room."""
        return self._books.holes

    def on_frame(
        self, frame: Frame, recv_ns: int, frame_mono_ns: int, *, on_yes_scale: bool = False
    ) -> LifecycleMsg | None:
        """Take one frame whose `seq` has been checked.

        Args:
            frame: of any public channel.
            recv_ns: market time of its receipt.
            frame_mono_ns: monotonic time of its receipt.
            on_yes_scale: whether NO levels come at YES prices in this subscription.

        Returns:
            What a frame of the lifecycle channel says about a market; None for other frames.
        """
        if isinstance(frame, DATA):
            outcome = self._books.on_frame(
                frame, recv_ns, frame_mono_ns, mono_ns(), on_yes_scale=on_yes_scale
            )
            if outcome.effect is not _RECORDED or outcome.update_type is _SNAPSHOT:
                self._on_outcome(outcome, recv_ns, frame_mono_ns)
            elif (book := outcome.book) is not None:  # nearly every frame
                self._triggers.mark(book.row, book.ticker, outcome.update_type)
            return None
        if isinstance(frame, Lifecycle):
            self._on_lifecycle(frame, recv_ns)
            return frame.msg
        if isinstance(frame, EventFeeUpdate):
            self._on_event_fees(frame, recv_ns)
        return None

    def _on_event_fees(self, frame: EventFeeUpdate, recv_ns: int) -> None:
        try:
            self._terms.on_event_update(frame.msg, recv_ns // NS_PER_MS)
        except WireError:  # the changes are read over REST too
            self.counts["malformed_amounts"] += 1

    def _on_outcome(self, outcome: Outcome, recv_ns: int, frame_mono_ns: int) -> None:
        book, effect = outcome.book, outcome.effect
        if book is None:
            self.counts[COUNTED[effect]] += 1
            return
        if effect is Effect.RECORDED:
            self._triggers.mark(book.row, book.ticker, outcome.update_type)
        elif effect in COUNTED:
            self.counts[COUNTED[effect]] += 1
        if outcome.mark is not None:
            mark = outcome.mark
            self._session.mark(mark.kind, mark.ticker, recv_ns, mark.detail)
        if outcome.is_stale:
            self._recovery.on_verdict(book.ticker, BookVerdict.BROKEN, frame_mono_ns)
        elif outcome.update_type is UpdateType.SNAPSHOT and outcome.is_in_book:
            self._recovery.on_verdict(book.ticker, BookVerdict.LIVE, frame_mono_ns)

    def _on_lifecycle(self, frame: Lifecycle, recv_ns: int) -> None:
        self._trading.on_lifecycle(frame.msg)
        if frame.msg.event_type in ENDINGS:
            self._markets.close(frame.msg.market_ticker, recv_ns, str(frame.msg.event_type))
            try:
                self._results.on_lifecycle(frame.msg, recv_ns)
            except WireError:  # it is asked for over REST
                self.counts["malformed_amounts"] += 1

    def distrust(self, kind: MarkKind, tickers: tuple[str, ...], recv_ns: int, detail: str) -> None:
        """Believe none of these books: a frame of theirs is missing, or their connection gone."""
        self.counts["gaps"] += kind is MarkKind.GAP
        self._books.distrust(tickers)
        self._session.mark(kind, None, recv_ns, detail)


class OrderbookClient:
    """Connects, subscribes, checks sequences and hands frames to the feed.

    Args:
        target: host and environment.
        signer: signs the handshake.
        market_tickers: markets to follow from the first connection on; `follow` changes them.
        feed, recovery, markets, session, triggers, age: the other parts of this run's collector.
        news: takes the markets whose status changes.
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
        age: DataAge,
        news: MarketNews,
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
        self._age = age
        self._news = news
        self._clock = clock
        self._log = log
        self._rng = rng
        self._recovery = recovery
        self._socket: KalshiSocket | None = None
        self._outbox: deque[bytes] = deque()  # commands that no socket has taken yet
        self._failures = 0
        self.counts: Counter[str] = Counter()
        self._wanted_now = asyncio.Event()
        recovery.follow(market_tickers, (), mono_ns())

    @property
    def connected(self) -> bool:
        """Whether there is a connection."""
        return self._socket is not None

    def look_at_age(self) -> None:
        """How old data is, and what waits; to be called again and again."""
        socket = self._socket
        self._age.look(Backlog() if socket is None else socket.backlog)

    async def run(self) -> None:
        """Connect again and again; only being cancelled ends it."""
        while True:
            try:
                socket = await KalshiSocket.connect(self._target, self._signer)
            except KalshiError as error:
                self._lost(error)
            else:
                await self._live(socket)
            await self._pause()

    async def _pause(self) -> None:
        """Before the next attempt; the end of a halt of the exchange ends it."""
        self._wanted_now.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(RECONNECT.jittered(self._failures, self._rng)):
                await self._wanted_now.wait()

    def reconnect_now(self) -> None:
        """The exchange trades again: do not wait with the next attempt."""
        self._wanted_now.set()

    async def _live(self, socket: KalshiSocket) -> None:
        """One connection, from its opening to its end."""
        self._socket = socket
        self._session.mark(MarkKind.CONNECTED, None, self._clock.now_ns(), self._target.ws_url)
        self._log("exchange_connected", url=self._target.ws_url)
        self._news.missed()  # what happened while there was no connection
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
        replaying, delays = self._clock.replaying, self._age.delays
        recovery, feed = self._recovery, self._feed
        for frame, stamp_ns in frames:
            if not replaying:
                recv_ns = now_ns - (ahead_ns - stamp_ns)
            elif frame.sending_ts_ms is not None:  # a replayed frame carries its time of receipt
                recv_ns = frame.sending_ts_ms * NS_PER_MS
            else:
                recv_ns = now_ns
            if isinstance(frame, TIMED) and (sent_ms := frame.msg.ts_ms) is not None:
                delays.append(recv_ns // NS_PER_MS - sent_ms)
            if actions := recovery.on_frame(frame, stamp_ns):  # the subscription's number first
                self._do(actions, recv_ns)
            on_yes_scale = recovery.subscriptions.on_yes_scale
            news = feed.on_frame(frame, recv_ns, stamp_ns, on_yes_scale=on_yes_scale)
            if news is not None:
                self._news.add(news.market_ticker, is_over=news.event_type in ENDINGS)
        self._triggers.flush()

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
                        self._news.missed()
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
