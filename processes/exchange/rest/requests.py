"""What a request may say: JSON bodies, query parameters, pages; refused as the exchange does.

The real exchange's decoder and validator are Go's, and so is the wording of their errors (PROTOCOL
3.1).
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from enum import StrEnum
from math import inf
from typing import Any, Final, TypeVar

import msgspec
from aiohttp import web

from ipc.units import COUNT_SCALE, ONE_DOLLAR_E4, is_whole, parse_count, parse_price
from processes.exchange.core.books import NO, YES
from processes.exchange.core.ledger import MAX_SHARD, MOST_SUBACCOUNTS, Transfer
from processes.exchange.core.orders import (
    Amendment,
    NewOrder,
    OrderTimeInForce,
    SelfTradePrevention,
)
from processes.exchange.core.rejections import Rejection, bad_request

__all__ = [
    "Fields",
    "allocations_of",
    "amendment_of",
    "checked_subaccount",
    "decrease_of",
    "group_account_of",
    "group_limit_of",
    "group_shard_of",
    "invalid",
    "json_object",
    "limits",
    "names",
    "new_order_of",
    "number",
    "shard",
    "span",
    "subaccount",
    "subaccount_transfer_of",
    "transfer_of",
]

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
    except (ValueError, RecursionError) as error:  # also bad UTF-8, and nesting without end
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


def number(request: web.Request, name: str) -> int | None:
    """A whole number, None when it is not given."""
    raw = request.query.get(name, "")
    if raw and not is_whole(raw.removeprefix("-")):
        raise bad_request(f"{name}: {raw!r} is not a number")
    return int(raw) if raw else None


def names(request: web.Request, name: str) -> list[str]:
    """A list given as repeated parameters, as commas, or both."""
    values = request.query.getall(name, [])
    return [t for value in values for t in value.split(",") if t]


def span(
    request: web.Request, least: str = "min_ts", most: str = "max_ts"
) -> Callable[[int], bool]:
    """Whether a moment in milliseconds lies in the asked span of Unix seconds, ends included."""
    low, high = number(request, least), number(request, most)
    low_ms = -inf if low is None else low * 1000
    high_ms = inf if high is None else high * 1000
    return lambda ts_ms: low_ms <= ts_ms <= high_ms


def limits(request: web.Request, least: str, most: str) -> tuple[float, float] | None:
    """The asked span of Unix seconds in milliseconds, None where neither end is given."""
    low, high = number(request, least), number(request, most)
    if low is None and high is None:
        return None
    return -inf if low is None else low * 1000, inf if high is None else high * 1000


def subaccount(request: web.Request) -> int | None:
    """`subaccount`, None when it is not given."""
    return checked_subaccount(number(request, "subaccount"))


def shard(request: web.Request) -> int | None:
    """`exchange_index`, None when it is not given."""
    return number(request, "exchange_index")


CREATE: Final = "CreateOrderV2Request"
AMEND: Final = "AmendOrderV2Request"
DECREASE: Final = "DecreaseOrderV2Request"

STRING, BOOL, INT, INT64 = "string", "bool", "int", "int64"
CREATE_KINDS: Final = {
    "ticker": STRING,
    "client_order_id": STRING,
    "side": STRING,
    "count": STRING,
    "price": STRING,
    "expiration_time": INT64,
    "time_in_force": STRING,
    "post_only": BOOL,
    "self_trade_prevention_type": STRING,
    "cancel_order_on_pause": BOOL,
    "reduce_only": BOOL,
    "subaccount": INT,
    "order_group_id": STRING,
    "exchange_index": INT,
}
AMEND_KINDS: Final = {
    "ticker": STRING,
    "side": STRING,
    "price": STRING,
    "count": STRING,
    "client_order_id": STRING,
    "updated_client_order_id": STRING,
    "expiration_time": INT64,
    "exchange_index": INT,
}
DECREASE_KINDS: Final = {
    "reduce_by": STRING,
    "reduce_to": STRING,
    "exchange_index": INT,
    "market_ticker": STRING,
}


def new_order_of(body: dict[str, Any]) -> tuple[NewOrder, int | None]:
    """`POST /portfolio/events/orders` -> (the order, the subaccount that it names)."""
    fields = Fields(body, CREATE, CREATE_KINDS)
    number = fields.subaccount()
    leg = fields.leg()
    order = NewOrder(
        ticker=fields.text("ticker", required=True),
        client_order_id=fields.client_id("client_order_id"),
        leg=leg,
        leg_price_e4=fields.leg_price(leg),
        count_e2=fields.count(),
        time_in_force=fields.word("time_in_force", OrderTimeInForce),
        self_trade=fields.word("self_trade_prevention_type", SelfTradePrevention),
        post_only=fields.flag("post_only"),
        reduce_only=fields.flag("reduce_only"),
        expiration_s=fields.integer("expiration_time"),
        cancel_on_pause=fields.flag("cancel_order_on_pause"),
        group_id=fields.text("order_group_id"),
        exchange_index=fields.integer("exchange_index"),
    )
    return order, number


def amendment_of(body: dict[str, Any]) -> Amendment:
    """`POST .../amend`: expiry omitted keeps it, 0 takes it away."""
    fields = Fields(body, AMEND, AMEND_KINDS)
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
        exchange_index=fields.integer("exchange_index"),
    )


def decrease_of(body: dict[str, Any]) -> tuple[Fields, bool]:
    """`POST .../decrease` -> (its fields, whether it says by how much and not to what)."""
    fields = Fields(body, DECREASE, DECREASE_KINDS)
    by, to = fields.text("reduce_by"), fields.text("reduce_to")
    if bool(by) == bool(to):
        raise invalid("exactly one of reduce_by and reduce_to must be provided")
    return fields, bool(by)


INSTANCE: Final = "event_contract"  # the only one here
E6_PER_UNIT: Final = 100  # amounts of transfers come in 1e-4 dollars
E6_PER_CENT: Final = 10_000
MAX_LIMIT_E2: Final = 1_000_000 * COUNT_SCALE
GROUP_KINDS: Final = {
    "subaccount": "int",
    "contracts_limit": "int64",
    "contracts_limit_fp": "string",
    "exchange_index": "int",
}
TRANSFER_KINDS: Final = {
    "client_transfer_id": "string",
    "source": "string",
    "destination": "string",
    "amount": "int64",
    "source_exchange_shard": "int",
    "destination_exchange_shard": "int",
    "source_subaccount": "int",
    "destination_subaccount": "int",
}
SUBACCOUNT_TRANSFER_KINDS: Final = {
    "client_transfer_id": "string",
    "from_subaccount": "int",
    "to_subaccount": "int",
    "amount_cents": "int64",
    "exchange_index": "int",
}
ALLOCATION_KINDS: Final = {"exchange_index": "int", "percent": "int"}


def group_limit_of(body: dict[str, Any], struct: str) -> int:
    """The limit of a group in 1e-2 contracts: whole, or as a decimal string, or both alike."""
    fields = Fields(body, struct, GROUP_KINDS)
    whole = fields.integer("contracts_limit")
    text = fields.text("contracts_limit_fp")
    limit_e2 = fields.count("contracts_limit_fp") if text else (whole or 0) * COUNT_SCALE
    if text and whole is not None and whole * COUNT_SCALE != limit_e2:
        raise invalid("contracts_limit and contracts_limit_fp must match")
    if not COUNT_SCALE <= limit_e2 <= MAX_LIMIT_E2:
        raise invalid("contracts_limit must be between 1 and 1000000")
    return limit_e2


def group_shard_of(body: dict[str, Any], struct: str) -> int:
    """The shard of a new group."""
    return Fields(body, struct, GROUP_KINDS).integer("exchange_index") or 0


def group_account_of(body: dict[str, Any], struct: str) -> int | None:
    """The subaccount that a new group names."""
    return Fields(body, struct, GROUP_KINDS).subaccount()


def _shard(fields: Fields, name: str) -> int:
    """The first one where none is named."""
    shard = fields.integer(name) or 0
    if not 0 <= shard <= MAX_SHARD:
        raise invalid(f"invalid {name}: {shard}")
    return shard


def transfer_of(body: dict[str, Any], now_ms: int) -> Transfer:
    """`POST /portfolio/intra_exchange_instance_transfer`."""
    fields = Fields(body, "IntraExchangeInstanceTransferRequest", TRANSFER_KINDS)
    for name in ("source", "destination"):
        if fields.text(name, required=True) != INSTANCE:
            raise invalid(f"invalid {name}: only {INSTANCE} is served here")
    source, destination = (_shard(fields, f"{e}_exchange_shard") for e in ("source", "destination"))
    accounts = [fields.subaccount(f"{end}_subaccount") or 0 for end in ("source", "destination")]
    client_id = fields.client_id("client_transfer_id")
    if client_id and any(accounts):
        raise invalid("client_transfer_id is only supported for primary accounts")
    return Transfer(
        transfer_id="",
        client_transfer_id=client_id,
        source=source,
        destination=destination,
        amount_e6=(fields.integer("amount") or 0) * E6_PER_UNIT,
        created_ms=now_ms,
        from_account=accounts[0],
        to_account=accounts[1],
    )


def subaccount_transfer_of(body: dict[str, Any], now_ms: int) -> Transfer:
    """`POST /portfolio/subaccounts/transfer`."""
    fields = Fields(body, "ApplySubaccountTransferRequest", SUBACCOUNT_TRANSFER_KINDS)
    try:
        client_id = str(uuid.UUID(fields.text("client_transfer_id", required=True)))
    except ValueError:
        raise invalid("invalid client_transfer_id: it must be a UUID") from None
    shard = _shard(fields, "exchange_index")
    ends = [fields.subaccount(f"{end}_subaccount") for end in ("from", "to")]
    if ends[0] is None or ends[1] is None:
        raise invalid("from_subaccount and to_subaccount are required")
    return Transfer(
        transfer_id="",
        client_transfer_id=client_id,
        source=shard,
        destination=shard,
        amount_e6=(fields.integer("amount_cents") or 0) * E6_PER_CENT,
        created_ms=now_ms,
        from_account=ends[0],
        to_account=ends[1],
    )


def allocations_of(body: dict[str, Any]) -> dict[int, int]:
    """`POST /portfolio/target_balance_allocation` -> percent by shard."""
    items = body.get("allocations")
    if not isinstance(items, list) or not all(isinstance(i, dict) for i in items):
        raise bad_request("allocations: a list of objects is required")
    percents: dict[int, int] = {}
    for item in items:
        fields = Fields(item, "TargetBalanceAllocationInput", ALLOCATION_KINDS)
        shard, percent = fields.integer("exchange_index"), fields.integer("percent")
        if shard is None or percent is None or not 0 <= percent <= 100 or shard < 0:
            raise invalid("exchange_index and percent from 0 to 100 are required")
        percents[shard] = percent
    return percents
