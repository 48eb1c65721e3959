"""Bodies of requests about order groups, transfers and allocations."""

from __future__ import annotations

from typing import Any, Final

from ipc.units import COUNT_SCALE
from processes.exchange.core.rejections import bad_request
from processes.exchange.core.transfers import MAX_SHARD, Transfer
from processes.exchange.rest.fields import Fields, invalid

__all__ = ["allocations_of", "group_limit_of", "group_shard_of", "transfer_of"]

INSTANCE: Final = "event_contract"  # the only one here
E6_PER_UNIT: Final = 100  # amounts of transfers come in 1e-4 dollars
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


def transfer_of(body: dict[str, Any], now_ms: int) -> Transfer:
    """`POST /portfolio/intra_exchange_instance_transfer`."""
    fields = Fields(body, "IntraExchangeInstanceTransferRequest", TRANSFER_KINDS)
    for name in ("source", "destination"):
        if fields.text(name, required=True) != INSTANCE:
            raise invalid(f"invalid {name}: only {INSTANCE} is served here")
    source = fields.integer("source_exchange_shard") or 0
    destination = fields.integer("destination_exchange_shard") or 0
    for shard in (source, destination):
        if not 0 <= shard <= MAX_SHARD:
            raise invalid(f"invalid exchange shard: {shard}")
    return Transfer(
        transfer_id="",
        client_transfer_id=fields.client_id("client_transfer_id"),
        source=source,
        destination=destination,
        amount_e6=(fields.integer("amount") or 0) * E6_PER_UNIT,
        created_ms=now_ms,
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
