"""The one builder of observations, live and in training.

Two kernels: `observe_tick` makes the book's share (features 0..34) of one tick and adds the tick to
the market's history; `observe_account` joins it with the account's share (35..51). The first runs
once per tick of a session, whatever is decided there; the second once per decision.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
from numba import njit

from ipc import account_table as a
from ipc import book as b
from models.features_account import (
    order_features,
    portfolio_features,
    position_value,
    valuation_mid_e4,
)
from models.features_book import (
    BOOK_SIZE,
    HISTORY,
    activity_of,
    clean,
    market_features,
    mid_cents,
    momentum_of,
    temporal_features,
)
from models.schema import OBSERVATION_V1, ZONE, Schema

__all__ = [
    "BOOK_SIZE",
    "HISTORY",
    "HOUR_NS",
    "OBSERVATION_V1",
    "SIZE",
    "LiveObservationAdapter",
    "Observation",
    "Schema",
    "TickHistory",
    "ZoneClock",
    "observation_hash",
    "observe_account",
    "observe_tick",
]

Observation = npt.NDArray[np.float32]

SIZE: Final = OBSERVATION_V1.size
HOUR_NS: Final = 3_600_000_000_000
_NS: Final = 1_000_000_000
_DAY_S: Final = 86_400
_THURSDAY: Final = 3  # 1 January 1970, Monday = 0


class TickHistory:
    """The ticks before the current one, of one market; arrays that the kernel shifts in place."""

    def __init__(self) -> None:
        self.seen_ns = np.zeros(HISTORY, np.int64)
        self.points = np.zeros((2, HISTORY))  # activity, YES mid in cents or NaN
        self.total = np.zeros(1, np.int64)  # ticks since the start, those forgotten included
        self.features = np.zeros(BOOK_SIZE, np.float32)  # of the last tick

    def clear(self) -> None:
        """Start anew: the next tick is the first."""
        self.total[0] = 0


@njit(cache=True)
def _push(seen_ns: Any, points: Any, total: Any, now_ns: int, act: float, mid: float) -> None:
    """Append a tick, forgetting the oldest of ten."""
    at = total[0]
    if at >= HISTORY:
        at = HISTORY - 1
        for i in range(at):
            seen_ns[i] = seen_ns[i + 1]
            points[0, i], points[1, i] = points[0, i + 1], points[1, i + 1]
    seen_ns[at] = now_ns
    points[0, at], points[1, at] = act, mid
    total[0] += 1


@njit(cache=True)
def observe_tick(
    row: b.Row, zone_offset_s: int, seen_ns: Any, points: Any, total: Any, out: Any
) -> None:
    """Features 0..34 of a tick into `out` (float32), then the tick joins the history.

    Market time is the row's receive time; `zone_offset_s` is the schema's zone at that moment.
    """
    now_ns = row[b.RECV_NS]
    count = min(total[0], HISTORY)
    gap_s = (now_ns - seen_ns[count - 1]) / 1e9 if count > 0 else 0.0
    local_s = now_ns // _NS + zone_offset_s
    act, mid = activity_of(row), mid_cents(row)
    features = np.empty(BOOK_SIZE)
    market_features(row, features)
    temporal_features(
        now_ns,
        gap_s,
        local_s // 3600 % 24,
        (local_s // _DAY_S + _THURSDAY) % 7,
        act,
        momentum_of(points[1], count, mid),
        mid,
        seen_ns,
        points[0],
        points[1],
        count,
        features,
    )
    for i in range(BOOK_SIZE):
        out[i] = clean(features[i])
    _push(seen_ns, points, total, now_ns, act, mid)


@njit(cache=True)
def observe_account(tick: Any, row: b.Row, account: a.AccountRow, out: Any) -> None:
    """The whole observation into `out` (float32): a tick's features and the account's of now."""
    features = np.empty(SIZE)
    mid_e4 = valuation_mid_e4(row)
    cash_e6, position_e2 = account[a.CASH_E6], account[a.POSITION_E2]
    value_e6 = position_value(position_e2, mid_e4)
    basis_e6 = account[a.COST_BASIS_E6]
    portfolio_features(cash_e6, position_e2, basis_e6, value_e6, cash_e6 + value_e6, features)
    order_features(account, mid_e4, row[b.RECV_NS], features)
    for i in range(BOOK_SIZE):
        out[i] = tick[i]
    for i in range(BOOK_SIZE, SIZE):
        out[i] = clean(features[i])


class ZoneClock:
    """The schema zone's offset from UTC, looked up once per hour of market time."""

    def __init__(self, zone: str = ZONE) -> None:
        self._zone = ZoneInfo(zone)
        self._offsets: dict[int, int] = {}

    def offset_s(self, ts_ns: int) -> int:
        """Seconds to add to UTC."""
        hour = ts_ns // HOUR_NS
        if hour not in self._offsets:
            delta = datetime.fromtimestamp(3600 * hour, UTC).astimezone(self._zone).utcoffset()
            self._offsets[hour] = 0 if delta is None else int(delta.total_seconds())
        return self._offsets[hour]


def observation_hash(observation: Observation) -> str:
    """16 hex digits over an observation's bytes."""
    return blake2b(observation.tobytes(), digest_size=8).hexdigest()


class LiveObservationAdapter:
    """The live book and account as the training observation: keeps each market's tick history.

    A history starts anew with every accepted snapshot (without one no book is LIVE again), and when
    the row is another market's or another writer's.
    """

    def __init__(self) -> None:
        self._clock = ZoneClock()
        self._histories: dict[str, TickHistory] = {}
        self._lives: dict[str, tuple[int, int, int]] = {}

    def tick(self, ticker: str, row: b.Row) -> int:
        """Evaluate a market's tick row -> the number of its ticks before this one."""
        history = self._history(ticker, row)
        before = int(history.total[0])
        observe_tick(
            row,
            self._clock.offset_s(int(row[b.RECV_NS])),
            history.seen_ns,
            history.points,
            history.total,
            history.features,
        )
        return before

    def observe(
        self, ticker: str, row: b.Row, account: a.AccountRow, out: Observation | None = None
    ) -> Observation:
        """The observation of the tick just evaluated, float32[52]; `out` saves the allocation.

        `KeyError` for a market that never ticked.
        """
        if out is None:
            out = np.empty(SIZE, np.float32)
        observe_account(self._histories[ticker].features, row, account, out)
        return out

    def forget(self, ticker: str) -> None:
        """Drop a market's history, e.g. when it has closed."""
        self._histories.pop(ticker, None)
        self._lives.pop(ticker, None)

    def _history(self, ticker: str, row: b.Row) -> TickHistory:
        life = (int(row[b.GENERATION]), int(row[b.MARKET]), int(row[b.LIVE_EVENT_NO]))
        if self._lives.get(ticker) != life:
            self._lives[ticker] = life
            self._histories[ticker] = TickHistory()
        return self._histories[ticker]
