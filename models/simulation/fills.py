"""SimulatedOrderManager: what a recorded market would have done with an order.

- An order reaches the exchange one latency after the decision and meets the book of that moment;
  after the market's close it meets nothing.
- What crosses takes the depth that was there, level by level, at the taker fee.
- The rest waits behind the size that was visible at its price. Recorded executions at its price
  first consume what was ahead; cancels never move it back, and it is never further back than the
  level is long. An execution at a worse price, or liquidity added across it, fills it: the recorded
  taker would have met it first.
- At most one order rests per market. The same order again keeps its place; another replaces it.
- Its place in the queue is shown as execution learns it: after an answer, then as of once a second.
- Cash never goes below zero: a fill is cut to what is affordable, and the rest is dropped.

The recorded market does not react: depth that was taken is there again at the next arrival, and
other traders do not see the order. Kernels over an int64 vector per order, shared by one market or
many. A caller that wants to know what became of each order hands the kernels a log
(`models.simulation.order_state`); an empty log costs one comparison per row.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ipc import account_table as a
from ipc import book as b
from ipc.clock import NS_PER_MS
from ipc.kernels import kernel
from ipc.units import ASK, BID, NO, ONE_DOLLAR_E4, YES, LegCode, SideCode
from models.simulation.dataset import HIGHEST, LOWEST, Flow, fee_words, flow_of
from models.simulation.order_state import (
    ACCUMULATOR,
    ACTION,
    AHEAD,
    ARRIVAL_NS,
    ARRIVED,
    CREATED_NS,
    FILLED_E2,
    LEVEL,
    LOG_WORDS,
    LOGGED,
    MAKER,
    MAKER_FILLS,
    MAKER_RATE,
    ORDER_STATE_WORDS,
    PENDING_ACTION,
    PENDING_COUNT,
    PENDING_PRICE,
    REMAINING,
    RESTED,
    RULE,
    TAKER,
    TAKER_FILLS,
    TAKER_RATE,
    YES_PRICE,
    fee_period,
    publish_order,
    write_log,
)
from models.simulation.tape import CHANGE, CLEAR, EXECUTED, WHOLE, Tape
from models.trading.actions import OrderRequest, affordable_e2, is_buy, side_of
from models.trading.fees import fee_of, rebate_of
from models.trading.portfolio import apply_fill

__all__ = ["SimulatedOrderManager", "advance", "until_of"]

Words = npt.NDArray[np.int64]
NEVER_NS: Final = 2**63 - 1


@kernel
def _leg_of(side: SideCode) -> LegCode:
    """The leg among whose bids an order on a side of the YES book rests."""
    return YES if side == BID else NO


@kernel
def _other(leg: LegCode) -> LegCode:
    return NO if leg == YES else YES


@kernel
def _leg_price(leg: LegCode, yes_price_e4: int) -> int:
    """A YES price on the scale of a leg; a leg's price back on the YES scale."""
    return yes_price_e4 if leg == YES else ONE_DOLLAR_E4 - yes_price_e4


@kernel
def _held(account: a.AccountRow, side: SideCode) -> int:
    """What a sell on a side of the YES book may reduce."""
    position_e2 = account[a.POSITION_E2]
    return int(max(position_e2 if side == ASK else -position_e2, 0))


@kernel
def _log(
    order: Any, log: Any, kind: int, event: int, at_ns: int, price: int, count: int, more: int
) -> None:
    """Log one row about the present order."""
    write_log(log, order[LOGGED], kind, event, at_ns, order[ACTION], price, count, more)
    order[LOGGED] += 1


@kernel
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
    """Fill up to `count_e2`.

    Returns:
        What was filled, in 1e-2 contracts; less when cash or the position ran out.
    """
    action = order[ACTION]
    side = side_of(action)
    terms = fees[fee_period(fees, at_ns)]
    rule, rate = terms[RULE], terms[TAKER_RATE] if taker else terms[MAKER_RATE]
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


@kernel
def _size_at(row: b.Row, flow: Flow, start: int, stop: int, leg: LegCode, price: int) -> int:
    """Size at a leg's price: a tick's row plus the changes of events [start, stop)."""
    slot = b.slot_of(row, price)
    if slot < 0:
        return 0
    size, reach = row[b.HEADER + leg * row[b.SLOTS] + slot], flow.reach[leg]
    for e in range(start, stop):
        if not reach[e, LOWEST] <= price <= reach[e, HIGHEST]:
            continue
        if flow.meaning[e] & CLEAR:
            size = 0
        if flow.meaning[e] & CHANGE and flow.leg[e] == leg and flow.price_e4[e] == price:
            size += flow.count_e2[e]
    return int(size)


@kernel
def _highest(row: b.Row, flow: Flow, start: int, stop: int, leg: LegCode, price: int) -> int:
    """The slot above which the other leg has no bids that an order at a leg's price could cross.

    The book is a tick's row plus the changes of events [start, stop): no bid is above both the
    row's best and what was added across the order since.
    """
    slot, reach = row[b.BEST_YES + _other(leg)], flow.reach[leg]
    for e in range(start, stop):
        if reach[e, LOWEST] <= price <= reach[e, HIGHEST] and flow.leg[e] != leg:
            slot = max(slot, b.slot_of(row, flow.price_e4[e]))
    return int(slot)


@kernel
def _take(
    order: Any,
    account: a.AccountRow,
    fees: Any,
    row: b.Row,
    flow: Flow,
    start: int,
    stop: int,
    log: Any,
) -> None:
    """Take what crosses from the other leg's bids, best first."""
    leg = _leg_of(side_of(order[ACTION]))
    other, own_price = _other(leg), _leg_price(leg, order[YES_PRICE])
    slot = _highest(row, flow, start, stop, leg, own_price)
    while slot >= 0 and order[ACTION] != 0:
        price = b.price_of(row, slot)  # of the other leg
        if price < ONE_DOLLAR_E4 - own_price:
            return
        size = _size_at(row, flow, start, stop, other, price)
        if size > 0:
            yes_price, at_ns = _leg_price(other, price), order[CREATED_NS]
            _book_fill(order, account, fees, yes_price, size, True, stop, at_ns, log)
        slot -= 1


@kernel
def _place(
    order: Any,
    account: a.AccountRow,
    fees: Any,
    row: b.Row,
    flow: Flow,
    start: int,
    stop: int,
    log: Any,
) -> None:
    """The pending order arrives: keep the one that rests, or replace it; take, then rest."""
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
    _take(order, account, fees, row, flow, start, stop, log)
    if order[ACTION] == 0:
        return
    leg = _leg_of(side)
    level = _size_at(row, flow, start, stop, leg, _leg_price(leg, price))
    order[LEVEL] = order[AHEAD] = level
    _log(order, log, RESTED, stop, order[CREATED_NS], price, order[REMAINING], order[AHEAD])


@kernel
def _meet(order: Any, account: a.AccountRow, fees: Any, flow: Flow, e: int, log: Any) -> None:
    """One recorded event and the resting order."""
    leg = _leg_of(side_of(order[ACTION]))
    own_price = _leg_price(leg, order[YES_PRICE])
    meaning, count_e2, now = flow.meaning[e], flow.count_e2[e], flow.ns[e]
    size, price = abs(count_e2), order[YES_PRICE]
    if meaning & CLEAR:
        order[LEVEL] = 0
    if meaning & WHOLE:
        order[AHEAD] = min(order[AHEAD], order[LEVEL])
    if flow.leg[e] != leg:
        crossing = flow.price_e4[e] >= ONE_DOLLAR_E4 - own_price
        if meaning & CHANGE and count_e2 > 0 and crossing:
            _book_fill(order, account, fees, price, size, False, e, now, log)
        return
    if meaning & EXECUTED and flow.price_e4[e] <= own_price:
        ahead = order[AHEAD] if flow.price_e4[e] == own_price else 0
        order[AHEAD] = max(order[AHEAD] - size, 0)
        if size > ahead:
            _book_fill(order, account, fees, price, size - ahead, False, e, now, log)
    if meaning & CHANGE and flow.price_e4[e] == own_price:
        order[LEVEL] += count_e2
        order[AHEAD] = min(order[AHEAD], max(order[LEVEL], 0))


@kernel
def _rest(
    order: Any, account: a.AccountRow, fees: Any, flow: Flow, start: int, stop: int, log: Any
) -> None:
    """Events [start, stop) and the resting order, if there is one."""
    if order[ACTION] == 0:
        return
    leg = _leg_of(side_of(order[ACTION]))
    price, reach = _leg_price(leg, order[YES_PRICE]), flow.reach[leg]
    for e in range(start, stop):
        if reach[e, LOWEST] <= price <= reach[e, HIGHEST]:
            _meet(order, account, fees, flow, e, log)
            if order[ACTION] == 0:
                return


@kernel
def advance(
    order: Any,
    account: a.AccountRow,
    fees: Any,
    row: b.Row,
    flow: Flow,
    start: int,
    stop: int,
    until_ns: int,
    log: Any,
) -> None:
    """Let events [start, stop) pass.

    A pending order arrives after the last event not later than its arrival; one that arrives at
    `until_ns` or later, see `until_of`, is still on its way at the end.

    Args:
        order: int64[ORDER_STATE_WORDS], changed in place.
        account: The sub-account, changed in place.
        fees: int64[periods, FEE_WORDS] of the market.
        row: The tick's book, right before `start`.
        flow: The events.
        start: First event.
        stop: First event that does not pass.
        until_ns: Market time at which this stretch ends.
        log: int64[rows, LOG_WORDS]; no rows for no log.
    """
    e = start
    if order[PENDING_ACTION] != 0 and order[ARRIVAL_NS] < until_ns:
        while e < stop and flow.ns[e] <= order[ARRIVAL_NS]:
            e += 1
        _rest(order, account, fees, flow, start, e, log)
        _place(order, account, fees, row, flow, start, e, log)
    _rest(order, account, fees, flow, e, stop, log)


@kernel
def until_of(rows: Any, tick: int, is_last: bool) -> int:
    """When the time after a tick ends: at the next tick, or with the market; never if unknown."""
    if not is_last:
        return int(rows[tick + 1, b.RECV_NS])
    close_ms = rows[tick, b.CLOSE_MS]
    return int(close_ms * NS_PER_MS if close_ms > 0 else NEVER_NS)


class SimulatedOrderManager:
    """One recorded market's answer to orders: the boundary that execution is when live.

    For one market by hand; environments step many at once with the same kernels. Use: `submit` at
    a tick, then `advance` to the next one, and read `account`.

    Args:
        tape: The market.
        cash_e6: Cash of its sub-account, micro-dollars.
        latency_ns: From decision to matching engine.

    Attributes:
        account: The sub-account, in the layout of `ipc.account_table`.
    """

    def __init__(self, tape: Tape, cash_e6: int, latency_ns: int) -> None:
        self.account = a.new_account(cash_e6)
        self._tape = tape
        self._flow = flow_of([tape])
        self._latency_ns = latency_ns
        self._order = np.zeros(ORDER_STATE_WORDS, np.int64)
        self._fees = fee_words(tape.fees)
        self._log = np.zeros((0, LOG_WORDS), np.int64)

    def submit(self, request: OrderRequest, now_ns: int) -> None:
        """Send an order; it replaces one that is still on its way.

        Args:
            request: Priced and sized, as of `LimitOrderActionSpace.order_for`.
            now_ns: Market time of the decision; it arrives one latency later.
        """
        words = (int(request.action), request.yes_price_e4, request.count_e2)
        self._order[PENDING_ACTION : PENDING_COUNT + 1] = words
        self._order[ARRIVAL_NS] = now_ns + self._latency_ns

    def advance(self, tick: int) -> None:
        """Let the market pass from one tick to the next, or to its end.

        Args:
            tick: Index of the present tick. Ticks must be passed in order, each once.
        """
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
            self._log,
        )
        now = self._tape.rows[min(tick + 1, len(ticks) - 1), b.RECV_NS]
        publish_order(self._order, self.account, now)

    def cancel(self) -> None:
        """Cancel the resting order, and one on its way, at once."""
        self._order[ACTION] = self._order[REMAINING] = self._order[PENDING_ACTION] = 0
        self.account[a.N_ORDERS] = 0

    @property
    def filled_e2(self) -> int:
        """Contracts filled so far, in 1e-2."""
        return int(self._order[FILLED_E2])

    @property
    def fills(self) -> tuple[int, int]:
        """Executions so far as (taker, maker)."""
        return int(self._order[TAKER_FILLS]), int(self._order[MAKER_FILLS])
