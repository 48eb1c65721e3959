"""What became of orders: how much was filled, how long it was held, what the market did then.

**Markout** is the move of the mid from a fill to some seconds later, in the direction of the fill:
for a purchase of YES up is positive. A maker whose markout is negative was filled by traders who
knew better (adverse selection); it earns only if its spread is larger than that. A fill is left out
when the later moment lies beyond the market's last event, or when a mid is not known.

**Queue** says how much of what was left to rest was filled, by the contracts that were ahead at
arrival: where a better place in the queue does not fill more often, either the fill model or the
policy is wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec
import numpy as np
import numpy.typing as npt

from ipc.clock import NS_PER_MS, NS_PER_S
from ipc.units import ONE_DOLLAR_E4
from models.evaluation.attribution import UNKNOWN, bought_e2, mid_before
from models.simulation.order_state import (
    AHEAD_E2,
    ARRIVED,
    AT_NS,
    COUNT_E2,
    EVENT,
    KIND,
    MAKER,
    ORDER_ACTION,
    PRICE_E4,
    RESTED,
    TAKER,
)
from models.trading.actions import Action

__all__ = [
    "HORIZONS_S",
    "Holding",
    "Markout",
    "QueueShare",
    "holding_of",
    "markouts_of",
    "ordered_e2",
    "queue_shares_of",
    "summed_markouts",
    "summed_queue_shares",
    "turnover_e6",
]

Words = npt.NDArray[np.int64]

HORIZONS_S: Final = (1, 5, 30)
QUEUE_EDGES_E2: Final = (0, 1_000, 10_000, 100_000)  # contracts ahead, up to and including
_NO_ACTIONS: Final = (int(Action.BUY_NO_LIMIT), int(Action.SELL_NO_LIMIT))


class Markout(msgspec.Struct, frozen=True):
    """The mid's move after fills of one kind, summed over contracts.

    Attributes:
        liquidity: `maker` or `taker`.
        horizon_s: Seconds after the fill.
        filled_e2: Contracts that count.
        moved_e6: Sum of the moves, micro-dollars.
    """

    liquidity: str  # maker or taker
    horizon_s: int
    filled_e2: int  # contracts that count here
    moved_e6: int

    @property
    def cents(self) -> float | None:
        """Mean move per contract; None without any."""
        return self.moved_e6 / self.filled_e2 / 100 if self.filled_e2 else None


class QueueShare(msgspec.Struct, frozen=True):
    """Orders that were left to rest behind so many contracts, and how much of them was filled.

    Attributes:
        ahead_up_to_e2: Upper edge of the contracts ahead; None for more than the row before.
        orders: How many orders.
        rested_e2: Contracts left to rest.
        filled_e2: Contracts of these that were filled.
    """

    ahead_up_to_e2: int | None  # None: behind more than the row before
    orders: int
    rested_e2: int
    filled_e2: int


class Holding(msgspec.Struct, frozen=True):
    """Positions over time.

    Attributes:
        opened_e2: Contracts that opened a position or added to it.
        held_e2_ms: Hundredths of a contract times milliseconds.
    """

    opened_e2: int  # contracts that opened a position or added to it
    held_e2_ms: int  # hundredths of a contract times milliseconds

    @property
    def seconds(self) -> float | None:
        """Mean time that a contract was held; None when none was."""
        return self.held_e2_ms / self.opened_e2 / 1_000 if self.opened_e2 else None


def ordered_e2(log: Words) -> int:
    """Contracts of every order that reached the exchange; a replacement counts again."""
    return int(log[log[:, KIND] == ARRIVED, COUNT_E2].sum())


def turnover_e6(fills: Words) -> int:
    """Micro-dollars traded: contracts at the price of the outcome that was bought or sold."""
    no = np.isin(fills[:, ORDER_ACTION], _NO_ACTIONS)
    price = np.where(no, ONE_DOLLAR_E4 - fills[:, PRICE_E4], fills[:, PRICE_E4])
    return int((price * fills[:, COUNT_E2]).sum())


def holding_of(fills: Words, end_ns: int) -> Holding:
    """How long one market's contracts were held, at the latest until `end_ns`."""
    bought = bought_e2(fills)
    after = np.cumsum(bought)
    before = after - bought
    closed = np.where(before * bought < 0, np.minimum(abs(before), abs(bought)), 0)
    times = np.minimum(np.maximum.accumulate(fills[:, AT_NS]), end_ns)
    spans_ms = np.diff(np.append(times, end_ns)) // NS_PER_MS
    return Holding(int((abs(bought) - closed).sum()), int((abs(after) * spans_ms).sum()))


def markouts_of(fills: Words, mids: Words, ns: Words) -> list[Markout]:
    """One market's markouts.

    Args:
        fills: Log rows of its executions; their events count from the market's first.
        mids: int64[events], the mid after each event.
        ns: int64[events], market time of each event.
    """
    bought, met = bought_e2(fills), mid_before(mids, fills[:, EVENT])
    found = []
    for kind, liquidity in ((MAKER, "maker"), (TAKER, "taker")):
        for horizon_s in HORIZONS_S:
            then = fills[:, AT_NS] + horizon_s * NS_PER_S
            later = mids[np.maximum(np.searchsorted(ns, then, "right") - 1, 0)]
            counts = (fills[:, KIND] == kind) & (then <= ns[-1])
            counts &= (met != UNKNOWN) & (later != UNKNOWN)
            moved = bought * (later - met)
            filled = int(fills[counts, COUNT_E2].sum())
            found.append(Markout(liquidity, horizon_s, filled, int(moved[counts].sum())))
    return found


def queue_shares_of(log: Words) -> list[QueueShare]:
    """One market's resting orders by what was ahead of them when they arrived.

    `log` is all rows of the market.
    """
    rested = log[log[:, KIND] == RESTED]
    owner = np.cumsum(log[:, KIND] == RESTED) - 1
    filled = np.zeros(len(rested), np.int64)
    maker = log[:, KIND] == MAKER
    np.add.at(filled, owner[maker], log[maker, COUNT_E2])
    bucket = np.searchsorted(QUEUE_EDGES_E2, rested[:, AHEAD_E2])
    shares = []
    for i, edge in enumerate((*QUEUE_EDGES_E2, None)):
        own = bucket == i
        count = int(rested[own, COUNT_E2].sum())
        shares.append(QueueShare(edge, int(own.sum()), count, int(filled[own].sum())))
    return shares


def summed_markouts(markets: Sequence[Sequence[Markout]]) -> tuple[Markout, ...]:
    """Sum over markets, row by row."""
    return tuple(
        Markout(
            rows[0].liquidity,
            rows[0].horizon_s,
            sum(r.filled_e2 for r in rows),
            sum(r.moved_e6 for r in rows),
        )
        for rows in zip(*markets, strict=True)
    )


def summed_queue_shares(markets: Sequence[Sequence[QueueShare]]) -> tuple[QueueShare, ...]:
    """Sum over markets, row by row."""
    return tuple(
        QueueShare(
            rows[0].ahead_up_to_e2,
            sum(r.orders for r in rows),
            sum(r.rested_e2 for r in rows),
            sum(r.filled_e2 for r in rows),
        )
        for rows in zip(*markets, strict=True)
    )
