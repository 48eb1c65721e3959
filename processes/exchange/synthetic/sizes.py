"""Order sizes: a few round numbers that robots use, and everybody else's."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from processes.exchange.synthetic.profiles import Sizes

__all__ = ["draw_sizes"]

CONTRACT_E2 = 100


def draw_sizes(wanted: Sizes, number: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    """Sizes in hundredths of contracts, at least the smallest that trades."""
    weights = np.array([w for w, _ in wanted.robots] + [wanted.others])
    chosen = random.choice(len(weights), number, p=weights / weights.sum())
    known = np.array([size for _, size in wanted.robots] + [0], np.int64)
    sizes = known[chosen]
    free = np.flatnonzero(chosen == len(wanted.robots))
    sizes[free] = _others(wanted, len(free), random)
    return sizes


def _others(wanted: Sizes, number: int, random: np.random.Generator) -> npt.NDArray[np.int64]:
    raw = wanted.median_e2 * np.exp(wanted.sigma * random.standard_normal(number))
    whole = np.maximum(np.rint(raw / CONTRACT_E2), 1).astype(np.int64) * CONTRACT_E2
    fractional = random.random(number) < wanted.fractional
    return np.where(fractional, np.maximum(raw, 1).astype(np.int64), whole)
