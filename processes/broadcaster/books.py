"""A row of the shared table as an `orderbook_snapshot`."""

from __future__ import annotations

from typing import Final

import numpy as np

from ipc import book as b
from ipc.clock import NS_PER_MS
from ipc.units import ONE_DOLLAR_E4, format_count, format_price
from processes.broadcaster.wire import LastTrade, OrderbookData

__all__ = ["Signature", "book_data", "signature_of"]

Signature = tuple[int, ...]

_SIGNED_BY: Final = (b.MARKET, b.GENERATION, b.STATE, b.FLAGS, b.EVENT_NO, b.SEQ, b.RECV_NS)


def signature_of(row: b.Row, *, stale: bool) -> Signature:
    """Changes whenever what a client should see of this row does."""
    return (stale, *(int(row[word]) for word in _SIGNED_BY))


def book_data(ticker: str, row: b.Row, depth: int, *, stale: bool) -> OrderbookData:
    """The best `depth` levels a side (0: all); `stale` when the row's writer does not move."""
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
