"""When traders act: a few milliseconds of many actions, then nothing for a while.

Clusters begin at random as the intensity says; their sizes have a heavy tail, which with the
intensity's wandering makes the counts of a second many times as uneven as chance would.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from ipc.clock import US_PER_S
from processes.exchange.synthetic.profiles import Arrivals

__all__ = ["cluster_sizes", "draw_times"]

MS_US = 1_000

Ints = npt.NDArray[np.int64]


def draw_times(
    wanted: Arrivals,
    intensity: npt.NDArray[np.float64],
    step_s: float,
    random: np.random.Generator,
) -> list[int]:
    """Times of the actions of one block in microseconds from its beginning, ascending.

    A cluster that begins late ends with the block, so that blocks do not overlap.
    """
    numbers = random.poisson(intensity * step_s)
    steps = np.repeat(np.arange(len(intensity)), numbers)
    starts = (steps + random.random(len(steps))) * (step_s * US_PER_S)
    sizes = cluster_sizes(wanted, len(starts), random)
    total = int(sizes.sum())
    gaps = _gaps(wanted, total, random)
    first = np.cumsum(sizes) - sizes
    gaps[first] = 0.0
    since = np.cumsum(gaps)
    since -= np.repeat(since[first], sizes)
    times = np.sort(np.repeat(starts, sizes) + since).astype(np.int64)
    most = int(len(intensity) * step_s * US_PER_S) - 1
    return [t for t in times.tolist() if t <= most]


def cluster_sizes(wanted: Arrivals, number: int, random: np.random.Generator) -> Ints:
    """Actions of each cluster: a Pareto tail, cut off, of the wanted mean."""
    tail, most = wanted.cluster_tail, float(wanted.cluster_most)
    raw = np.minimum((1 - random.random(number)) ** (-1 / tail), most)
    mean = (tail - most ** (1 - tail)) / (tail - 1)
    scaled = raw * (wanted.cluster_mean / mean)
    whole = np.floor(scaled)
    sizes: Ints = np.maximum(whole + (random.random(number) < scaled - whole), 1).astype(np.int64)
    return sizes


def _gaps(wanted: Arrivals, number: int, random: np.random.Generator) -> npt.NDArray[np.float64]:
    """Microseconds between the actions of a cluster."""
    shares = np.array([share for share, _, _ in wanted.gaps])
    which = random.choice(len(shares), number, p=shares / shares.sum())
    medians = np.array([median for _, median, _ in wanted.gaps])[which]
    sigmas = np.array([sigma for _, _, sigma in wanted.gaps])[which]
    return np.asarray(medians * MS_US * np.exp(sigmas * random.standard_normal(number)))
