"""What one market published, in order: book changes, trades and snapshots, with exchange time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ipc.units import ONE_DOLLAR_E4
from processes.adapters.kalshi.recordings import read_frames, recording_files, up_to_cut
from processes.adapters.kalshi.recordings.reader import to_stderr
from processes.adapters.kalshi.schemas.frames import Delta, Snapshot, Trade
from processes.adapters.kalshi.schemas.normalise import (
    change_of_delta,
    levels_of_snapshot,
    trade_of,
)
from processes.exchange.core.books import NO, YES, Level, PublishedBook
from processes.exchange.core.events import BookChanged, BookReplaced, Event, TradePrinted

__all__ = [
    "CENT",
    "LOOK_US",
    "Happening",
    "Tape",
    "TapeMark",
    "Walk",
    "recorded_tapes",
    "tapes_of",
    "walk",
]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


class Happening(IntEnum):
    """What a mark is."""

    CHANGE = 0
    TRADE = 1
    SNAPSHOT = 2


class TapeMark(NamedTuple):
    """One happening; leg and price are those of the book, of a trade the maker's."""

    ts_us: int
    what: Happening
    leg: int
    price_e4: int
    count_e2: int
    levels: tuple[Level, ...] = ()


Tape = list[TapeMark]


def tapes_of(events: Iterable[Event]) -> dict[str, Tape]:
    """The tape of every market in the exchange core's events, without block trades."""
    tapes: dict[str, Tape] = {}
    for event in events:
        if isinstance(event, TradePrinted) and event.is_block:
            continue
        if isinstance(event, BookChanged | BookReplaced | TradePrinted):
            tapes.setdefault(event.market.ticker, []).append(_mark(event))
    return tapes


def _mark(event: BookChanged | BookReplaced | TradePrinted) -> TapeMark:
    if isinstance(event, BookChanged):
        ts_us = event.ts_us or event.ts_ms * 1000
        return TapeMark(ts_us, Happening.CHANGE, event.leg, event.price_e4, event.delta_e2)
    if isinstance(event, BookReplaced):
        return TapeMark(event.sent_ms * 1000, Happening.SNAPSHOT, 0, 0, 0, event.levels)
    return _trade(event.ts_ms * 1000, event.taker_leg, event.yes_price_e4, event.count_e2)


def _trade(ts_us: int, taker_leg: int, yes_price_e4: int, count_e2: int) -> TapeMark:
    maker_leg = 1 - taker_leg
    price_e4 = yes_price_e4 if maker_leg == YES else ONE_DOLLAR_E4 - yes_price_e4
    return TapeMark(ts_us, Happening.TRADE, maker_leg, price_e4, count_e2)


def recorded_tapes(path: Path) -> Iterator[tuple[str, Tape]]:
    """(ticker, tape) of every market of a recording or a folder of them, without block trades."""
    for file in recording_files(path):
        tapes: dict[str, Tape] = {}
        last_us = 0
        for recorded in up_to_cut(read_frames(file), to_stderr):
            frame = recorded.frame
            if isinstance(frame, Delta):
                last_us = _exchange_us(frame.msg.ts, frame.msg.ts_ms) or last_us
                leg, price_e4, delta_e2 = change_of_delta(frame.msg)
                mark = TapeMark(last_us, Happening.CHANGE, leg, price_e4, delta_e2)
            elif isinstance(frame, Trade) and frame.msg.is_block_trade is not True:
                taker_leg, yes_price_e4, count_e2 = trade_of(frame.msg)
                mark = _trade((frame.msg.ts_ms or 0) * 1000, taker_leg, yes_price_e4, count_e2)
            elif isinstance(frame, Snapshot):
                sides, prices, counts = levels_of_snapshot(frame.msg)
                rows = zip(sides.tolist(), prices.tolist(), counts.tolist(), strict=True)
                mark = TapeMark(last_us, Happening.SNAPSHOT, 0, 0, 0, tuple(rows))
            else:
                continue
            tapes.setdefault(frame.msg.market_ticker, []).append(mark)
        yield from tapes.items()


def _exchange_us(ts: str | None, ts_ms: int | None) -> int:
    if ts:
        return (datetime.fromisoformat(ts) - EPOCH) // MICROSECOND
    return (ts_ms or 0) * 1000


CENT: Final = 100  # e4
LOOK_US: Final = 250_000  # between two looks at the book
PLUMB_EVERY: Final = 16  # changes between two looks into its depth
REACH: Final = 15  # cents from the best whose depth is looked at

Ints = npt.NDArray[np.int64]


class Walk:
    """What one pass saw.

    `changes` has a row a delta: ts_us, leg, price, delta, cents below the best of its side
    (negative: better; `REACH` * 10 where there was no best), opened, emptied, best changed.
    `looks` has a row a look: yes bid, yes ask, size at the best of both legs, levels of both legs
    (0 for what is not there). `depths[leg distance]` are the sizes found at it, 0 for none.
    """

    def __init__(self) -> None:
        self.rows: list[tuple[int, int, int, int, float, bool, bool, bool]] = []
        self.seen: list[tuple[int, int, int, int, int, int]] = []
        self.depths: list[list[int]] = [[] for _ in range(REACH)]
        self.best_sizes: list[int] = []
        self.trades: list[TapeMark] = []
        self.crossed = 0
        self.negative = 0

    @property
    def changes(self) -> npt.NDArray[np.float64]:
        """One row a delta."""
        return np.array(self.rows, np.float64).reshape(-1, 8)

    @property
    def looks(self) -> Ints:
        """One row a look."""
        return np.array(self.seen, np.int64).reshape(-1, 6)


def walk(tape: Tape) -> Walk:
    """Rebuild the book along a tape; looks begin with the first change and end with the last."""
    found, book = Walk(), PublishedBook()
    times = [m.ts_us for m in tape if m.what is Happening.CHANGE]
    if not times:
        return found
    next_us, end_us = times[0], times[-1]
    for mark in tape:
        if mark.what is Happening.SNAPSHOT:
            book.replace(mark.levels)
            continue
        if mark.what is Happening.TRADE:
            found.trades.append(mark)
            continue
        while next_us < mark.ts_us and next_us <= end_us:
            _look(found, book)
            next_us += LOOK_US
        _change(found, book, mark)
        if not len(found.rows) % PLUMB_EVERY:
            _plumb(found, book)
    return found


def _change(found: Walk, book: PublishedBook, mark: TapeMark) -> None:
    leg, price = mark.leg, mark.price_e4
    best, before = book.best(leg), book.count(leg, price)
    after = before + mark.count_e2
    book.change(leg, price, mark.count_e2)
    now_best = best
    if after > 0 and price > best:
        now_best = price
    elif after <= 0 and price == best:
        now_best = book.best(leg)
    distance = (best - price) / CENT if best else REACH * 10.0
    found.negative += after < 0
    found.crossed += now_best + book.best(1 - leg) >= ONE_DOLLAR_E4
    found.rows.append(
        (
            mark.ts_us,
            leg,
            price,
            mark.count_e2,
            distance,
            before == 0 and after > 0,
            before > 0 and after <= 0,
            now_best != best,
        )
    )


def _look(found: Walk, book: PublishedBook) -> None:
    bid, no_bid = book.best(YES), book.best(NO)
    ask = ONE_DOLLAR_E4 - no_bid if no_bid else 0
    yes, no = book.legs
    found.seen.append((bid, ask, yes.get(bid, 0), no.get(no_bid, 0), len(yes), len(no)))


def _plumb(found: Walk, book: PublishedBook) -> None:
    for side in book.legs:
        best = max(side, default=0)
        if best:
            found.best_sizes.append(side[best])
            for distance in range(min(REACH, (best - 1) // CENT + 1)):
                found.depths[distance].append(side.get(best - distance * CENT, 0))
