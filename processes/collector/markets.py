"""The row that each followed market has.

`Markets` gives rows to those that are new and takes them back from those that are over. Which to
follow is decided elsewhere (`processes.collector.choice`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from ipc import book as b
from ipc.book_kernels import set_state
from ipc.book_table import BookTableWriter, TableFullError
from ipc.clock import NS_PER_MS
from ipc.messages import MarkKind
from processes.adapters.kalshi.feed.book_feed import Book
from processes.adapters.kalshi.feed.session import RecordsFullError, SessionJournal, list_market
from processes.adapters.kalshi.schemas.normalise import MarketInfo
from processes.runtime.log import Log

__all__ = ["Changes", "Followed", "Markets"]

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

    def waiting_count(self, now_ns: int) -> int:
        """Markets whose book is to be expected, and is not LIVE.

        Args:
            now_ns: Market time.
        """
        return sum(self.is_open(m.info.ticker, now_ns) and self.state_of(m) != b.LIVE for m in self)

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
            market.info = listed
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
