"""A book as the exchange publishes it, and the compact log from which any past state is rebuilt."""

from __future__ import annotations

from array import array
from collections.abc import Iterable
from typing import Final

__all__ = ["NO", "YES", "BookLog", "Level", "PublishedBook"]

YES: Final = 0
NO: Final = 1
CHECKPOINT_EVERY: Final = 2_048  # events between two full copies in the log

Level = tuple[int, int, int]  # leg, price_e4 of that leg, count_e2


class PublishedBook:
    """Both legs hold bids at their own leg's price; a level of nothing does not exist.

    Attributes:
        legs: Contracts (1e-2) by price (1e-4 dollars), YES first.
        bests: The highest bid of each leg, 0 without one.
    """

    def __init__(self) -> None:
        self.legs: tuple[dict[int, int], dict[int, int]] = ({}, {})
        self.bests = [0, 0]  # the highest bid of each leg, 0 when there is none

    def replace(self, levels: Iterable[Level]) -> None:
        """Take a snapshot."""
        for leg in self.legs:
            leg.clear()
        for leg_no, price_e4, count_e2 in levels:
            if count_e2 > 0:
                self.legs[leg_no][price_e4] = count_e2
        self.bests = [max(leg, default=0) for leg in self.legs]

    def change(self, leg: int, price_e4: int, delta_e2: int) -> None:
        """Add a signed change; what falls to nothing or below is gone."""
        side = self.legs[leg]
        count = side.get(price_e4, 0) + delta_e2
        if count > 0:
            side[price_e4] = count
            if price_e4 > self.bests[leg]:
                self.bests[leg] = price_e4
        elif side.pop(price_e4, None) is not None and price_e4 == self.bests[leg]:
            self.bests[leg] = max(side, default=0)

    def count(self, leg: int, price_e4: int) -> int:
        """Contracts at a price."""
        return self.legs[leg].get(price_e4, 0)

    def best(self, leg: int) -> int:
        """The highest bid of a leg, 0 when there is none."""
        return self.bests[leg]

    def ascending(self, leg: int) -> list[tuple[int, int]]:
        """(price, count) of a leg, best last, as the exchange lists them."""
        return sorted(self.legs[leg].items())

    def levels(self) -> tuple[Level, ...]:
        """Every level of both legs."""
        return tuple((leg, p, c) for leg in (YES, NO) for p, c in self.ascending(leg))


class BookLog:
    """Everything that happened to one market's book: eight bytes a change, full copies between.

    State *n* is the book after the first *n* events.
    """

    def __init__(self) -> None:
        self.events = 0
        self._packed = array("q")
        self._copies: dict[int, tuple[Level, ...]] = {0: ()}

    def replaced(self, levels: tuple[Level, ...]) -> None:
        """Note a snapshot."""
        self._packed.append(0)
        self.events += 1
        self._copies[self.events] = levels

    def changed(self, leg: int, price_e4: int, delta_e2: int, book: PublishedBook) -> None:
        """Note a change; `book` is the state after it."""
        self._packed.append((delta_e2 << 16) | (price_e4 << 1) | leg)
        self.events += 1
        if not self.events % CHECKPOINT_EVERY:
            self._copies[self.events] = book.levels()

    def forget(self) -> None:
        """Past books are not needed any more; the market has ended."""
        self._packed, self._copies = array("q"), {}

    @property
    def kept(self) -> int:
        """Events that it remembers: all, or none any more."""
        return len(self._packed)

    def change(self, event: int) -> Level | None:
        """What one event changed.

        Args:
            event: Its number, from 1.

        Returns:
            (leg, price, signed change); None when forgotten. Of a snapshot it means nothing.
        """
        if not self._packed:
            return None
        word = self._packed[event - 1]
        return word & 1, (word >> 1) & 0x7FFF, word >> 16

    def state(self, events: int) -> PublishedBook | None:
        """The book after the first `events` events; None when it has been forgotten."""
        if not self._copies:
            return None
        start = max(n for n in self._copies if n <= events)
        book = PublishedBook()
        book.replace(self._copies[start])
        for word in self._packed[start:events]:
            book.change(word & 1, (word >> 1) & 0x7FFF, word >> 16)
        return book
