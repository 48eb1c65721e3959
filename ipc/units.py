"""Integers for prices, counts and money, and the price grids they live on.

Prices are 1e-4 dollars (`price_e4`), counts 1e-2 contracts (`count_e2`), money 1e-6 dollars
(`money_e6`), so price times count is money, exactly. The exchange sends all three as decimal
strings; `parse_*` and `format_*` are the only way in and out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NewType

import msgspec
import numpy as np
import numpy.typing as npt

__all__ = [
    "ASK",
    "BID",
    "COUNT_SCALE",
    "LEGS",
    "LINEAR_CENT",
    "MAX_RANGES",
    "NO",
    "ONE_DOLLAR_E4",
    "PRICE_SCALE",
    "YES",
    "LegCode",
    "PriceGrid",
    "PriceRange",
    "SideCode",
    "format_count",
    "format_money",
    "format_price",
    "is_whole",
    "parse_count",
    "parse_money",
    "parse_price",
]

PRICE_SCALE: Final = 10_000
COUNT_SCALE: Final = 100
ONE_DOLLAR_E4: Final = PRICE_SCALE
MOST: Final = 2**62  # of any amount, in its own unit: sums of two fit into 64 bits
_MOST_DIGITS: Final = 30
_WHOLE_DIGITS: Final = 18
MAX_RANGES: Final = 8  # ranges a book row has room for

# The two outcomes and the two sides of the YES book as integers, for arrays and kernels. They are
# distinct types to mypy although the numbers agree; `ipc.messages.Leg` and `BookSide` are the same
# two ideas in messages.
LegCode = NewType("LegCode", int)
SideCode = NewType("SideCode", int)
YES: Final = LegCode(0)
NO: Final = LegCode(1)
LEGS: Final = (YES, NO)
BID: Final = SideCode(0)  # buys YES or sells NO
ASK: Final = SideCode(1)  # sells YES or buys NO


def _parse(text: str, places: int, what: str) -> int:
    """A plain decimal string with at most `places` non-zero decimals; no exponent, no `+`."""
    body = text[1:] if text.startswith("-") else text
    whole, _, frac = body.partition(".")
    digits = frac.rstrip("0")
    if not (whole + frac).isdecimal() or not (whole + frac).isascii() or not whole:
        raise ValueError(f"{what} {text!r} is not a decimal number")
    if len(whole) > _MOST_DIGITS:
        raise ValueError(f"{what} of {len(whole)} digits is out of range")
    if len(digits) > places:
        raise ValueError(f"{what} {text!r} has more than {places} decimals")
    scale: int = 10**places
    value = int(whole) * scale + int(frac[:places].ljust(places, "0") or "0")
    if value > MOST:
        raise ValueError(f"{what} {text!r} is out of range")
    return -value if text.startswith("-") else value


def _format(value: int, places: int) -> str:
    sign = "-" if value < 0 else ""
    whole, frac = divmod(abs(value), 10**places)
    return f"{sign}{whole}.{frac:0{places}d}"


def parse_price(text: str) -> int:
    """Parse a price as the exchange writes it.

    Args:
        text: Plain decimal dollars such as `"0.4700"`; no exponent, no `+`, no spaces.

    Returns:
        The price in 1e-4 dollars, negative if the text is.

    Raises:
        ValueError: Not a decimal number, more than 4 decimals that are not zero, or out of range.
    """
    return _parse(text, 4, "price")


def parse_count(text: str) -> int:
    """Parse a number of contracts.

    Args:
        text: Plain decimal contracts such as `"10.00"`.

    Returns:
        The count in 1e-2 contracts.

    Raises:
        ValueError: Not a decimal number, more than 2 decimals that are not zero, or out of range.
    """
    return _parse(text, 2, "count")


def parse_money(text: str) -> int:
    """Parse an amount of money.

    Args:
        text: Plain decimal dollars such as `"0.017500"`.

    Returns:
        The amount in 1e-6 dollars.

    Raises:
        ValueError: Not a decimal number, more than 6 decimals that are not zero, or out of range.
    """
    return _parse(text, 6, "amount")


def is_whole(text: str) -> bool:
    """Whether a text is a whole number of 1 to 18 ASCII digits, which 64 bits hold."""
    return 0 < len(text) <= _WHOLE_DIGITS and text.isascii() and text.isdecimal()


def format_price(price_e4: int) -> str:
    """Write a price as the exchange does: 4700 -> `'0.4700'`."""
    return _format(price_e4, 4)


def format_count(count_e2: int) -> str:
    """Write a count as the exchange does: 1000 -> `'10.00'`."""
    return _format(count_e2, 2)


def format_money(money_e6: int) -> str:
    """Write an amount of money as the exchange does: 17500 -> `'0.017500'`."""
    return _format(money_e6, 6)


class PriceRange(msgspec.Struct, frozen=True):
    """One stretch of a price grid.

    Attributes:
        start_e4: First price, in 1e-4 dollars, included.
        end_e4: Last price, included.
        step_e4: Distance between two prices.
    """

    start_e4: int
    end_e4: int
    step_e4: int


class PriceGrid:
    """The prices at which a market trades, strictly between 0 and 1 dollar.

    A grid is what the exchange calls `price_ranges`. Its prices are numbered from 0; the number is
    the price's *slot*, and a row of the book holds one size per slot. Labels such as `linear_cent`
    carry no promise, so a grid is always built from the ranges themselves.

    Args:
        ranges: 1 to `MAX_RANGES` ranges that cover 0 to 1 dollar without gaps.

    Attributes:
        ranges: The ranges as given.
        prices: int64[size], ascending, in 1e-4 dollars; read-only.

    Raises:
        ValueError: The ranges leave a gap, overlap, do not end at 1 dollar, or hold no price.
    """

    def __init__(self, ranges: Iterable[PriceRange]) -> None:
        self.ranges = tuple(ranges)
        self._check()
        steps = [np.arange(r.start_e4, r.end_e4 + 1, r.step_e4) for r in self.ranges]
        prices = np.unique(np.concatenate(steps))
        self.prices: npt.NDArray[np.int64] = prices[(prices > 0) & (prices < ONE_DOLLAR_E4)]
        self.prices.flags.writeable = False
        if not self.size:
            raise ValueError(f"price_ranges has no price between 0 and 1: {self.ranges}")
        self._index = {int(p): i for i, p in enumerate(self.prices)}

    def _check(self) -> None:
        if not 1 <= len(self.ranges) <= MAX_RANGES:
            raise ValueError(
                f"price_ranges has {len(self.ranges)} ranges, allowed 1 to {MAX_RANGES}"
            )
        end = 0
        for r in self.ranges:
            whole = (
                r.step_e4 > 0 and r.start_e4 < r.end_e4 and not (r.end_e4 - r.start_e4) % r.step_e4
            )
            if not whole or r.start_e4 != end or r.end_e4 > ONE_DOLLAR_E4:
                raise ValueError(
                    f"price_ranges is not a gapless grid within 0 and 1: {self.ranges}"
                )
            end = r.end_e4
        if end != ONE_DOLLAR_E4:
            raise ValueError(f"price_ranges ends at {format_price(end)}, not at 1.0000")

    @classmethod
    def from_wire(cls, ranges: Iterable[Mapping[str, Any]]) -> PriceGrid:
        """Build a grid from the exchange's form.

        Args:
            ranges: Such as `[{"start": "0.0000", "end": "1.0000", "step": "0.0100"}]`, the field
                `price_ranges` of a market.

        Raises:
            ValueError: A price cannot be parsed, or the ranges are no grid.
            KeyError: A range lacks `start`, `end` or `step`.
        """
        return cls(
            PriceRange(parse_price(r["start"]), parse_price(r["end"]), parse_price(r["step"]))
            for r in ranges
        )

    def to_wire(self) -> list[dict[str, str]]:
        """The grid in the exchange's form, the inverse of `from_wire`."""
        return [
            {
                "start": format_price(r.start_e4),
                "end": format_price(r.end_e4),
                "step": format_price(r.step_e4),
            }
            for r in self.ranges
        ]

    @property
    def size(self) -> int:
        """Number of prices."""
        return len(self.prices)

    def index(self, price_e4: int) -> int:
        """The slot of a price, -1 when it is off the grid."""
        return self._index.get(price_e4, -1)

    def price(self, slot: int) -> int:
        """The price of a slot, in 1e-4 dollars; `IndexError` beyond the last one."""
        return int(self.prices[slot])

    def floor(self, price_e4: int) -> int:
        """Round a price down to the grid.

        Args:
            price_e4: 1e-4 dollars, need not be on the grid.

        Returns:
            The highest grid price not above it, the grid's lowest when there is none.
        """
        slot = int(np.searchsorted(self.prices, price_e4, "right")) - 1
        return self.price(max(slot, 0))

    def ceil(self, price_e4: int) -> int:
        """Round a price up to the grid.

        Args:
            price_e4: 1e-4 dollars, need not be on the grid.

        Returns:
            The lowest grid price not below it, the grid's highest when there is none.
        """
        slot = int(np.searchsorted(self.prices, price_e4, "left"))
        return self.price(min(slot, self.size - 1))

    def as_words(self) -> npt.NDArray[np.int64]:
        """The grid as a book row holds it.

        Returns:
            int64[MAX_RANGES, 4] of (start, end, step, base); the slot of a price p in a range is
            `base + (p - start) // step`. Unused ranges are zero.
        """
        words = np.zeros((MAX_RANGES, 4), np.int64)
        base = -1  # price 0 has no slot
        for i, r in enumerate(self.ranges):
            words[i] = (r.start_e4, r.end_e4, r.step_e4, base)
            base += (r.end_e4 - r.start_e4) // r.step_e4
        return words

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PriceGrid) and self.ranges == other.ranges

    def __hash__(self) -> int:
        return hash(self.ranges)

    def __repr__(self) -> str:
        return f"PriceGrid({self.to_wire()})"


LINEAR_CENT: Final = PriceGrid([PriceRange(0, ONE_DOLLAR_E4, 100)])
