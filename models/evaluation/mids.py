"""The middle of the book right after every event, from the last known best bid of each side."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt
from numba import njit

from ipc import book as b
from ipc.units import ONE_DOLLAR_E4
from models.simulation.dataset import World
from models.simulation.events import Flow
from models.simulation.tape import CHANGE, CLEAR, WHOLE

__all__ = ["UNKNOWN", "market_mids", "mid_before", "world_mids"]

Words = npt.NDArray[np.int64]

UNKNOWN: Final = -1  # a side of the market has had no bid so far


@njit(cache=True)
def _after_change(sizes: Any, side: int, best: int, price: int) -> int:
    """Best bid of a leg once the size at `price` has changed."""
    if sizes[side, price] > 0:
        return max(best, price)
    while best > 0 and sizes[side, best] <= 0:
        best -= 1
    return best


@njit(cache=True)
def _fill_mids(flow: Flow, start: int, stop: int, mids: Any) -> None:
    sizes = np.zeros((2, ONE_DOLLAR_E4 + 1), np.int64)
    best, known = np.zeros(2, np.int64), np.zeros(2, np.int64)
    whole = False  # before the first snapshot, and within one: its first levels are no book yet
    for e in range(start, stop):
        meaning, leg, price = flow.meaning[e], flow.leg[e], flow.price[e]
        if meaning & CLEAR:
            sizes[:], best[:], whole = 0, 0, False
        if meaning & CHANGE:
            sizes[leg, price] += flow.qty[e]
            best[leg] = _after_change(sizes, leg, best[leg], price)
        whole = whole or meaning & WHOLE != 0
        for side in range(2):
            if whole and best[side] > 0:
                known[side] = best[side]
        mids[e - start] = UNKNOWN
        if known[b.YES] > 0 and known[b.NO] > 0:
            mids[e - start] = (known[b.YES] + ONE_DOLLAR_E4 - known[b.NO]) // 2


def market_mids(world: World, market: int) -> Words:
    """YES mid right after each event of a market, 1e-4 dollars, rounded down; `UNKNOWN`.

    A side that is empty at the moment counts at its last known best bid, as the liquidation value
    does.
    """
    start, stop = int(world.first_event[market]), int(world.first_event[market + 1])
    mids = np.empty(stop - start, np.int64)
    _fill_mids(world.flow, start, stop, mids)
    return mids


def world_mids(world: World) -> list[Words]:
    """The mids of every market."""
    return [market_mids(world, m) for m in range(len(world.yes_value_e4))]


def mid_before(mids: Words, event: npt.NDArray[np.int64]) -> Words:
    """The mid right before events, which count from the market's first."""
    before: Words = np.where(event > 0, mids[np.maximum(event - 1, 0)], UNKNOWN)
    return before
