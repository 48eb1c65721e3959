"""Rows of what became of orders, made by hand."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.simulation.order_state import LOG_WORDS
from models.trading.actions import Action

__all__ = ["SECOND", "log_of", "log_row"]

SECOND = 1_000_000_000
Row = tuple[int, ...]


def log_row(
    kind: int,
    *,
    event: int = 1,
    seconds: float = 0,
    action: Action = Action.BUY_YES_LIMIT,
    cents: float = 50,
    contracts: float = 10,
    more: int = 0,
) -> Row:
    """One row; `more` is the fee of a fill in micro-dollars, or what stands ahead in hundredths."""
    at_ns, price_e4 = round(seconds * SECOND), round(cents * 100)
    return kind, event, at_ns, int(action), price_e4, round(contracts * 100), more


def log_of(*rows: Row) -> npt.NDArray[np.int64]:
    """In the layout of `models.simulation.order_state`."""
    return np.array(rows, np.int64).reshape(-1, LOG_WORDS)
