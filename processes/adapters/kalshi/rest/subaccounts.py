"""Subaccounts over REST: the primary account is number 0, those below it 1 to 63."""

from __future__ import annotations

import uuid
from typing import Final

import msgspec

from ipc.units import parse_money
from processes.adapters.kalshi.rest.order_types import amount
from processes.adapters.kalshi.rest.rate_budget import Call
from processes.adapters.kalshi.rest.resource import RestPart
from processes.adapters.kalshi.schemas.rest_subaccounts import (
    NettingBody,
    NettingReply,
    SubaccountBalancesReply,
    SubaccountMadeReply,
    SubaccountTransferBody,
    SubaccountTransferRow,
    SubaccountTransfersPage,
)

__all__ = ["SubaccountPart", "SubaccountTransfer"]

SUBACCOUNTS: Final = "/portfolio/subaccounts"
CENT_E6: Final = 10_000
_encoder: Final = msgspec.json.Encoder()


class SubaccountTransfer(msgspec.Struct, frozen=True):
    """Money that went from one account to another on one shard."""

    transfer_id: str
    source: int
    destination: int
    amount_e6: int
    created_s: int
    exchange_index: int

    @classmethod
    def of(cls, row: SubaccountTransferRow) -> SubaccountTransfer:
        """From one row."""
        return cls(
            transfer_id=row.transfer_id,
            source=row.from_subaccount,
            destination=row.to_subaccount,
            amount_e6=row.amount_cents * CENT_E6,
            created_s=row.created_ts,
            exchange_index=row.exchange_index,
        )


class SubaccountPart(RestPart):
    """Accounts of one user, each with money, orders and positions of its own."""

    async def open_subaccount(self) -> int:
        """A new one, without money -> its number. Not on the Basic tier."""

        def made(reply: SubaccountMadeReply) -> int:
            return reply.subaccount_number

        return await self._http.write(
            SubaccountMadeReply, made, Call.TRANSFER, "POST", SUBACCOUNTS, body=b"{}"
        )

    async def move_to_subaccount(
        self,
        amount_e6: int,
        source: int,
        destination: int,
        transfer_id: uuid.UUID,
        exchange_index: int = 0,
    ) -> None:
        """Move micro-dollars, whole cents of them, between two accounts on one shard.

        The same `transfer_id` moves money once: a repeat is `OrderRejected` with status 409.
        """
        if amount_e6 <= 0 or amount_e6 % CENT_E6:
            raise ValueError(
                f"amount_e6={amount_e6} cannot be moved; allowed: positive multiples of {CENT_E6}"
            )
        body = SubaccountTransferBody(
            client_transfer_id=str(transfer_id),
            from_subaccount=source,
            to_subaccount=destination,
            amount_cents=amount_e6 // CENT_E6,
            exchange_index=exchange_index,
        )
        path = f"{SUBACCOUNTS}/transfer"
        sent = _encoder.encode(body)
        await self._http.write(object, type, Call.TRANSFER, "POST", path, body=sent)

    async def subaccount_balances(self) -> dict[tuple[int, int], int]:
        """Micro-dollars that can be spent, by (subaccount, shard)."""
        reply = await self._http.read(SubaccountBalancesReply, f"{SUBACCOUNTS}/balances")
        return {
            (row.subaccount_number, row.exchange_index): amount(parse_money, row.balance)
            for row in reply.subaccount_balances
        }

    async def subaccount_transfers(self) -> list[SubaccountTransfer]:
        """All of them, newest first."""
        pages = self._pages(SubaccountTransfersPage, f"{SUBACCOUNTS}/transfers", {})
        return [SubaccountTransfer.of(row) async for page in pages for row in page.transfers]

    async def subaccount_netting(self) -> dict[tuple[int, int], bool]:
        """Whether collateral comes back across an event's markets, by (subaccount, shard)."""
        reply = await self._http.read(NettingReply, f"{SUBACCOUNTS}/netting")
        rows = reply.netting_configs
        return {(row.subaccount_number, row.exchange_index): row.enabled for row in rows}

    async def net_subaccount(self, number: int, *, enabled: bool) -> None:
        """Have collateral come back across an event's markets, or no more."""
        body = _encoder.encode(NettingBody(subaccount_number=number, enabled=enabled))
        path = f"{SUBACCOUNTS}/netting"
        await self._http.write(object, type, Call.TRANSFER, "PUT", path, body=body)
