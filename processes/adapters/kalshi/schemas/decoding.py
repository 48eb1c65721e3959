"""The one place that decodes what comes from outside: bytes in, typed values or `WireError` out.

Frames, REST replies and recorded lines pass through here. Whatever they hold (no UTF-8, no JSON,
HTML, nothing, nesting without end, numbers of 400 digits, fields of another type), the failure is a
`WireError`, never another exception. A list is decoded item by item: one that cannot be read costs
itself and not the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Annotated, Final, Generic, NamedTuple, TypeVar

import msgspec

from processes.adapters.kalshi.errors import WireError

__all__ = [
    "UNREADABLE",
    "Cents",
    "Count",
    "LeftOut",
    "Listing",
    "Millis",
    "Number",
    "Seconds",
    "decode",
    "decode_items",
    "reason_of",
    "whole",
]

# Numbers fit into the records, rows and sums that they are kept in; others are refused.
Count = Annotated[int, msgspec.Meta(ge=0, le=2**53)]
Number = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
Cents = Annotated[int, msgspec.Meta(ge=-(2**49), le=2**49)]  # 64 bits of micro-dollars
Millis = Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000_000)]  # until the year 2255
Seconds = Annotated[int, msgspec.Meta(ge=0, le=9_000_000_000)]

MAX_REASON: Final = 200  # characters; a reason may quote what a peer sent
# All that msgspec raises, whatever the bytes: its own errors and bad UTF-8 are `ValueError`s, deep
# nesting is a `RecursionError`, decimals out of range are `ArithmeticError`s.
UNREADABLE: Final = (ValueError, RecursionError, ArithmeticError)

Value = TypeVar("Value")
Item = TypeVar("Item")


class LeftOut(msgspec.Struct, frozen=True):
    """The items of a list that could not be read; false when there are none.

    Attributes:
        count: How many there are.
        reason: Why the first of them could not be read.
        tickers: The markets that they are about.
        unnamed: How many of them do not name their market: they may be about any.
    """

    count: int = 0
    reason: str = ""
    tickers: frozenset[str] = frozenset()
    unnamed: int = 0

    def __bool__(self) -> bool:
        return self.count > 0

    def __add__(self, other: LeftOut) -> LeftOut:
        return LeftOut(
            self.count + other.count,
            self.reason or other.reason,
            self.tickers | other.tickers,
            self.unnamed + other.unnamed,
        )

    def concerns(self, ticker: str) -> bool:
        """Whether one of them is, or may be, about this market."""
        return self.unnamed > 0 or ticker in self.tickers


class Listing(NamedTuple, Generic[Item]):
    """A list as far as it could be read, and what was left out of it."""

    items: list[Item]
    left_out: LeftOut


class _Owner(msgspec.Struct):
    """The fields that may name the market of an item."""

    ticker: object = None
    market_ticker: object = None


_owner: Final = msgspec.json.Decoder(_Owner)


def reason_of(error: Exception) -> str:
    """What an error says, on one line of bounded length."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= MAX_REASON else text[:MAX_REASON] + "..."


def decode(
    decoder: msgspec.json.Decoder[Value], data: bytes | str | msgspec.Raw, what: str
) -> Value:
    """Decode JSON from outside.

    Args:
        decoder: Of the wanted type.
        data: Any bytes at all.
        what: Begins the message of a failure, such as the path of a request.

    Raises:
        WireError: It is not that; names the field where msgspec does.
    """
    try:
        return decoder.decode(data)
    except UNREADABLE as error:
        raise WireError(f"{what}: {reason_of(error)}") from None


def decode_items(rows: Iterable[msgspec.Raw], make: Callable[[msgspec.Raw], Item]) -> Listing[Item]:
    """Make every item of a list that can be made; the others are counted.

    Args:
        rows: Undecoded items.
        make: Makes one; it may raise `WireError` or any of `UNREADABLE`.
    """
    items: list[Item] = []
    left_out = LeftOut()
    for row in rows:
        try:
            items.append(make(row))
        except (WireError, *UNREADABLE) as error:
            left_out += _left_out(row, error)
    return Listing(items, left_out)


def _left_out(row: msgspec.Raw, error: Exception) -> LeftOut:
    try:
        owner = _owner.decode(row)
    except UNREADABLE:
        owner = _Owner()
    names = [n for n in (owner.ticker, owner.market_ticker) if isinstance(n, str) and n]
    return LeftOut(1, reason_of(error), frozenset(names[:1]), 0 if names else 1)


def whole(listing: Listing[Item], what: str) -> list[Item]:
    """The items of a list that is of use only as a whole; `WireError` when some were left out."""
    if listing.left_out:
        raise WireError(
            f"{what}: {listing.left_out.count} cannot be read: {listing.left_out.reason}"
        )
    return listing.items
