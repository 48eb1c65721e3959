"""Typed look-ups in a JSON body, refused as the exchange's decoder and validator refuse them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from ipc.units import ONE_DOLLAR_E4, parse_count, parse_price
from processes.exchange.core.books import NO, YES
from processes.exchange.core.members import MOST_SUBACCOUNTS
from processes.exchange.core.rejections import Rejection, bad_request

__all__ = ["Fields", "checked_subaccount", "invalid", "json_object"]

MAX_COUNT_E2: Final = 10**11
CLIENT_ID: Final = re.compile(r"[!-~]{0,64}")  # printable ASCII without blanks
SIDES: Final = {"bid": YES, "ask": NO}
KINDS: Final[Mapping[str, type]] = {"string": str, "bool": bool, "int": int, "int64": int}

_GO_NAMES: Final = {bool: "bool", int: "number", float: "number", str: "string", list: "array"}
Word = TypeVar("Word", bound=StrEnum)


def json_object(data: bytes) -> dict[str, Any]:
    """A body that must be a JSON object."""
    try:
        body = msgspec.json.decode(data)
    except msgspec.DecodeError as error:
        raise bad_request(f"json: {error}") from None
    if not isinstance(body, dict):
        kind = _GO_NAMES.get(type(body), "null")
        raise bad_request(f"json: cannot unmarshal {kind} into Go value of type object")
    return body


def invalid(details: str) -> Rejection:
    """A value that has the right type and makes no sense."""
    return Rejection.nested(400, "invalid_parameters", details)


def checked_subaccount(number: int | None) -> int | None:
    """A subaccount's number, 0 for the primary account; `Rejection` when there cannot be one."""
    if number is not None and not 0 <= number <= MOST_SUBACCOUNTS:
        raise invalid(f"invalid subaccount: {number}")
    return number


class Fields:
    """A body's fields; `kinds` are the Go types of the struct that it is decoded into.

    The decoder complains of the first field, in the body's order, that does not fit its type.
    """

    def __init__(self, body: dict[str, Any], struct: str, kinds: Mapping[str, str]) -> None:
        self._body = body
        for name, value in body.items():
            kind = kinds.get(name)
            if kind is not None and value is not None and not _fits(value, KINDS[kind]):
                found = _GO_NAMES.get(type(value), "object")
                raise bad_request(
                    f"json: cannot unmarshal {found} into Go struct field "
                    f"{struct}.{name} of type {kind}"
                )

    def text(self, name: str, *, required: bool = False) -> str:
        """A string, empty when it is not given."""
        value: str | None = self._body.get(name)
        if required and not value:
            raise Rejection.nested(400, "missing_parameters", f"{name} is required")
        return value or ""

    def flag(self, name: str) -> bool:
        """A truth value, false when it is not given."""
        return bool(self._body.get(name))

    def has(self, name: str) -> bool:
        """Whether it is given."""
        return self._body.get(name) is not None

    def integer(self, name: str) -> int | None:
        """A whole number, None when it is not given."""
        value: int | None = self._body.get(name)
        return value

    def subaccount(self, name: str = "subaccount") -> int | None:
        """A subaccount's number, None when it is not given."""
        return checked_subaccount(self.integer(name))

    def word(self, name: str, words: type[Word]) -> Word:
        """One of a closed set."""
        raw = self.text(name, required=True)
        if raw not in tuple(words):
            raise invalid(f"invalid {name}: {raw}")
        return words(raw)

    def leg(self) -> int:
        """What an order buys: YES for a bid, NO for an ask."""
        raw = self.text("side", required=True)
        if raw not in SIDES:
            raise invalid(f"invalid side: {raw}")
        return SIDES[raw]

    def count(self, name: str = "count") -> int:
        """A count of contracts."""
        return self._decimal(name, parse_count, "invalid_order_size")

    def leg_price(self, leg: int) -> int:
        """The price on the leg that the order buys."""
        price_e4 = self._decimal("price", parse_price, "invalid_price")
        return price_e4 if leg == YES else ONE_DOLLAR_E4 - price_e4

    def _decimal(self, name: str, parse: Callable[[str], int], code: str) -> int:
        raw = self.text(name, required=True)
        try:
            value = parse(raw)
        except ValueError:
            raise Rejection.nested(400, code) from None
        if not 0 <= value <= MAX_COUNT_E2:
            raise Rejection.nested(400, code)
        return value

    def client_id(self, name: str) -> str:
        """An id of the client's own."""
        raw = self.text(name)
        if not CLIENT_ID.fullmatch(raw):
            raise invalid(f"invalid {name}")
        return raw


def _fits(value: Any, kind: type) -> bool:
    return isinstance(value, kind) and not (kind is int and isinstance(value, bool))
