"""One market's simulated order as a row of words, its log, and how the account row shows it.

The account row shows what execution would know: the place in the queue after an answer, then as of
once a second.

The log says what became of orders, row by row: arrived, rested, filled as taker or as maker. The
kernels of `fills.py` write it in the order in which things happen, so the maker fills after a
RESTED row are of that order until the next ARRIVED one. Prices are on the YES scale.
"""

from __future__ import annotations

from typing import Any, Final

from ipc import account_table as a
from ipc import book as b
from ipc.clock import NS_PER_S
from ipc.kernels import kernel
from ipc.units import ONE_DOLLAR_E4
from models.trading.actions import BUY_YES, SELL_YES, is_buy

__all__ = [
    "ACCUMULATOR",
    "ACTION",
    "AHEAD",
    "AHEAD_E2",
    "ARRIVAL_NS",
    "ARRIVED",
    "AT_NS",
    "COUNT_E2",
    "CREATED_NS",
    "EVENT",
    "FEE_E6",
    "FEE_WORDS",
    "FILLED_E2",
    "FROM_NS",
    "KIND",
    "LEVEL",
    "LOGGED",
    "LOG_WORDS",
    "MAKER",
    "MAKER_FILLS",
    "MAKER_RATE",
    "ORDER_ACTION",
    "ORDER_STATE_WORDS",
    "PENDING_ACTION",
    "PENDING_COUNT",
    "PENDING_PRICE",
    "PRICE_E4",
    "REMAINING",
    "RESTED",
    "RULE",
    "TAKER",
    "TAKER_FILLS",
    "TAKER_RATE",
    "YES_PRICE",
    "fee_period",
    "publish_order",
    "write_log",
]

# Words of one market's order: resting, and on its way.
ACTION: Final = 0  # of the resting order, 0 none
YES_PRICE: Final = 1
REMAINING: Final = 2
AHEAD: Final = 3  # contracts that trade before this order
LEVEL: Final = 4  # recorded size at its price, without this order
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
QUEUE_DUE_NS: Final = 15  # when the place in the queue is learned next
ORDER_STATE_WORDS: Final = 16

# Live, the exchange is asked once an order rests, then once in `RL_QUEUE_POSITION_S`.
QUEUE_ANSWER_NS: Final = 100_000_000
QUEUE_INTERVAL_NS: Final = NS_PER_S

# Words of a fee schedule and of when it begins.
RULE: Final = 0  # `FeeSchedule.code`
TAKER_RATE: Final = 1
MAKER_RATE: Final = 2
FROM_NS: Final = 3  # market time; the first of a market's also holds before
FEE_WORDS: Final = 4

# Values of KIND.
ARRIVED: Final = 1
RESTED: Final = 2
TAKER: Final = 3
MAKER: Final = 4

# Words of a row.
KIND: Final = 0
EVENT: Final = 1  # index into the dataset's events; those before it had passed
AT_NS: Final = 2  # market time
ORDER_ACTION: Final = 3
PRICE_E4: Final = 4  # asked for, or filled at
COUNT_E2: Final = 5  # ordered, left to rest, or filled
FEE_E6: Final = 6  # of TAKER and MAKER
AHEAD_E2: Final = 6  # of RESTED: contracts that trade before this order
LOG_WORDS: Final = 7


@kernel
def fee_period(fees: Any, ns: int) -> int:
    """Which of a market's fee schedules is in force at a moment.

    Args:
        fees: int64[periods, FEE_WORDS] of a market, in the order of their times.
        ns: Market time.

    Returns:
        Its index in `fees`.
    """
    at = 0
    while at + 1 < len(fees) and fees[at + 1, FROM_NS] <= ns:
        at += 1
    return at


@kernel
def _publish_queue(order: Any, account: a.AccountRow, now_ns: int) -> None:
    """Show the place in the queue as execution would know it; the row holds what it knew before."""
    ahead = a.ORDERS + a.ORDER_AHEAD_E2
    if account[a.N_ORDERS] == 0 or account[a.ORDERS + a.ORDER_CREATED_NS] != order[CREATED_NS]:
        account[ahead] = a.UNKNOWN_AHEAD
        order[QUEUE_DUE_NS] = order[CREATED_NS] + QUEUE_ANSWER_NS
    elif order[REMAINING] < account[a.ORDERS + a.ORDER_REMAINING_E2]:
        account[ahead] = 0  # an order that fills is at the front
    if now_ns >= order[QUEUE_DUE_NS]:
        known = account[ahead] != a.UNKNOWN_AHEAD
        account[ahead] = min(account[ahead], order[AHEAD]) if known else order[AHEAD]
        order[QUEUE_DUE_NS] = now_ns + QUEUE_INTERVAL_NS


@kernel
def publish_order(order: Any, account: a.AccountRow, now_ns: int) -> None:
    """Show the resting order in the account row, where the observation reads it.

    An order on its way is not shown: execution, too, would not know it as resting.

    Args:
        order: int64[ORDER_STATE_WORDS].
        account: The sub-account, changed in place.
        now_ns: Market time.
    """
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


@kernel
def write_log(
    log: Any,
    at: int,
    kind: int,
    event: int,
    at_ns: int,
    action: int,
    price_e4: int,
    count_e2: int,
    more: int,
) -> None:
    """Write one row of the log; nothing is written beyond its end.

    Args:
        log: int64[rows, LOG_WORDS].
        at: Which row.
        kind: ARRIVED, RESTED, TAKER or MAKER.
        event: Index into the dataset's events; those before it had passed.
        at_ns: Market time.
        action: `Action` of the order.
        price_e4: Limit, or price of the fill.
        count_e2: Ordered, left to rest, or filled.
        more: Fee of a fill, or contracts ahead of an order that rests.
    """
    if at < len(log):
        row = log[at]
        row[KIND], row[EVENT], row[AT_NS], row[ORDER_ACTION] = kind, event, at_ns, action
        row[PRICE_E4], row[COUNT_E2], row[FEE_E6] = price_e4, count_e2, more
