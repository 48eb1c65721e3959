"""Order groups over REST: a limit on what may fill within 15 seconds, else all are cancelled."""

from __future__ import annotations

from typing import Final

import msgspec

from ipc.units import format_count
from processes.adapters.kalshi.rest.batch_types import OrderGroup
from processes.adapters.kalshi.rest.http import Params
from processes.adapters.kalshi.rest.rate_budget import Call
from processes.adapters.kalshi.rest.resource import RestPart, segment
from processes.adapters.kalshi.schemas.rest_batches import (
    GroupBody,
    GroupCreatedReply,
    GroupReply,
    GroupsReply,
)

__all__ = ["GroupPart"]

GROUPS: Final = "/portfolio/order_groups"
_encoder: Final = msgspec.json.Encoder()


class GroupPart(RestPart):
    """Groups do not span shards: `exchange_index` says on which one a group is."""

    async def create_order_group(self, limit_e2: int, exchange_index: int = 0) -> str:
        """A new group -> its id, for `CreateOrder.order_group_id`."""
        body = GroupBody(
            contracts_limit_fp=format_count(limit_e2),
            subaccount=self._subaccount,
            exchange_index=exchange_index,
        )

        def made(reply: GroupCreatedReply) -> str:
            return reply.order_group_id

        path = f"{GROUPS}/create"
        sent = _encoder.encode(body)
        return await self._http.write(GroupCreatedReply, made, Call.GROUP, "POST", path, body=sent)

    async def order_groups(self) -> list[OrderGroup]:
        """All of ours, without their orders."""
        reply = await self._http.read(GroupsReply, GROUPS, self._own())
        return [OrderGroup.of_row(row) for row in reply.order_groups]

    async def order_group(self, group_id: str) -> OrderGroup:
        """One, with its resting orders; `NotFound`."""
        reply = await self._http.read(GroupReply, f"{GROUPS}/{segment(group_id)}", self._own())
        return OrderGroup.of(group_id, reply)

    async def reset_order_group(self, group_id: str, exchange_index: int = 0) -> None:
        """Count anew: the group takes orders again."""
        await self._change("PUT", f"{segment(group_id)}/reset", exchange_index, b"{}")

    async def trigger_order_group(self, group_id: str, exchange_index: int = 0) -> None:
        """Cancel its orders and take none until it is reset."""
        await self._change("PUT", f"{segment(group_id)}/trigger", exchange_index, b"{}")

    async def limit_order_group(
        self, group_id: str, limit_e2: int, exchange_index: int = 0
    ) -> None:
        """Another limit."""
        body = _encoder.encode(GroupBody(contracts_limit_fp=format_count(limit_e2)))
        await self._change("PUT", f"{segment(group_id)}/limit", exchange_index, body)

    async def delete_order_group(self, group_id: str, exchange_index: int = 0) -> None:
        """Cancel its orders and forget it."""
        await self._change("DELETE", segment(group_id), exchange_index, None)

    def _own(self) -> Params:
        return {"subaccount": self._subaccount}

    async def _change(self, method: str, below: str, shard: int, body: bytes | None) -> None:
        params = self._own() | {"exchange_index": shard}
        path = f"{GROUPS}/{below}"
        await self._http.write(object, type, Call.GROUP, method, path, params=params, body=body)
