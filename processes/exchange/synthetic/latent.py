"""What nobody sees: how busy a market is, and the walk whose sign at the end is the outcome.

The walk's variance comes as the market's activity does. All of it is known when the window opens,
so the chance to end above, given the walk so far, is exact: prices that follow it are calibrated.
"""

from __future__ import annotations

from math import erf, sqrt

import numpy as np
import numpy.typing as npt

from processes.exchange.synthetic.profiles import Arrivals, Profile

__all__ = ["Latent"]

Floats = npt.NDArray[np.float64]
PERCENT = 100.0
ROOT_2 = sqrt(2)


class Latent:
    """One window of one market, by blocks of `profile.block_s`.

    `intensity` has a row a block and a column a step: clusters a second.
    """

    def __init__(self, profile: Profile, random: np.random.Generator) -> None:
        self.blocks = profile.window_s // profile.block_s
        steps = round(profile.block_s / profile.step_s)
        path = _intensity(profile.arrivals, self.blocks * steps, profile.step_s, random)
        self.intensity: Floats = path.reshape(self.blocks, steps)
        busy = self.intensity.sum(axis=1) * np.linspace(1, profile.late, self.blocks)
        self._variance = np.concatenate(([0.0], np.cumsum(busy / busy.sum())))
        moves = random.standard_normal(self.blocks) * np.sqrt(np.diff(self._variance))
        begin = profile.start + profile.start_sigma * random.standard_normal()
        self._walk = begin + np.concatenate(([0.0], np.cumsum(moves)))

    @property
    def is_yes(self) -> bool:
        """The outcome."""
        return bool(self._walk[-1] >= 0)

    def values(self, block: int, number: int, random: np.random.Generator) -> list[float]:
        """The value of YES in cents at each of `number` actions of a block, evenly informed."""
        parts = np.arange(1, number + 1) / max(number, 1)
        steps = np.cumsum(random.standard_normal(number)) / sqrt(max(number, 1))
        bridge = steps - parts * steps[-1] if number else steps
        begin, end = self._variance[block], self._variance[block + 1]
        walk = self._walk[block] + parts * (self._walk[block + 1] - self._walk[block])
        walk = walk + bridge * sqrt(end - begin)
        left = np.maximum(1 - begin - parts * (end - begin), 1e-9)
        return [PERCENT * chance(z) for z in (walk / np.sqrt(left)).tolist()]

    def value(self, block: int) -> float:
        """The value of YES in cents at the beginning of a block."""
        left = max(1 - float(self._variance[block]), 1e-9)
        return PERCENT * chance(float(self._walk[block]) / sqrt(left))


def chance(z: float) -> float:
    """The standard normal distribution."""
    return 0.5 * (1 + erf(z / ROOT_2))


def _intensity(wanted: Arrivals, steps: int, step_s: float, random: np.random.Generator) -> Floats:
    """Clusters a second: two log-normal wanderings, one slow and one fast, times the life."""
    slow = _wandering(steps, wanted.slow_sigma, step_s / wanted.slow_s, random)
    fast = _wandering(steps, wanted.fast_sigma, step_s / wanted.fast_s, random)
    mean = (wanted.slow_sigma**2 + wanted.fast_sigma**2) / 2
    life = np.array(wanted.life)[np.arange(steps) * len(wanted.life) // steps]
    return np.asarray(wanted.clusters_s * life * np.exp(slow + fast - mean))


def _wandering(steps: int, sigma: float, pull: float, random: np.random.Generator) -> Floats:
    """A stationary Ornstein-Uhlenbeck path."""
    keep = float(np.exp(-pull))
    noise = (random.standard_normal(steps) * sigma * sqrt(1 - keep**2)).tolist()
    at, path = float(random.standard_normal()) * sigma, []
    for shock in noise:
        at = at * keep + shock
        path.append(at)
    return np.array(path)
