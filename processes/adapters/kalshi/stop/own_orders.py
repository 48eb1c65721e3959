"""Which orders of the account are this stack's: the mark in the name, and those that rest.

The exchange sees bids and asks of YES only; whether an ask sold YES or bought NO is in the end of
the name, `ka-<mark>-<intent id>-{BY|SY|BN|SN}`; the mark is the stack's (`stack_mark`).
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

import msgspec

from ipc.clock import NS_PER_S
from ipc.messages import Leg
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.schemas.decoding import Listing
from processes.adapters.kalshi.schemas.normalise import ExchangeOrder

__all__ = [
    "ACTION_CODES",
    "AFTER_PREFIX",
    "FAMILY",
    "READ_LAG_NS",
    "OrderName",
    "OrderOwnership",
    "own_resting",
    "parse_client_order_id",
]

READ_LAG_NS: Final = NS_PER_S  # lists lag: one that is read sooner after a create proves nothing
FAMILY: Final = "ka-"  # every name of a kalshi-actor, of this stack or not, begins so
ACTION_CODES: Final = {
    (True, Leg.YES): "BY",
    (False, Leg.YES): "SY",
    (True, Leg.NO): "BN",
    (False, Leg.NO): "SN",
}
_NAMES: Final = {code: key for key, code in ACTION_CODES.items()}
AFTER_PREFIX: Final = re.compile(r"([A-Za-z0-9_+=:/-]+)-(BY|SY|BN|SN)")


class OrderName(NamedTuple):
    """What a client order id says.

    Attributes:
        intent_id: The intent that the order came of.
        is_buy: Whether its leg is bought.
        leg: The leg that is bought or sold.
    """

    intent_id: str
    is_buy: bool
    leg: Leg


class OrderOwnership(msgspec.Struct, frozen=True):
    """Which orders of the account are this stack's.

    Attributes:
        prefix: What the names of its own begin with.
        adopts: `RL_ADOPT`: all others are treated as its own, too.
    """

    prefix: str
    adopts: bool = False

    def parse(self, name: str) -> OrderName | None:
        """What the name of an own order says; None for an order that this stack did not name."""
        return parse_client_order_id(name, self.prefix)


def parse_client_order_id(text: str, prefix: str) -> OrderName | None:
    """What the name says; None for an order whose name does not begin with this prefix."""
    match = AFTER_PREFIX.fullmatch(text.removeprefix(prefix)) if text.startswith(prefix) else None
    return OrderName(match[1], *_NAMES[match[2]]) if match else None


async def own_resting(
    client: KalshiTradingClient, ownership: OrderOwnership
) -> Listing[ExchangeOrder]:
    """The exchange's list of resting orders, those of this stack: with its mark, or adopted.

    A row that cannot be read may be one of ours: then nothing is proven, but the others are known.

    Raises:
        KalshiError: It was not answered.
    """
    listed = await client.orders(status="resting")
    own = [o for o in listed.items if ownership.adopts or ownership.parse(o.client_order_id)]
    return Listing(own, listed.left_out)
