"""The parts of the synthetic flow: hidden truth, times, sizes, the street."""

from __future__ import annotations

import numpy as np
import pytest

from processes.exchange.core.books import NO, YES
from processes.exchange.synthetic.draws import Latent, cluster_sizes, draw_sizes, draw_times
from processes.exchange.synthetic.profiles import ACTIVE, SLOW
from processes.exchange.synthetic.traders import AnonymousBook

PROFILES = pytest.mark.parametrize("profile", [ACTIVE, SLOW], ids=lambda p: p.name)


def random(seed: int = 1) -> np.random.Generator:
    return np.random.default_rng(seed)


class TestLatent:
    def test_the_value_is_the_chance_of_the_outcome(self):
        halfway, outcomes = [], []
        for seed in range(400):
            latent = Latent(ACTIVE, random(seed))
            halfway.append(latent.value(latent.blocks // 2) / 100)
            outcomes.append(latent.is_yes)
        value, outcome = np.array(halfway), np.array(outcomes, float)
        for low, high in ((0.0, 0.25), (0.25, 0.75), (0.75, 1.0)):
            these = (value >= low) & (value < high)
            error = 3 * np.sqrt(0.25 / these.sum())
            assert abs(value[these].mean() - outcome[these].mean()) < error

    def test_the_last_value_is_the_outcome(self):
        for seed in range(20):
            latent = Latent(ACTIVE, random(seed))
            last = latent.values(latent.blocks - 1, 1_000, random(seed))[-1]
            assert (last > 50) is latent.is_yes
            assert min(last, 100 - last) < 1

    def test_blocks_join(self):
        latent = Latent(ACTIVE, random())
        for block in range(latent.blocks - 1):
            assert latent.values(block, 500, random(block))[-1] == pytest.approx(
                latent.value(block + 1)
            )


class TestArrivals:
    @PROFILES
    def test_times_ascend_within_their_block(self, profile):
        latent = Latent(profile, random())
        for block in range(10):
            times = draw_times(profile.arrivals, latent.intensity[block], profile.step_s, random(2))
            assert times == sorted(times)
            assert not times or 0 <= times[0] <= times[-1] < profile.block_s * 1_000_000

    def test_clusters_have_the_wanted_mean_and_a_heavy_tail(self):
        sizes = cluster_sizes(ACTIVE.arrivals, 200_000, random())
        assert sizes.min() >= 1
        assert sizes.mean() == pytest.approx(ACTIVE.arrivals.cluster_mean, rel=0.05)
        assert np.square(sizes).mean() > 10 * sizes.mean()

    def test_a_quiet_block_has_no_times(self):
        assert draw_times(ACTIVE.arrivals, np.zeros(40), 0.25, random()) == []


class TestSizes:
    @PROFILES
    def test_sizes_are_positive_and_of_their_generation(self, profile):
        for wanted in (profile.near, profile.far, profile.takers):
            sizes = draw_sizes(wanted, 5_000, random())
            assert sizes.dtype == np.int64
            assert sizes.min() > 0
            assert bool((sizes % 100).any()) is (profile is ACTIVE)

    def test_robots_take_their_shares(self):
        weights = [w for w, _ in ACTIVE.near.robots]
        share = weights[0] / (sum(weights) + ACTIVE.near.others)
        sizes = draw_sizes(ACTIVE.near, 50_000, random())
        assert np.mean(sizes == ACTIVE.near.robots[0][1]) == pytest.approx(share, rel=0.05)


class TestStreet:
    def test_levels_queue_and_leave_nothing_behind(self):
        anonymous_book = AnonymousBook()
        anonymous_book.add(YES, 40, 500)
        anonymous_book.add(YES, 42, 100)
        anonymous_book.add(YES, 42, 200)
        assert (anonymous_book.best[YES], anonymous_book.best[NO], anonymous_book.orders) == (
            42,
            0,
            [3, 0],
        )
        assert anonymous_book.remove(YES, 42, 0) == 100
        assert anonymous_book.remove(YES, 42, 0) == 200
        assert (anonymous_book.best[YES], anonymous_book.levels[YES]) == (40, {40: [500]})

    def test_what_others_took_came_from_the_front(self):
        anonymous_book = AnonymousBook()
        for size in (100, 200, 300):
            anonymous_book.add(NO, 30, size)
        anonymous_book.settle_for(NO, 30, 450)
        assert anonymous_book.levels[NO][30] == [150, 300]
        anonymous_book.settle_for(NO, 30, 0)
        assert (anonymous_book.levels[NO], anonymous_book.orders[NO], anonymous_book.best[NO]) == (
            {},
            0,
            0,
        )

    def test_the_nearest_level_is_found(self):
        anonymous_book = AnonymousBook()
        assert anonymous_book.near(YES, 10) == 0
        for cents in (10, 20, 40):
            anonymous_book.add(YES, cents, 1)
        found = {at: anonymous_book.near(YES, at) for at in (45, 40, 31, 30, 29, 12, 1)}
        assert found == {45: 40, 40: 40, 31: 40, 30: 20, 29: 20, 12: 10, 1: 10}
