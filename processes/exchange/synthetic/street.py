"""The resting orders of everybody who is not an account of ours, by level, first come first."""

from __future__ import annotations

__all__ = ["Street"]

Queue = list[int]


class Street:
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
