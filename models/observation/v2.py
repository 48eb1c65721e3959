"""OBSERVATION_V2: what is at the touch, what flowed, and the open order.

As data and as two kernels. What a reader that skips updates would miss is in the book's row, summed
event by event; here the sums since the last tick fade at several rates. Memory is one market's,
shifted in place.
"""

from __future__ import annotations

import math
from typing import Any, Final

from ipc import account_table as a
from ipc import book as b
from ipc.kernels import compiled
from ipc.units import ONE_DOLLAR_E4
from models.observation.schema import ZONE, Feature, Schema
from models.observation.v1 import position_value, valuation_mid_e4

__all__ = ["FLOATS", "OBSERVATION_V2", "SIZE_V2", "TICK_SIZE_V2", "account_v2", "tick_v2"]

TICK_SIZE_V2: Final = 27
SIZE_V2: Final = 39
DEPTH: Final = 5  # levels of each side
LOG_SCALE: Final = math.log(1 + 10_000)
LOG_RATIO: Final = math.log(100)
LOG_DAY: Final = math.log(1 + 86_400)
CENT2: Final = 40_000.0  # one cent squared, in units of `REALISED`

# Memory, integers.
AT_NS: Final = 0
SUM_OFI: Final = 1
SUM_FLOW: Final = 2
SUM_REALISED: Final = 3
SUM_DELTAS: Final = 4
# Memory, floats: a place for each rate.
OFI: Final = 0
FLOW: Final = 4
MEAN: Final = 8
VARIANCE: Final = 11
RATE: Final = 13
FLOATS: Final = 14


def _features() -> tuple[Feature, ...]:
    def f(group: str, name: str, unit: str, formula: str, empty: float = 0.0) -> Feature:
        return Feature(name, group, unit, formula, empty, empty)

    def faded(name: str, what: str) -> list[Feature]:
        return [
            f("flow", f"{name}_{s}s", "log", f"S(sum of {what}, each fading by exp(-t/{s} s))")
            for s in (1, 3, 15, 60)
        ]

    return (
        f("book", "yes_mid", "dollars", "(yb+ya)/200, last known, 0.5 never known", 0.5),
        f("book", "spread_ticks", "10 prices", "min(prices from yb to ya/10, 2)", 2.0),
        f("book", "touch_imbalance", "ratio", "(B-A)/(B+A), sizes at the touch"),
        f("book", "five_level_imbalance", "ratio", "the same over the best 5 levels"),
        f("book", "touch_log_ratio", "ln 100", "clip(ln(B/A)/ln(100), -1, 1); one-sided +-1"),
        f("book", "microprice_minus_mid", "cents", "clip(imbalance*(ya-yb)/2, -2, 2)"),
        f("book", "whole_imbalance", "ratio", "(V_yb-V_ya)/Vy"),
        *faded("order_flow", "order-flow imbalance at the touch"),
        *faded("trade_flow", "taker contracts, YES positive"),
        *(
            f("price", f"mid_minus_mean_{s}s", "5 cents", f"mid - mean fading by exp(-t/{s} s)")
            for s in (3, 15, 60)
        ),
        *(
            f("price", f"volatility_{s}s", "5 cents", f"min(sqrt(E[d mid^2] of {s} s)/5, 2)")
            for s in (15, 60)
        ),
        f("activity", "update_rate_3s", "log", "S(deltas a second, fading by 3 s)"),
        f("activity", "depth_bids", "log", "S(contracts in the best 5 YES bids)"),
        f("activity", "depth_asks", "log", "S(contracts in the best 5 YES asks)"),
        f("time", "time_to_close", "900 s", "min(seconds/900, 2), 2 unknown", 2.0),
        f("time", "log_time_to_close", "ln day", "ln(1+seconds)/ln(86401), 1 unknown", 1.0),
        f("time", "distance_from_certainty", "dollars", "2*min(mid, 1-mid)", 1.0),
        f("time", "last_trade_age", "60 s", "min(seconds/60, 1), 1 unknown", 1.0),
        f("account", "inventory", "log", "S(position, YES positive)"),
        f("account", "inventory_share", "ratio", "signed value/pv"),
        f("account", "unrealized_pnl", "score", "tanh(10*(value-cost basis)/pv)"),
        f("account", "cash_ratio", "ratio", "clip(cash/pv, 0, 1)", 1.0),
        f("order", "has_bid", "flag", "1 with an own order on the bid side of the YES book"),
        f("order", "has_ask", "flag", "the same on the ask side"),
        f("order", "bid_behind_touch", "10 cents", "clip((yb - own bid)/10, -1, 1)"),
        f("order", "ask_behind_touch", "10 cents", "clip((own ask - ya)/10, -1, 1)"),
        f("order", "order_age", "60 s", "min(age of the newest/60, 1)"),
        f("order", "order_share_of_level", "ratio", "min(own contracts/size of its level, 1)"),
        f("order", "queue_ahead", "log", "S(contracts before the own order that has fewest)"),
        f("order", "queue_known", "flag", "1 with an own order of which queue_ahead tells"),
    )


OBSERVATION_V2: Final = Schema(
    name="OBSERVATION_V2",
    features=_features(),
    constants=(
        ("zone", ZONE),
        ("S", "sign(x)*ln(1+abs(x))/ln(1+10000), contracts"),
        ("fading", "between ticks by their distance in market time; new sums count whole"),
        ("non_finite", "NaN -> 0, +inf -> 1, -inf -> -1"),
        ("clip", "[-2, 2]"),
        ("unknown_mid", "last known mid, 0.50 when there never was one"),
    ),
)


@compiled
def _signed_log(contracts: float) -> float:
    size = math.log(1.0 + abs(contracts)) / LOG_SCALE
    return size if contracts >= 0 else -size


@compiled
def _best_sizes(row: b.Row, leg: b.LegCode) -> tuple[float, float]:
    """(contracts at the touch, contracts in the best `DEPTH` levels) of a leg's bids."""
    slot, base, found = row[b.BEST_YES + leg], b.HEADER + leg * row[b.SLOTS], 0
    touch = total = 0.0
    while slot >= 0 and found < DEPTH:
        size = row[base + slot] / 100.0
        if size > 0:
            touch = size if found == 0 else touch
            total += size
            found += 1
        slot -= 1
    return touch, total


@compiled
def _imbalance(bids: float, asks: float) -> float:
    return (bids - asks) / (bids + asks) if bids + asks > 0.0 else 0.0


@compiled
def _book(row: b.Row, out: Any) -> None:
    """1..6, 21 and 22."""
    bid, no_bid = b.price_of(row, row[b.BEST_YES]), b.price_of(row, row[b.BEST_NO])
    touch_bid, bids = _best_sizes(row, b.YES)
    touch_ask, asks = _best_sizes(row, b.NO)
    out[1] = 2.0
    imbalance = _imbalance(touch_bid, touch_ask)
    if bid > 0 and no_bid > 0:
        ask = ONE_DOLLAR_E4 - no_bid
        above, below = b.slot_of(row, ask), row[b.BEST_YES]
        prices = float(above - below) if above >= 0 else (ask - bid) / 100.0
        out[1] = min(prices / 10.0, 2.0)
        out[4] = min(max(math.log(touch_bid / touch_ask) / LOG_RATIO, -1.0), 1.0)
        out[5] = imbalance * (ask - bid) / 200.0
    else:
        out[4] = imbalance  # one-sided: plus or minus one, without a book 0
    out[2], out[3] = imbalance, _imbalance(bids, asks)
    out[6] = _imbalance(float(row[b.YES_TOTAL]), float(row[b.NO_TOTAL]))
    out[21], out[22] = _signed_log(bids), _signed_log(asks)


@compiled
def _fade(row: b.Row, ints: Any, floats: Any, first: bool, mid_cents: float) -> None:
    """Bring the memory to this tick."""
    dt = 0.0 if first else max(row[b.RECV_NS] - ints[AT_NS], 0) / 1e9
    gained = (
        0.0 if first else (row[b.OFI] - ints[SUM_OFI]) / 100.0,
        0.0 if first else (row[b.TRADE_FLOW] - ints[SUM_FLOW]) / 100.0,
        0.0 if first else (row[b.REALISED] - ints[SUM_REALISED]) / CENT2,
        0.0 if first else float(row[b.N_DELTAS] - ints[SUM_DELTAS]),
    )
    if first:
        floats[:FLOATS] = 0.0
    rates = (1.0, 3.0, 15.0, 60.0)
    for i in range(4):
        left = math.exp(-dt / rates[i])
        floats[OFI + i] = floats[OFI + i] * left + gained[0]
        floats[FLOW + i] = floats[FLOW + i] * left + gained[1]
        if i > 0:
            mean = mid_cents if first else floats[MEAN + i - 1]
            floats[MEAN + i - 1] = mean * left + mid_cents * (1.0 - left)
        if i > 1:
            floats[VARIANCE + i - 2] = floats[VARIANCE + i - 2] * left + gained[2]
    floats[RATE] = floats[RATE] * math.exp(-dt / 3.0) + gained[3]
    ints[AT_NS], ints[SUM_OFI], ints[SUM_FLOW] = row[b.RECV_NS], row[b.OFI], row[b.TRADE_FLOW]
    ints[SUM_REALISED], ints[SUM_DELTAS] = row[b.REALISED], row[b.N_DELTAS]


@compiled
def tick_v2(row: b.Row, first: bool, ints: Any, floats: Any, out: Any) -> None:
    """Features 0..26 of a tick.

    Args:
        row: The book as of the tick.
        first: Whether this begins a new memory.
        ints: int64, the memory, moved to this tick.
        floats: float64, likewise.
        out: float64[27 or more], overwritten.
    """
    mid_e4 = valuation_mid_e4(row)
    mid_cents = mid_e4 / 100.0
    out[:TICK_SIZE_V2] = 0.0
    out[0] = mid_e4 / ONE_DOLLAR_E4
    _book(row, out)
    _fade(row, ints, floats, first, mid_cents)
    for i in range(4):
        out[7 + i] = _signed_log(floats[OFI + i])
        out[11 + i] = _signed_log(floats[FLOW + i])
    for i in range(3):
        out[15 + i] = (mid_cents - floats[MEAN + i]) / 5.0
    out[18] = min(math.sqrt(floats[VARIANCE] / 15.0) / 5.0, 2.0)
    out[19] = min(math.sqrt(floats[VARIANCE + 1] / 60.0) / 5.0, 2.0)
    out[20] = _signed_log(floats[RATE] / 3.0)
    out[23], out[24] = 2.0, 1.0
    if row[b.CLOSE_MS] > 0:
        left_s = max(row[b.CLOSE_MS] / 1e3 - row[b.RECV_NS] / 1e9, 0.0)
        out[23], out[24] = min(left_s / 900.0, 2.0), math.log(1.0 + left_s) / LOG_DAY
    out[25] = 2.0 * min(out[0], 1.0 - out[0])
    out[26] = 1.0
    if row[b.LAST_TRADE_MS] > 0:
        age_s = row[b.RECV_NS] / 1e9 - row[b.LAST_TRADE_MS] / 1e3
        out[26] = min(max(age_s, 0.0) / 60.0, 1.0)


@compiled
def _portfolio(account: a.AccountRow, mid_e4: float, out: Any) -> None:
    """27..30."""
    position_e2, cash_e6 = account[a.POSITION_E2], float(account[a.CASH_E6])
    value_e6 = position_value(position_e2, mid_e4)
    pv_e6 = cash_e6 + value_e6
    out[27] = _signed_log(position_e2 / 100.0)
    out[30] = 1.0
    if pv_e6 <= 0.0:
        return
    out[28] = (value_e6 if position_e2 >= 0 else -value_e6) / pv_e6
    out[29] = math.tanh(10.0 * (value_e6 - account[a.COST_BASIS_E6]) / pv_e6)
    out[30] = min(max(cash_e6 / pv_e6, 0.0), 1.0)


@compiled
def _order(row: b.Row, account: a.AccountRow, at: int, out: Any) -> None:
    """31..34 and 36..38 of one open order; the first of a side counts."""
    leg, price = account[at + a.ORDER_LEG], account[at + a.ORDER_PRICE_E4]
    buys_yes = (leg == b.YES) == (account[at + a.ORDER_IS_BUY] == 1)
    yes_price = price if leg == b.YES else ONE_DOLLAR_E4 - price
    flag = 31 if buys_yes else 32
    if out[flag] == 1.0:
        return
    out[flag] = 1.0
    touch = b.price_of(row, row[b.BEST_YES if buys_yes else b.BEST_NO])
    own_leg_price = yes_price if buys_yes else ONE_DOLLAR_E4 - yes_price
    if touch > 0:
        out[flag + 2] = min(max((touch - own_leg_price) / 1_000.0, -1.0), 1.0)
    slot = b.slot_of(row, own_leg_price)
    resting = b.YES if buys_yes else b.NO
    level_e2 = row[b.HEADER + resting * row[b.SLOTS] + slot] if slot >= 0 else 0
    remaining_e2 = account[at + a.ORDER_REMAINING_E2]
    share = min(remaining_e2 / level_e2, 1.0) if level_e2 > 0 else 1.0
    out[36] = max(out[36], share)
    ahead_e2 = account[at + a.ORDER_AHEAD_E2]
    if ahead_e2 != a.UNKNOWN_AHEAD:
        ahead = _signed_log(ahead_e2 / 100.0)
        out[37] = ahead if out[38] == 0.0 else min(out[37], ahead)
        out[38] = 1.0


@compiled
def account_v2(row: b.Row, account: a.AccountRow, out: Any) -> None:
    """Make features 27..38 of the account at a tick.

    Args:
        row: The book as of the tick; its receive time is the present.
        account: The sub-account.
        out: float64[39 or more], written from 27 to 38.
    """
    out[TICK_SIZE_V2:SIZE_V2] = 0.0
    _portfolio(account, valuation_mid_e4(row), out)
    newest_ns = 0
    for i in range(account[a.N_ORDERS]):
        at = a.ORDERS + i * a.ORDER_WORDS
        newest_ns = max(newest_ns, account[at + a.ORDER_CREATED_NS])
        _order(row, account, at, out)
    if account[a.N_ORDERS] > 0:
        out[35] = min(max((row[b.RECV_NS] - newest_ns) / 60e9, 0.0), 1.0)
