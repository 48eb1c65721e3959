"""Drives the synthetic flow: markets that open, trade, close and settle, by market time.

`FlowMarket` decides what one window's traders do and when; `SyntheticMarket` applies it to the
published book, in which the accounts' orders rest and trade with the flow; `SyntheticFlow` runs all
markets. What a window does depends on the seed, the market and the window only, not on how often it
is stepped, as long as no account trades.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime
from typing import Final

import numpy as np

from ipc.clock import US_PER_S
from ipc.units import ONE_DOLLAR_E4
from models.trading.fees import FLAT, FeeSchedule, rule_at_ms
from processes.exchange.core.books import Level
from processes.exchange.core.clearing import MarketClearing
from processes.exchange.core.events import BookChanged
from processes.exchange.core.markets import ListedMarket, MarketFacts, MarketPhase
from processes.exchange.core.operations import close_trading
from processes.exchange.core.order_entry import OrderEntry
from processes.exchange.core.venue import Venue
from processes.exchange.shared.market_time import MarketTime
from processes.exchange.synthetic.draws import Draw, Latent, draw_block, draw_orders
from processes.exchange.synthetic.profiles import ACTIVE, SLOW, Profile
from processes.exchange.synthetic.traders import FlowVenue, Traders

__all__ = ["CENT_E4", "FlowMarket", "SyntheticFlow", "SyntheticMarket", "profiles_of", "series_of"]

CENT_E4 = 100
NEVER_US = 1 << 62
SERIES_FEES: Final = (  # type and multiplier (1e-4) of the first series, the second, and so on
    ("quadratic", 10_000),
    ("quadratic_with_maker_fees", 10_000),
    ("quadratic", 5_000),
    (FLAT, 10_000),
    ("quadratic", 0),
)
FILLING, ACTING = 0, 1  # streams of chance of one block


class FlowMarket:
    """Acts in market time; the same seed, window and start make the same actions.

    `seed` names the window. `start_us` may be in the middle of it: the blocks before are skipped,
    and the book is filled again.
    """

    def __init__(
        self, profile: Profile, floor: FlowVenue, seed: tuple[int, ...], open_us: int, start_us: int
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
        """Do all that is due before `until_us`; `at` receives the time of each -> how many."""
        done = 0
        while self.next_us < until_us and self._draw is not None:
            at(self.next_us)
            self._traders.act(self._draw)
            self._advance()
            done += 1
        return done

    def skip(self, until_us: int) -> None:
        """Drop the actions due before `until_us`; the value goes on without them."""
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


DETERMINE_MS: Final = 1_000  # after the close; the settlement timer begins
MS_US: Final = 1_000
NEVER_MS: Final = 1 << 62
NAP_S: Final = 0.05  # at most, between two looks at the time
LEAST_NAP_S: Final = 0.002  # what falls into it leaves together
SLOW_EVERY: Final = 3  # each third market is a slow one
STRIDE_MS: Final = 250  # market time between two breaths, as fast as clients read


def profiles_of(count: int) -> list[Profile]:
    """What kinds `count` markets are."""
    return [SLOW if n % SLOW_EVERY == SLOW_EVERY - 1 else ACTIVE for n in range(count)]


def series_of(index: int, profile: Profile) -> str:
    """The series of the market with this number."""
    return f"KXSIM{index + 1}X{'15M' if profile is ACTIVE else 'W'}"


class SyntheticMarket:
    """One window of one market: the `FlowVenue` in which the flow trades."""

    def __init__(
        self,
        venue: Venue,
        market: ListedMarket,
        clearing: MarketClearing,
        profile: Profile,
        seed: tuple[int, ...],
    ) -> None:
        self.market = market
        self._venue = venue
        self._clearing = clearing
        self._matcher = clearing.matcher
        self._book = market.book
        start_us = self._last_us = venue.now_ms() * MS_US
        self.flow = FlowMarket(profile, self, seed, market.facts.open_ms * MS_US, start_us)

    def act(self, now_ms: int, *, halted: bool) -> None:
        """Let the flow do what is due, where trading goes on."""
        until_us = min(now_ms, self.market.facts.close_ms) * MS_US
        if self.flow.next_us >= until_us:
            return
        if halted or not self.market.is_open:
            self.flow.skip(until_us)
            return
        self.flow.act(until_us, self._at)
        self._venue.step_ms, self._venue.step_us = None, 0

    def _at(self, us: int) -> None:
        """The next action is of this moment, or of the market's newest frame if that is later.

        After a stall of the process, accounts' orders are booked before the actions that were due.
        """
        self._last_us = us = max(us, self._last_us, self.market.flow_ms * MS_US)
        self._venue.step_ms, self._venue.step_us = us // MS_US, us

    def best(self, leg: int) -> int:
        """The best bid of a leg in cents."""
        return self._book.bests[leg] // CENT_E4

    def standing(self, leg: int, cents: int) -> int:
        """What the flow has at a price."""
        price_e4 = cents * CENT_E4
        if self._matcher.resting[leg]:
            return self._matcher.anonymous(leg, price_e4)
        return self._book.count(leg, price_e4)

    def add(self, leg: int, cents: int, size_e2: int) -> int:
        """Post an order; accounts' orders that it crosses trade first."""
        price_e4 = cents * CENT_E4
        if price_e4 + self._book.bests[1 - leg] >= ONE_DOLLAR_E4:
            size_e2 = self._matcher.take_anonymously(leg, price_e4, size_e2)
        if size_e2:
            self._publish(leg, price_e4, size_e2)
        return size_e2

    def remove(self, leg: int, cents: int, size_e2: int) -> None:
        """Take an order of the flow back."""
        price_e4 = cents * CENT_E4
        self._publish(leg, price_e4, -size_e2)
        if self._matcher.resting[leg]:
            self._matcher.on_change(leg, price_e4, -size_e2, self._venue.now_ms())

    def _publish(self, leg: int, price_e4: int, delta_e2: int) -> None:
        ms, us = self._venue.now_ms(), self._venue.step_us
        self._venue.change_book(BookChanged(self.market, leg, price_e4, delta_e2, ms, ms, None, us))

    def take(self, leg: int, cents: int, size_e2: int) -> int:
        """Buy what is offered at up to a price."""
        return size_e2 - self._matcher.take_anonymously(leg, cents * CENT_E4, size_e2)


class SyntheticFlow:
    """All synthetic markets: one entry of `profiles` each; `seed` decides everything they do."""

    def __init__(
        self, venue: Venue, order_entry: OrderEntry, seed: int, profiles: list[Profile]
    ) -> None:
        self._venue = venue
        self._order_entry = order_entry
        self._seed = seed
        self._profiles = profiles
        self._live: dict[int, SyntheticMarket] = {}
        self._closed: list[SyntheticMarket] = []
        self._opens_ms = [0] * len(profiles)  # not before, each market's next window

    async def run(self, time: MarketTime, shed: Callable[[], None]) -> None:
        """Go along with market time for ever."""
        while True:
            now_ms = time.now_ms()
            self.step(now_ms)
            shed()
            wait_s = time.wait_s(self._next_ms())
            await asyncio.sleep(min(max(wait_s, LEAST_NAP_S), NAP_S))

    async def race(
        self,
        time: MarketTime,
        followed: Callable[[], bool],
        room: Callable[[], Awaitable[None]],
    ) -> None:
        """Go as fast as clients read; wait while no book is followed."""
        now_ms = time.now_ms()
        while True:
            self.step(now_ms)
            time.pause(now_ms)
            await room()
            await asyncio.sleep(0)
            while not followed():  # noqa: ASYNC110
                await asyncio.sleep(NAP_S)
            now_ms += STRIDE_MS

    def step(self, now_ms: int) -> None:
        """Open, trade, close and settle what is due."""
        self._settle(now_ms)
        halted = self._order_entry.halts.stops_trading
        for index in range(len(self._profiles)):
            live = self._live.get(index)
            if live is not None:
                live.act(now_ms, halted=halted)
                if now_ms >= live.market.facts.close_ms:
                    self._close(self._live.pop(index), now_ms)
            if index not in self._live and now_ms >= self._opens_ms[index]:
                self._live[index] = self._open(index, now_ms)

    def _next_ms(self) -> int:
        """When something is due."""
        live = self._live.values()
        return min(
            *(m.flow.next_us // MS_US + 1 for m in live),
            *(m.market.facts.close_ms for m in live),
            *(_determined_ms(m.market.facts) for m in self._closed if m.market.value_e4 is None),
            *(_settled_ms(m.market.facts) for m in self._closed),
            *(ms for index, ms in enumerate(self._opens_ms) if index not in self._live),
            NEVER_MS,
        )

    def _open(self, index: int, now_ms: int) -> SyntheticMarket:
        """The window of market `index` that is running; windows of markets are staggered."""
        profile = self._profiles[index]
        window_ms = profile.window_s * 1000
        offset_ms = index * window_ms // len(self._profiles) // MS_US * MS_US
        start_ms = (now_ms - offset_ms) // window_ms * window_ms + offset_ms
        self._opens_ms[index] = start_ms + window_ms
        market = self._venue.add_market(_facts(index, profile, start_ms))
        clearing = self._order_entry.open(market)
        seed = self._seed, index, start_ms // 1000
        self._venue.step_ms = now_ms
        live = SyntheticMarket(self._venue, market, clearing, profile, seed)
        self._venue.replace_book(market, live.flow.levels(), now_ms)
        self._venue.open_market(market, now_ms)
        self._venue.step_ms = None
        return live

    def _close(self, live: SyntheticMarket, now_ms: int) -> None:
        if live.market.is_running:  # else it was closed by order
            close_trading(self._order_entry, live.market, self._venue.closing, now_ms)
        self._closed.append(live)

    def _settle(self, now_ms: int) -> None:
        for live in [c for c in self._closed if now_ms >= _determined_ms(c.market.facts)]:
            if live.market.value_e4 is None:
                is_yes = live.flow.is_yes
                value_e4, result = (ONE_DOLLAR_E4, "yes") if is_yes else (0, "no")
                self._venue.determine_market(live.market, result, value_e4, now_ms)
        for live in [c for c in self._closed if now_ms >= _settled_ms(c.market.facts)]:
            self._closed.remove(live)
            if live.market.status is MarketPhase.FINALIZED:  # by order
                continue
            self._order_entry.settle(live.market, now_ms)
            self._venue.settle_market(live.market, now_ms)


def _determined_ms(facts: MarketFacts) -> int:
    return facts.close_ms + DETERMINE_MS


def _settled_ms(facts: MarketFacts) -> int:
    return _determined_ms(facts) + facts.settlement_timer_s * 1_000


def _facts(index: int, profile: Profile, start_ms: int) -> MarketFacts:
    close_ms = start_ms + profile.window_s * 1000
    close = datetime.fromtimestamp(close_ms // 1000, UTC)
    span = "15 mins" if profile is ACTIVE else "a week"
    series = series_of(index, profile)
    event = f"{series}-{close:%y%b%d%H%M}".upper()
    fee_type, multiplier_e4 = SERIES_FEES[index % len(SERIES_FEES)]
    return MarketFacts(
        ticker=f"{event}-{close:%M}",
        event_ticker=event,
        series_ticker=series,
        open_ms=start_ms,
        close_ms=close_ms,
        title=f"Synthetic walk {index + 1} up in {span}?",
        category="Synthetic",
        fee_type=fee_type,
        fee_multiplier_e4=multiplier_e4,
        fees=FeeSchedule.of(rule_at_ms(start_ms), fee_type, multiplier_e4),
    )
