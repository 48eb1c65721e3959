"""One window of one synthetic market: its hidden truth, its traders, and what is due when."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ipc.clock import US_PER_S
from processes.exchange.core.books import Level
from processes.exchange.synthetic.draws import Draw, draw_block, draw_orders
from processes.exchange.synthetic.latent import Latent
from processes.exchange.synthetic.profiles import Profile
from processes.exchange.synthetic.traders import Floor, Traders

__all__ = ["CENT_E4", "FlowMarket"]

CENT_E4 = 100
NEVER_US = 1 << 62
FILLING, ACTING = 0, 1  # streams of chance of one block


class FlowMarket:
    """Acts in market time; the same seed, window and start make the same actions.

    `seed` names the window. `start_us` may be in the middle of it: the blocks before are skipped,
    and the book is filled anew.
    """

    def __init__(
        self, profile: Profile, floor: Floor, seed: tuple[int, ...], open_us: int, start_us: int
    ) -> None:
        self.latent = Latent(profile, np.random.default_rng(seed))
        self.next_us = NEVER_US  # when the next action is due
        self._profile = profile
        self._seed = seed
        self._open_us = open_us
        self._block_us = profile.block_s * US_PER_S
        self._traders = Traders(profile, floor)
        self._block = max(start_us - open_us, 0) // self._block_us - 1
        self._draws: Iterator[Draw] = iter(())
        self._draw: Draw | None = None
        self._base_us = open_us
        self._advance()
        self.skip(start_us)

    @property
    def is_yes(self) -> bool:
        """The outcome of the window."""
        return self.latent.is_yes

    @property
    def value(self) -> float:
        """What YES is worth in cents, as the next trader knows it."""
        return self._draw.value if self._draw else self.latent.value(self._block)

    def levels(self) -> tuple[Level, ...]:
        """The book that makers have made before anybody acts."""
        number = 2 * self._profile.habits.orders
        random = np.random.default_rng((*self._seed, self._block, FILLING))
        orders = draw_orders(self._profile, number, random)
        made = self._traders.open(self.value, orders)
        return tuple((leg, cents * CENT_E4, size) for leg, cents, size in made)

    def act(self, until_us: int, at: Callable[[int], None]) -> int:
        """Do all that is due before `until_us`; `at` is told the time of each -> how many."""
        done = 0
        while self.next_us < until_us and self._draw is not None:
            at(self.next_us)
            self._traders.act(self._draw)
            self._advance()
            done += 1
        return done

    def skip(self, until_us: int) -> None:
        """Nobody may do what was due before `until_us`; the value goes on without them."""
        while self.next_us < until_us:
            self._advance()

    def _advance(self) -> None:
        """On to the next action, of this block or of a later one."""
        self._draw = next(self._draws, None)
        while self._draw is None and self._block + 1 < self.latent.blocks:
            self._block += 1
            self._load()
            self._draw = next(self._draws, None)
        self.next_us = self._base_us + self._draw.at_us if self._draw else NEVER_US

    def _load(self) -> None:
        random = np.random.default_rng((*self._seed, self._block, ACTING))
        self._draws = draw_block(self._profile, self.latent, self._block, random)
        self._base_us = self._open_us + self._block * self._block_us
