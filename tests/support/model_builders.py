"""Small books for the tests of models."""

from __future__ import annotations

import numpy as np

from ipc import book as b
from ipc.units import LINEAR_CENT, PriceGrid

SECOND = 1_000_000_000
NOON_NS = 1_785_945_600 * SECOND  # Wednesday 5 August 2026, 12:00 in New York


def book(yes: dict[float, float], no: dict[float, float], grid: PriceGrid = LINEAR_CENT) -> b.Row:
    """A LIVE row from {cents: contracts} per leg."""
    row = b.new_row(1280, grid)
    levels = [(0, *level) for level in yes.items()] + [(1, *level) for level in no.items()]
    sides = np.array([s for s, _, _ in levels], np.uint8)
    prices = np.array([round(100 * p) for _, p, _ in levels], np.int64)
    counts = np.array([round(100 * c) for _, _, c in levels], np.int64)
    assert b.apply_snapshot(row, sides, prices, counts) == 0
    row[b.STATE], row[b.RECV_NS], row[b.LIVE_EVENT_NO] = b.LIVE, NOON_NS, 1
    return row
