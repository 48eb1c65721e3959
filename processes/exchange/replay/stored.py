"""Stored sessions and archives as sources of a replay: their events as the frames they came from.

Only what a book and its trades are made of is there: `seq`, ids of trades and of markets are new.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from ipc.clock import NS_PER_MS
from ipc.journal import Kind
from ipc.units import ONE_DOLLAR_E4, format_count, format_price
from models.simulation.tape import RecordedSession
from processes.adapters.kalshi.recordings import RecordedFrame, RecordedMarket
from processes.adapters.kalshi.schemas.enums import Result
from processes.exchange.replay.timeline import ReplaySource

__all__ = ["sources_of"]

LEGS: Final = ("yes", "no")
_RESULTS: Final = {None: Result.NONE, 0: Result.NO, ONE_DOLLAR_E4: Result.YES}

Event = dict[str, Any]


def sources_of(place: Path, sessions: list[RecordedSession]) -> list[ReplaySource]:
    """One source for each market that has a snapshot.

    Args:
        place: what was named: an archive, or a session; for messages.
        sessions: the markets.
    """
    return [
        ReplaySource(
            place,
            [_market_of(place, session)],
            int(session.events["recv_ns"][0]) // NS_PER_MS,
            _reader(place, session),
        )
        for session in sessions
        if np.any(session.events["kind"] == Kind.SNAPSHOT_END)
    ]


def _market_of(place: Path, session: RecordedSession) -> RecordedMarket:
    value = session.yes_value_e4
    return RecordedMarket(
        ticker=session.ticker,
        event_ticker=session.ticker.rpartition("-")[0] or session.ticker,
        path=place,
        environment=session.environment,
        grid=session.grid,
        open_ms=session.open_ms,
        close_ms=session.close_ms,
        result=_RESULTS.get(value, Result.SCALAR),
        yes_value_e4=value,
    )


def _reader(place: Path, session: RecordedSession) -> Callable[[], Iterator[RecordedFrame]]:
    return lambda: _frames(place, session.ticker, session.events)


def _frames(place: Path, ticker: str, events: npt.NDArray[np.void]) -> Iterator[RecordedFrame]:
    """The frames of one market in order; `line` is the number of the event."""
    levels: dict[str, list[tuple[str, str]]] = {}
    for start in range(0, len(events), _BLOCK):
        for event in _named(events[start : start + _BLOCK]):
            kind = event["kind"]
            if kind == Kind.SNAPSHOT_BEGIN:
                levels = {}
            elif kind == Kind.SNAPSHOT_LEVEL:
                level = format_price(event["price_e4"]), format_count(event["count_e2"])
                levels.setdefault(f"{LEGS[event['leg']]}_dollars_fp", []).append(level)
            elif kind in _MAKERS:
                name, make = _MAKERS[kind]
                msg = {"market_ticker": ticker} | make(event, levels)
                frame = {"type": name, "sid": 1, "seq": event["event_no"], "msg": msg}
                raw = msgspec.json.encode(frame)
                yield RecordedFrame(event["recv_ns"] // NS_PER_MS, raw, event["event_no"], place)


_BLOCK: Final = 10_000
_FIELDS: Final = ("event_no", "recv_ns", "exch_ms", "kind", "leg", "price_e4", "count_e2")


def _named(events: npt.NDArray[np.void]) -> Iterator[Event]:
    columns = [events[name].tolist() for name in _FIELDS]
    return (dict(zip(_FIELDS, row, strict=True)) for row in zip(*columns, strict=True))


def _time(event: Event) -> Event:
    return {"ts_ms": event["exch_ms"]} if event["exch_ms"] else {}


def _snapshot(_event: Event, levels: dict[str, list[tuple[str, str]]]) -> Event:
    return dict(levels)


def _delta(event: Event, _levels: object) -> Event:
    return _time(event) | {
        "price_dollars": format_price(event["price_e4"]),
        "delta_fp": format_count(event["count_e2"]),
        "side": LEGS[event["leg"]],
    }


def _trade(event: Event, _levels: object) -> Event:
    yes_e4 = event["price_e4"]
    name = f"{event['recv_ns']}/{event['event_no']}"
    return _time(event) | {
        "trade_id": str(uuid.uuid5(uuid.NAMESPACE_OID, name)),
        "yes_price_dollars": format_price(yes_e4),
        "no_price_dollars": format_price(ONE_DOLLAR_E4 - yes_e4),
        "count_fp": format_count(event["count_e2"]),
        "taker_outcome_side": LEGS[event["leg"]],
        "is_block_trade": event["kind"] == Kind.BLOCK_TRADE,
    }


_MAKERS: Final[dict[int, tuple[str, Callable[[Event, Any], Event]]]] = {
    Kind.SNAPSHOT_END: ("orderbook_snapshot", _snapshot),
    Kind.DELTA: ("orderbook_delta", _delta),
    Kind.TRADE: ("trade", _trade),
    Kind.BLOCK_TRADE: ("trade", _trade),
}
