"""The witness of limits: replays the exchange's own log and measures the account at every moment.

It knows nothing of execution and counts in its own, plain way: what is held, at cost, plus what
everything that rests may cost where it opens. Fees are left out, so it measures less than execution
does, never more. No fill at the limit or better raises a measure: a limit is passed by placing or
enlarging an order, and that is a breach if the order is execution's. What was ordered by hand just
before (`HEARD_NS`) execution may not have known: the limit is wider by so much.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from ipc.units import ONE_DOLLAR_E4

__all__ = ["HAND", "Breach", "LimitWitness", "market_measures"]

HAND: Final = "hand-"  # client order ids of orders that the test places
HEARD_NS: Final = 10_000_000_000  # by then execution knows what was done by hand
DOLLAR_E6_PER_E2: Final = 10_000  # a hundredth of a contract costs a cent at most

Row = Mapping[str, Any]


class Resting(NamedTuple):
    """An order that may still fill."""

    ticker: str
    is_bid: bool
    yes_price_e4: int
    count_e2: int


class Breach(NamedTuple):
    """A moment at which a limit was passed."""

    limit: str
    measured: int
    allowed: int
    row: Row


class Held:
    """What was traded in one market: signed position and what it cost."""

    def __init__(self) -> None:
        self.position_e2 = 0
        self.cost_e6 = 0

    def buy(self, *, is_bid: bool, yes_price_e4: int, count_e2: int) -> None:
        """Book an execution: contracts of the other leg are netted first."""
        sign = 1 if is_bid else -1
        price_e4 = yes_price_e4 if is_bid else ONE_DOLLAR_E4 - yes_price_e4
        netted = min(max(-sign * self.position_e2, 0), count_e2)
        if netted:
            self.cost_e6 -= self.cost_e6 * netted // abs(self.position_e2)
        self.cost_e6 += (count_e2 - netted) * price_e4
        self.position_e2 += sign * count_e2


def market_measures(held: Held, orders: Iterable[Resting]) -> tuple[int, int, int]:
    """(contracts 1e-2, exposure 1e-6 dollars, worst-case loss 1e-6 dollars) of one market."""
    every = list(orders)
    bid_e2 = sum(o.count_e2 for o in every if o.is_bid)
    ask_e2 = sum(o.count_e2 for o in every if not o.is_bid)
    contracts = max(abs(held.position_e2 + bid_e2), abs(held.position_e2 - ask_e2))
    bids = _dearest(every, is_bid=True, most_e2=bid_e2 - max(-held.position_e2, 0))
    asks = _dearest(every, is_bid=False, most_e2=ask_e2 - max(held.position_e2, 0))
    return contracts, held.cost_e6 + bids + asks, held.cost_e6 + max(bids, asks)


def _dearest(orders: list[Resting], *, is_bid: bool, most_e2: int) -> int:
    """What the dearest of one side's contracts cost, at most so many."""
    costs = sorted(
        (
            (o.yes_price_e4 if is_bid else ONE_DOLLAR_E4 - o.yes_price_e4, o.count_e2)
            for o in orders
            if o.is_bid == is_bid
        ),
        reverse=True,
    )
    cost_e6 = 0
    for price_e4, count_e2 in costs:
        if most_e2 <= 0:
            break
        taken = min(count_e2, most_e2)
        cost_e6 += taken * price_e4
        most_e2 -= taken
    return cost_e6


class AccountReplay:
    """The account as it was after each row of the log, orders by hand included."""

    def __init__(self) -> None:
        self.held: defaultdict[str, Held] = defaultdict(Held)
        self.resting: dict[str, Resting] = {}
        self._markets: dict[str, tuple[int, int, int]] = {}

    def apply(self, row: Row) -> None:
        """Take a row of the log."""
        ticker, is_bid = row["ticker"], row["side"] == "bid"
        if row["what"] == "fill":
            price_e4, count_e2 = row["fill_yes_price_e4"], row["count_e2"]
            self.held[ticker].buy(is_bid=is_bid, yes_price_e4=price_e4, count_e2=count_e2)
        if row["remaining_e2"]:
            facts = (ticker, is_bid, row["yes_price_e4"], row["remaining_e2"])
            self.resting[row["order_id"]] = Resting(*facts)
        else:
            self.resting.pop(row["order_id"], None)
        self._measure(ticker)

    def settle(self, ticker: str) -> None:
        """The market was paid out: nothing is held there any more."""
        self.held.pop(ticker, None)
        self._markets.pop(ticker, None)

    def _measure(self, ticker: str) -> None:
        orders = [o for o in self.resting.values() if o.ticker == ticker]
        self._markets[ticker] = market_measures(self.held[ticker], orders)

    def measured(self, limit: str) -> int:
        """What the limit is compared with; of the market where it is largest."""
        if limit == "open_orders":
            return len(self.resting)
        scope, _, what = limit.partition("_")
        at = {"contracts": 0, "exposure": 1, "case_loss": 2}[what]
        figures = [m[at] for m in self._markets.values()]
        return max(figures, default=0) if scope == "market" else sum(figures)


class LimitWitness:
    """Measures at every row of the log; `breaches` is what it found.

    Args:
        user_id: Whose account.
        limits: By name, in integers: contracts 1e-2, dollars 1e-6, orders.
    """

    def __init__(self, user_id: str, limits: Mapping[str, int]) -> None:
        self.breaches: list[Breach] = []
        self.orders: dict[str, str] = {}  # exchange's id -> client order id, as first seen
        self.names: defaultdict[str, set[str]] = defaultdict(set)  # client order id -> its orders
        self.fills: dict[str, Row] = {}  # by trade and order
        self.most: dict[str, int] = dict.fromkeys(limits, 0)
        self.read = 0  # number of the last row
        self._user_id = user_id
        self._limits = limits
        self._last = dict.fromkeys(limits, 0)
        self._replay = AccountReplay()
        self._by_hand: dict[str, tuple[int, int]] = {}  # order -> when last seen, contracts
        self._known: dict[str, tuple[int, int]] = {}  # what was asked for when last seen

    def apply(self, rows: Iterable[Row]) -> None:
        """Go on with the log."""
        for row in rows:
            self.read = row["number"]
            if row["user_id"] == self._user_id and row["subaccount"] == 0:
                self._row(row)

    def settle(self, ticker: str) -> None:
        """The market was paid out."""
        self._replay.settle(ticker)
        self._last = {limit: self._replay.measured(limit) for limit in self._limits}

    def _row(self, row: Row) -> None:
        order_id, name = row["order_id"], row["client_order_id"]
        by_hand = name.startswith(HAND)
        self.orders.setdefault(order_id, name)
        self.names[name].add(order_id)
        if by_hand:
            self._by_hand[order_id] = row["mono_ns"], row["initial_e2"]
        if row["what"] == "fill":
            self.fills[f"{row['trade_id']} {order_id}"] = row
        self._replay.apply(row)
        asked = row["initial_e2"], row["yes_price_e4"]
        placed = self._known.get(order_id) != asked and not by_hand
        self._known[order_id] = asked
        self._compare(row, placed=placed)

    def _compare(self, row: Row, *, placed: bool) -> None:
        for limit, allowed in self._limits.items():
            measured = self._replay.measured(limit)
            raised = measured > self._last[limit]
            self._last[limit] = measured
            self.most[limit] = max(self.most[limit], measured)
            if placed and raised and measured > allowed + self._unheard(limit, row["mono_ns"]):
                self.breaches.append(Breach(limit, measured, allowed, row))

    def _unheard(self, limit: str, mono_ns: int) -> int:
        """How much of a measure may be of orders by hand that execution does not know yet."""
        recent = [e2 for at_ns, e2 in self._by_hand.values() if mono_ns - at_ns < HEARD_NS]
        if limit == "open_orders":
            return len(recent)
        return sum(recent) * (1 if limit.endswith("contracts") else DOLLAR_E6_PER_E2)
