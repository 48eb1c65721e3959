"""Whether the exchange's own stop is in place: the order groups of now, and the watchdog. No I/O.

`order_groups` keeps the groups, `watchdog_gate` listens to the watchdog; risk checks and requests
read the attributes.
"""

from __future__ import annotations

from typing import Final

__all__ = ["GROUP_REFUSALS", "NO_ORDER_GROUP", "NO_WATCHDOG", "ExchangeStop"]

NO_ORDER_GROUP: Final = "no_order_group"
NO_WATCHDOG: Final = "no_watchdog"  # and then since when
GROUP_GONE: Final = "order_group_not_found"
GROUP_REFUSALS: Final = frozenset({GROUP_GONE, "exceeded_order_group_risk_limit"})


class ExchangeStop:
    """What a new order needs beside the account's own limits.

    Attributes:
        groups: By shard of the exchange, the group that takes orders now.
        is_required: Whether an order without a group is not sent.
        refused: By shard, how the exchange refused an order for its group; `order_groups` takes it.
        unwatched: Why nobody would stop the orders of an execution that has died; "" while the
            watchdog would.
    """

    def __init__(self) -> None:
        self.groups: dict[int, str] = {}
        self.is_required = False
        self.refused: dict[int, str] = {}
        self.unwatched = ""

    def on_refusal(self, shard: int, code: str) -> None:
        """The exchange refused an order: when it was for its group, the group takes none now.

        Args:
            shard: Of the order's market.
            code: The exchange's.
        """
        if code.lower() in GROUP_REFUSALS and self.groups.pop(shard, None) is not None:
            self.refused[shard] = code.lower()
