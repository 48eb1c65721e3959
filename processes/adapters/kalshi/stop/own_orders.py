"""Which orders of the account are this program's: the mark in the name, and those that rest.

The exchange sees bids and asks of YES only; whether an ask sold YES or bought NO is in the name:
`ka-<intent id>-{BY|SY|BN|SN}`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from ipc.clock import NS_PER_S
from ipc.messages import Leg
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.schemas.decoding import Listing
from processes.adapters.kalshi.schemas.normalise import ExchangeOrder

__all__ = [
    "ACTION_CODES",
    "OWN_NAME",
    "OWN_PREFIX",
    "READ_LAG_NS",
    "OrderName",
    "own_resting",
    "parse_client_order_id",
]

READ_LAG_NS: Final = NS_PER_S  # lists lag: one that is read sooner after a create proves nothing
OWN_PREFIX: Final = "ka-"
OWN_NAME: Final = re.compile(r"ka-([A-Za-z0-9_+=:/-]+)-(BY|SY|BN|SN)")
ACTION_CODES: Final = {
    (True, Leg.YES): "BY",
    (False, Leg.YES): "SY",
    (True, Leg.NO): "BN",
    (False, Leg.NO): "SN",
}
_ACTIONS: Final = {code: action for action, code in ACTION_CODES.items()}


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


def parse_client_order_id(text: str) -> OrderName | None:
    """What the name says; None for an order that this program did not name."""
    match = OWN_NAME.fullmatch(text)
    return OrderName(match[1], *_ACTIONS[match[2]]) if match else None


async def own_resting(client: KalshiTradingClient) -> Listing[ExchangeOrder]:
    """The exchange's list of resting orders, those with our mark.

    A row that cannot be read may be one of ours: then nothing is proven, but the others are known.

    Raises:
        KalshiError: It was not answered.
    """
    listed = await client.orders(status="resting")
    own = [order for order in listed.items if parse_client_order_id(order.client_order_id)]
    return Listing(own, listed.left_out)
