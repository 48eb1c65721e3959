"""The one builder of observations, live and in training.

Two kernels: `observe_tick` makes the book's share of one tick and moves the market's history to it;
`observe_account` joins it with the account's share. The first runs once per tick of a session,
whatever is decided there; the second once per decision. Which schema they build is the builder's
code: a new schema is one file beside `models.observation.v3` and a line in `BUILDERS`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from ipc import account_table as a
from ipc import book as b
from ipc.clock import NS_PER_S
from ipc.kernels import compiled, kernel
from models.observation.schema import OBSERVATION_V1, ZONE, Schema
from models.observation.v1 import (
    BOOK_SIZE,
    HISTORY,
    activity_of,
    clean,
    market_features,
    mid_cents,
    momentum_of,
    order_features,
    portfolio_features,
    position_value,
    temporal_features,
    valuation_mid_e4,
)
from models.observation.v2 import OBSERVATION_V2, TICK_SIZE_V2, account_v2, tick_v2
from models.observation.v3 import (
    FLOATS_V3,
    OBSERVATION_V3,
    TICK_SIZE_V3,
    account_v3,
    tick_v3,
)

__all__ = [
    "BUILDERS",
    "DEFAULT",
    "FLOATS",
    "HOUR_NS",
    "INTS",
    "MOST",
    "OBSERVATION_V1",
    "OBSERVATION_V2",
    "OBSERVATION_V3",
    "TOTAL",
    "Builder",
    "LiveObservationAdapter",
    "Observation",
    "Schema",
    "TickHistory",
    "ZoneClock",
    "builder_of",
    "observation_hash",
    "observe_account",
    "observe_tick",
    "observe_with",
]

Observation = npt.NDArray[np.float32]

V1: Final = 1  # codes of the builders
V2: Final = 2
V3: Final = 3
UNKNOWN_CODE: Final = "no schema has this code; allowed: those of BUILDERS"
MOST_TICK: Final = max(BOOK_SIZE, TICK_SIZE_V2, TICK_SIZE_V3)
MOST: Final = max(OBSERVATION_V1.size, OBSERVATION_V2.size, OBSERVATION_V3.size)  # floats
INTS: Final = HISTORY + 1  # words of a history
FLOATS: Final = max(2 * HISTORY, FLOATS_V3)
TOTAL: Final = HISTORY  # its word that counts ticks
HOUR_NS: Final = 3_600_000_000_000
_DAY_S: Final = 86_400
_THURSDAY: Final = 3  # 1 January 1970, Monday = 0


class Builder(NamedTuple):
    """One schema and the code by which the kernels know it.

    Attributes:
        schema: Names, formulas and hash.
        code: V1, V2 or V3, the first argument of the kernels.
        tick_size: Floats of a tick, the first of an observation; the account's follow.
    """

    schema: Schema
    code: int
    tick_size: int

    @property
    def size(self) -> int:
        """Floats in one observation."""
        return self.schema.size


BUILDERS: Final = {
    builder.schema.name: builder
    for builder in (
        Builder(OBSERVATION_V1, V1, BOOK_SIZE),
        Builder(OBSERVATION_V2, V2, TICK_SIZE_V2),
        Builder(OBSERVATION_V3, V3, TICK_SIZE_V3),
    )
}
DEFAULT: Final = BUILDERS[OBSERVATION_V1.name]


def builder_of(name: str) -> Builder:
    """The builder of a schema by its name.

    Args:
        name: Such as `OBSERVATION_V2`.

    Raises:
        ValueError: Unknown; names those that there are.
    """
    if name not in BUILDERS:
        raise ValueError(f"unknown observation schema {name!r}; allowed: {', '.join(BUILDERS)}")
    return BUILDERS[name]


class TickHistory:
    """What one market's ticks before the current one left; arrays that kernels change in place.

    Belongs to one incarnation of the market's row: `LiveObservationAdapter` begins another one
    after every accepted snapshot, as the walk of a recording does.

    Args:
        builder: Whose features it holds.

    Attributes:
        ints: int64[INTS].
        floats: float64[FLOATS].
        features: float32[tick_size], of the last tick.
    """

    def __init__(self, builder: Builder = DEFAULT) -> None:
        self.ints = np.zeros(INTS, np.int64)
        self.floats = np.zeros(FLOATS)
        self.features = np.zeros(builder.tick_size, np.float32)  # of the last tick

    @property
    def ticks(self) -> int:
        """Ticks since the start, forgotten ones included."""
        return int(self.ints[TOTAL])

    def clear(self) -> None:
        """Start over: the next tick is the first."""
        self.ints[TOTAL] = 0


@compiled
def _push(ints: Any, floats: Any, now_ns: int, act: float, mid: float) -> None:
    """Append a tick, forgetting the oldest of ten."""
    at = ints[TOTAL]
    if at >= HISTORY:
        at = HISTORY - 1
        for i in range(at):
            ints[i] = ints[i + 1]
            floats[i], floats[HISTORY + i] = floats[i + 1], floats[HISTORY + i + 1]
    ints[at] = now_ns
    floats[at], floats[HISTORY + at] = act, mid


@compiled
def _tick_v1(row: b.Row, zone_offset_s: int, ints: Any, floats: Any, features: Any) -> None:
    """Features 0..34 of OBSERVATION_V1, then the tick joins the history."""
    now_ns = row[b.RECV_NS]
    count = min(ints[TOTAL], HISTORY)
    acts, mids = floats[:HISTORY], floats[HISTORY : 2 * HISTORY]
    gap_s = (now_ns - ints[count - 1]) / 1e9 if count > 0 else 0.0
    local_s = now_ns // NS_PER_S + zone_offset_s
    act, mid = activity_of(row), mid_cents(row)
    market_features(row, features)
    temporal_features(
        now_ns,
        gap_s,
        local_s // 3600 % 24,
        (local_s // _DAY_S + _THURSDAY) % 7,
        act,
        momentum_of(mids, count, mid),
        mid,
        ints,
        acts,
        mids,
        count,
        features,
    )
    _push(ints, floats, now_ns, act, mid)


@compiled
def observe_tick(
    code: int, row: b.Row, zone_offset_s: int, ints: Any, floats: Any, out: Any
) -> None:
    """Make a tick's features; the history moves to it.

    Args:
        code: Of the builder.
        row: The book as of the tick; market time is its receive time.
        zone_offset_s: The schema zone's offset from UTC at that moment.
        ints: int64[INTS] of the market's history, changed in place.
        floats: float64[FLOATS], likewise.
        out: float32[tick_size], overwritten.

    Raises:
        ValueError: No builder has that code.
    """
    features = np.empty(MOST_TICK)
    if code == V1:
        _tick_v1(row, zone_offset_s, ints, floats, features)
    elif code == V2:
        tick_v2(row, ints[TOTAL] == 0, ints, floats, features)
    elif code == V3:
        tick_v3(row, ints[TOTAL], ints, floats, features)
    else:
        raise ValueError(UNKNOWN_CODE)
    ints[TOTAL] += 1
    for i in range(len(out)):
        out[i] = clean(features[i])


@compiled
def observe_account(code: int, tick: Any, row: b.Row, account: a.AccountRow, out: Any) -> None:
    """Make a whole observation of a tick and the present account.

    Args:
        code: Of the builder.
        tick: float32[tick_size], from `observe_tick`.
        row: The book as of the tick.
        account: The sub-account, in the layout of `ipc.account_table`.
        out: float32[size], overwritten.
    """
    observe_with(code, tick, row, account, np.empty(MOST), out)


@kernel
def observe_with(
    code: int, tick: Any, row: b.Row, account: a.AccountRow, features: Any, out: Any
) -> None:
    """Make a whole observation with the caller's scratch memory; a kernel that allocates nothing.

    Args:
        code: Of the builder.
        tick: float32[tick_size], from `observe_tick`.
        row: The book as of the tick.
        account: The sub-account, in the layout of `ipc.account_table`.
        features: float64[MOST], overwritten.
        out: float32[size], overwritten; every float is finite and within [-2, 2].

    Raises:
        ValueError: No builder has that code.
    """
    if code == V1:
        mid_e4 = valuation_mid_e4(row)
        cash_e6, position_e2 = account[a.CASH_E6], account[a.POSITION_E2]
        value_e6 = position_value(position_e2, mid_e4)
        basis_e6 = account[a.COST_BASIS_E6]
        portfolio_features(cash_e6, position_e2, basis_e6, value_e6, cash_e6 + value_e6, features)
        order_features(account, mid_e4, row[b.RECV_NS], features)
    elif code == V2:
        account_v2(row, account, features)
    elif code == V3:
        account_v3(row, account, features)
    else:
        raise ValueError(UNKNOWN_CODE)
    n = len(tick)
    for i in range(n):
        out[i] = tick[i]
    for i in range(n, len(out)):
        out[i] = clean(features[i])


class ZoneClock:
    """The schema zone's offset from UTC, looked up once per hour of market time.

    Args:
        zone: IANA name; the default is that of the schemas.
    """

    def __init__(self, zone: str = ZONE) -> None:
        self._zone = ZoneInfo(zone)
        self._offsets: dict[int, int] = {}

    def offset_s(self, ts_ns: int) -> int:
        """Seconds to add to UTC at a moment, nanoseconds since the Unix epoch."""
        hour = ts_ns // HOUR_NS
        if hour not in self._offsets:
            delta = datetime.fromtimestamp(3600 * hour, UTC).astimezone(self._zone).utcoffset()
            self._offsets[hour] = 0 if delta is None else int(delta.total_seconds())
        return self._offsets[hour]


def observation_hash(observation: Observation) -> str:
    """Hash an observation.

    Returns:
        16 hex digits of BLAKE2b over its float32 bytes: equal only when every float is the same to
        the last bit.
    """
    return blake2b(observation.tobytes(), digest_size=8).hexdigest()


class LiveObservationAdapter:
    """The live book and account as the training observation: keeps each market's tick history.

    A history starts over with every accepted snapshot (without one no book becomes LIVE again), and
    when the row is another market's or another writer's.

    Args:
        builder: Makes the observations.
    """

    def __init__(self, builder: Builder = DEFAULT) -> None:
        self.builder = builder
        self._clock = ZoneClock()
        self._histories: dict[str, TickHistory] = {}
        self._incarnations: dict[str, tuple[int, int, int]] = {}

    def tick(self, ticker: str, row: b.Row) -> int:
        """Evaluate a market's tick row.

        Args:
            ticker: The market.
            row: The book as of the tick.

        Returns:
            The number of the market's ticks before this one.
        """
        history = self._history(ticker, row)
        before = history.ticks
        observe_tick(
            self.builder.code,
            row,
            self._clock.offset_s(int(row[b.RECV_NS])),
            history.ints,
            history.floats,
            history.features,
        )
        return before

    def observe(
        self, ticker: str, row: b.Row, account: a.AccountRow, out: Observation | None = None
    ) -> Observation:
        """The observation of the tick just evaluated.

        Args:
            ticker: The market.
            row: The row that `tick` was given.
            account: The sub-account.
            out: float32[size] to write into; a new array when None.

        Returns:
            float32[size].

        Raises:
            KeyError: The market never ticked.
        """
        if out is None:
            out = np.empty(self.builder.size, np.float32)
        observe_account(self.builder.code, self._histories[ticker].features, row, account, out)
        return out

    def forget(self, ticker: str) -> None:
        """Drop a market's history, for example when it has closed."""
        self._histories.pop(ticker, None)
        self._incarnations.pop(ticker, None)

    def _history(self, ticker: str, row: b.Row) -> TickHistory:
        incarnation = (int(row[b.GENERATION]), int(row[b.MARKET]), int(row[b.LIVE_EVENT_NO]))
        if self._incarnations.get(ticker) != incarnation:
            self._incarnations[ticker] = incarnation
            self._histories[ticker] = TickHistory(self.builder)
        return self._histories[ticker]
