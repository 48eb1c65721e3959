"""Bodies of requests about order groups, transfers and allocations."""

from __future__ import annotations

import uuid
from typing import Any, Final

from ipc.units import COUNT_SCALE
from processes.exchange.core.rejections import bad_request
from processes.exchange.core.transfers import MAX_SHARD, Transfer
from processes.exchange.rest.fields import Fields, invalid

__all__ = [
    "allocations_of",
    "group_account_of",
    "group_limit_of",
    "group_shard_of",
    "subaccount_transfer_of",
    "transfer_of",
]

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
