"""The shared tables for the dashboard: books that changed, sub-accounts as positions."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np

from ipc import account_table as a
from ipc import book as b
from ipc.account_table import AccountTable
from ipc.book_table import BookTable, SharedOrderbookState
from ipc.clock import NS_PER_MS, NS_PER_S
from ipc.messages import ActorPosition
from ipc.units import ONE_DOLLAR_E4, format_count, format_price
from processes.broadcaster.wire import LastTrade, OrderbookData
from processes.runtime.log import Log
from processes.runtime.tables import AttachedTable

__all__ = [
    "WRITER_SILENT_NS",
    "BooksRead",
    "ChangedBooks",
    "SubAccounts",
    "book_data",
    "signature_of",
]

WRITER_SILENT_NS: Final = 5 * NS_PER_S  # a writer's heartbeat older than this is no heartbeat
Signature = tuple[int, ...]

_SIGNED_BY: Final = (b.MARKET, b.GENERATION, b.STATE, b.FLAGS, b.EVENT_NO, b.SEQ, b.RECV_NS)


class BooksRead:
    """One read of the table: the books that changed, and all tickers that it holds."""

    def __init__(self) -> None:
        self.changed: list[OrderbookData] = []
        self.tickers: set[str] = set()
        self.busy = 0


class ChangedBooks(AttachedTable[BookTable]):
    """The books that changed since the last read; how often it is read is the throttle.

    The last update of a burst is never lost: the row, not a message, is what is read.
    """

    def __init__(self, data_dir: Path, depth: int, log: Log) -> None:
        super().__init__(data_dir, "books", BookTable.attach, log)
        self._depth = depth
        self._seen: dict[str, Signature] = {}

    def read(self, mono_ns: int) -> BooksRead | None:
        """Look at every row; None while there is no table."""
        table = self.refresh()
        if table is None:
            return None
        stale = table.heartbeat_age_ns(mono_ns) > WRITER_SILENT_NS
        state, found = SharedOrderbookState(table), BooksRead()
        for ticker in table.rows:
            found.tickers.add(ticker)
            row = state.get_row(ticker)
            if row is None:
                found.busy += 1
                continue
            signature = signature_of(row, stale=stale)
            if self._seen.get(ticker) != signature:
                self._seen[ticker] = signature
                found.changed.append(book_data(ticker, row, self._depth, stale=stale))
        self._seen = {t: s for t, s in self._seen.items() if t in found.tickers}
        return found


class SubAccounts(AttachedTable[AccountTable]):
    """Every sub-account, for a broadcaster that starts later: messages bring only changes."""

    def __init__(self, data_dir: Path, log: Log) -> None:
        super().__init__(data_dir, "accounts", AccountTable.attach, log)
        self._row = np.zeros(a.ACCOUNT_WORDS, np.int64)

    def read(self) -> list[ActorPosition]:
        """Every sub-account whose row execution marks as known."""
        table = self.refresh()
        if table is None:
            return []
        return [self._position(t) for t in table.tickers() if table.read(t, self._row)]

    def generation(self) -> int:
        """Changes with every restart of execution; 0 without a table."""
        table = self.refresh()
        return 0 if table is None else table.generation

    def _position(self, ticker: str) -> ActorPosition:
        row = self._row
        return ActorPosition(
            market_ticker=ticker,
            position_e2=int(row[a.POSITION_E2]),
            cost_basis_e6=int(row[a.COST_BASIS_E6]),
            cash_e6=int(row[a.CASH_E6]),
            realized_e6=int(row[a.REALIZED_E6]),
            fees_e6=int(row[a.FEES_E6]),
            open_orders=int(row[a.N_ORDERS]),
            account_version=int(row[a.ACCOUNT_VERSION]),
            ts_ns=int(row[a.TS_NS]),
        )


def signature_of(row: b.Row, *, stale: bool) -> Signature:
    """Differs between two rows when a client should see the second."""
    return (stale, *(int(row[word]) for word in _SIGNED_BY))


def book_data(ticker: str, row: b.Row, depth: int, *, stale: bool) -> OrderbookData:
    """A row as an `orderbook_snapshot`: the best `depth` levels of each leg (0: all).

    `stale`: the collector's heartbeat is too old, so the book counts as STALE whatever it says.
    """
    state = b.BookState.STALE if stale else b.BookState(int(row[b.STATE]))
    yes, no = _best(row, b.YES), _best(row, b.NO)
    mid, spread = _mid_and_spread(yes, no)
    return OrderbookData(
        ticker=ticker,
        state=state.name.lower(),
        flags=_flags(row),
        generation=int(row[b.GENERATION]),
        event_no=int(row[b.EVENT_NO]),
        seq=int(row[b.SEQ]),
        exch_ms=int(row[b.EXCH_MS]) or None,
        recv_ms=int(row[b.RECV_NS]) // NS_PER_MS or None,
        open_ms=int(row[b.OPEN_MS]) or None,
        close_ms=int(row[b.CLOSE_MS]) or None,
        best_yes_bid=_price(yes),
        best_yes_ask=_price(ONE_DOLLAR_E4 - no if no else 0),
        best_no_bid=_price(no),
        best_no_ask=_price(ONE_DOLLAR_E4 - yes if yes else 0),
        mid=mid,
        spread=spread,
        yes=_levels(row, b.YES, depth),
        no=_levels(row, b.NO, depth),
        yes_levels=int(row[b.YES_LEVELS]),
        no_levels=int(row[b.NO_LEVELS]),
        yes_total=format_count(int(row[b.YES_TOTAL])),
        no_total=format_count(int(row[b.NO_TOTAL])),
        last_trade=_last_trade(row),
        n_deltas=int(row[b.N_DELTAS]),
        n_trades=int(row[b.N_TRADES]),
    )


def _flags(row: b.Row) -> tuple[str, ...]:
    return tuple(str(f.name).lower() for f in b.BookFlag if int(row[b.FLAGS]) & f)


def _best(row: b.Row, leg: b.LegCode) -> int:
    return int(b.best_bid(row, leg)[0])


def _price(price_e4: int) -> str | None:
    return format_price(price_e4) if price_e4 else None


def _mid_and_spread(yes_bid: int, no_bid: int) -> tuple[str | None, str | None]:
    """(mid, spread) on the YES scale; (None, None) without both touches."""
    if not yes_bid or not no_bid:
        return None, None
    ask = ONE_DOLLAR_E4 - no_bid
    whole, half = divmod(yes_bid + ask, 2)
    return format_price(whole) + ("5" if half else ""), format_price(ask - yes_bid)


def _levels(row: b.Row, leg: b.LegCode, depth: int) -> tuple[tuple[str, str], ...]:
    """(price, count) of a leg's bids, best first."""
    slots = int(row[b.SLOTS])
    sizes = row[b.HEADER + leg * slots : b.HEADER + (leg + 1) * slots]
    best_first = np.flatnonzero(sizes)[::-1]
    chosen = best_first[:depth] if depth else best_first
    return tuple(
        (format_price(b.price_of(row, int(s))), format_count(int(sizes[s]))) for s in chosen
    )


def _last_trade(row: b.Row) -> LastTrade | None:
    if not row[b.LAST_TRADE_PRICE]:
        return None
    return LastTrade(
        yes_price=format_price(int(row[b.LAST_TRADE_PRICE])),
        count=format_count(int(row[b.LAST_TRADE_COUNT])),
        ts_ms=int(row[b.LAST_TRADE_MS]) or None,
    )
