"""Bodies of order requests: JSON in, typed requests out, refused as the exchange's decoder does."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from typing import Any, Final, TypeVar

import msgspec

from ipc.units import ONE_DOLLAR_E4, parse_count, parse_price
from processes.exchange.books import NO, YES
from processes.exchange.orders import Amendment, NewOrder, SelfTrade, TimeInForce
from processes.exchange.rejections import Rejection, bad_request

__all__ = ["amendment_of", "decrease_of", "json_object", "new_order_of"]

CREATE: Final = "CreateOrderV2Request"
AMEND: Final = "AmendOrderV2Request"
DECREASE: Final = "DecreaseOrderV2Request"
MAX_COUNT_E2: Final = 10**11
CLIENT_ID: Final = re.compile(r"[!-~]{0,64}")  # printable ASCII without blanks
SIDES: Final = {"bid": YES, "ask": NO}

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


class _Fields:
    """Typed look-ups in a body; errors name the Go struct's field."""

    def __init__(self, body: dict[str, Any], struct: str) -> None:
        self._body = body
        self._struct = struct

    def _typed(self, name: str, kind: type, go_kind: str) -> Any:
        value = self._body.get(name)
        fits = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
        if value is not None and not fits:
            found = _GO_NAMES.get(type(value), "object")
            raise bad_request(
                f"json: cannot unmarshal {found} into Go struct field "
                f"{self._struct}.{name} of type {go_kind}"
            )
        return value

    def text(self, name: str, *, required: bool = False) -> str:
        value = self._typed(name, str, "string")
        if required and not value:
            raise Rejection.nested(400, "missing_parameters", f"{name} is required")
        return value or ""

    def flag(self, name: str) -> bool:
        return bool(self._typed(name, bool, "bool"))

    def integer(self, name: str) -> int | None:
        value: int | None = self._typed(name, int, "int64")
        return value

    def word(self, name: str, words: type[Word]) -> Word:
        raw = self.text(name, required=True)
        if raw not in tuple(words):
            raise Rejection.nested(400, "invalid_parameters", f"invalid {name}: {raw}")
        return words(raw)

    def leg(self) -> int:
        raw = self.text("side", required=True)
        if raw not in SIDES:
            raise Rejection.nested(400, "invalid_parameters", f"invalid side: {raw}")
        return SIDES[raw]

    def count(self, name: str = "count") -> int:
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
        raw = self.text(name)
        if not CLIENT_ID.fullmatch(raw):
            raise Rejection.nested(400, "invalid_parameters", f"invalid {name}")
        return raw


def new_order_of(body: dict[str, Any]) -> NewOrder:
    """`POST /portfolio/events/orders`."""
    fields = _Fields(body, CREATE)
    leg = fields.leg()
    return NewOrder(
        ticker=fields.text("ticker", required=True),
        client_order_id=fields.client_id("client_order_id"),
        leg=leg,
        leg_price_e4=fields.leg_price(leg),
        count_e2=fields.count(),
        time_in_force=fields.word("time_in_force", TimeInForce),
        self_trade=fields.word("self_trade_prevention_type", SelfTrade),
        post_only=fields.flag("post_only"),
        reduce_only=fields.flag("reduce_only"),
        expiration_s=fields.integer("expiration_time"),
    )


def amendment_of(body: dict[str, Any]) -> Amendment:
    """`POST .../amend`: expiry omitted keeps it, 0 takes it away."""
    fields = _Fields(body, AMEND)
    leg = fields.leg()
    expiration_s = fields.integer("expiration_time")
    return Amendment(
        ticker=fields.text("ticker", required=True),
        leg=leg,
        leg_price_e4=fields.leg_price(leg),
        count_e2=fields.count(),
        client_order_id=fields.client_id("client_order_id"),
        updated_client_order_id=fields.client_id("updated_client_order_id"),
        expiration_s=expiration_s or None,
        keeps_expiry=expiration_s is None,
    )


def decrease_of(body: dict[str, Any], remaining_e2: int) -> int:
    """`POST .../decrease` -> what shall remain; exactly one of `reduce_by` and `reduce_to`."""
    fields = _Fields(body, DECREASE)
    by, to = fields.text("reduce_by"), fields.text("reduce_to")
    if bool(by) == bool(to):
        text = "exactly one of reduce_by and reduce_to must be provided"
        raise Rejection.nested(400, "invalid_parameters", text)
    if by:
        return max(remaining_e2 - fields.count("reduce_by"), 0)
    return fields.count("reduce_to")
