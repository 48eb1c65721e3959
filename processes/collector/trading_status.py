"""Does the exchange trade? Its status, its schedule and its markets' lifecycle as one answer.

`TradingTracker` is without I/O: replies in, `TradingStatus` out. `StatusFollower` asks the exchange
and publishes what changes; no other process asks. In an announced pause nothing is placed even
before the exchange's status says so: what is sent in its first second would be refused.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Final, NoReturn

import msgspec

from ipc.clock import MS_PER_S, NS_PER_MS, NS_PER_S, Clock, mono_ns
from ipc.messages import TradingState, TradingStatus
from ipc.sockets import Publisher
from processes.adapters.kalshi.errors import KalshiError, WireError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.trading_hours import Halt, TradingHours, halt_at, next_halt
from processes.adapters.kalshi.schemas.enums import LifecycleType, MarketStatus
from processes.adapters.kalshi.schemas.normalise import MarketInfo, ms_of_rfc3339
from processes.adapters.kalshi.schemas.rest_public import ExchangeStatus
from processes.adapters.kalshi.schemas.stream_messages import LifecycleMsg
from processes.runtime.log import Log

__all__ = ["TOPIC", "StatusFollower", "TradingTracker"]

TOPIC: Final = "trading"
KEEP_NS: Final = 30 * NS_PER_S  # how long an answer counts while the exchange gives no other
LEAD_S: Final = 2.0  # real seconds before an announced pause from which on nothing is placed
LEAST_LEAD_MS: Final = 2_000  # the same in market time
GRACE_MS: Final = 60_000  # market time: how long an announced pause may take to begin
TRADING_PAUSE: Final = 5.0  # seconds between two questions while the exchange trades
HALTED_PAUSE: Final = 1.0  # and while it does not
SCHEDULE_NS: Final = 300 * NS_PER_S  # between two reads of the schedule
RESEND_NS: Final = NS_PER_S
HOUR_MS: Final = 3_600 * MS_PER_S
_TRADING: Final = TradingState.TRADING
_NOT_OPEN: Final = {  # a market's own status, where it keeps the market from trading
    MarketStatus.INITIALIZED: TradingState.CLOSED,
    MarketStatus.INACTIVE: TradingState.MARKET_PAUSED,
    MarketStatus.DISPUTED: TradingState.MARKET_PAUSED,
    MarketStatus.AMENDED: TradingState.MARKET_PAUSED,
    MarketStatus.UNKNOWN: TradingState.MARKET_PAUSED,
}


class TradingTracker:
    """What the exchange has said about trading, and what follows from it at a moment."""

    def __init__(self) -> None:
        self.checked_mono_ns = 0
        self._status: ExchangeStatus | None = None
        self._halted_ms = -1  # market time at which a status last said that nothing trades
        self._cause = TradingState.PAUSED  # of the halt that is on
        self._hours = TradingHours()
        self._halts: list[Halt] = []
        self._halts_hour = -1
        self._markets: dict[str, MarketInfo] = {}
        self._odd: dict[str, MarketInfo] = {}  # those whose own status keeps them from trading

    # What the exchange says.

    def on_status(self, status: ExchangeStatus, now_ms: int, asked_mono_ns: int) -> None:
        """A reply to a question asked at `asked_mono_ns`; `now_ms` is market time."""
        was_trading = self._status is None or self._status.trading_active
        if now_ms < self._halted_ms:  # a replay has started over
            self._halted_ms = -1
        self._status, self.checked_mono_ns = status, asked_mono_ns
        if status.trading_active and status.exchange_active:
            return
        self._halted_ms = now_ms
        halt = halt_at(self._due_halts(now_ms), now_ms)
        if halt is not None:
            self._cause = halt.state
        elif was_trading:
            self._cause = TradingState.PAUSED

    def on_schedule(self, hours: TradingHours) -> None:
        """The exchange's schedule as it is now."""
        self._hours, self._halts_hour = hours, -1

    def on_markets(self, listed: Iterable[MarketInfo]) -> None:
        """Markets as the exchange lists them; of others the last that was said stands."""
        for info in listed:
            self._note(info)

    def on_lifecycle(self, msg: LifecycleMsg) -> None:
        """A market was paused or resumed."""
        info = self._markets.get(msg.market_ticker)
        paused = msg.event_type is LifecycleType.DEACTIVATED
        if info is None or not (paused or msg.event_type is LifecycleType.ACTIVATED):
            return
        status = MarketStatus.INACTIVE if paused else MarketStatus.ACTIVE
        self._note(msgspec.structs.replace(info, status=status))

    def forget(self, tickers: Iterable[str]) -> None:
        """Drop markets that are not followed any more."""
        for ticker in tickers:
            self._markets.pop(ticker, None)
            self._odd.pop(ticker, None)

    def _note(self, info: MarketInfo) -> None:
        self._markets[info.ticker] = info
        if info.status in _NOT_OPEN:
            self._odd[info.ticker] = info
        else:
            self._odd.pop(info.ticker, None)

    # What follows.

    def at(self, now_ms: int, lead_ms: int, now_mono_ns: int) -> TradingStatus:
        """The answer at market time `now_ms`, seen `lead_ms` ahead of an announced pause.

        It is UNKNOWN when the exchange has not answered for longer than `KEEP_NS`.
        """
        status, valid_until_ns = self._status, self.checked_mono_ns + KEEP_NS
        halts = self._due_halts(now_ms)
        following = next_halt(halts, now_ms)
        halt = halt_at(halts, now_ms) or halt_at(halts, now_ms + lead_ms)
        state, markets = TradingState.UNKNOWN, {}
        if status is not None and now_mono_ns <= valid_until_ns:
            state = self._state(status.exchange_active, status.trading_active, now_ms, halt)
            markets = self._exceptions(status, state, now_ms, halt)
        return TradingStatus(
            state=state,
            until_ms=None if state is _TRADING else self._until_ms(halt, now_ms),
            next_pause_ms=None if following is None else following.start_ms,
            takes_cancels=status is None or status.exchange_active,
            markets=markets,
            checked_mono_ns=self.checked_mono_ns,
            valid_until_mono_ns=valid_until_ns,
        )

    def _due_halts(self, now_ms: int) -> list[Halt]:
        """Of the schedule, worked out once an hour."""
        hour = now_ms // HOUR_MS
        if hour != self._halts_hour:
            self._halts, self._halts_hour = self._hours.halts(now_ms), hour
        return self._halts

    def _state(self, active: bool, trading: bool, now_ms: int, halt: Halt | None) -> TradingState:
        if not active:
            return TradingState.MAINTENANCE
        if not trading:
            return self._cause if halt is None else halt.state
        if halt is None or now_ms >= halt.start_ms + GRACE_MS or self._halted_ms >= halt.start_ms:
            return _TRADING  # the last: the pause has begun and is over already
        return halt.state

    def _until_ms(self, halt: Halt | None, now_ms: int) -> int | None:
        """The exchange's own estimate where it is still to come, else the end that is announced."""
        text = self._status.exchange_estimated_resume_time if self._status is not None else None
        try:
            estimate = ms_of_rfc3339(text) if text else 0
        except WireError:
            estimate = 0
        if estimate > now_ms:
            return estimate
        return None if halt is None else halt.end_ms

    def _exceptions(
        self, status: ExchangeStatus, whole: TradingState, now_ms: int, halt: Halt | None
    ) -> dict[str, TradingState]:
        """Markets that are paused by themselves, or are on a shard of another state."""
        shards = {
            s.exchange_index: self._state(s.exchange_active, s.trading_active, now_ms, halt)
            for s in status.exchange_index_statuses
        }
        alike = all(state is whole for state in shards.values())
        found = {}
        for ticker, info in (self._odd if alike else self._markets).items():
            state = shards.get(info.exchange_index, whole)
            if state is _TRADING:
                state = _own_state(info, now_ms)
            if state is not whole:
                found[ticker] = state
        return found


def _own_state(info: MarketInfo, now_ms: int) -> TradingState:
    """Of one market; a market that was listed before it opened opens by time."""
    state = _NOT_OPEN.get(info.status, _TRADING)
    return _TRADING if state is TradingState.CLOSED and now_ms >= info.open_ms else state


class StatusFollower:
    """Asks the exchange, and publishes the answer: at once when it changes, and once a second.

    Args:
        client: public reads.
        tracker: what is known.
        publisher: of the collector.
        clock: market time.
        log: one line per change.
        on_resumed: called when trading goes on after a halt.
    """

    def __init__(
        self,
        client: KalshiTradingClient,
        tracker: TradingTracker,
        publisher: Publisher,
        clock: Clock,
        log: Log,
        on_resumed: Callable[[], None],
    ) -> None:
        self._client = client
        self._tracker = tracker
        self._publisher = publisher
        self._clock = clock
        self._log = log
        self._on_resumed = on_resumed
        self._sent: TradingStatus | None = None
        self._sent_mono_ns = 0
        self._schedule_due_ns = 0
        self._failures: dict[str, str] = {}  # question -> why it is not answered
        self._unknown: set[str] = set()  # markets of a status that is not known here

    async def run(self) -> NoReturn:
        """Ask again and again."""
        while True:
            if mono_ns() >= self._schedule_due_ns:
                await self._read_schedule()
            await self._read_status()
            self.publish()
            trading = self._sent is not None and self._sent.state is _TRADING
            await asyncio.sleep(TRADING_PAUSE if trading and not self._failures else HALTED_PAUSE)

    async def _read_status(self) -> None:
        asked_mono_ns = mono_ns()
        try:
            status = await self._client.exchange_status(tries=1)
        except KalshiError as error:
            self._failed("status", error)
            return
        self._answered("status")
        self._tracker.on_status(status, self._now_ms(), asked_mono_ns)

    async def _read_schedule(self) -> None:
        try:
            hours = TradingHours.of(await self._client.exchange_schedule(tries=1))
        except KalshiError as error:
            self._failed("schedule", error)
            return
        self._answered("schedule")
        self._schedule_due_ns = mono_ns() + SCHEDULE_NS
        self._tracker.on_schedule(hours)

    def _failed(self, question: str, error: KalshiError) -> None:
        """One line per change of the reason."""
        if self._failures.get(question) != str(error):
            self._failures[question] = str(error)
            self._log.warning(f"exchange_{question}_not_read", error=error)

    def _answered(self, question: str) -> None:
        if self._failures.pop(question, None) is not None:
            self._log(f"exchange_{question}_read_again")

    def on_markets(self, listed: Iterable[MarketInfo]) -> None:
        """Markets as the exchange lists them now; one of an unknown status does not trade."""
        listed = list(listed)
        for info in listed:
            if info.status is MarketStatus.UNKNOWN and info.ticker not in self._unknown:
                self._unknown.add(info.ticker)
                error = "its status is a word that is not known here; it is not traded"
                self._log.warning("market_status_unknown", ticker=info.ticker, error=error)
        self._tracker.on_markets(listed)
        self.publish()

    def forget(self, tickers: Iterable[str]) -> None:
        """Markets that are not followed any more."""
        self._tracker.forget(tickers)

    def publish(self) -> None:
        """Send what is true now if it has changed, or once a second; called at each beat."""
        if self._tracker.checked_mono_ns == 0:
            return
        now_ns, before = mono_ns(), self._sent
        lead_ms = max(LEAST_LEAD_MS, round(LEAD_S * MS_PER_S * self._clock.rate))
        status = self._tracker.at(self._now_ms(), lead_ms, now_ns)
        changed = before is None or _facts(before) != _facts(status)
        if not changed and now_ns - self._sent_mono_ns < RESEND_NS:
            return
        self._publisher.send(TOPIC, status)
        self._sent, self._sent_mono_ns = status, now_ns
        if before is None or before.state is not status.state:
            self._on_change(status)
        elif changed:
            self._on_markets_changed(before, status)

    def _on_change(self, status: TradingStatus) -> None:
        trades = status.state is _TRADING
        log = self._log if trades else self._log.warning
        log("trading_changed", state=status.state, until=_moment(status.until_ms))
        if trades:
            self._on_resumed()

    def _on_markets_changed(self, before: TradingStatus, status: TradingStatus) -> None:
        for ticker in sorted(status.markets.keys() | before.markets.keys()):
            state = status.markets.get(ticker, status.state)
            if state is not before.markets.get(ticker, before.state):
                self._log("market_trading_changed", ticker=ticker, state=state)

    def _now_ms(self) -> int:
        return self._clock.now_ns() // NS_PER_MS


def _facts(status: TradingStatus) -> tuple[object, ...]:
    """All but when it was learned."""
    return (
        status.state,
        status.until_ms,
        status.next_pause_ms,
        status.takes_cancels,
        status.markets,
    )


def _moment(ms: int | None) -> str | None:
    return None if ms is None else datetime.fromtimestamp(ms // MS_PER_S, UTC).isoformat()
