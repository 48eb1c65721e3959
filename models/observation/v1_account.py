"""The account's share of OBSERVATION_V1: features 35..51, from a market's sub-account.

Money is micro-dollars and prices 1e-4 dollars until a ratio is taken.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from ipc import account_table as a
from ipc import book as b
from ipc.units import ONE_DOLLAR_E4
from models.kernel import kernel

__all__ = ["order_features", "portfolio_features", "position_value", "valuation_mid_e4"]

Floats = npt.NDArray[np.float64]

PORTFOLIO: Final = 35
ORDER: Final = 47
END: Final = 52
LEAST_VALUE_E6: Final = 10_000.0  # 0.01 dollars: below, there is no portfolio to speak of
ORDER_AGE_NS: Final = 300e9


@kernel
def valuation_mid_e4(row: b.Row) -> float:
    """YES mid in 1e-4 dollars: of now, else the last known, else 0.50."""
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
    """Features 35..46 of one market's sub-account worth `pv_e6` in all."""
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
    """Features 47..51: the first (oldest) open buy and sell, NO orders against the NO mid."""
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
