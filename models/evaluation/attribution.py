"""Where a market's profit or loss comes from, in five parts that sum to it, to the micro-dollar.

With every fill a signed trade of YES (selling NO at 40 cents is buying YES at 60):

- **spread**: the mid that a fill met less its price, times what was bought; for a sale the reverse.
  Negative for one who takes, positive for one whose resting order is taken.
- **move**: the change of the mid from each fill to the market's last event.
- **fees**: what was charged, as a negative number.
- **settlement**: the position at the end, at what it paid less the last mid. Where the result is
  not known: at the last known touch it could be closed at, less the closing fee and the last mid.
- **unknown**: fills that met a book with no mid, because a side had had no bid yet. The first mid
  there was less what they paid is in this column; from then on the position counts under `move`.
  Without any mid to the end, all but the fees is unknown.

The mid is that of the last known best bids, right after every event; a side that is empty at the
moment counts at its last known bid, as in the liquidation value.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from ipc import book as b
from ipc.kernels import compiled
from ipc.units import BID, ONE_DOLLAR_E4
from models.simulation.dataset import Dataset, Flow
from models.simulation.order_state import (
    COUNT_E2,
    EVENT,
    FEE_E6,
    KIND,
    MAKER,
    ORDER_ACTION,
    PRICE_E4,
    RULE,
    TAKER,
    TAKER_RATE,
    fee_period,
)
from models.simulation.tape import CHANGE, CLEAR, WHOLE
from models.trading.actions import side_of
from models.trading.fees import trade_fee_e6

__all__ = [
    "UNKNOWN",
    "Attribution",
    "Ending",
    "attribute",
    "bought_e2",
    "ending_of",
    "fills_of",
    "market_mids",
    "mid_before",
]

Words = npt.NDArray[np.int64]

UNKNOWN: Final = -1  # a side of the market has had no bid so far


class Attribution(msgspec.Struct, frozen=True):
    """Parts of one market's net profit or loss, micro-dollars."""

    spread_e6: int = 0
    move_e6: int = 0
    fees_e6: int = 0
    settlement_e6: int = 0
    unknown_e6: int = 0

    @property
    def net_e6(self) -> int:
        """The sum of all parts."""
        return sum(msgspec.structs.astuple(self))


class Ending(msgspec.Struct, frozen=True):
    """What a position is worth when the market is over.

    Attributes:
        yes_value_e4: What a YES contract paid; None when the result is not known.
        yes_bid_e4: Last known best bid of YES, 0 when there was none.
        no_bid_e4: The same of NO.
        fee_rule: `FeeSchedule.code` of closing.
        taker_rate_e6: Rate of closing.
    """

    yes_value_e4: int | None  # None: the result is not known
    yes_bid_e4: int  # last known touch, 0 without any
    no_bid_e4: int
    fee_rule: int
    taker_rate_e6: int

    def value_e6(self, position_e2: int) -> int:
        """Value of a position in YES terms, micro-dollars.

        NO contracts are YES sold, with a dollar each still owed.
        """
        count = abs(position_e2)
        if self.yes_value_e4 is not None:
            return position_e2 * self.yes_value_e4
        bid = self.yes_bid_e4 if position_e2 > 0 else self.no_bid_e4
        fee = int(trade_fee_e6(self.fee_rule, self.taker_rate_e6, bid, count, False))
        owed = count * ONE_DOLLAR_E4 if position_e2 < 0 else 0
        return count * bid - fee - owed


def ending_of(dataset: Dataset, market: int) -> Ending:
    """How the simulation values what is held at a market's end."""
    value = int(dataset.yes_value_e4[market])
    tick = dataset.first_tick[market + 1] - 1
    (yes_bid, no_bid), last = dataset.touch[tick], dataset.rows[tick]
    fees = dataset.fees[market]
    terms = fees[fee_period(fees, last[b.RECV_NS])]
    bids, rates = (int(yes_bid), int(no_bid)), (int(terms[RULE]), int(terms[TAKER_RATE]))
    return Ending(None if value < 0 else value, *bids, *rates)


def fills_of(log: Words) -> Words:
    """The executions among a log's rows, int64[fills, LOG_WORDS]."""
    fills: Words = log[(log[:, KIND] == TAKER) | (log[:, KIND] == MAKER)]
    return fills


def bought_e2(fills: Words) -> Words:
    """What each fill does to the position, int64[fills], YES positive."""
    bids = [side_of(int(action)) == BID for action in fills[:, ORDER_ACTION]]
    bought: Words = np.where(np.array(bids, np.bool_), 1, -1) * fills[:, COUNT_E2]
    return bought


def attribute(fills: Words, mids: Words, ending: Ending) -> Attribution:
    """The parts of one market's profit or loss.

    Args:
        fills: Log rows of its executions; their events count from the market's first.
        mids: int64[events], from `market_mids`.
        ending: What the position is worth at the end.
    """
    bought, price = bought_e2(fills), fills[:, PRICE_E4]
    met = mid_before(mids, fills[:, EVENT])
    position, last_mid = int(bought.sum()), int(mids[-1]) if len(mids) else UNKNOWN
    fees = int(fills[:, FEE_E6].sum())
    if last_mid == UNKNOWN:
        unknown = ending.value_e6(position) - int((bought * price).sum())
        return Attribution(fees_e6=-fees, unknown_e6=unknown)
    known = met != UNKNOWN
    first_mid = int(mids[np.argmax(mids != UNKNOWN)])
    start = np.where(known, met, first_mid)  # from where on a fill's position moves with the mid
    gained = bought * (start - price)
    return Attribution(
        spread_e6=int(gained[known].sum()),
        move_e6=int((bought * (last_mid - start)).sum()),
        fees_e6=-fees,
        settlement_e6=ending.value_e6(position) - position * last_mid,
        unknown_e6=int(gained[~known].sum()),
    )


@compiled
def _after_change(sizes: Any, leg: b.LegCode, best: int, price: int) -> int:
    """Best bid of a leg once the size at `price` has changed."""
    if sizes[leg, price] > 0:
        return max(best, price)
    while best > 0 and sizes[leg, best] <= 0:
        best -= 1
    return best


@compiled
def _fill_mids(flow: Flow, start: int, stop: int, mids: Any) -> None:
    sizes = np.zeros((2, ONE_DOLLAR_E4 + 1), np.int64)
    best, known = np.zeros(2, np.int64), np.zeros(2, np.int64)
    whole = False  # before the first snapshot, and within one: its first levels are no book yet
    for e in range(start, stop):
        meaning, leg, price = flow.meaning[e], flow.leg[e], flow.price_e4[e]
        if meaning & CLEAR:
            sizes[:], best[:], whole = 0, 0, False
        if meaning & CHANGE:
            sizes[leg, price] += flow.count_e2[e]
            best[leg] = _after_change(sizes, leg, best[leg], price)
        whole = whole or meaning & WHOLE != 0
        for side in b.LEGS:
            if whole and best[side] > 0:
                known[side] = best[side]
        mids[e - start] = UNKNOWN
        if known[b.YES] > 0 and known[b.NO] > 0:
            mids[e - start] = (known[b.YES] + ONE_DOLLAR_E4 - known[b.NO]) // 2


def market_mids(dataset: Dataset, market: int) -> Words:
    """The YES mid right after each event of a market.

    Args:
        dataset: The markets.
        market: Index of one of them.

    Returns:
        int64[events] in 1e-4 dollars, rounded down; `UNKNOWN` while a side has had no bid.
    """
    start, stop = int(dataset.first_event[market]), int(dataset.first_event[market + 1])
    mids = np.empty(stop - start, np.int64)
    _fill_mids(dataset.flow, start, stop, mids)
    return mids


def mid_before(mids: Words, event: npt.NDArray[np.int64]) -> Words:
    """The mid right before events, which count from the market's first.

    `UNKNOWN` before the first.
    """
    before: Words = np.where(event > 0, mids[np.maximum(event - 1, 0)], UNKNOWN)
    return before
