"""REST bodies about subaccounts."""

from __future__ import annotations

import msgspec

__all__ = [
    "NettingBody",
    "NettingReply",
    "SubaccountBalancesReply",
    "SubaccountMadeReply",
    "SubaccountTransferBody",
    "SubaccountTransferRow",
    "SubaccountTransfersPage",
]


class _Body(msgspec.Struct, frozen=True, kw_only=True):
    """Base of all bodies."""


class SubaccountMadeReply(_Body, frozen=True):
    """`POST /portfolio/subaccounts`."""

    subaccount_number: int


class SubaccountTransferBody(_Body, frozen=True):
    """`POST /portfolio/subaccounts/transfer`."""

    client_transfer_id: str
    from_subaccount: int
    to_subaccount: int
    amount_cents: int
    exchange_index: int


class SubaccountBalanceRow(_Body, frozen=True):
    """One account on one shard."""

    subaccount_number: int
    exchange_index: int
    balance: str


class SubaccountBalancesReply(_Body, frozen=True):
    """`GET /portfolio/subaccounts/balances`."""

    subaccount_balances: list[SubaccountBalanceRow]


class SubaccountTransferRow(_Body, frozen=True):
    """One transfer; `created_ts` in Unix seconds."""

    transfer_id: str
    from_subaccount: int
    to_subaccount: int
    amount_cents: int
    created_ts: int
    exchange_index: int = 0


class SubaccountTransfersPage(_Body, frozen=True):
    """`GET /portfolio/subaccounts/transfers`."""

    transfers: list[SubaccountTransferRow]
    cursor: str | None = None


class NettingBody(_Body, frozen=True):
    """`PUT /portfolio/subaccounts/netting`."""

    subaccount_number: int
    enabled: bool


class NettingRow(_Body, frozen=True):
    """One account on one shard."""

    subaccount_number: int
    enabled: bool
    exchange_index: int = 0


class NettingReply(_Body, frozen=True):
    """`GET /portfolio/subaccounts/netting`."""

    netting_configs: list[NettingRow]
