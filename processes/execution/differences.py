"""Where our view of the account and the exchange's differ, round after round. No I/O.

One difference may be a late read. One that is still there in the next round lasts: then something
stops, and the caller does that. Each is reported when it is found, when it lasts, and when it is
over; not in every round.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from enum import StrEnum
from typing import Final, NamedTuple

__all__ = ["LASTS", "Difference", "DifferenceChange", "DifferenceWatch", "Quantity"]

LASTS: Final = 2  # rounds in a row


class Quantity(StrEnum):
    """What is compared; the unit of its numbers is the suffix of their names.

    Attributes:
        POSITION: Of a market, 1e-2 contracts, YES positive.
        OPEN_ORDERS: Orders that rest in a market, of this stack and of others.
        FILLS: Contracts of a market's orders that are filled, 1e-2: what the orders say, and the
            fills that have been read.
        CASH: Of a shard of the exchange, or of all of them, 1e-6 dollars.
    """

    POSITION = "position"
    OPEN_ORDERS = "open_orders"
    FILLS = "fills"
    CASH = "cash"

    @property
    def suffix(self) -> str:
        """Of the names of its numbers."""
        return _SUFFIX[self]


_SUFFIX: Final = {
    Quantity.POSITION: "_e2",
    Quantity.OPEN_ORDERS: "",
    Quantity.FILLS: "_e2",
    Quantity.CASH: "_e6",
}


class Difference(NamedTuple):
    """What differs.

    Attributes:
        quantity: What was compared.
        scope: The market; of cash `shard 0` or `total`.
        known: As we have it.
        exchange: As the exchange reports it.
    """

    quantity: Quantity
    scope: str
    known: int
    exchange: int

    @property
    def key(self) -> tuple[Quantity, str]:
        """What it is a difference of."""
        return self.quantity, self.scope

    def numbers(self, rounds: int) -> dict[str, int]:
        """For the audit."""
        end = self.quantity.suffix
        return {
            f"known{end}": self.known,
            f"exchange{end}": self.exchange,
            f"difference{end}": self.exchange - self.known,
            "rounds": rounds,
        }

    def __str__(self) -> str:
        end = self.quantity.suffix
        return f"{self.quantity}: known{end} {self.known}, exchange{end} {self.exchange}"


class DifferenceChange(NamedTuple):
    """What is to be reported.

    Attributes:
        difference: As it was seen last.
        rounds: In how many rounds it was seen.
        is_over: Whether both sides agree again.
    """

    difference: Difference
    rounds: int
    is_over: bool = False


class DifferenceWatch:
    """Differences, and for how many rounds each has been there."""

    def __init__(self) -> None:
        self._known: dict[tuple[Quantity, str], tuple[Difference, int]] = {}

    def look(
        self, found: Iterable[Difference], compared: Collection[tuple[Quantity, str]]
    ) -> list[DifferenceChange]:
        """Take one round.

        Args:
            found: What differs in it.
            compared: Everything that was compared in it, by quantity and scope; what was not
                compared stays as it was.

        Returns:
            What is new, what lasts since this round, what is over.
        """
        changes = []
        differs = {difference.key: difference for difference in found}
        for key, difference in differs.items():
            rounds = self._known.get(key, (difference, 0))[1] + 1
            self._known[key] = (difference, rounds)
            if rounds in (1, LASTS):
                changes.append(DifferenceChange(difference, rounds))
        for key in [k for k in self._known if k in compared and k not in differs]:
            changes.append(DifferenceChange(*self._known.pop(key), is_over=True))
        return changes

    def lasting(self, scope: str) -> list[Difference]:
        """What has differed for so long that something is stopped for it."""
        return [d for d, rounds in self._known.values() if d.scope == scope and rounds >= LASTS]

    def stopped(self) -> set[str]:
        """Scopes with a difference that lasts."""
        return {d.scope for d, rounds in self._known.values() if rounds >= LASTS}

    def forget(self, key: tuple[Quantity, str]) -> None:
        """It counts from here on as if it had never been seen."""
        self._known.pop(key, None)
