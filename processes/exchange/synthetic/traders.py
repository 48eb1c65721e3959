"""The behaviour of the synthetic flow: its book, and what makers and takers do with a draw.

Makers keep quotes below the value of each leg, move them when they have become wrong, close gaps at
the top and otherwise post, cancel and move orders at all distances. Takers who know the value pick
off wrong quotes; others buy at random. Prices are in cents of the leg that is bought.
"""

from __future__ import annotations

from math import floor
from typing import Final, Protocol

from processes.exchange.core.books import NO, YES
from processes.exchange.synthetic.draws import Draw
from processes.exchange.synthetic.profiles import Profile

__all__ = ["AnonymousBook", "FlowVenue", "Traders"]

Queue = list[int]


class AnonymousBook:
    """Per leg, price in cents -> the sizes that queue there. No level is empty."""

    def __init__(self) -> None:
        self.levels: tuple[dict[int, Queue], dict[int, Queue]] = ({}, {})
        self.orders = [0, 0]
        self.best = [0, 0]  # 0: no order

    def add(self, leg: int, cents: int, size_e2: int) -> None:
        """A new order at the end of its level."""
        queue = self.levels[leg].get(cents)
        if queue is None:
            self.levels[leg][cents] = [size_e2]
            if cents > self.best[leg]:
                self.best[leg] = cents
        else:
            queue.append(size_e2)
        self.orders[leg] += 1

    def remove(self, leg: int, cents: int, at: int) -> int:
        """Take one order away -> its size."""
        queue = self.levels[leg][cents]
        size_e2 = queue.pop(at)
        self.orders[leg] -= 1
        if not queue:
            self._drop(leg, cents)
        return size_e2

    def _drop(self, leg: int, cents: int) -> None:
        levels = self.levels[leg]
        del levels[cents]
        if cents == self.best[leg]:
            self.best[leg] = max(levels, default=0)

    def settle_for(self, leg: int, cents: int, standing_e2: int) -> None:
        """Others took from a level's front: only `standing_e2` is left of it."""
        queue = self.levels[leg].get(cents)
        if queue is None:
            return
        gone = sum(queue) - standing_e2
        while gone > 0 and queue:
            if queue[0] > gone:
                queue[0] -= gone
                return
            gone -= queue.pop(0)
            self.orders[leg] -= 1
        if not queue:
            self._drop(leg, cents)

    def near(self, leg: int, cents: int) -> int:
        """The level at a price or the nearest to it, rather below; 0 where there is none."""
        levels, best = self.levels[leg], self.best[leg]
        if cents >= best:
            return best
        for away in range(best - cents + 1):
            if cents - away in levels:
                return cents - away
            if cents + away in levels:
                return cents + away
        return 0


TOP_C: Final = 99
DOLLAR_C: Final = 100
MOST_MAKERS: Final = 200  # that one taker walks
MOST_LEAN: Final = 0.4  # of chance, towards where the value says the price will go
TOUCH_C: Final = 1  # so near to the best price, orders lean
WARY: Final = 0.28  # so much lean against them, and large orders leave the best price
LARGE_E2: Final = 9_000
SHY_C: Final = 3  # as far from it they are posted then
FULL: Final = 0.7  # of the prices below the best have a level at most


class FlowVenue(Protocol):
    """The market in which the flow trades; the accounts' orders rest in it too."""

    def best(self, leg: int) -> int:
        """The best bid of a leg in cents, of flow and accounts; 0 for none."""
        ...

    def standing(self, leg: int, cents: int) -> int:
        """What the flow still has at a price."""
        ...

    def add(self, leg: int, cents: int, size_e2: int) -> int:
        """Post an order -> what rests of it."""
        ...

    def remove(self, leg: int, cents: int, size_e2: int) -> None:
        """Cancel an order, or part of a level."""
        ...

    def take(self, leg: int, cents: int, size_e2: int) -> int:
        """Buy at up to a price -> how much was bought."""
        ...


class Traders:
    """The flow of one market."""

    def __init__(self, profile: Profile, floor: FlowVenue) -> None:
        self.anonymous_book = AnonymousBook()
        self._venue = floor
        self._habits = profile.habits
        self._near_c = profile.near_c
        self._seen = 0.0  # what makers take for the value
        self._hope = profile.habits.hope
        self._far_c = len(profile.habits.cancels_at)

    def open(self, value: float, orders: list[tuple[int, int]]) -> list[tuple[int, int, int]]:
        """Fill the empty book with (distance, size), legs in turn -> levels: leg, cents, size."""
        self._seen = value
        for number, (distance_c, size_e2) in enumerate(orders):
            leg = number % 2
            cents = self._target(leg, value) - distance_c
            if cents > 0:
                self.anonymous_book.add(leg, cents, size_e2)
        return [
            (leg, cents, sum(queue))
            for leg in (YES, NO)
            for cents, queue in self.anonymous_book.levels[leg].items()
        ]

    def act(self, draw: Draw) -> None:
        """One action of one trader: post, take or cancel, as the draw says."""
        habits = self._habits
        self._hope = draw.hope
        self._seen += habits.learns * (draw.value - self._seen)
        value = self._seen
        best = self._venue.best(YES), self._venue.best(NO)
        if draw.u_urgent < habits.reacts:
            for leg in (YES, NO):
                worth = value if leg == YES else DOLLAR_C - value
                most = max(worth + habits.tolerance, 1.0) if worth > draw.hope else 0.0
                if best[leg] > most:
                    self._wrong(leg, best[leg], draw)
                    return
        if draw.u_urgent < habits.improves:
            for leg in (YES, NO):
                target = self._target(leg, value)
                if best[leg] < target and target + best[1 - leg] < DOLLAR_C:
                    self._improve(leg, target, draw)
                    return
        self._ordinary(best, draw)

    # Urgent

    def _wrong(self, leg: int, best_c: int, draw: Draw) -> None:
        """The best bid of `leg` is worth less than it pays: its maker moves, or is picked off."""
        levels = self.anonymous_book.levels[leg]
        if draw.u_kind < self._habits.picks_off or best_c not in levels:
            self._walk(1 - leg, DOLLAR_C - best_c, draw.taker_e2)
            return
        size_e2 = self._cancel(leg, best_c, int(draw.u_order * len(levels[best_c])))
        target = self._target(leg, self._seen)
        if size_e2 and self.anonymous_book.orders[leg] < self._habits.orders * 1.3:
            self._post(leg, target - draw.post_c, size_e2)

    def _improve(self, leg: int, target_c: int, draw: Draw) -> None:
        """A gap at the top: an order from below comes up, or a new one arrives."""
        anonymous_book = self.anonymous_book
        size_e2 = 0
        if draw.u_kind < self._habits.amends * 2 and anonymous_book.best[leg] < target_c:
            size_e2 = self._pick(leg, draw)[1]
        self._post(leg, target_c, size_e2 or draw.near_e2)

    # Ordinary

    def _ordinary(self, best: tuple[int, int], draw: Draw) -> None:
        habits, kind = self._habits, draw.u_kind
        if kind < habits.takes:
            self._take(best, draw)
            return
        kind = (kind - habits.takes) / (1 - habits.takes)
        yes, no = self.anonymous_book.orders
        share = yes / max(yes + no, 1)
        if kind < habits.amends:
            leg = YES if draw.u_leg < share else NO
            self._amend(leg, draw, kind / habits.amends)
            return
        kind = (kind - habits.amends) / (1 - habits.amends)
        above = draw.value - (best[YES] + DOLLAR_C - best[NO]) / 2
        lean = min(max(habits.skew * above, -MOST_LEAN), MOST_LEAN)
        if kind < 0.5 * (yes + no) / (2 * habits.orders):
            share -= lean if draw.cancel_c <= TOUCH_C else 0.0
            leg = YES if draw.u_leg < share else NO
            self._pick(leg, draw, wary=lean < -WARY if leg == YES else lean > WARY)
        else:
            share = 0.5 + (lean if draw.post_c <= TOUCH_C else 0.0)
            leg = YES if draw.u_leg < share else NO
            self._fresh(leg, draw, wary=lean < -WARY if leg == YES else lean > WARY)

    def _fresh(self, leg: int, draw: Draw, *, wary: bool) -> None:
        """A new order at the drawn distance, or where others stand already.

        A large one keeps away from a best price that is about to move against it.
        """
        target = self._target(leg, self._seen)
        cents = min(self.anonymous_book.best[leg] or target, target) - draw.post_c
        if wary and draw.near_e2 >= LARGE_E2 and draw.post_c <= TOUCH_C:
            cents -= SHY_C
        elif draw.u_order < self._habits.joins:
            cents = self.anonymous_book.near(leg, cents) or cents
        self._post(leg, cents, self._size(draw, draw.post_c))

    def _take(self, best: tuple[int, int], draw: Draw) -> None:
        """One trader buys, informed or not, at the best price or a cent above."""
        if draw.u_urgent < self._habits.informed:
            above = draw.value - (best[YES] + DOLLAR_C - best[NO]) / 2
            leg = YES if above > 0 else NO
        else:
            leg = YES if draw.u_leg < 0.5 else NO
        offered = best[1 - leg]
        if offered:
            limit = DOLLAR_C - offered + (draw.u_order < 0.2)
            self._walk(leg, min(limit, TOP_C), draw.taker_e2)

    def _amend(self, leg: int, draw: Draw, u: float) -> None:
        """An order moves on its side, most keep their size."""
        at, size_e2 = self._pick(leg, draw)
        if not size_e2:
            return
        if u >= self._habits.same_size:
            size_e2 = self._size(draw, draw.post_c)
        target = self._target(leg, self._seen)
        to = min(self.anonymous_book.best[leg] or target, target) - draw.post_c
        self._post(leg, to if to != at else at - 1, size_e2)

    def _pick(self, leg: int, draw: Draw, *, wary: bool = False) -> tuple[int, int]:
        """Cancel an order about where the draw says -> (its price, its size), zeros for none.

        Away from the best price large orders move more often; there they do when their makers are
        wary of a move against them.
        """
        anonymous_book, levels = self.anonymous_book, self.anonymous_book.levels[leg]
        best = anonymous_book.best[leg]
        at = anonymous_book.near(leg, best - draw.cancel_c)
        if not at or (len(levels[at]) == 1 and self._stays(leg, best - at, draw)):
            return 0, 0
        queue = levels[at]
        place = int(draw.u_order * len(queue))
        if (wary and at == best) or 0 < best - at <= self._habits.close_c:
            place = queue.index(max(queue))
        elif at < best:
            other = (place + 1) % len(queue)
            place = other if queue[other] > queue[place] else place
        return at, self._cancel(leg, at, place)

    def _stays(self, leg: int, distance_c: int, draw: Draw) -> bool:
        """Whether the last order of a level is left where it is."""
        habits = self._habits
        if not distance_c:
            return draw.u_urgent < habits.guards
        if distance_c < self._far_c:
            return draw.u_urgent < habits.stays
        return len(self.anonymous_book.levels[leg]) < min(
            habits.levels, FULL * self.anonymous_book.best[leg]
        )

    # Actions

    def _target(self, leg: int, value: float) -> int:
        """The best price that a maker would pay for a leg."""
        worth = value if leg == YES else DOLLAR_C - value
        if worth <= self._hope:
            return 0
        return max(min(floor(worth - self._habits.half_spread), TOP_C), 1)

    def _size(self, draw: Draw, distance_c: int) -> int:
        return draw.near_e2 if distance_c <= self._near_c else draw.far_e2

    def _post(self, leg: int, cents: int, size_e2: int) -> None:
        """A new order, if there is such a price and it does not cross the flow's own orders."""
        cents = min(cents, TOP_C - self.anonymous_book.best[1 - leg])
        if cents > 0:
            rests = self._venue.add(leg, cents, size_e2)
            if rests:
                self.anonymous_book.add(leg, cents, rests)

    def _cancel(self, leg: int, cents: int, at: int) -> int:
        """Take an order away -> its size; 0 when others have taken its level meanwhile."""
        anonymous_book = self.anonymous_book
        anonymous_book.settle_for(leg, cents, self._venue.standing(leg, cents))
        queue = anonymous_book.levels[leg].get(cents)
        if queue is None:
            return 0
        size_e2 = anonymous_book.remove(leg, cents, min(at, len(queue) - 1))
        self._venue.remove(leg, cents, size_e2)
        return size_e2

    def _walk(self, leg: int, limit_c: int, size_e2: int) -> None:
        """A taker buys `leg`, maker by maker: each is a trade of its own."""
        maker_leg = 1 - leg
        for _ in range(MOST_MAKERS):
            cents = self._venue.best(maker_leg)
            if size_e2 <= 0 or not cents or DOLLAR_C - cents > limit_c:
                return
            queue = self.anonymous_book.levels[maker_leg].get(cents)
            piece = min(queue[0], size_e2) if queue else size_e2
            bought = self._venue.take(leg, DOLLAR_C - cents, piece)
            self.anonymous_book.settle_for(maker_leg, cents, self._venue.standing(maker_leg, cents))
            if not bought:
                return
            size_e2 -= bought
