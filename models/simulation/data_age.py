"""How old recorded data was when it was received: the clock of the machine that recorded it.

The gate itself is `ipc.book.data_age_ms` against `RL_MAX_DATA_AGE_MS`, the same live and here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from ipc.clock import NS_PER_MS
from models.simulation.replay import Columns

__all__ = ["MAX_DATA_AGE_MS", "NO_LIMIT_MS", "ClockOffsets", "clock_offsets_ms"]

MAX_DATA_AGE_MS: Final = 1_000  # of `RL_MAX_DATA_AGE_MS` where it is not set
NO_LIMIT_MS: Final = 2**62

ClockOffsets = Sequence[tuple[int, int]]  # (after event number, milliseconds), ascending


def clock_offsets_ms(events: Columns, known: ClockOffsets) -> npt.NDArray[np.int64]:
    """What the recording machine's clock lacked of the exchange's at each event.

    Nothing is received before it is sent: a frame that seems to come early shows how far the clock
    is behind at least. Recordings of others say nothing more.

    Args:
        events: Of one market, N of them.
        known: What the collector recorded of its clock; empty when it did not.

    Returns:
        int64[N], milliseconds; negative where the clock was ahead.
    """
    early = np.where(events.exch_ms > 0, events.exch_ms - events.recv_ns // NS_PER_MS, 0)
    least = np.maximum.accumulate(np.maximum(early, 0)) if len(early) else early
    if not known:
        return least.astype(np.int64)
    numbers, offsets = np.array(known, np.int64).T
    at = np.searchsorted(numbers, events.event_no, side="left") - 1
    return np.where(at >= 0, offsets[np.maximum(at, 0)], 0).astype(np.int64)
