"""Which markets to follow, and the row that each followed market has.

`Discovery` reads the exchange's list: the configured markets, or the most traded open ones.
`Markets` gives rows to those that are new and takes them back from those that are over.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import Final

import msgspec

from ipc import book as b
from ipc.book_kernels import set_state
from ipc.book_table import BookTableWriter, TableFullError
from ipc.clock import NS_PER_MS
from ipc.messages import MarkKind
from ipc.units import parse_count
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.feed.book_feed import Book
from processes.adapters.kalshi.feed.session import RecordsFullError, SessionJournal, list_market
from processes.adapters.kalshi.normalise import MarketInfo, amount, market_of
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.schemas.decoding import Listing
from processes.adapters.kalshi.schemas.enums import MarketStatus
from processes.adapters.kalshi.schemas.rest_public import Market
from processes.runtime.config import BookSettings
from processes.runtime.log import Log

__all__ = ["LIVING", "Changes", "Discovery", "Followed", "Markets", "choose"]

MOST_TICKERS: Final = 100  # named in one request
LIVING: Final = frozenset({MarketStatus.INITIALIZED, MarketStatus.INACTIVE, MarketStatus.ACTIVE})
KEEP_NS: Final = 60_000_000_000  # market time: what is over keeps its row, for readers to see it


class Followed(Book, kw_only=True):
    """A market with a row.

    `decided_ns` and `unlisted_ns`: since when, in market time, its outcome is known, and since when
    the exchange's list has been without it.
    """

    info: MarketInfo
    decided_ns: int | None = None
    unlisted_ns: int | None = None

    def is_past(self, now_ns: int) -> bool:
        """Whether it has been over for so long that its row may go."""
        if _closed(self.info, now_ns - KEEP_NS):
            return True
        ends = (self.decided_ns, self.unlisted_ns)
        # Either way: a replay that starts again takes market time back.
        return any(end is not None and abs(now_ns - end) >= KEEP_NS for end in ends)


class Changes(msgspec.Struct, frozen=True):
    """What a look at the exchange's list changed."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class Markets:
    """Ticker -> followed market; the only place where rows are given and taken."""

    def __init__(self, table: BookTableWriter, session: SessionJournal, log: Log) -> None:
        self._table = table
        self._session = session
        self._log = log
        self._followed: dict[str, Followed] = {}
        self._refused: set[str] = set()

    def __len__(self) -> int:
        return len(self._followed)

    def __iter__(self) -> Iterator[Followed]:
        return iter(list(self._followed.values()))

    def get(self, ticker: str) -> Followed | None:
        """A followed market."""
        return self._followed.get(ticker)

    @property
    def tickers(self) -> tuple[str, ...]:
        """All followed markets."""
        return tuple(self._followed)

    def state_of(self, market: Followed) -> int:
        """`BookState` of a market's row."""
        return int(self._table.live[market.row, b.STATE])

    def live_count(self) -> int:
        """Markets whose book is LIVE."""
        return sum(self.state_of(m) == b.LIVE for m in self)

    def is_open(self, ticker: str, now_ns: int) -> bool:
        """Whether a book is to be expected of a market."""
        market = self._followed.get(ticker)
        return market is not None and market.decided_ns is None and not _closed(market.info, now_ns)

    def close(self, ticker: str, now_ns: int, detail: str) -> None:
        """The market's life is over: its book no longer ticks."""
        market = self._followed.get(ticker)
        if market is None or self._table.live[market.row, b.FLAGS] & b.CLOSED:
            return
        market.decided_ns = now_ns
        set_state(self._table.live, market.row, self.state_of(market), b.CLOSED)
        self._session.mark(MarkKind.CLOSED, ticker, now_ns, detail)

    def follow(self, wanted: Iterable[MarketInfo], now_ns: int) -> Changes:
        """Give rows to new markets and take back those of markets that are long over."""
        listed = {info.ticker: info for info in wanted}
        removed = [m for m in self if self._may_go(m, listed.get(m.info.ticker), now_ns)]
        for market in removed:
            self._table.remove_market(self._followed.pop(market.info.ticker).row)
        new = (i for i in listed.values() if i.ticker not in self._followed)
        added = tuple(i.ticker for i in new if not _closed(i, now_ns) and self._add(i))
        return Changes(added, tuple(m.info.ticker for m in removed))

    def _may_go(self, market: Followed, listed: MarketInfo | None, now_ns: int) -> bool:
        """Whether to give a row up, which other prices need too; takes note of what is listed."""
        if listed is None:
            if market.unlisted_ns is None:
                market.unlisted_ns = now_ns
        else:
            market.unlisted_ns = None
            if listed.grid != market.info.grid:
                return True
            self._move(market, listed)
        return market.is_past(now_ns)

    def _move(self, market: Followed, listed: MarketInfo) -> None:
        """Keep to the times that the exchange says now."""
        times = listed.open_ms, listed.close_ms
        if times == (market.info.open_ms, market.info.close_ms):
            return
        if self._session.listed(market.row, listed.ticker, listed.grid, *times):
            self._table.move_times(market.row, *times)
            market.info = listed

    def _add(self, info: MarketInfo) -> bool:
        listing = info.ticker, info.grid, info.open_ms, info.close_ms
        try:
            row = list_market(self._table, self._session, *listing)
        except (TableFullError, RecordsFullError, ValueError) as error:
            self._refuse(info.ticker, str(error))
            return False
        self._refused.discard(info.ticker)
        self._followed[info.ticker] = Followed(info.ticker, row, info=info)
        return True

    def _refuse(self, ticker: str, reason: str) -> None:
        """One line per market, not one per look."""
        if ticker not in self._refused:
            self._refused.add(ticker)
            self._log.warning("market_refused", ticker=ticker, error=reason)


def _closed(info: MarketInfo, now_ns: int) -> bool:
    return 0 < info.close_ms * NS_PER_MS <= now_ns


def _volume_e2(market: Market) -> int:
    """Contracts of the last 24 hours; one that is not said or cannot be read counts as none."""
    try:
        return amount(parse_count, market.volume_24h_fp or "0.00")
    except WireError:
        return 0


def choose(
    markets: Iterable[Market], limit: int, *, keep: Collection[str] = (), min_volume_e2: int = 0
) -> list[Market]:
    """The `limit` most traded of the last 24 hours, ties by ticker.

    Those to `keep` come first: one whole recording is worth more than parts of several.
    """
    able = (m for m in markets if m.ticker in keep or _volume_e2(m) >= min_volume_e2)
    ranked = sorted(able, key=lambda m: (m.ticker not in keep, -_volume_e2(m), m.ticker))
    return ranked[:limit]


class Discovery:
    """`RL_MARKET_MODE`: `discovery` looks for open markets, `config` keeps to a list."""

    def __init__(self, client: KalshiTradingClient, settings: BookSettings, log: Log) -> None:
        self._client = client
        self._settings = settings
        self._log = log
        self._refused: set[str] = set()

    async def look(self, followed: Collection[str] = ()) -> list[MarketInfo]:
        """The markets wanted now, best first; `KalshiError` when the exchange does not say."""
        wanted = self._settings
        if wanted.mode == "config":
            found = await self._named()
        else:
            found = choose(
                await self._open(),
                wanted.market_limit,
                keep=followed,
                min_volume_e2=wanted.min_volume_e2,
            )
        return [info for m in found if (info := self._described(m)) is not None]

    async def close(self) -> None:
        """Close the client's connections."""
        await self._client.close()

    async def _named(self) -> list[Market]:
        """Those of the list that live, in its order."""
        found: dict[str, Market] = {}
        tickers = self._settings.tickers
        for at in range(0, len(tickers), MOST_TICKERS):
            asked = tickers[at : at + MOST_TICKERS]
            listing = await self._client.markets(tickers=asked)
            page = self._readable(listing)
            if not listing.left_out:
                self._report_unknown(asked, {m.ticker for m in page})
            found.update({m.ticker: m for m in page if m.status in LIVING})
        return [found[ticker] for ticker in tickers if ticker in found]

    def _report_unknown(self, asked: Iterable[str], answered: Collection[str]) -> None:
        """One line for each market that was asked for by name and does not exist."""
        for ticker in asked:
            if ticker not in answered and ticker not in self._refused:
                self._refused.add(ticker)
                error = "the exchange knows no such market; RL_MARKET_TICKERS names it"
                self._log.warning("market_refused", ticker=ticker, error=error)

    async def _open(self) -> list[Market]:
        if not self._settings.series:
            return self._readable(await self._client.markets(status="open"))
        found: list[Market] = []
        for series in self._settings.series:
            listing = await self._client.markets(status="open", series_ticker=series)
            found += self._readable(listing)
        return found

    def _readable(self, listing: Listing[Market]) -> list[Market]:
        """The markets of a list; what was left out of it is reported once for each reason."""
        left_out = listing.left_out
        if left_out and left_out.reason not in self._refused:
            self._refused.add(left_out.reason)
            self._log.warning("markets_left_out", count=left_out.count, error=left_out.reason)
        return listing.items

    def _described(self, market: Market) -> MarketInfo | None:
        try:
            return market_of(market)
        except WireError as error:
            if market.ticker not in self._refused:
                self._refused.add(market.ticker)
                self._log.warning("market_refused", ticker=market.ticker, error=error)
            return None
