"""The markets that are followed, and the row that each one has."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

import msgspec

from ipc import book as b
from ipc.book_kernels import set_state
from ipc.book_table import BookTableWriter, TableFullError
from ipc.messages import MarkKind
from ipc.units import PriceGrid
from processes.adapters.kalshi.normalise import MarketInfo
from processes.collector.session import Session
from processes.runtime.log import Log

__all__ = ["Changes", "Followed", "Markets"]

KEEP_CLOSED_NS: Final = 60_000_000_000  # market time after its close before a row is given up
_NS_PER_MS: Final = 1_000_000


class Followed(msgspec.Struct):
    """A market with a row. `snapshot_clock` is the exchange's clock of its last snapshot."""

    info: MarketInfo
    row: int
    snapshot_clock: int = 0


class Changes(msgspec.Struct, frozen=True):
    """What a look at the exchange's list changed."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()


class Markets:
    """Ticker -> followed market; the only place where rows are given and taken."""

    def __init__(self, table: BookTableWriter, session: Session, log: Log) -> None:
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

    def without_book(self, now_ns: int) -> set[str]:
        """Open markets whose book is not LIVE."""
        missing = (m.info for m in self if self.state_of(m) != b.LIVE)
        return {info.ticker for info in missing if not _closed(info, now_ns)}

    def make_stale(self, tickers: Iterable[str]) -> None:
        """Believe none of these books until its next snapshot."""
        for ticker in tickers:
            if (market := self._followed.get(ticker)) and self.state_of(market) == b.LIVE:
                set_state(self._table.live, market.row, b.STALE, 0)

    def close(self, ticker: str, now_ns: int, detail: str) -> None:
        """The market's life is over: its book no longer ticks."""
        market = self._followed.get(ticker)
        if market is None or self._table.live[market.row, b.FLAGS] & b.CLOSED:
            return
        set_state(self._table.live, market.row, self.state_of(market), b.CLOSED)
        self._session.mark(MarkKind.CLOSED, ticker, now_ns, detail)

    def follow(self, wanted: Iterable[MarketInfo], now_ns: int) -> Changes:
        """Give rows to new markets and take those back whose close is long past.

        A market with other prices or times than before gets another row, without a book until its
        next snapshot.
        """
        wanted = list(wanted)
        removed = [m.info.ticker for m in self if self._is_over(m, now_ns)]
        for ticker in removed:
            self._table.remove_market(self._followed.pop(ticker).row)
        removed += [i.ticker for i in wanted if self._is_other(i) and not self._replace(i)]
        new = (i for i in wanted if i.ticker not in self._followed and not _closed(i, now_ns))
        return Changes(tuple(i.ticker for i in new if self._add(i)), tuple(removed))

    def _is_other(self, info: MarketInfo) -> bool:
        market = self._followed.get(info.ticker)
        return market is not None and _terms(market.info) != _terms(info)

    def _replace(self, info: MarketInfo) -> bool:
        """Give a market another row; what has no room any more is no longer followed."""
        self._table.remove_market(self._followed.pop(info.ticker).row)
        return self._add(info)

    def _is_over(self, market: Followed, now_ns: int) -> bool:
        return _closed(market.info, now_ns - KEEP_CLOSED_NS)

    def _add(self, info: MarketInfo) -> bool:
        try:
            row = self._table.add_market(info.ticker, info.grid, info.open_ms, info.close_ms)
        except (TableFullError, ValueError) as error:
            self._refuse(info.ticker, str(error))
            return False
        if not self._session.listed(row, info.ticker, info.grid, info.open_ms, info.close_ms):
            self._table.remove_market(row)
            self._refuse(info.ticker, "the journal is full")
            return False
        self._refused.discard(info.ticker)
        self._followed[info.ticker] = Followed(info, row)
        return True

    def _refuse(self, ticker: str, reason: str) -> None:
        """One line per market, not one per look."""
        if ticker not in self._refused:
            self._refused.add(ticker)
            self._log("market_refused", ticker=ticker, reason=reason)


def _terms(info: MarketInfo) -> tuple[PriceGrid, int, int]:
    """What a market's row is made for."""
    return info.grid, info.open_ms, info.close_ms


def _closed(info: MarketInfo, now_ns: int) -> bool:
    return 0 < info.close_ms * _NS_PER_MS <= now_ns
