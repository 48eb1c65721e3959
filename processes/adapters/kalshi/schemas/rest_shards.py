"""REST bodies about cash on shards."""

from __future__ import annotations

import msgspec

__all__ = ["AllocationRow", "AllocationsBody", "TransferBody", "TransferMadeReply"]

INSTANCE = "event_contract"  # the other one is the margined exchange


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all bodies."""


class TransferBody(_Body, frozen=True):
    """`POST /portfolio/intra_exchange_instance_transfer`: `amount` in hundredths of a cent."""

    amount: int
    source_exchange_shard: int
    destination_exchange_shard: int
    source_subaccount: int = 0
    destination_subaccount: int = 0
    client_transfer_id: str | msgspec.UnsetType = msgspec.UNSET
    source: str = INSTANCE
    destination: str = INSTANCE


class TransferMadeReply(_Body, frozen=True):
    """Its answer."""

    transfer_id: str


class AllocationRow(_Body, frozen=True):
    """One shard's share, whole percents."""

    exchange_index: int
    percent: int


class AllocationsBody(_Body, frozen=True):
    """`POST /portfolio/target_balance_allocation`."""

    allocations: list[AllocationRow]
