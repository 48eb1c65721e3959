"""What kinds of synthetic markets there are. The numbers are fitted to statistics of real flow.

`ACTIVE` stands for a fifteen-minute market with tens of changes a second, `SLOW` for a long-dated
one with one change in a few seconds. `docs/calibration.md` shows both beside the real figures.
Prices are in cents, sizes in hundredths of contracts, times as their names say.
"""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["ACTIVE", "SLOW", "Arrivals", "Habits", "Profile", "Sizes"]


class Arrivals(msgspec.Struct, frozen=True):
    """When traders act: clusters of actions, as dense as a wandering intensity says.

    `cluster_tail` is the exponent of the clusters' sizes. `gaps` are (share, median in ms, sigma of
    the logarithm) of the times between the actions of a cluster. `activity` is the intensity by
    parts of the window, from its beginning to its end.
    """

    clusters_s: float
    cluster_mean: float
    cluster_tail: float
    cluster_most: int
    gaps: tuple[tuple[float, float, float], ...]
    slow_sigma: float
    slow_s: float
    fast_sigma: float
    fast_s: float
    activity: tuple[float, ...] = (1.0,)


class Sizes(msgspec.Struct, frozen=True):
    """(weight, size) of the sizes that robots use, and the log-normal of the others'."""

    robots: tuple[tuple[float, int], ...]
    others: float
    median_e2: int
    sigma: float
    fractional: float


class Habits(msgspec.Struct, frozen=True):
    """What traders do. Shares are of the actions that nothing urgent asked for."""

    orders: int  # a side, that makers keep
    amends: float
    takes: float
    same_size: float  # amends that keep their size
    half_spread: float  # kept between the value and a quote
    tolerance: float  # by which a quote may be worse than the value
    learns: float  # how much of what they did not know makers learn with an action
    informed: float  # of the takers
    reacts: float  # chance that an action goes to a quote that has become wrong
    picks_off: float  # of these: a taker is faster than the maker
    improves: float  # chance that an action closes a gap at the top
    stays: float  # chance that the last order of a level is not the one that leaves
    guards: float  # the same at the best price
    joins: float  # chance that a new order goes to a level that exists, if it can
    hope: float  # a cent is paid for what is worth this much of one
    last_hope: float  # nothing is paid for what is worth less than this, in the last seconds
    last_s: int
    close_c: int  # so near to the best price, the largest order of a level moves first
    skew: float  # more is offered where the value says the price will go, a cent
    posts_at: tuple[float, ...]  # weights of distances from the best, in cents
    cancels_at: tuple[float, ...]
    far_posts: float  # share beyond the last of these
    far_cancels: float
    levels: int  # a side; with fewer than these nothing far is canceled
    far_most: int


class Profile(msgspec.Struct, frozen=True):
    """One kind of market; `block_s` is drawn at once, the intensity wanders by `step_s`."""

    name: str
    window_s: int
    block_s: int
    step_s: float
    start: float  # probits of the value at the beginning: mean and deviation
    start_sigma: float
    late: float  # how much more news an action brings at the end than at the beginning
    arrivals: Arrivals
    near: Sizes  # of orders up to `near_c` from the best
    near_c: int
    far: Sizes
    takers: Sizes
    habits: Habits


ACTIVE: Final = Profile(
    name="active",
    window_s=900,
    block_s=10,
    step_s=0.25,
    start=0.0,
    start_sigma=0.3,
    late=3.5,
    arrivals=Arrivals(
        clusters_s=8.9,
        cluster_mean=5.2,
        cluster_tail=1.65,
        cluster_most=120,
        gaps=((1.0, 1.0, 1.45),),
        slow_sigma=0.35,
        slow_s=60.0,
        fast_sigma=0.82,
        fast_s=2.0,
        activity=(1.2, 1.2, 1.25, 1.3, 1.3, 1.3, 1.2, 1.2, 1.15, 1.1, 1.05, 0.9, 0.9, 0.75, 0.55),
    ),
    near=Sizes(
        robots=(
            (0.17, 10),
            (0.12, 10_000),
            (0.11, 1_000),
            (0.08, 200_000),
            (0.035, 2_500),
            (0.03, 4_000),
            (0.03, 500),
            (0.02, 1_200),
            (0.015, 100),
            (0.015, 2_000),
            (0.015, 4_400),
            (0.012, 40_000),
        ),
        others=0.38,
        median_e2=2_600,
        sigma=0.9,
        fractional=0.22,
    ),
    near_c=4,
    far=Sizes(
        robots=(
            (0.16, 1_000),
            (0.14, 10_000),
            (0.05, 1_200),
            (0.045, 3_000),
            (0.03, 700),
            (0.035, 8_300),
            (0.035, 2_500),
            (0.025, 4_000),
            (0.025, 6_100),
            (0.01, 200_000),
        ),
        others=0.42,
        median_e2=3_700,
        sigma=0.7,
        fractional=0.2,
    ),
    takers=Sizes(
        robots=((0.08, 1_000), (0.05, 10_000), (0.04, 2_500), (0.04, 100)),
        others=0.79,
        median_e2=3_300,
        sigma=2.35,
        fractional=0.85,
    ),
    habits=Habits(
        orders=46,
        amends=0.25,
        takes=0.013,
        same_size=0.7,
        half_spread=0.1,
        tolerance=0.68,
        learns=0.017,
        informed=0.35,
        reacts=0.4,
        picks_off=0.08,
        improves=0.35,
        stays=0.3,
        guards=0.7,
        joins=0.38,
        hope=0.07,
        last_hope=2.0,
        last_s=75,
        close_c=2,
        skew=0.8,
        posts_at=(24.0, 12.4, 11.4, 9.9, 8.5, 5.9, 4.9, 4.5, 4.5, 3.0, 1.2, 0.6, 0.4, 0.3, 0.3),
        cancels_at=(15.5, 14.5, 11.4, 9.6, 7.9, 5.8, 4.8, 4.3, 4.0, 3.3, 1.2, 0.6, 0.4, 0.3, 0.3),
        far_posts=0.11,
        far_cancels=0.14,
        levels=25,
        far_most=45,
    ),
)

SLOW: Final = Profile(
    name="slow",
    window_s=7 * 86_400,
    block_s=600,
    step_s=10.0,
    start=-0.6,
    start_sigma=0.3,
    late=1.0,
    arrivals=Arrivals(
        clusters_s=0.11,
        cluster_mean=4.5,
        cluster_tail=2.2,
        cluster_most=40,
        gaps=((0.35, 1.8, 0.4), (0.65, 180.0, 1.1)),
        slow_sigma=0.4,
        slow_s=1_800.0,
        fast_sigma=0.4,
        fast_s=60.0,
    ),
    near=Sizes(
        robots=(
            (0.06, 50_000),
            (0.05, 10_000),
            (0.05, 2_000),
            (0.05, 62_100),
            (0.05, 837_900),
            (0.05, 12_100),
            (0.04, 899_400),
            (0.03, 1_000_000),
            (0.03, 9_500),
        ),
        others=0.59,
        median_e2=80_000,
        sigma=1.6,
        fractional=0.0,
    ),
    near_c=8,
    far=Sizes(
        robots=((0.1, 50_000), (0.1, 10_000), (0.1, 2_000)),
        others=0.7,
        median_e2=35_000,
        sigma=1.3,
        fractional=0.0,
    ),
    takers=Sizes(
        robots=((0.1, 1_000), (0.1, 10_000), (0.05, 100)),
        others=0.75,
        median_e2=2_200,
        sigma=1.5,
        fractional=0.0,
    ),
    habits=Habits(
        orders=98,
        amends=0.02,
        takes=0.01,
        same_size=0.5,
        half_spread=0.2,
        tolerance=0.6,
        learns=0.3,
        informed=0.35,
        reacts=0.5,
        picks_off=0.1,
        improves=0.3,
        stays=0.3,
        guards=0.85,
        joins=0.1,
        hope=0.25,
        last_hope=0.5,
        last_s=3_600,
        close_c=0,
        skew=0.3,
        posts_at=(7.5, 14, 3.3, 8, 9, 10, 8, 6, 6, 7, 4, 2, 1, 1, 1),
        cancels_at=(10, 13, 9, 7.5, 9, 10, 8, 6, 6, 7, 4, 2, 1, 1, 1),
        far_posts=0.15,
        far_cancels=0.2,
        levels=45,
        far_most=60,
    ),
)
