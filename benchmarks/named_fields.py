"""Words by index against fields by name: the same order kernel over int64 rows and over records.

Numba compiles `order[AHEAD]` of an int64 row and `order.ahead_e2` of a record of a structured
array. Both kernels here keep a resting order's place in a queue, event by event, as
`models.simulation.fills` does: a few loads, compares and stores for each event. They are measured
in turns, and the result is the ratio of the two, so that the machine's load cancels out.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from benchmarks.figures import Figure
from ipc.clock import mono_ns
from ipc.kernels import kernel

__all__ = ["run"]

ORDERS: Final = 256
EVENTS: Final = 400  # of each order in a call
ROUNDS: Final = 60  # calls of each kernel

# The same order, once as words of a row and once as fields of a record.
ACTION: Final = 0
PRICE: Final = 1
REMAINING: Final = 2
AHEAD: Final = 3
LEVEL: Final = 4
FILLED: Final = 5
FILLS: Final = 6
WORDS: Final = 16  # as long as an order of the simulation
ORDER: Final = np.dtype(
    [
        ("action", np.int64),
        ("yes_price_e4", np.int64),
        ("remaining_e2", np.int64),
        ("ahead_e2", np.int64),
        ("level_e2", np.int64),
        ("filled_e2", np.int64),
        ("fills", np.int64),
        ("spare", np.int64, (WORDS - 7,)),
    ],
    align=True,
)


@kernel
def _meet_words(order: Any, price: int, count: int) -> None:
    if order[ACTION] == 0 or price > order[PRICE]:
        return
    ahead = order[AHEAD] if price == order[PRICE] else 0
    order[AHEAD] = max(order[AHEAD] - count, 0)
    if count > ahead:
        filled = min(count - ahead, order[REMAINING])
        order[REMAINING] -= filled
        order[FILLED] += filled
        order[FILLS] += 1
        if order[REMAINING] == 0:
            order[REMAINING], order[AHEAD] = 1_000, order[LEVEL]


@kernel
def _meet_record(order: Any, price: int, count: int) -> None:
    if order.action == 0 or price > order.yes_price_e4:
        return
    ahead = order.ahead_e2 if price == order.yes_price_e4 else 0
    order.ahead_e2 = max(order.ahead_e2 - count, 0)
    if count > ahead:
        filled = min(count - ahead, order.remaining_e2)
        order.remaining_e2 -= filled
        order.filled_e2 += filled
        order.fills += 1
        if order.remaining_e2 == 0:
            order.remaining_e2, order.ahead_e2 = 1_000, order.level_e2


@kernel
def _all_words(orders: Any, prices: Any, counts: Any) -> None:
    for i in range(len(orders)):
        for e in range(len(prices)):
            _meet_words(orders[i], prices[e], counts[e])


@kernel
def _all_records(orders: Any, prices: Any, counts: Any) -> None:
    for i in range(len(orders)):
        for e in range(len(prices)):
            _meet_record(orders[i], prices[e], counts[e])


def _orders() -> npt.NDArray[np.void]:
    orders = np.zeros(ORDERS, ORDER)
    orders["action"], orders["yes_price_e4"] = 1, 5_000
    orders["remaining_e2"], orders["ahead_e2"], orders["level_e2"] = 1_000, 3_000, 3_000
    return orders


def run() -> list[Figure]:
    """Nanoseconds an event of each, and the ratio of the two in the median round."""
    random = np.random.default_rng(1)
    prices = random.choice(np.array([4_900, 5_000, 5_100]), EVENTS)
    counts = random.integers(1, 400, EVENTS)
    records, words = _orders(), _orders().view(np.int64).reshape(ORDERS, WORDS)
    taken = np.zeros((2, ROUNDS))
    for round_no in range(-1, ROUNDS):  # the first one compiles
        for which, (call, orders) in enumerate(((_all_words, words), (_all_records, records))):
            begun = mono_ns()
            call(orders, prices, counts)
            if round_no >= 0:
                taken[which, round_no] = (mono_ns() - begun) / (ORDERS * EVENTS)
    if not (words == records.view(np.int64).reshape(ORDERS, WORDS)).all():
        raise RuntimeError("the two kernels do not agree")
    by_index, by_name = np.median(taken, axis=1)
    return [
        Figure("order words by index", float(by_index), "ns/event"),
        Figure("order fields by name", float(by_name), "ns/event"),
        Figure("by name / by index", float(np.median(taken[1] / taken[0])), "ratio"),
    ]
