"""Order groups over REST: a limit on contracts filled within 15 seconds, else all are cancelled.

PROTOCOL.md, 6.4; each method names its operation of openapi.yaml. Limits are in hundredths of a
contract. Groups do not span shards: `exchange_index` says on which shard a group is.
"""

from __future__ import annotations

from typing import Final

import msgspec

from ipc.units import format_count, parse_count
from processes.adapters.kalshi.rest.http import Params, RestResource, segment
from processes.adapters.kalshi.rest.rate_budget import Call
from processes.adapters.kalshi.schemas.normalise import amount
from processes.adapters.kalshi.schemas.rest_orders import (
    GroupBody,
    GroupCreatedReply,
    GroupReply,
    GroupRow,
    GroupsReply,
)

__all__ = ["OrderGroup", "OrderGroupResource"]

GROUPS: Final = "/portfolio/order_groups"
_encoder: Final = msgspec.json.Encoder()


class OrderGroup(msgspec.Struct, frozen=True):
    """Orders that are cancelled together once more than `limit_e2` filled within 15 seconds.

    Attributes:
        group_id: The exchange's.
        limit_e2: Contracts; None where the exchange did not say.
        exchange_index: The shard that the group is on.
        auto_cancel: The exchange's `is_auto_cancel_enabled`.
        order_ids: Its resting orders, None where the exchange did not list them.
    """

    group_id: str
    limit_e2: int | None
    exchange_index: int
    auto_cancel: bool
    order_ids: tuple[str, ...] | None = None

    @classmethod
    def of_row(cls, row: GroupRow) -> OrderGroup:
        """From one row of the list."""
        return cls(row.id, _limit_e2(row), row.exchange_index, row.is_auto_cancel_enabled)

    @classmethod
    def of(cls, group_id: str, reply: GroupReply) -> OrderGroup:
        """From the reply about one group."""
        orders, auto = tuple(reply.orders), reply.is_auto_cancel_enabled
        return cls(group_id, _limit_e2(reply), reply.exchange_index, auto, orders)


class OrderGroupResource(RestResource):
    """The order groups of the client's subaccount."""

    async def create_order_group(self, limit_e2: int, exchange_index: int = 0) -> str:
        """Make a group with a limit on a shard (`CreateOrderGroup`).

        Args:
            limit_e2: Contracts that may fill within 15 seconds.
            exchange_index: The shard.

        Returns:
            Its id, for `CreateOrder.order_group_id`.

        Raises:
            OrderRejected: Refused.
            UnknownOutcome: Sent, and it may exist.
        """
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
        """List all groups of the subaccount, without their orders (`GetOrderGroups`)."""
        reply = await self._http.read(GroupsReply, GROUPS, self._own())
        return [OrderGroup.of_row(row) for row in reply.order_groups]

    async def order_group(self, group_id: str) -> OrderGroup:
        """Read one group with its resting orders (`GetOrderGroup`).

        Raises:
            NotFound: There is none of this id.
        """
        reply = await self._http.read(GroupReply, f"{GROUPS}/{segment(group_id)}", self._own())
        return OrderGroup.of(group_id, reply)

    async def reset_order_group(self, group_id: str, exchange_index: int = 0) -> None:
        """Start counting again: the group takes orders again (`ResetOrderGroup`)."""
        await self._change("PUT", f"{segment(group_id)}/reset", exchange_index, b"{}")

    async def trigger_order_group(self, group_id: str, exchange_index: int = 0) -> None:
        """Cancel its orders and take none until it is reset (`TriggerOrderGroup`)."""
        await self._change("PUT", f"{segment(group_id)}/trigger", exchange_index, b"{}")

    async def limit_order_group(
        self, group_id: str, limit_e2: int, exchange_index: int = 0
    ) -> None:
        """Change a group's limit (`UpdateOrderGroupLimit`).

        Args:
            group_id: The group.
            limit_e2: Contracts that may fill within 15 seconds.
            exchange_index: Its shard.
        """
        body = _encoder.encode(GroupBody(contracts_limit_fp=format_count(limit_e2)))
        await self._change("PUT", f"{segment(group_id)}/limit", exchange_index, body)

    async def delete_order_group(self, group_id: str, exchange_index: int = 0) -> None:
        """Cancel its orders and delete it (`DeleteOrderGroup`)."""
        await self._change("DELETE", segment(group_id), exchange_index, None)

    def _own(self) -> Params:
        return {"subaccount": self._subaccount}

    async def _change(self, method: str, below: str, shard: int, body: bytes | None) -> None:
        params = self._own() | {"exchange_index": shard}
        path = f"{GROUPS}/{below}"
        await self._http.write(object, type, Call.GROUP, method, path, params=params, body=body)


def _limit_e2(row: GroupRow | GroupReply) -> int | None:
    text = row.contracts_limit_fp
    return None if text is None else amount(parse_count, text)
