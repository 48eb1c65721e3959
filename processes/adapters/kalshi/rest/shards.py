"""Collateral is each shard's own: moving cash between them over REST."""

from __future__ import annotations

import uuid
from typing import Final

import msgspec

from processes.adapters.kalshi.rest.rate_budget import Call
from processes.adapters.kalshi.rest.resource import RestPart
from processes.adapters.kalshi.schemas.rest_shards import (
    AllocationRow,
    AllocationsBody,
    TransferBody,
    TransferMadeReply,
)

__all__ = ["ShardPart"]

TRANSFER: Final = "/portfolio/intra_exchange_instance_transfer"
TARGET: Final = "/portfolio/target_balance_allocation"
E6_PER_UNIT: Final = 100  # transfers are in hundredths of a cent
_encoder: Final = msgspec.json.Encoder()


class ShardPart(RestPart):
    """Cash where orders will need it."""

    async def move_collateral(
        self, amount_e6: int, source: int, destination: int, transfer_id: uuid.UUID
    ) -> str:
        """Move micro-dollars from one shard to another -> the exchange's id of it.

        The same `transfer_id` moves money once: a repeat is `OrderRejected` with status 409. The
        exchange takes none for a numbered subaccount: there a repeat moves the money again.
        """
        if amount_e6 <= 0 or amount_e6 % E6_PER_UNIT:
            raise ValueError(
                f"amount_e6={amount_e6} cannot be moved; allowed: positive multiples of "
                f"{E6_PER_UNIT}"
            )
        body = TransferBody(
            client_transfer_id=msgspec.UNSET if self._subaccount else str(transfer_id),
            amount=amount_e6 // E6_PER_UNIT,
            source_exchange_shard=source,
            destination_exchange_shard=destination,
            source_subaccount=self._subaccount or 0,
            destination_subaccount=self._subaccount or 0,
        )

        def made(reply: TransferMadeReply) -> str:
            return reply.transfer_id

        return await self._http.write(
            TransferMadeReply, made, Call.TRANSFER, "POST", TRANSFER, body=_encoder.encode(body)
        )

    async def aim_collateral(self, percents: dict[int, int]) -> None:
        """Have the exchange keep free cash spread over shards like this; they sum to 100."""
        rows = [AllocationRow(exchange_index=i, percent=p) for i, p in percents.items()]
        body = _encoder.encode(AllocationsBody(allocations=rows))
        await self._http.write(object, type, Call.TRANSFER, "POST", TARGET, body=body)
