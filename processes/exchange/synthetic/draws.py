"""Everything that chance decides in one block, drawn at once."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
import numpy as np
import numpy.typing as npt

from ipc.clock import US_PER_S
from processes.exchange.synthetic.arrivals import draw_times
from processes.exchange.synthetic.latent import Latent
from processes.exchange.synthetic.profiles import Habits, Profile
from processes.exchange.synthetic.sizes import draw_sizes

__all__ = ["Draw", "draw_block", "draw_orders"]


Ints = npt.NDArray[np.int64]


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
