"""Seeded synthetic flow: fifteen-minute binary markets that open, trade, close and settle for ever.

Each market pays if a hidden random walk ends above where it began. Makers post and cancel around
the fair value, takers cross; what our accounts rest is in the book, and takers hit it. Market time
is real time. A window's walk, orders and sizes depend on the seed, the market and the window only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from math import erf, sqrt
from typing import Final

import numpy as np

from ipc.units import ONE_DOLLAR_E4
from models.fees import FeeSchedule, rule_at_ms
from processes.exchange.books import NO, YES
from processes.exchange.clearing import MarketClearing
from processes.exchange.desk import Desk
from processes.exchange.markets import Market, MarketFacts
from processes.exchange.venue import Venue

__all__ = ["SyntheticFlow", "SyntheticMarket"]

WINDOW_MS: Final = 15 * 60_000
STEP_MS: Final = 50
SETTLE_MS: Final = 2_000  # after the close
ACTIONS_PER_STEP: Final = 1.2
TAKER_SHARE: Final = 0.04  # 1 of 25 actions, about what real markets show
CANCEL_SHARE: Final = 0.48
CENT: Final = 100  # e4
SIZES_E2: Final = (100, 500, 1_000, 1_000, 2_500, 4_000, 5_000, 10_000, 10_000, 20_000, 37, 1_250)
START_LEVELS: Final = 15


class SyntheticMarket:
    """One window of one market."""

    def __init__(
        self, market: Market, clearing: MarketClearing, random: np.random.Generator
    ) -> None:
        self.market = market
        self.clearing = clearing
        self.opened = False
        self._random = random
        self._walk = float(random.normal(0, 0.3))

    @property
    def is_yes(self) -> bool:
        """How the walk stands; at the close, the result."""
        return self._walk >= 0

    def fair_e4(self, now_ms: int) -> int:
        """The chance to end above, as a price within the grid."""
        left = max(self.market.facts.close_ms - now_ms, 1) / WINDOW_MS
        chance = 0.5 * (1 + erf(self._walk / sqrt(2 * left)))
        return int(min(max(chance * ONE_DOLLAR_E4, CENT), ONE_DOLLAR_E4 - CENT))

    def fill_book(self, now_ms: int) -> None:
        """The makers' first orders."""
        fair = self.fair_e4(now_ms)
        for leg, value in ((YES, fair), (NO, ONE_DOLLAR_E4 - fair)):
            best = (value - CENT) // CENT * CENT
            for price in range(best, max(best - START_LEVELS * CENT, 0), -CENT):
                self._add(leg, price)

    def step(self, now_ms: int, step_ms: int) -> None:
        """Let the walk and the traders act."""
        self._walk += float(self._random.normal()) * sqrt(step_ms / WINDOW_MS)
        fair = self.fair_e4(now_ms)
        self._pull_stale(fair, now_ms)
        for _ in range(int(self._random.poisson(ACTIONS_PER_STEP * step_ms / STEP_MS))):
            what = float(self._random.random())
            leg = int(self._random.integers(2))
            value = fair if leg == YES else ONE_DOLLAR_E4 - fair
            if what < TAKER_SHARE:
                self._cross(leg, value)
            elif what < TAKER_SHARE + CANCEL_SHARE:
                self._cancel(leg, now_ms)
            else:
                self._post(leg, value)

    def _size(self) -> int:
        return int(self._random.choice(SIZES_E2))

    def _add(self, leg: int, price_e4: int) -> None:
        if 0 < price_e4 < ONE_DOLLAR_E4:
            self.clearing.publish(leg, price_e4, self._size(), None)

    def _post(self, leg: int, value_e4: int) -> None:
        """A maker's order below the value; what it crosses it takes."""
        distance = int(self._random.geometric(0.35)) * CENT
        price = (value_e4 - distance) // CENT * CENT
        if not 0 < price < ONE_DOLLAR_E4:
            return
        left = self.clearing.matcher.take_anonymously(leg, price, self._size())
        if left:
            self.clearing.publish(leg, price, left, None)

    def _cross(self, leg: int, value_e4: int) -> None:
        """A taker buys up to a few cents above the value."""
        limit = min(value_e4 // CENT * CENT + 4 * CENT, ONE_DOLLAR_E4 - CENT)
        self.clearing.matcher.take_anonymously(leg, limit, self._size())

    def _cancel(self, leg: int, now_ms: int) -> None:
        """A maker takes back part of a level, more likely near the top."""
        prices = sorted(self.clearing.book.legs[leg], reverse=True)
        if len(prices) > 2:
            chosen = min(int(self._random.geometric(0.2)) - 1, len(prices) - 1)
            self._remove(leg, prices[chosen], self._size(), now_ms)

    def _pull_stale(self, fair_e4: int, now_ms: int) -> None:
        """Makers do not leave orders above the value."""
        for leg, value in ((YES, fair_e4), (NO, ONE_DOLLAR_E4 - fair_e4)):
            for price in [p for p in self.clearing.book.legs[leg] if p > value]:
                self._remove(leg, price, ONE_DOLLAR_E4**2, now_ms)

    def _remove(self, leg: int, price_e4: int, count_e2: int, now_ms: int) -> None:
        matcher = self.clearing.matcher
        count_e2 = min(count_e2, matcher.anonymous(leg, price_e4))
        if count_e2 > 0:
            self.clearing.publish(leg, price_e4, -count_e2, None)
            matcher.on_change(leg, price_e4, -count_e2, now_ms)


class SyntheticFlow:
    """All synthetic markets, by real time."""

    def __init__(self, venue: Venue, desk: Desk, seed: int, count: int) -> None:
        self._venue = venue
        self._desk = desk
        self._seed = seed
        self._count = count
        self._live: dict[int, SyntheticMarket] = {}
        self._closed: list[SyntheticMarket] = []

    async def run(self, shed: Callable[[], None]) -> None:
        """Step for ever."""
        last_ms = self._venue.now_ms()
        while True:
            now_ms = self._venue.now_ms()
            self.step(now_ms, max(now_ms - last_ms, 0))
            last_ms = now_ms
            shed()
            await asyncio.sleep(STEP_MS / 1000)

    def step(self, now_ms: int, step_ms: int) -> None:
        """Open, trade, close and settle what is due."""
        for index in range(self._count):
            live = self._live.get(index)
            if live is not None and now_ms >= live.market.facts.close_ms:
                self._close(self._live.pop(index), now_ms)
                live = None
            if live is None:
                live = self._live[index] = self._open(index, now_ms)
            live.step(now_ms, min(step_ms, 1_000))
        self._settle(now_ms)

    def _open(self, index: int, now_ms: int) -> SyntheticMarket:
        """The window of market `index` that is running; windows of markets are staggered."""
        offset_ms = index * WINDOW_MS // self._count
        start_ms = (now_ms - offset_ms) // WINDOW_MS * WINDOW_MS + offset_ms
        market = self._venue.add_market(_facts(index, start_ms))
        clearing = self._desk.open(market)
        random = np.random.default_rng([self._seed, index, start_ms // 1000])
        live = SyntheticMarket(market, clearing, random)
        live.fill_book(now_ms)
        self._venue.open_market(market, now_ms)
        return live

    def _close(self, live: SyntheticMarket, now_ms: int) -> None:
        self._desk.close(live.market)
        self._venue.close_market(live.market, now_ms)
        self._venue.replace_book(live.market, (), now_ms)
        self._closed.append(live)

    def _settle(self, now_ms: int) -> None:
        due = [c for c in self._closed if now_ms >= c.market.facts.close_ms + SETTLE_MS]
        for live in due:
            self._closed.remove(live)
            value = ONE_DOLLAR_E4 if live.is_yes else 0
            result = "yes" if live.is_yes else "no"
            self._venue.determine_market(live.market, result, value, now_ms)
            self._desk.settle(live.market, now_ms)
            self._venue.settle_market(live.market, now_ms)


def _facts(index: int, start_ms: int) -> MarketFacts:
    close = datetime.fromtimestamp((start_ms + WINDOW_MS) // 1000, UTC)
    series = f"KXSIM{index + 1}X15M"
    event = f"{series}-{close:%y%b%d%H%M}".upper()
    return MarketFacts(
        ticker=f"{event}-{close:%M}",
        event_ticker=event,
        series_ticker=series,
        open_ms=start_ms,
        close_ms=start_ms + WINDOW_MS,
        title=f"Synthetic walk {index + 1} up in 15 mins?",
        category="Synthetic",
        fees=FeeSchedule.of(rule_at_ms(start_ms)),
    )
