"""What a benchmark returns, and the two ways to time a call.

In a tight loop caches and branch predictors are warm and a call costs a twentieth of what it costs
live. So whatever is a latency is also timed at a pace of `PACE_HZ` calls a second.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

import msgspec
import numpy as np

from ipc.clock import NS_PER_S, mono_ns

__all__ = ["PACE_HZ", "Figure", "latencies", "paced", "tight"]

PACE_HZ: Final = 100
SAMPLES: Final = 150  # of a paced call
BATCHES: Final = 20  # of a tight loop; the median batch counts


class Figure(msgspec.Struct, frozen=True):
    """One measured number."""

    name: str
    value: float
    unit: str


def latencies(name: str, samples_ns: Iterable[int]) -> list[Figure]:
    """Median and 99th percentile in microseconds; of fewer than 100 samples that is the longest."""
    samples = np.fromiter(samples_ns, np.int64)
    return [
        Figure(f"{name}, p{rank}", float(np.percentile(samples, rank)) / 1e3, "us")
        for rank in (50, 99)
    ]


def tight(name: str, call: Callable[[], object], calls: int = 20_000) -> Figure:
    """Microseconds a call, one after the other."""
    each = calls // BATCHES
    batches = []
    for _ in range(BATCHES):
        begun = mono_ns()
        for _ in range(each):
            call()
        batches.append((mono_ns() - begun) / each)
    return Figure(f"{name}, tight", float(np.median(batches)) / 1e3, "us")


def paced(name: str, call: Callable[[], object], samples: int = SAMPLES) -> list[Figure]:
    """Microseconds a call, `PACE_HZ` times a second; two readings of the clock are included."""
    taken = []
    due = mono_ns()
    for _ in range(samples):
        due += NS_PER_S // PACE_HZ
        time.sleep(max(0, due - mono_ns()) / NS_PER_S)
        begun = mono_ns()
        call()
        taken.append(mono_ns() - begun)
    return latencies(f"{name}, paced", taken)
