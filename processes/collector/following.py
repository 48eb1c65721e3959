"""The collector follows what its discovery process chooses: rows, subscriptions, results.

Nothing here reads the exchange's list, and nothing waits for it: while discovery is silent, the
markets that are followed stay followed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, NoReturn

import msgspec

from ipc.clock import NS_PER_MS, NS_PER_S, Clock, mono_ns, real_ns
from ipc.private_files import UnsafePathError, write_file
from ipc.units import format_count
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.schemas.normalise import MarketInfo
from processes.collector.choice import ChosenMarket
from processes.collector.discovery_link import (
    ChoiceChanged,
    DiscoveryLink,
    DiscoveryStarted,
    DiscoveryStats,
    FollowedChanged,
    MarketNews,
    pieces,
)
from processes.collector.markets import Changes, Markets
from processes.collector.orderbook_client import OrderbookClient
from processes.collector.results import Results
from processes.collector.trading_status import StatusFollower
from processes.runtime.log import Log

__all__ = ["FollowedFile", "FollowedMarket", "MarketFollower", "followed_path", "shown_market"]

NEWS_PAUSE: Final = 0.01  # seconds in which news are collected before they are passed on
TURN: Final = 0.1  # seconds between two looks for markets that are over, and rows for others
TURN_SHARE: Final = 20  # and so many times what one takes
MOST_LOGGED: Final = 100  # lines about markets of one change

OnFollowed = Callable[[Sequence[MarketInfo]], None]


class FollowedMarket(msgspec.Struct, frozen=True):
    """A market as `kalshi-actor markets` shows it; times in UTC, `volume_24h` in contracts."""

    ticker: str
    event_ticker: str
    series_ticker: str
    title: str
    status: str
    open: str
    close: str
    volume_24h: str
    reason: str
    followed: bool


class FollowedFile(msgspec.Struct, frozen=True):
    """What a collector's run follows, and when it last changed."""

    run_uid: str
    written: str
    markets: list[FollowedMarket]


def followed_path(data_dir: Path) -> Path:
    """Where the collector writes what it follows."""
    return data_dir / "followed.json"


def shown_market(chosen: ChosenMarket, *, followed: bool) -> FollowedMarket:
    """A chosen market for people and programs; `WireError` when it cannot be read."""
    info = chosen.info
    return FollowedMarket(
        ticker=info.ticker,
        event_ticker=info.event_ticker,
        series_ticker=info.series_ticker,
        title=info.title,
        status=str(info.status),
        open=_utc(info.open_ms),
        close=_utc(info.close_ms),
        volume_24h=format_count(chosen.volume_e2),
        reason=chosen.reason,
        followed=followed,
    )


def _utc(ms: int) -> str:
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class MarketFollower:
    """Takes over the choices of the discovery process, and tells it what the channel said.

    Args:
        link: to the discovery process.
        markets, client, results: the parts of this run that follow a market.
        news: markets whose status changed, as the lifecycle channel says.
        status: learns what the exchange's list says of them.
        clock: market time.
        log: one line for each market that is followed, with the reason.
        run_uid: of this run, for the file.
        path: of the file with what is followed.

    Attributes:
        counters: of the discovery process, as it last reported them.
        on_followed: called with the markets that were added, for what else is read about them.
    """

    def __init__(
        self,
        link: DiscoveryLink,
        *,
        markets: Markets,
        client: OrderbookClient,
        results: Results,
        news: MarketNews,
        status: StatusFollower,
        clock: Clock,
        log: Log,
        run_uid: str,
        path: Path,
    ) -> None:
        self._link = link
        self._markets = markets
        self._client = client
        self._results = results
        self._news = news
        self._status = status
        self._clock = clock
        self._log = log
        self._run_uid = run_uid
        self._path = path
        self._infos: dict[str, MarketInfo] = {}
        self._chosen: dict[str, ChosenMarket] = {}
        self._applying = asyncio.Lock()
        self._is_written = True
        self.counters: Mapping[str, int] = {}
        self.on_followed: list[OnFollowed] = []

    async def receive(self) -> NoReturn:
        """Apply the choices as they come; `DiscoveryEndedError` when no more can come."""
        await self._link.send(FollowedChanged())  # it starts now
        while True:
            message = await self._link.receive()
            if isinstance(message, ChoiceChanged):
                self._take(message)
                await self._apply()
            elif isinstance(message, DiscoveryStarted):
                for tickers in pieces(self._markets.tickers):
                    await self._link.send(FollowedChanged(added=tickers))
            elif isinstance(message, DiscoveryStats):
                self.counters = message.counters

    async def turn(self) -> NoReturn:
        """Give up the rows of markets that are long over, whatever discovery says."""
        while True:
            begun_ns = mono_ns()
            await self._apply()
            await asyncio.sleep(max(TURN, TURN_SHARE * (mono_ns() - begun_ns) / NS_PER_S))
            if not self._is_written:
                await self._write()

    async def pass_on_news(self) -> NoReturn:
        """Let discovery know which markets changed."""
        while True:
            await self._news.waiting.wait()
            await asyncio.sleep(NEWS_PAUSE)
            for message in self._news.take():
                await self._link.send(message)

    def _take(self, change: ChoiceChanged) -> None:
        for chosen in change.chosen:
            ticker = chosen.market.ticker
            try:
                self._infos[ticker] = chosen.info
            except WireError as error:
                self._log.warning("market_refused", ticker=ticker, error=error)
            else:
                self._chosen[ticker] = chosen
        taken = (self._infos.get(chosen.market.ticker) for chosen in change.chosen)
        self._status.on_markets([info for info in taken if info is not None])
        for ticker in change.dropped:
            self._infos.pop(ticker, None)
        self._is_written = False

    async def _apply(self) -> None:
        """Rows and subscriptions as the choice and the time want them."""
        async with self._applying:
            changes = self._markets.follow(self._infos.values(), self._clock.now_ns())
            if not (changes.added or changes.removed):
                return
            self._log("markets_changed", added=len(changes.added), removed=len(changes.removed))
            self._on_added(changes)
            await self._client.follow(changes)
            await self._report(changes)

    def _on_added(self, changes: Changes) -> None:
        followed = [m.info for m in map(self._markets.get, changes.added) if m is not None]
        for info in followed:
            self._results.expect(info.ticker, info.close_ms)
        for info in followed[:MOST_LOGGED]:
            reason = self._chosen[info.ticker].reason
            self._log("market_followed", ticker=info.ticker, reason=reason)
        for listener in self.on_followed:
            listener(followed)
        gone = set(changes.removed).difference(changes.added)
        self._status.forget(gone)
        for ticker in gone:
            self._chosen.pop(ticker, None)
        self._is_written = False

    async def _report(self, changes: Changes) -> None:
        """What has a row now and what has none any more, to discovery."""
        removed = [t for t in changes.removed if self._markets.get(t) is None]
        for tickers in pieces(changes.added):
            await self._link.send(FollowedChanged(added=tickers))
        for tickers in pieces(removed):
            await self._link.send(FollowedChanged(removed=tickers))

    async def _write(self) -> None:
        """The file for `kalshi-actor markets`; a disk that is slow or full stops nothing."""
        self._is_written = True
        followed = [
            shown_market(self._chosen[m.info.ticker], followed=True)
            for m in self._markets
            if m.info.ticker in self._chosen
        ]
        written = _utc(real_ns() // NS_PER_MS)
        content = msgspec.json.encode(FollowedFile(self._run_uid, written, followed))
        try:
            await asyncio.to_thread(write_file, self._path, content)
        except (OSError, UnsafePathError) as error:
            self._log.warning("followed_not_written", error=error)
