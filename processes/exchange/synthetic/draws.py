"""What chance decides in one block of the synthetic flow: times, sizes, prices, the hidden value.

Sizes are a few round numbers that robots use, and a log-normal for the others. Traders act in
clusters: a few milliseconds of many actions, then a pause; cluster sizes have a heavy tail, which
with the wandering intensity makes the counts of a second far more uneven than chance. The hidden
value is a walk whose sign at the end is the outcome; its variance comes as the activity does, so
the chance to end above, given the walk so far, is exact and prices that follow it are calibrated.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import erf, sqrt

import msgspec
import numpy as np
import numpy.typing as npt

from ipc.clock import US_PER_S
from processes.exchange.synthetic.profiles import Arrivals, Habits, Profile, Sizes

__all__ = [
    "Draw",
    "Latent",
    "cluster_sizes",
    "draw_block",
    "draw_orders",
    "draw_sizes",
    "draw_times",
]

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
    """Clusters a second: two log-normal wanderings, slow and fast, times the activity."""
    slow = _wandering(steps, wanted.slow_sigma, step_s / wanted.slow_s, random)
    fast = _wandering(steps, wanted.fast_sigma, step_s / wanted.fast_s, random)
    mean = (wanted.slow_sigma**2 + wanted.fast_sigma**2) / 2
    activity = np.array(wanted.activity)[np.arange(steps) * len(wanted.activity) // steps]
    return np.asarray(wanted.clusters_s * activity * np.exp(slow + fast - mean))


def _wandering(steps: int, sigma: float, pull: float, random: np.random.Generator) -> Floats:
    """A stationary Ornstein-Uhlenbeck path."""
    keep = float(np.exp(-pull))
    noise = (random.standard_normal(steps) * sigma * sqrt(1 - keep**2)).tolist()
    at, path = float(random.standard_normal()) * sigma, []
    for shock in noise:
        at = at * keep + shock
        path.append(at)
    return np.array(path)


class Draw(msgspec.Struct, frozen=True, gc=False):
    """One action before anybody has looked at the book; `u` are uniform, distances in cents."""

    at_us: int  # from the block's beginning
    value: float  # of YES, in cents
    hope: float  # a leg that is worth less has no bids
    u_urgent: float
    u_kind: float
    u_leg: float
    u_order: float
    post_c: int
    cancel_c: int
    near_e2: int
    far_e2: int
    taker_e2: int


def draw_block(
    profile: Profile, latent: Latent, block: int, random: np.random.Generator
) -> Iterator[Draw]:
    """The actions of a block in order of time."""
    times = draw_times(profile.arrivals, latent.intensity[block], profile.step_s, random)
    number = len(times)
    habits = profile.habits
    columns = (
        *(random.random(number).tolist() for _ in range(4)),
        _distances(habits.posts_at, habits.far_posts, habits, number, random).tolist(),
        _distances(habits.cancels_at, habits.far_cancels, habits, number, random).tolist(),
        draw_sizes(profile.near, number, random).tolist(),
        draw_sizes(profile.far, number, random).tolist(),
        draw_sizes(profile.takers, number, random).tolist(),
    )
    values = latent.values(block, number, random)
    end_us = (latent.blocks - block) * profile.block_s * US_PER_S
    ends = np.array(times, np.int64) > end_us - habits.last_s * US_PER_S
    hopes = np.where(ends, habits.last_hope, habits.hope).tolist()
    return map(Draw, times, values, hopes, *columns)


def draw_orders(
    profile: Profile, number: int, random: np.random.Generator
) -> list[tuple[int, int]]:
    """(distance in cents, size) of orders that make a book."""
    habits = profile.habits
    distances = _distances(habits.posts_at, habits.far_posts, habits, number, random)
    near = draw_sizes(profile.near, number, random)
    far = draw_sizes(profile.far, number, random)
    sizes = np.where(distances <= profile.near_c, near, far)
    return list(zip(distances.tolist(), sizes.tolist(), strict=True))


def _distances(
    weights: tuple[float, ...],
    far_share: float,
    habits: Habits,
    number: int,
    random: np.random.Generator,
) -> Ints:
    """Cents from the best: the table, and a flat tail beyond it."""
    shares = np.array(weights)
    near = random.choice(len(weights), number, p=shares / shares.sum())
    far = random.integers(len(weights), habits.far_most, number)
    return np.where(random.random(number) < far_share, far, near)
