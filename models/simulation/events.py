"""The events between ticks, as the fill rules read them, and which of them an order must look at.

Most events mean nothing to a resting order: they are other levels of the book. So each event
carries its reach: for the orders among YES bids and for those among NO bids, the range of prices at
which it may mean something. An order walks over the rest with two comparisons.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt

from ipc.units import ONE_DOLLAR_E4
from models.kernel import kernel
from models.simulation.tape import CHANGE, CLEAR, EXECUTED, WHOLE, Tape

__all__ = ["HIGHEST", "LOWEST", "Flow", "flow_of"]

Words = npt.NDArray[np.int64]

LOWEST: Final = 0  # words of a reach; the range is empty where the lowest is above the highest
HIGHEST: Final = 1


class Flow(NamedTuple):
    """N events; see `models.simulation.tape.Tape` for the first five."""

    ns: Words  # [N]
    meaning: Words  # [N]
    leg: Words  # [N]
    price: Words  # [N]
    qty: Words  # [N]
    reach: npt.NDArray[np.int32]  # [2, N, 2] per leg of an order the lowest and highest price


@kernel
def _fill_reach(meaning: Any, legs: Any, price: Any, qty: Any, reach: Any) -> None:
    """Where an order among the bids of a leg must look at an event.

    At its own level; where it is executed at or better than; where it is crossed from the other
    leg; and everywhere when the book starts anew or is whole.
    """
    for e in range(len(meaning)):
        for leg in range(2):
            lowest, highest = 1, 0
            if meaning[e] & (CLEAR | WHOLE):
                lowest, highest = 0, ONE_DOLLAR_E4
            elif legs[e] == leg and meaning[e] & EXECUTED:
                lowest, highest = price[e], ONE_DOLLAR_E4
            elif legs[e] == leg and meaning[e] & CHANGE:
                lowest = highest = price[e]
            elif legs[e] != leg and meaning[e] & CHANGE and qty[e] > 0:
                lowest, highest = ONE_DOLLAR_E4 - price[e], ONE_DOLLAR_E4
            reach[leg, e, LOWEST], reach[leg, e, HIGHEST] = lowest, highest


def flow_of(tapes: Sequence[Tape]) -> Flow:
    """The events of tapes, end to end."""
    columns = zip(*((t.ns, t.meaning, t.leg, t.price, t.qty) for t in tapes), strict=True)
    ns, meaning, leg, price, qty = (np.concatenate(column) for column in columns)
    reach = np.empty((2, len(ns), 2), np.int32)
    _fill_reach(meaning, leg, price, qty, reach)
    return Flow(ns, meaning, leg, price, qty, reach)
