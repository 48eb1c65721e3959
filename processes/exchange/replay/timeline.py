"""Recordings as one timeline: their frames, what happens to their markets between, their facts.

Files are opened only when their time comes. `shift_ms` moves a whole pass into the future, so that
market time never runs back when a replay begins again.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from enum import IntEnum
from pathlib import Path
from typing import Any, Final, NamedTuple

from models.trading.fees import ALWAYS_MS, FeeSchedule, FeeStep, rule_at_ms
from processes.adapters.kalshi.recordings import (
    RecordedFrame,
    RecordedMarket,
    RecordingError,
    load_markets,
    read_frames,
    recording_files,
    up_to_cut,
)
from processes.adapters.kalshi.schemas.frames import Snapshot
from processes.exchange.core.markets import MarketFacts

__all__ = [
    "DETAILS",
    "Item",
    "ReplaySource",
    "Step",
    "facts_of",
    "load_recordings",
    "timeline",
]

USUAL_FEES: Final = FeeStep(ALWAYS_MS, "quadratic", 10_000)
CHECKED_BYTES: Final = 4 << 20  # recordings up to this size are read through at the start
SETTLE_AFTER_MS: Final = 1_000  # determination before the settlement that is recorded

Say = Callable[[str], None]


class Step(IntEnum):
    """What happens; of one moment, in this order."""

    FRAME = 0
    CLOSE = 1
    DETERMINE = 2
    SETTLE = 3


class Item(NamedTuple):
    """One step at a recorded time."""

    ms: int
    step: Step
    ticker: str
    frame: RecordedFrame | None


class ReplaySource:
    """One file or stored market: its markets, when its first frame was received, its frames.

    Args:
        path: the file, or what else names it.
        markets: those that it has a book of.
        starts_ms: receive time of its first frame.
        frames: reads its frames from the first on; by default those of the file.
    """

    def __init__(
        self,
        path: Path,
        markets: list[RecordedMarket],
        starts_ms: int,
        frames: Callable[[], Iterator[RecordedFrame]] | None = None,
    ) -> None:
        self.path = path
        self.markets = markets
        self.starts_ms = starts_ms
        self.frames = frames or (lambda: read_frames(path))


def load_recordings(path: Path) -> list[ReplaySource]:
    """All recordings of a path in the order of their start; `RecordingError` for a bad one."""
    files = recording_files(path)
    whole = sum(f.stat().st_size for f in files) <= CHECKED_BYTES
    recordings = [_load(file, whole=whole) for file in files]
    return sorted(recordings, key=lambda r: (r.starts_ms, r.path.name))


def _load(path: Path, *, whole: bool) -> ReplaySource:
    """Read up to the first snapshot, or all of it."""
    starts_ms, has_book = None, False
    for recorded in up_to_cut(read_frames(path)):
        starts_ms = recorded.recv_ms if starts_ms is None else starts_ms
        has_book = isinstance(recorded.frame, Snapshot) or has_book
        if has_book and not whole:
            break
    if starts_ms is None or not has_book:
        raise RecordingError(path, 0, "no orderbook_snapshot in it")
    return ReplaySource(path, load_markets(path), starts_ms)


def timeline(recordings: list[ReplaySource], say: Say) -> Iterator[Item]:
    """Every step of every recording by time; frames of one file keep their order.

    `say` takes one line per file that breaks off.
    """
    waiting = sorted(recordings, key=lambda r: r.starts_ms, reverse=True)
    heads: list[tuple[int, int, Item, Iterator[Item]]] = []
    number = 0
    while waiting or heads:
        while waiting and (not heads or waiting[-1].starts_ms <= heads[0][0]):
            steps = _steps(waiting.pop(), say)
            first = next(steps)
            heapq.heappush(heads, (first.ms, number, first, steps))
            number += 1
        _, own, item, steps = heads[0]
        yield item
        following = next(steps, None)
        if following is None:
            heapq.heappop(heads)
        else:
            heapq.heapreplace(heads, (following.ms, own, following, steps))


def _steps(recording: ReplaySource, say: Say) -> Iterator[Item]:
    """A file's frames with the closes and settlements of its markets put in between."""
    ends = sorted(e for market in recording.markets for e in _ends(market))
    last_ms = 0
    for frame in up_to_cut(recording.frames(), say):
        last_ms = max(last_ms, frame.recv_ms)
        while ends and ends[0].ms < last_ms:
            yield ends.pop(0)
        yield Item(last_ms, Step.FRAME, "", frame)
    yield from (end._replace(ms=max(end.ms, last_ms)) for end in ends)


def _ends(market: RecordedMarket) -> list[Item]:
    """When a market closes, is determined and settles, as far as it is known."""
    if not market.close_ms:
        return []
    ends = [Item(market.close_ms, Step.CLOSE, market.ticker, None)]
    if market.yes_value_e4 is not None:
        settled_ms = max(market.settled_ms, market.close_ms + SETTLE_AFTER_MS)
        determined_ms = max(settled_ms - SETTLE_AFTER_MS, market.close_ms)
        ends.append(Item(determined_ms, Step.DETERMINE, market.ticker, None))
        ends.append(Item(settled_ms, Step.SETTLE, market.ticker, None))
    return ends


DAY_MS: Final = 86_400_000
DETAILS: Final[tuple[str, ...]] = (  # of a market's body: they describe it and decide nothing
    "cap_strike",
    "custom_strike",
    "early_close_condition",
    "functional_strike",
    "is_provisional",
    "mve_collection_ticker",
    "mve_selected_legs",
    "primary_participant_key",
)


def facts_of(market: RecordedMarket, shift_ms: int, first_ms: int) -> MarketFacts:
    """What is known of a recorded market, moved by `shift_ms`; never how it ended.

    Its shard is not the recorded one: where a replay's money lies is the settings' to say.
    """
    open_ms = market.open_ms or first_ms
    close_ms = market.close_ms or open_ms + DAY_MS
    body: dict[str, Any] = market.body
    usual = "linear_cent" if market.grid.size == 99 else "tapered_deci_cent"
    fees = market.fees[0] if market.fees else USUAL_FEES
    details: dict[str, Any] = {name: body[name] for name in DETAILS if name in body}
    if "occurrence_datetime" in body and not shift_ms:
        details["occurrence_datetime"] = body["occurrence_datetime"]
    return MarketFacts(
        ticker=market.ticker,
        event_ticker=market.event_ticker,
        series_ticker=market.series_ticker,
        open_ms=open_ms + shift_ms,
        close_ms=close_ms + shift_ms,
        grid=market.grid,
        structure=body.get("price_level_structure") or usual,
        title=market.title,
        yes_sub_title=body.get("yes_sub_title", ""),
        no_sub_title=body.get("no_sub_title", ""),
        strike_type=body.get("strike_type", ""),
        floor_strike=body.get("floor_strike"),
        rules=body.get("rules_primary", ""),
        rules_more=body.get("rules_secondary", ""),
        settlement_timer_s=body.get("settlement_timer_seconds", 1),
        expiration_value=body.get("expiration_value") or "",
        details=details,
        fee_type=fees.fee_type,
        fee_multiplier_e4=fees.multiplier_e4,
        fees=FeeSchedule.of(rule_at_ms(open_ms), fees.fee_type, fees.multiplier_e4),
    )
