"""Recorded markets end to end as one block of arrays: what a simulation steps over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

from models.simulation.events import Flow, flow_of
from models.simulation.fills import fee_words
from models.simulation.order_state import FEE_WORDS
from models.simulation.tape import Tape

__all__ = ["WARMUP_TICKS", "World", "usable_tapes", "world_of"]

Words = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float32]

WARMUP_TICKS: Final = 10  # of every market, before its first decision


class World(NamedTuple):
    """Tapes end to end. M markets, T ticks, N events in all, W words the longest row."""

    rows: Words  # [T, W]
    features: Floats  # [T, tick size of the builder]
    touch: Words  # [T, 2]
    event_after: Words  # [T] the first event that is not part of the tick
    first_tick: Words  # [M + 1]
    first_event: Words  # [M + 1]
    yes_value_e4: Words  # [M] -1 not known
    fees: Words  # [M, FEE_WORDS]
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


def _starts(lengths: list[int]) -> Words:
    return np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)


def usable_tapes(tapes: Sequence[Tape]) -> list[Tape]:
    """Those that are long enough to warm up: the markets of a world, in its order."""
    return [t for t in tapes if len(t.rows) > WARMUP_TICKS + 1]


def world_of(tapes: Sequence[Tape]) -> World:
    """Stack tapes, those too short to warm up left out; `ValueError` if none remains."""
    usable = usable_tapes(tapes)
    if not usable:
        raise ValueError(f"none of {len(tapes)} markets has more than {WARMUP_TICKS + 1} ticks")
    names = {t.builder.schema.name for t in usable}
    if len(names) > 1:
        raise ValueError(f"tapes of several observation schemas: {', '.join(sorted(names))}")
    builder = usable[0].builder
    first_event = _starts([len(t.ns) for t in usable])
    return World(
        rows=_stack_rows(usable),
        features=np.concatenate([t.features for t in usable]),
        touch=np.concatenate([t.touch for t in usable]),
        event_after=np.concatenate(
            [t.tick_event + 1 + first for t, first in zip(usable, first_event, strict=False)]
        ),
        first_tick=_starts([len(t.rows) for t in usable]),
        first_event=first_event,
        yes_value_e4=np.array([t.yes_value_e4 for t in usable], np.int64),
        fees=np.array([fee_words(t) for t in usable], np.int64).reshape(-1, FEE_WORDS),
        flow=flow_of(usable),
        code=builder.code,
        size=builder.size,
    )
