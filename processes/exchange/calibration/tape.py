"""What one market published, in order: book changes, trades and snapshots, with exchange time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from enum import IntEnum
from pathlib import Path
from typing import Final, NamedTuple

from ipc.units import ONE_DOLLAR_E4
from processes.adapters.kalshi.normalise import change_of_delta, levels_of_snapshot, trade_of
from processes.adapters.kalshi.recordings import read_frames, recording_files, up_to_cut
from processes.adapters.kalshi.recordings.reader import to_stderr
from processes.adapters.kalshi.schemas.frames import Delta, Snapshot, Trade
from processes.exchange.core.books import YES, Level
from processes.exchange.core.events import BookChanged, BookReplaced, Event, Traded

__all__ = ["Happening", "Mark", "Tape", "recorded_tapes", "tapes_of"]

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)


class Happening(IntEnum):
    """What a mark is."""

    CHANGE = 0
    TRADE = 1
    SNAPSHOT = 2


class Mark(NamedTuple):
    """One happening; leg and price are those of the book, of a trade the maker's."""

    ts_us: int
    what: Happening
    leg: int
    price_e4: int
    count_e2: int
    levels: tuple[Level, ...] = ()


Tape = list[Mark]


def tapes_of(events: Iterable[Event]) -> dict[str, Tape]:
    """The tape of every market in what the exchange's core said."""
    tapes: dict[str, Tape] = {}
    for event in events:
        if isinstance(event, BookChanged | BookReplaced | Traded):
            tapes.setdefault(event.market.ticker, []).append(_mark(event))
    return tapes


def _mark(event: BookChanged | BookReplaced | Traded) -> Mark:
    if isinstance(event, BookChanged):
        ts_us = event.ts_us or event.ts_ms * 1000
        return Mark(ts_us, Happening.CHANGE, event.leg, event.price_e4, event.delta_e2)
    if isinstance(event, BookReplaced):
        return Mark(event.sent_ms * 1000, Happening.SNAPSHOT, 0, 0, 0, event.levels)
    return _trade(event.ts_ms * 1000, event.taker_leg, event.yes_price_e4, event.count_e2)


def _trade(ts_us: int, taker_leg: int, yes_price_e4: int, count_e2: int) -> Mark:
    maker_leg = 1 - taker_leg
    price_e4 = yes_price_e4 if maker_leg == YES else ONE_DOLLAR_E4 - yes_price_e4
    return Mark(ts_us, Happening.TRADE, maker_leg, price_e4, count_e2)


def recorded_tapes(path: Path) -> Iterator[tuple[str, Tape]]:
    """(ticker, tape) of every market of a recording or of a folder of them."""
    for file in recording_files(path):
        tapes: dict[str, Tape] = {}
        last_us = 0
        for recorded in up_to_cut(read_frames(file), to_stderr):
            frame = recorded.frame
            if isinstance(frame, Delta):
                last_us = _exchange_us(frame.msg.ts, frame.msg.ts_ms) or last_us
                leg, price_e4, delta_e2 = change_of_delta(frame.msg)
                mark = Mark(last_us, Happening.CHANGE, leg, price_e4, delta_e2)
            elif isinstance(frame, Trade):
                taker_leg, yes_price_e4, count_e2 = trade_of(frame.msg)
                mark = _trade((frame.msg.ts_ms or 0) * 1000, taker_leg, yes_price_e4, count_e2)
            elif isinstance(frame, Snapshot):
                sides, prices, counts = levels_of_snapshot(frame.msg)
                rows = zip(sides.tolist(), prices.tolist(), counts.tolist(), strict=True)
                mark = Mark(last_us, Happening.SNAPSHOT, 0, 0, 0, tuple(rows))
            else:
                continue
            tapes.setdefault(frame.msg.market_ticker, []).append(mark)
        yield from tapes.items()


def _exchange_us(ts: str | None, ts_ms: int | None) -> int:
    if ts:
        return (datetime.fromisoformat(ts) - EPOCH) // MICROSECOND
    return (ts_ms or 0) * 1000
