"""Recordings as the learner reads them: one `RecordedSession` per market, in the journal's layout.

The events of a recording are the same records, in the same order, that the collector journals when
the local exchange replays it: receive time in whole milliseconds of the recording.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt

from ipc.journal import EVENT, Kind
from models.simulation.tape import RecordedSession
from models.trading.fees import FeeSchedule, rule_at_ms
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.normalise import (
    change_of_delta,
    exchange_ms,
    levels_of_snapshot,
    trade_of,
)
from processes.adapters.kalshi.recordings.lines import RecordingError, read_frames, recording_files
from processes.adapters.kalshi.recordings.markets import RecordedMarket, load_markets
from processes.adapters.kalshi.schemas.frames import Delta, Frame, Snapshot, Trade

__all__ = ["load_sessions"]

BEGIN: Final = int(Kind.SNAPSHOT_BEGIN)
LEVEL: Final = int(Kind.SNAPSHOT_LEVEL)
END: Final = int(Kind.SNAPSHOT_END)
DELTA: Final = int(Kind.DELTA)
TRADE: Final = int(Kind.TRADE)
MS: Final = 1_000_000

# recv_ns, exch_ms, seq, kind, side, price, qty: the columns of EVENT that a frame fills.
Record = tuple[int, int, int, int, int, int, int]
_COLUMNS: Final = ("recv_ns", "exch_ms", "seq", "kind", "leg", "price_e4", "count_e2")


def load_sessions(path: Path) -> list[RecordedSession]:
    """Every market of a recording or of a folder of them; `RecordingError` names file and line."""
    sessions = []
    for file in recording_files(path):
        events = _events_by_market(file)
        sessions += [
            _session(m, events[m.ticker]) for m in load_markets(file) if m.ticker in events
        ]
    return sessions


def _session(market: RecordedMarket, records: list[Record]) -> RecordedSession:
    events = np.zeros(len(records), EVENT)
    columns = np.array(records, np.int64).reshape(-1, len(_COLUMNS))
    for i, name in enumerate(_COLUMNS):
        _check_room(market, name, columns[:, i])
        events[name] = columns[:, i]
    events["event_no"] = np.arange(1, len(records) + 1)
    began_ms = market.open_ms or int(events["recv_ns"][0]) // MS
    return RecordedSession(
        ticker=market.ticker,
        events=events,
        grid=market.grid,
        open_ms=market.open_ms,
        close_ms=market.close_ms,
        yes_value_e4=market.yes_value_e4,
        environment=market.environment,
        fees=FeeSchedule.of(rule_at_ms(began_ms)),
    )


def _check_room(market: RecordedMarket, name: str, values: npt.NDArray[np.int64]) -> None:
    """A journal's record has 32 bits for most numbers: what needs more is refused, not cut."""
    room = np.iinfo(EVENT[name])
    if len(values) and not room.min <= values.min() <= values.max() <= room.max:
        worst = int(values.max()) if values.max() > room.max else int(values.min())
        raise RecordingError(
            market.path,
            0,
            f"{market.ticker}: {name}={worst} is out of range; "
            f"allowed: {int(room.min)} to {int(room.max)}",
        )


def _events_by_market(path: Path) -> dict[str, list[Record]]:
    events: defaultdict[str, list[Record]] = defaultdict(list)
    for recorded in read_frames(path):
        try:
            _append(events, recorded.frame, recorded.recv_ms * MS)
        except WireError as error:
            raise RecordingError(path, recorded.line, str(error)) from None
    return dict(events)


def _append(events: dict[str, list[Record]], frame: Frame, recv_ns: int) -> None:
    """The records of one frame, as the collector writes them."""
    if isinstance(frame, Delta):
        side, price_e4, delta_e2 = change_of_delta(frame.msg)
        ms = exchange_ms(frame.msg.ts_ms, frame.msg.ts)
        record = (recv_ns, ms, frame.seq, DELTA, side, price_e4, delta_e2)
        events[frame.msg.market_ticker].append(record)
    elif isinstance(frame, Trade):
        side, price_e4, count_e2 = trade_of(frame.msg)
        ms = exchange_ms(frame.msg.ts_ms, frame.msg.ts)
        record = (recv_ns, ms, frame.seq, TRADE, side, price_e4, count_e2)
        events[frame.msg.market_ticker].append(record)
    elif isinstance(frame, Snapshot):
        events[frame.msg.market_ticker] += _snapshot(frame, recv_ns)


def _snapshot(frame: Snapshot, recv_ns: int) -> list[Record]:
    sides, prices, counts = levels_of_snapshot(frame.msg)
    rows = zip(sides.tolist(), prices.tolist(), counts.tolist(), strict=True)
    levels = [(recv_ns, 0, frame.seq, LEVEL, *row) for row in rows]
    begin = (recv_ns, 0, frame.seq, BEGIN, 0, 0, len(levels))
    return [begin, *levels, (recv_ns, 0, frame.seq, END, 0, 0, len(levels))]
