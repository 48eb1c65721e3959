"""Cancel every order of this stack, and ask the exchange until none rests."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

import msgspec

from ipc.clock import NS_PER_S, mono_ns
from processes.adapters.kalshi.errors import KalshiError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.schemas.normalise import ExchangeOrder
from processes.adapters.kalshi.stop.own_orders import READ_LAG_NS, OrderOwnership, own_resting

__all__ = ["OwnCanceled", "cancel_own_orders"]

LOOK_PAUSE: Final = 0.25  # seconds between reads of the list
BATCH: Final = 20  # cancels in one request


class OwnCanceled(msgspec.Struct, frozen=True):
    """How it ended.

    Attributes:
        is_clear: Whether the exchange's list was read late enough and has none of our orders.
        resting: Those that it had when it was last read; None when it was never read.
        error: What went wrong last; empty when nothing did.
        canceled: Orders whose cancel was asked for.
    """

    is_clear: bool = False
    resting: tuple[ExchangeOrder, ...] | None = None
    error: str = ""
    canceled: int = 0


async def cancel_own_orders(
    client: KalshiTradingClient,
    ownership: OrderOwnership,
    wait_s: float,
    is_wanted: Callable[[], bool] = lambda: True,
) -> OwnCanceled:
    """Cancel all orders of this stack until none rests.

    What was sent just before the end of execution may be listed late: one late read counts.

    Args:
        client: Of the account.
        ownership: Which orders are the stack's.
        wait_s: Seconds after which it gives up; no answer is waited for any longer.
        is_wanted: Asked before each round; it gives up when it no longer is.
    """
    begun_ns, found = mono_ns(), OwnCanceled()
    until_ns, asked = begun_ns + int(wait_s * NS_PER_S), set[str]()
    while not found.is_clear and mono_ns() < until_ns and is_wanted():
        read_ns = mono_ns()
        try:
            async with asyncio.timeout((until_ns - read_ns) / NS_PER_S):
                resting, left_out = await own_resting(client, ownership)
                is_late_enough = read_ns - begun_ns >= READ_LAG_NS
                is_clear = not (resting or left_out) and is_late_enough
                asked.update(order.order_id for order in resting)
                found = OwnCanceled(is_clear, tuple(resting), left_out.reason, len(asked))
                for first in range(0, len(resting), BATCH):
                    batch = resting[first : first + BATCH]
                    await client.cancel_orders([(o.order_id, o.market_ticker) for o in batch])
        except (KalshiError, TimeoutError) as error:
            text = str(error) or "no answer in time"
            found = OwnCanceled(False, found.resting, text, len(asked))
        if not found.is_clear:
            await asyncio.sleep(LOOK_PAUSE)
    return found
