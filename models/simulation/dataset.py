"""Recorded markets end to end as one block of arrays: what a simulation steps over.

`Flow` is the events between ticks as the fill rules read them. Most events mean nothing to a
resting order: they are other levels of the book. So each event carries its reach: for the orders
among YES bids and for those among NO bids, the range of prices at which it may mean something. An
order walks over the rest with two comparisons.

`ask_for_step` asks for the memory of a coming step a little early. A dataset is far larger than the
processor's caches and every environment is somewhere else in it, so a step would mostly wait for
memory. Asking changes nothing, and an address beyond the end of an array is ignored; the plain form
is `Simulation(..., ask_ahead=0)`, and `benchmarks/tricks.py` compares the two.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from ipc import book as b
from ipc.clock import NS_PER_MS
from ipc.kernels import kernel
from ipc.units import ONE_DOLLAR_E4
from models.simulation.tape import CHANGE, CLEAR, EXECUTED, WHOLE, Tape
from models.trading.fees import MarketFees

__all__ = [
    "HIGHEST",
    "LOWEST",
    "WARMUP_TICKS",
    "Dataset",
    "Flow",
    "ask_for_step",
    "dataset_of",
    "fee_words",
    "flow_of",
    "usable_tapes",
]

Words = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

WARMUP_TICKS: Final = 10  # of every market, before its first decision

LOWEST: Final = 0  # words of a reach; the range is empty where the lowest is above the highest
HIGHEST: Final = 1

# What is asked for ahead.
WORDS: Final = 8  # of 8 bytes in a cache line; also [lowest, highest] pairs of a reach
FLOATS: Final = 16
EVENTS: Final = 24  # as many as usually come between two ticks
HEADER_LINES: Final = (8, 16, 40)  # words of a row that a step reads: time, touch, grid


class Flow(NamedTuple):
    """N events; see `models.simulation.tape.Tape` for the first five.

    Attributes:
        reach: int32[2, N, 2], per leg of an order the lowest and the highest price at which the
            event may mean something to it.
    """

    ns: Words  # [N]
    meaning: Words  # [N]
    leg: Words  # [N]
    price_e4: Words  # [N]
    count_e2: Words  # [N]
    reach: npt.NDArray[np.int32]  # [2, N, 2] per leg of an order the lowest and highest price


@kernel
def _fill_reach(meaning: Any, legs: Any, price_e4: Any, count_e2: Any, reach: Any) -> None:
    """Where an order among the bids of a leg must look at an event.

    At its own level; where it is executed at its price or better; where it is crossed from the
    other leg; and everywhere when the book is cleared or becomes whole.
    """
    for e in range(len(meaning)):
        for leg in range(2):
            lowest, highest = 1, 0
            if meaning[e] & (CLEAR | WHOLE):
                lowest, highest = 0, ONE_DOLLAR_E4
            elif legs[e] == leg and meaning[e] & EXECUTED:
                lowest, highest = price_e4[e], ONE_DOLLAR_E4
            elif legs[e] == leg and meaning[e] & CHANGE:
                lowest = highest = price_e4[e]
            elif legs[e] != leg and meaning[e] & CHANGE and count_e2[e] > 0:
                lowest, highest = ONE_DOLLAR_E4 - price_e4[e], ONE_DOLLAR_E4
            reach[leg, e, LOWEST], reach[leg, e, HIGHEST] = lowest, highest


def flow_of(tapes: Sequence[Tape]) -> Flow:
    """Put the events of tapes end to end, with the reach of each.

    Args:
        tapes: One or more, in the order of the dataset.
    """
    columns = zip(*((t.ns, t.meaning, t.leg, t.price_e4, t.count_e2) for t in tapes), strict=True)
    ns, meaning, leg, price_e4, count_e2 = (np.concatenate(column) for column in columns)
    reach = np.empty((2, len(ns), 2), np.int32)
    _fill_reach(meaning, leg, price_e4, count_e2, reach)
    return Flow(ns, meaning, leg, price_e4, count_e2, reach)


class Dataset(NamedTuple):
    """Tapes end to end. M markets, T ticks, N events in all, W words the longest row.

    Market m has the ticks `first_tick[m]` to `first_tick[m + 1] - 1` and the events
    `first_event[m]` to `first_event[m + 1] - 1`; its first `WARMUP_TICKS` ticks build the history
    and are never decided on. A named tuple of arrays, as Numba takes it; nothing of it changes.

    Attributes:
        rows: int64[T, W].
        features: float32[T, tick size of the builder].
        touch: int64[T, 2], last known best bids.
        age_ms: int64[T], how old the data of each tick was when it was received.
        event_after: int64[T], the first event that is not part of the tick.
        first_tick: int64[M + 1], where each market's ticks begin.
        first_event: int64[M + 1], where each market's events begin.
        yes_value_e4: int64[M], -1 when not known.
        fees: int64[M, P, FEE_WORDS], P the most periods of a market's fees.
        flow: The events.
        code: Of the builder.
        size: Floats of an observation.
    """

    rows: Words  # [T, W]
    features: Floats  # [T, tick size of the builder]
    touch: Words  # [T, 2]
    age_ms: Words  # [T]
    event_after: Words  # [T] the first event that is not part of the tick
    first_tick: Words  # [M + 1]
    first_event: Words  # [M + 1]
    yes_value_e4: Words  # [M] -1 not known
    fees: Words  # [M, P, FEE_WORDS]
    flow: Flow
    code: int  # of the builder
    size: int  # floats of an observation


def _stack_rows(tapes: Sequence[Tape]) -> Words:
    rows = np.zeros(
        (sum(len(t.rows) for t in tapes), max(t.rows.shape[1] for t in tapes)), np.int64
    )
    at = 0
    for tape in tapes:
        rows[at : at + len(tape.rows), : tape.rows.shape[1]] = tape.rows
        at += len(tape.rows)
    return rows


@kernel
def _fill_ages(rows: Any, age_ms: Any) -> None:
    for tick in range(len(rows)):
        age_ms[tick] = b.data_age_ms(rows[tick])


def _starts(lengths: list[int]) -> Words:
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)


def fee_words(fees: MarketFees, periods: int = 0) -> Words:
    """A market's fees as the kernels read them, int64[periods, FEE_WORDS].

    Rows beyond the market's own periods repeat the last one, so `periods` may be more; 0: its own.
    """
    rows = [
        (p.schedule.code, p.schedule.taker_rate_e6, p.schedule.maker_rate_e6, p.from_ms * NS_PER_MS)
        for p in fees.periods
    ]
    rows += rows[-1:] * (periods - len(rows))
    return np.array(rows, np.int64)


def usable_tapes(tapes: Sequence[Tape]) -> list[Tape]:
    """The tapes that are long enough to warm up: the markets of a dataset, in its order."""
    return [t for t in tapes if len(t.rows) > WARMUP_TICKS + 1]


def dataset_of(tapes: Sequence[Tape]) -> Dataset:
    """Stack tapes; those too short to warm up are left out.

    Args:
        tapes: All by the same builder.

    Returns:
        The dataset; its markets are `usable_tapes(tapes)`, in that order.

    Raises:
        ValueError: No tape is long enough, or they are of several observation schemas.
    """
    usable = usable_tapes(tapes)
    if not usable:
        raise ValueError(f"none of {len(tapes)} markets has more than {WARMUP_TICKS + 1} ticks")
    names = {t.builder.schema.name for t in usable}
    if len(names) > 1:
        raise ValueError(f"tapes of several observation schemas: {', '.join(sorted(names))}")
    builder = usable[0].builder
    first_event = _starts([len(t.ns) for t in usable])
    periods = max(len(t.fees.periods) for t in usable)
    rows = _stack_rows(usable)
    age_ms = np.empty(len(rows), np.int64)  # of its own: a row's words for it are in two more lines
    _fill_ages(rows, age_ms)
    return Dataset(
        rows=rows,
        features=np.concatenate([t.features for t in usable]),
        touch=np.concatenate([t.touch for t in usable]),
        age_ms=age_ms,
        event_after=np.concatenate(
            [t.tick_event + 1 + first for t, first in zip(usable, first_event, strict=False)]
        ),
        first_tick=_starts([len(t.rows) for t in usable]),
        first_event=first_event,
        yes_value_e4=np.array([t.yes_value_e4 for t in usable], np.int64),
        fees=np.stack([fee_words(t.fees, periods) for t in usable]),
        flow=flow_of(usable),
        code=builder.code,
        size=builder.size,
    )


@intrinsic
def _prefetch(_context: Any, array: Any, _index: Any) -> Any:
    """Bring the cache line of an array's item, counted through all dimensions, to the caches."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        pointer, word = ir.IntType(8).as_pointer(), ir.IntType(32)
        address = builder.bitcast(builder.gep(data, [arguments[1]]), pointer)
        kind = ir.FunctionType(ir.VoidType(), [pointer, word, word, word])
        function = builder.module.globals.get("llvm.prefetch.p0") or ir.Function(
            builder.module, kind, "llvm.prefetch.p0"
        )
        read, keep, data_cache = word(0), word(3), word(1)
        builder.call(function, [address, read, keep, data_cache])
        return context.get_dummy_value()

    return types.void(array, types.int64), generate


@kernel
def ask_for_step(dataset: Dataset, tick: int) -> None:
    """Ask for what an environment at `tick` reads next: events, and the row after them."""
    flow, first = dataset.flow, dataset.event_after[tick]
    for e in range(first, first + EVENTS, WORDS):
        _prefetch(flow.ns, e)
        _prefetch(flow.meaning, e)
        _prefetch(flow.leg, e)
        _prefetch(flow.price_e4, e)
        _prefetch(flow.count_e2, e)
        _prefetch(flow.reach, 2 * e)
        _prefetch(flow.reach, 2 * (len(flow.ns) + e))
    row = (tick + 1) * dataset.rows.shape[1]
    for word in HEADER_LINES:
        _prefetch(dataset.rows, row + word)
    features = (tick + 1) * dataset.features.shape[1]
    for at in range(0, dataset.features.shape[1], FLOATS):
        _prefetch(dataset.features, features + at)
