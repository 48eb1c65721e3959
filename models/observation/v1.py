"""OBSERVATION_V1: features 0..34 of one row and its tick history, 35..51 of the sub-account.

Formulas are written in cents and contracts, as in the schema; integers become floats here and
nowhere earlier. Money is micro-dollars and prices 1e-4 dollars until a ratio is taken. Everything
is a Numba kernel, used live and in training alike.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ipc import account_table as a
from ipc import book as b
from ipc.kernels import compiled, kernel
from ipc.units import ONE_DOLLAR_E4

__all__ = [
    "BOOK_SIZE",
    "HISTORY",
    "activity_of",
    "clean",
    "market_features",
    "mid_cents",
    "momentum_of",
    "order_features",
    "portfolio_features",
    "position_value",
    "temporal_features",
    "valuation_mid_e4",
]

Floats = npt.NDArray[np.float64]

HISTORY: Final = 10  # ticks before the current one
MARKET_SIZE: Final = 21
BOOK_SIZE: Final = 35
LOG_SCALE: Final = math.log(1 + 10_000)
CENT_E4: Final = 100.0
CONTRACT_E2: Final = 100.0
MISSING: Final = -1.0  # cents, never a price
PORTFOLIO: Final = 35
ORDER: Final = 47
END: Final = 52
LEAST_VALUE_E6: Final = 10_000.0  # 0.01 dollars: below, there is no portfolio to speak of
ORDER_AGE_NS: Final = 300e9


@compiled
def clean(value: float) -> float:
    """NaN -> 0, +inf -> 1, -inf -> -1, then clipped to [-2, 2]."""
    if math.isnan(value):
        return 0.0
    if math.isinf(value):
        return 1.0 if value > 0 else -1.0
    return min(max(value, -2.0), 2.0)


@compiled
def _log_volume(contracts: float) -> float:
    return min(1.0, math.log(1.0 + contracts) / LOG_SCALE)


@compiled
def _touch_cents(row: b.Row, leg: b.LegCode) -> tuple[float, float]:
    """(best bid, best ask) of a leg in cents, MISSING where there is none."""
    own, other = row[b.BEST_YES + leg], row[b.BEST_NO - leg]
    bid = b.price_of(row, own) / CENT_E4 if own >= 0 else MISSING
    ask = (ONE_DOLLAR_E4 - b.price_of(row, other)) / CENT_E4 if other >= 0 else MISSING
    return bid, ask


@compiled
def mid_cents(row: b.Row) -> float:
    """YES mid in cents, NaN without both touches.

    Args:
        row: The book.
    """
    bid, ask = _touch_cents(row, b.YES)
    return math.nan if bid == MISSING or ask == MISSING else (bid + ask) / 2.0


@compiled
def activity_of(row: b.Row) -> float:
    """Activity score of a book: min(1, ln(1 + total volume) / 1000).

    A single-market view; each contract counts twice, as a bid of its leg and an ask of the other.

    Args:
        row: The book.
    """
    total = 2.0 * (row[b.YES_TOTAL] + row[b.NO_TOTAL]) / CONTRACT_E2
    return min(1.0, math.log(1.0 + total) / 1000.0)


@compiled
def _three_largest(row: b.Row) -> float:
    """Contracts in the three largest levels of both legs' bids (one leg's bids and asks)."""
    first = second = third = 0
    for i in range(b.HEADER, b.HEADER + 2 * row[b.SLOTS]):
        size = row[i]
        if size > third:
            if size > first:
                first, second, third = size, first, second
            elif size > second:
                second, third = size, second
            else:
                third = size
    return (first + second + third) / CONTRACT_E2


@compiled
def _empty_market(out: Floats) -> None:
    out[:MARKET_SIZE] = 0.0
    out[0] = out[2] = 0.49
    out[1] = out[3] = 0.51
    out[4] = out[5] = 0.02
    out[6] = out[7] = 0.5
    out[8] = out[9] = out[10] = 0.01
    out[14] = out[15] = 0.1
    out[16] = out[17] = 0.5
    out[19] = out[20] = 1.0


@compiled
def _leg_prices(row: b.Row, leg: b.LegCode, out: Floats) -> None:
    """Touch, spread and mid of one leg into 0..7."""
    bid, ask = _touch_cents(row, leg)
    out[2 * leg] = 0.5 if bid == MISSING else bid / 100.0
    out[2 * leg + 1] = 0.5 if ask == MISSING else ask / 100.0
    if bid == MISSING or ask == MISSING:
        out[4 + leg], out[6 + leg] = 0.1, 0.5
    else:
        out[4 + leg] = min(max((ask - bid) / 100.0, 0.001), 0.99)
        out[6 + leg] = min(max((bid + ask) / 200.0, 0.01), 0.99)


@compiled
def market_features(row: b.Row, out: Floats) -> None:
    """Make features 0..20 of a book as it is; an empty book has the schema's `empty` values.

    Args:
        row: The book.
        out: float64[21 or more], its first 21 overwritten.
    """
    if row[b.YES_LEVELS] + row[b.NO_LEVELS] == 0:
        _empty_market(out)
        return
    largest = _three_largest(row)
    depth = min((row[b.YES_LEVELS] + row[b.NO_LEVELS]) / 20.0, 1.0)
    for leg in b.LEGS:
        bids = row[b.YES_TOTAL + leg] / CONTRACT_E2
        asks = row[b.NO_TOTAL - leg] / CONTRACT_E2
        volume = bids + asks
        _leg_prices(row, leg, out)
        out[8 + leg] = _log_volume(volume)
        out[12 + leg] = (bids - asks) / volume if volume > 0.0 else 0.0
        out[14 + leg] = depth
        out[16 + leg] = largest / volume if volume > 0.0 else 0.5
    contracts = (row[b.YES_TOTAL] + row[b.NO_TOTAL]) / CONTRACT_E2
    out[10] = _log_volume(2.0 * contracts)
    out[11] = 0.0  # (Vy - Vn) / V: both legs hold the same resting contracts
    out[18] = abs(out[6] + out[7] - 1.0)
    out[19] = max(0.0, 1.0 - out[18])
    out[20] = max(0.0, 1.0 - 5.0 * abs(out[6] - (1.0 - out[7])))


@compiled
def momentum_of(mids: Floats, count: int, mid: float) -> float:
    """tanh((d1 - d0) / |d0|) of the last three ticks that have a mid, the current one included.

    Args:
        mids: float64, mids of earlier ticks in cents, oldest first; NaN where there was none.
        count: How many of them count.
        mid: Of the current tick; NaN when there is none.

    Returns:
        0 with fewer than three mids, or when the earlier change was at most 0.001 cents.
    """
    last = np.empty(3)
    found = 0
    if not math.isnan(mid):
        last[0] = mid
        found = 1
    i = count - 1
    while i >= 0 and found < 3:
        if not math.isnan(mids[i]):
            last[found] = mids[i]
            found += 1
        i -= 1
    if found < 3:
        return 0.0
    d1, d0 = last[0] - last[1], last[1] - last[2]
    return math.tanh((d1 - d0) / abs(d0)) if abs(d0) > 0.001 else 0.0


@compiled
def _mean_std(values: Floats, count: int) -> tuple[float, float]:
    """Mean and population standard deviation of the first `count`."""
    mean = 0.0
    for i in range(count):
        mean += values[i]
    mean /= count
    square = 0.0
    for i in range(count):
        square += (values[i] - mean) * (values[i] - mean)
    return mean, math.sqrt(square / count)


@compiled
def _slope(values: Floats, count: int) -> float:
    """Least-squares slope by index of the first `count`."""
    mean, _ = _mean_std(values, count)
    middle = (count - 1) / 2.0
    top = bottom = 0.0
    for i in range(count):
        top += (i - middle) * (values[i] - mean)
        bottom += (i - middle) * (i - middle)
    return top / bottom


@compiled
def _activity_features(acts: Floats, count: int, act: float, out: Floats) -> None:
    """25, 27, 28, 29, 32 and 34."""
    out[25] = math.tanh(act - acts[count - 1]) if count > 0 else 0.0
    window = np.empty(HISTORY + 1)
    window[:count] = acts[:count]
    window[count] = act
    points = count + 1
    out[27] = out[28] = out[29] = 0.0
    if points >= 3:
        mean, std = _mean_std(window, points)
        out[27] = 1.0 if act > mean + 1.5 * std else 0.0
        out[28] = 1.0 if act < mean - std else 0.0
    if points >= 5:
        out[29] = math.tanh(10.0 * _slope(window, points))
    out[32] = 0.5
    if count >= 5:
        _, std = _mean_std(window[count - 5 :], 6)
        out[32] = max(0.0, 1.0 - std / 0.3)
    out[34] = 0.0
    if count >= 3:
        run = 0
        while run < min(count, 9) and abs(acts[count - 1 - run] - act) <= 0.1:
            run += 1
        out[34] = min((1.0 + run) / 10.0, 1.0)


@compiled
def _price_features(mids: Floats, count: int, mid: float, out: Floats) -> None:
    """31 (steps of the last 5 ticks and now) and 33 (the last 3 steps, now excluded)."""
    out[31], out[33] = 0.1, 0.5
    steps = np.empty(HISTORY + 1)
    if count >= 5:
        found = 0
        for i in range(count - 5, count):
            following = mids[i + 1] if i + 1 < count else mid
            step = abs(following - mids[i])
            if not math.isnan(step):
                steps[found] = step
                found += 1
        if found > 0:
            _, std = _mean_std(steps, found)
            out[31] = min(std / 5.0, 1.0)
    if count >= 3:
        found = 0
        for i in range(max(count - 4, 0), count - 1):
            step = abs(mids[i + 1] - mids[i])
            if not math.isnan(step):
                steps[found] = step
                found += 1
        if found > 0:
            mean, _ = _mean_std(steps, found)
            out[33] = max(0.0, 1.0 - mean / 5.0)


@compiled
def temporal_features(
    now_ns: int,
    gap_s: float,
    hour: int,
    weekday: int,
    act: float,
    momentum: float,
    mid: float,
    seen_ns: Any,
    acts: Floats,
    mids: Floats,
    count: int,
    out: Floats,
) -> None:
    """Features 21..34, into `out` (float64).

    Args:
        now_ns: Market time of the tick.
        gap_s: Seconds since the tick before, 0 without one.
        hour: In the schema's zone.
        weekday: Monday 0.
        act: Activity score of the tick.
        momentum: From `momentum_of`.
        mid: Cents, NaN when unknown.
        seen_ns: int64, times of the `count` ticks before, oldest first.
        acts: float64, their activity scores.
        mids: float64, their mids in cents.
        count: Ticks in the history, at most `HISTORY`.
        out: float64[35], overwritten from 21 on.
    """
    out[21] = min(max(gap_s, 0.0) / 300.0, 1.0)
    out[22] = (hour - 9) / 7.0 if 9 <= hour <= 16 else 0.0
    out[23] = weekday / 6.0
    out[24] = act
    out[26] = 0.1
    recent = min(count, 5)
    if recent >= 2:
        span = (now_ns - seen_ns[count - recent]) / 1e9
        out[26] = min(recent / max(span, 1.0) / 2.0, 1.0)
    out[30] = momentum
    _activity_features(acts, count, act, out)
    _price_features(mids, count, mid, out)


@kernel
def valuation_mid_e4(row: b.Row) -> float:
    """YES mid in 1e-4 dollars: the present one, else the last known, else 0.50."""
    if row[b.BEST_YES] >= 0 and row[b.BEST_NO] >= 0:
        bid, no_bid = b.price_of(row, row[b.BEST_YES]), b.price_of(row, row[b.BEST_NO])
        return float(bid + ONE_DOLLAR_E4 - no_bid) / 2.0
    if row[b.LAST_MID2] > 0:
        return float(row[b.LAST_MID2]) / 2.0
    return ONE_DOLLAR_E4 / 2.0


@kernel
def position_value(position_e2: int, mid_e4: float) -> float:
    """Micro-dollars at the mid: YES contracts at the YES mid, NO contracts at its complement."""
    return position_e2 * mid_e4 if position_e2 >= 0 else -position_e2 * (ONE_DOLLAR_E4 - mid_e4)


@kernel
def portfolio_features(
    cash_e6: float,
    position_e2: int,
    cost_basis_e6: float,
    value_e6: float,
    pv_e6: float,
    out: Floats,
) -> None:
    """Make features 35..46 of one market's sub-account.

    Args:
        cash_e6: Cash, micro-dollars.
        position_e2: Signed position, YES positive.
        cost_basis_e6: What the position cost without fees.
        value_e6: The position at the mid, from `position_value`.
        pv_e6: What the sub-account is worth in all; at 0.01 dollars or less it counts as empty.
        out: float64[47 or more], written from 35 to 46.
    """
    out[PORTFOLIO:ORDER] = 0.0
    out[35] = 1.0
    if pv_e6 <= LEAST_VALUE_E6:
        return
    out[35] = min(max(cash_e6 / pv_e6, 0.0), 1.0)
    out[36] = min(max((pv_e6 - cash_e6) / pv_e6, 0.0), 1.0)
    if position_e2 == 0:
        return
    contracts = position_e2 / 100.0
    out[37] = 0.1
    out[38] = min(abs(contracts) / 1000.0, 1.0)
    out[39] = 1.0 if position_e2 > 0 else 0.0
    out[40] = 1.0 if position_e2 < 0 else 0.0
    out[41] = math.tanh(1.0 if position_e2 > 0 else -1.0)
    out[42] = min(value_e6 / pv_e6, 1.0)
    out[43] = min(contracts / 1000.0, 1.0)
    out[44] = math.tanh((value_e6 - cost_basis_e6) / pv_e6)
    out[45] = 1.0
    out[46] = min(value_e6 / pv_e6, 2.0) / 2.0


@kernel
def order_features(account: a.AccountRow, mid_e4: float, now_ns: int, out: Floats) -> None:
    """Make features 47..51: the first (oldest) open buy and sell, NO orders against the NO mid.

    Args:
        account: The sub-account.
        mid_e4: YES mid, from `valuation_mid_e4`.
        now_ns: Market time of the tick.
        out: float64[52 or more], written from 47 to 51.
    """
    out[ORDER:END] = 0.0
    newest_ns = 0
    for i in range(account[a.N_ORDERS]):
        at = a.ORDERS + i * a.ORDER_WORDS
        newest_ns = max(newest_ns, account[at + a.ORDER_CREATED_NS])
        flag = 47 if account[at + a.ORDER_IS_BUY] else 48
        if out[flag] == 1.0:
            continue
        out[flag] = 1.0
        mid = mid_e4 if account[at + a.ORDER_LEG] == b.YES else ONE_DOLLAR_E4 - mid_e4
        distance = abs(mid - account[at + a.ORDER_PRICE_E4]) / ONE_DOLLAR_E4
        out[flag + 2] = min(distance, 1.0)
    if account[a.N_ORDERS] > 0:
        out[51] = min(max((now_ns - newest_ns) / ORDER_AGE_NS, 0.0), 1.0)
