"""SimulatedOrderManager: what a recorded market would have done with an order of ours.

- An order reaches the exchange a latency after the decision and meets the book of that moment;
  after the market's close it meets nothing.
- What crosses takes the depth that stood there, level by level, at the taker fee.
- The rest waits behind the size that was visible at its price. Recorded executions at its price
  first consume what stood ahead; cancels never move it back, and it is never further back than the
  level is long. An execution at a worse price, or liquidity added across it, fills it: the recorded
  taker would have met us first.
- At most one order rests per market. The same order again keeps its place; another replaces it.
- Its place in the queue is shown as execution learns it: after an answer, then as of once a second.
- Cash never goes below zero: a fill is cut to what is affordable, and the rest is dropped.

The recorded market does not react: depth taken by us is there again at the next arrival, and other
traders do not see us. Kernels over an int64 vector per order, shared by one market or many.

Who wants to know what became of each order hands the kernels a log: a row per order that arrived,
rested or filled, see `models.fill_log`. An empty log costs one comparison per row.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from ipc import account_table as a
from ipc import book as b
from ipc.units import ONE_DOLLAR_E4
from models.actions import BUY_YES, SELL_YES, OrderRequest, affordable_e2, is_buy, side_of
from models.fees import fee_of, rebate_of
from models.fill_log import ARRIVED, LOG_WORDS, MAKER, RESTED, TAKER, write_log
from models.portfolio import ASK, BID, apply_fill
from models.sessions import CHANGE, CLEAR, EXECUTED, WHOLE, Tape

__all__ = [
    "ACTION",
    "AHEAD",
    "ARRIVAL_NS",
    "FEE_WORDS",
    "FILLED_E2",
    "LOGGED",
    "MAKER_FILLS",
    "ORDER_STATE_WORDS",
    "PENDING_ACTION",
    "PENDING_COUNT",
    "PENDING_PRICE",
    "RULE",
    "TAKER_FILLS",
    "TAKER_RATE",
    "Flow",
    "SimulatedOrderManager",
    "advance",
    "fee_words",
    "flow_of",
    "publish_order",
    "until_of",
]

Words = npt.NDArray[np.int64]
NEVER_NS: Final = 2**63 - 1

# Words of one market's order: resting, and on its way.
ACTION: Final = 0  # of the resting order, 0 none
YES_PRICE: Final = 1
REMAINING: Final = 2
AHEAD: Final = 3  # contracts that trade before ours
LEVEL: Final = 4  # recorded size at our price, ours apart
CREATED_NS: Final = 5
ACCUMULATOR: Final = 6  # of the order's rounding fees
PENDING_ACTION: Final = 7  # on its way to the exchange, 0 none
PENDING_PRICE: Final = 8
PENDING_COUNT: Final = 9
ARRIVAL_NS: Final = 10
TAKER_FILLS: Final = 11  # counters, never reset by a new order
MAKER_FILLS: Final = 12
FILLED_E2: Final = 13
LOGGED: Final = 14  # rows that the log was given, those beyond its end included
QUEUE_DUE_NS: Final = 15  # when our place in the queue is learned next
ORDER_STATE_WORDS: Final = 16

# Live, the exchange is asked once an order rests, then once in `RL_QUEUE_POSITION_S`.
QUEUE_ANSWER_NS: Final = 100_000_000
QUEUE_INTERVAL_NS: Final = 1_000_000_000

# Words of a fee schedule.
RULE: Final = 0
TAKER_RATE: Final = 1
MAKER_RATE: Final = 2
FEE_WORDS: Final = 3


class Flow(NamedTuple):
    """The events between ticks, as the fill rules read them; see `models.sessions.Tape`."""

    ns: Words
    meaning: Words
    leg: Words
    price: Words
    qty: Words


def flow_of(tape: Tape) -> Flow:
    """A tape's events."""
    return Flow(tape.ns, tape.meaning, tape.leg, tape.price, tape.qty)


@njit(cache=True)
def _leg_price(side: int, yes_price_e4: int) -> int:
    """The price at which a side of the YES book rests among its leg's bids."""
    return yes_price_e4 if side == BID else ONE_DOLLAR_E4 - yes_price_e4


@njit(cache=True)
def _held(account: a.AccountRow, side: int) -> int:
    """What a sell on a side of the YES book may reduce."""
    position_e2 = account[a.POSITION_E2]
    return int(max(position_e2 if side == ASK else -position_e2, 0))


@njit(cache=True)
def _log(
    order: Any, log: Any, kind: int, event: int, at_ns: int, price: int, count: int, more: int
) -> None:
    """One row of what became of the present order."""
    write_log(log, order[LOGGED], kind, event, at_ns, order[ACTION], price, count, more)
    order[LOGGED] += 1


@njit(cache=True)
def _book_fill(
    order: Any,
    account: a.AccountRow,
    fees: Any,
    yes_price_e4: int,
    count_e2: int,
    taker: bool,
    event: int,
    at_ns: int,
    log: Any,
) -> int:
    """Fill up to `count_e2` -> what was filled; less: cash or what was held ran out."""
    action = order[ACTION]
    side = side_of(action)
    rule, rate = fees[RULE], fees[TAKER_RATE] if taker else fees[MAKER_RATE]
    count_e2 = filled = min(count_e2, order[REMAINING])
    if not is_buy(action):
        filled = min(count_e2, _held(account, side))
    filled = affordable_e2(account, side, yes_price_e4, filled, 1, rule, rate)
    if filled > 0:
        trade, rounding = fee_of(rule, rate, yes_price_e4, filled, side == BID)
        rebate, order[ACCUMULATOR] = rebate_of(rule, order[ACCUMULATOR], trade, rounding)
        fee = trade + rounding - rebate
        apply_fill(account, side, yes_price_e4, filled, fee)
        _log(order, log, TAKER if taker else MAKER, event, at_ns, yes_price_e4, filled, fee)
        order[FILLED_E2] += filled
        order[TAKER_FILLS if taker else MAKER_FILLS] += 1
    order[REMAINING] -= filled
    if order[REMAINING] == 0 or filled < count_e2:
        order[ACTION] = order[REMAINING] = 0
    return int(filled)


@njit(cache=True)
def _book_at(row: b.Row, flow: Flow, start: int, stop: int, leg: int, sizes: Any) -> None:
    """One leg's sizes by slot: a tick's row plus the changes of events [start, stop)."""
    base = b.HEADER + leg * row[b.SLOTS]
    for slot in range(row[b.SLOTS]):
        sizes[slot] = row[base + slot]
    for e in range(start, stop):
        if flow.meaning[e] & CLEAR:
            for slot in range(row[b.SLOTS]):
                sizes[slot] = 0
        if flow.meaning[e] & CHANGE and flow.leg[e] == leg:
            slot = b.slot_of(row, flow.price[e])
            if slot >= 0:
                sizes[slot] += flow.qty[e]


@njit(cache=True)
def _take(
    order: Any, account: a.AccountRow, fees: Any, row: b.Row, sizes: Any, event: int, log: Any
) -> None:
    """Take what crosses from the other leg's bids, best first."""
    side = side_of(order[ACTION])
    slot = row[b.SLOTS] - 1
    while slot >= 0 and order[ACTION] != 0:
        if sizes[slot] > 0:
            price = b.price_of(row, slot)  # of the other leg
            yes_price = ONE_DOLLAR_E4 - price if side == BID else price
            crosses = (
                yes_price <= order[YES_PRICE] if side == BID else yes_price >= order[YES_PRICE]
            )
            if not crosses:
                return
            at_ns = order[CREATED_NS]
            _book_fill(order, account, fees, yes_price, sizes[slot], True, event, at_ns, log)
        slot -= 1


@njit(cache=True)
def _place(
    order: Any,
    account: a.AccountRow,
    fees: Any,
    row: b.Row,
    flow: Flow,
    start: int,
    stop: int,
    sizes: Any,
    log: Any,
) -> None:
    """The pending order arrives: keep, or cancel-replace; take, then rest."""
    action, price, count = order[PENDING_ACTION], order[PENDING_PRICE], order[PENDING_COUNT]
    order[PENDING_ACTION] = 0
    if order[ACTION] == action and order[YES_PRICE] == price:
        return
    side = side_of(action)
    if not is_buy(action):
        count = min(count, _held(account, side))
    order[ACTION] = action if count > 0 else 0
    order[YES_PRICE], order[REMAINING] = price, count
    order[CREATED_NS], order[ACCUMULATOR] = order[ARRIVAL_NS], 0
    if count == 0:
        return
    _log(order, log, ARRIVED, stop, order[CREATED_NS], price, count, 0)
    _book_at(row, flow, start, stop, 1 - side, sizes)
    _take(order, account, fees, row, sizes, stop, log)
    if order[ACTION] == 0:
        return
    slot = b.slot_of(row, _leg_price(side, price))
    _book_at(row, flow, start, stop, side, sizes)
    order[LEVEL] = order[AHEAD] = sizes[slot] if slot >= 0 else 0
    _log(order, log, RESTED, stop, order[CREATED_NS], price, order[REMAINING], order[AHEAD])


@njit(cache=True)
def _meet(order: Any, account: a.AccountRow, fees: Any, flow: Flow, e: int, log: Any) -> None:
    """One recorded event and our resting order."""
    side = side_of(order[ACTION])
    own_price = _leg_price(side, order[YES_PRICE])
    meaning, qty, now = flow.meaning[e], flow.qty[e], flow.ns[e]
    size, price = abs(qty), order[YES_PRICE]
    if meaning & CLEAR:
        order[LEVEL] = 0
    if meaning & WHOLE:
        order[AHEAD] = min(order[AHEAD], order[LEVEL])
    if flow.leg[e] != side:
        crossing = flow.price[e] >= ONE_DOLLAR_E4 - own_price
        if meaning & CHANGE and qty > 0 and crossing:
            _book_fill(order, account, fees, price, size, False, e, now, log)
        return
    if meaning & EXECUTED and flow.price[e] <= own_price:
        ahead = order[AHEAD] if flow.price[e] == own_price else 0
        order[AHEAD] = max(order[AHEAD] - size, 0)
        if size > ahead:
            _book_fill(order, account, fees, price, size - ahead, False, e, now, log)
    if meaning & CHANGE and flow.price[e] == own_price:
        order[LEVEL] += qty
        order[AHEAD] = min(order[AHEAD], max(order[LEVEL], 0))


@njit(cache=True)
def advance(
    order: Any,
    account: a.AccountRow,
    fees: Any,
    row: b.Row,
    flow: Flow,
    start: int,
    stop: int,
    until_ns: int,
    sizes: Any,
    log: Any,
) -> None:
    """Let events [start, stop) pass; `row` is the tick's, right before `start`.

    A pending order arrives after the last event not later than its arrival; one that arrives at
    `until_ns` or later, see `until_of`, is still on its way at the end. `sizes` is scratch of one
    leg's slots; `log` as in `models.fill_log`, empty for none.
    """
    e = start
    while e < stop and (order[ACTION] != 0 or order[PENDING_ACTION] != 0):
        if order[PENDING_ACTION] != 0 and flow.ns[e] > order[ARRIVAL_NS]:
            _place(order, account, fees, row, flow, start, e, sizes, log)
        if order[ACTION] != 0:
            _meet(order, account, fees, flow, e, log)
        e += 1
    if order[PENDING_ACTION] != 0 and order[ARRIVAL_NS] < until_ns:
        _place(order, account, fees, row, flow, start, stop, sizes, log)


@njit(cache=True)
def until_of(rows: Any, tick: int, is_last: bool) -> int:
    """When the time after a tick ends: at the next, or with the market; never where unknown."""
    if not is_last:
        return int(rows[tick + 1, b.RECV_NS])
    close_ms = rows[tick, b.CLOSE_MS]
    return int(close_ms * 1_000_000 if close_ms > 0 else NEVER_NS)


@njit(cache=True)
def _publish_queue(order: Any, account: a.AccountRow, now_ns: int) -> None:
    """Show what trades before the order as execution would know it; the row holds what it knew."""
    ahead = a.ORDERS + a.ORDER_AHEAD_E2
    if account[a.N_ORDERS] == 0 or account[a.ORDERS + a.ORDER_CREATED_NS] != order[CREATED_NS]:
        account[ahead] = a.UNKNOWN_AHEAD
        order[QUEUE_DUE_NS] = order[CREATED_NS] + QUEUE_ANSWER_NS
    elif order[REMAINING] < account[a.ORDERS + a.ORDER_REMAINING_E2]:
        account[ahead] = 0  # whoever fills is at the front
    if now_ns >= order[QUEUE_DUE_NS]:
        known = account[ahead] != a.UNKNOWN_AHEAD
        account[ahead] = min(account[ahead], order[AHEAD]) if known else order[AHEAD]
        order[QUEUE_DUE_NS] = now_ns + QUEUE_INTERVAL_NS


@njit(cache=True)
def publish_order(order: Any, account: a.AccountRow, now_ns: int) -> None:
    """Show the resting order of a moment in the account row, where the observation reads it."""
    if order[ACTION] == 0:
        account[a.N_ORDERS] = 0
        return
    _publish_queue(order, account, now_ns)
    action, price = order[ACTION], order[YES_PRICE]
    leg = b.YES if action in (BUY_YES, SELL_YES) else b.NO
    account[a.N_ORDERS] = 1
    account[a.ORDERS + a.ORDER_IS_BUY] = 1 if is_buy(action) else 0
    account[a.ORDERS + a.ORDER_LEG] = leg
    account[a.ORDERS + a.ORDER_PRICE_E4] = price if leg == b.YES else ONE_DOLLAR_E4 - price
    account[a.ORDERS + a.ORDER_REMAINING_E2] = order[REMAINING]
    account[a.ORDERS + a.ORDER_CREATED_NS] = order[CREATED_NS]


class SimulatedOrderManager:
    """One recorded market's answer to orders: the boundary that execution is when live."""

    def __init__(self, tape: Tape, cash_e6: int, latency_ns: int) -> None:
        self.account = a.new_account(cash_e6)
        self._tape = tape
        self._flow = flow_of(tape)
        self._latency_ns = latency_ns
        self._order = np.zeros(ORDER_STATE_WORDS, np.int64)
        self._fees = fee_words(tape)
        self._sizes = np.zeros(tape.rows.shape[1], np.int64)
        self._log = np.zeros((0, LOG_WORDS), np.int64)

    def submit(self, request: OrderRequest, now_ns: int) -> None:
        """Send an order; it replaces one that is still on its way."""
        words = (int(request.action), request.yes_price_e4, request.count_e2)
        self._order[PENDING_ACTION : PENDING_COUNT + 1] = words
        self._order[ARRIVAL_NS] = now_ns + self._latency_ns

    def advance(self, tick: int) -> None:
        """Let the market pass from tick `tick` to the next, or to its end."""
        ticks, rows = self._tape.tick_event, self._tape.rows
        is_last = tick + 1 == len(ticks)
        stop = len(self._flow.ns) if is_last else int(ticks[tick + 1]) + 1
        start = int(ticks[tick]) + 1
        advance(
            self._order,
            self.account,
            self._fees,
            rows[tick],
            self._flow,
            start,
            stop,
            until_of(rows, tick, is_last),
            self._sizes,
            self._log,
        )
        now = self._tape.rows[min(tick + 1, len(ticks) - 1), b.RECV_NS]
        publish_order(self._order, self.account, now)

    def cancel(self) -> None:
        """Take the resting order out, and one on its way."""
        self._order[ACTION] = self._order[REMAINING] = self._order[PENDING_ACTION] = 0
        self.account[a.N_ORDERS] = 0

    @property
    def filled_e2(self) -> int:
        """Contracts filled so far."""
        return int(self._order[FILLED_E2])

    @property
    def fills(self) -> tuple[int, int]:
        """Executions so far as (taker, maker)."""
        return int(self._order[TAKER_FILLS]), int(self._order[MAKER_FILLS])


def fee_words(tape: Tape) -> Words:
    """A tape's fee schedule as the kernels read it."""
    fees = tape.fees
    return np.array([int(fees.rule), fees.taker_rate_e6, fees.maker_rate_e6], np.int64)
