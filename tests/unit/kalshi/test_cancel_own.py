"""A stop past execution: a row that cannot be read keeps no other order from being canceled."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
from support.scripted_rest import FakeExchange

from ipc.messages import Leg
from processes.adapters.kalshi.stop.cancel_own import cancel_own_orders
from processes.adapters.kalshi.stop.own_orders import OrderOwnership
from processes.execution.orders import client_order_id

OWN = "ka-5e0c9a17-"
ROW: dict[str, Any] = {
    "order_id": "o-1",
    "client_order_id": client_order_id("i1", is_buy=True, leg=Leg.YES, prefix=OWN),
    "ticker": "G",
    "status": "resting",
    "book_side": "bid",
    "yes_price_dollars": "0.4",
    "fill_count_fp": "0.00",
    "remaining_count_fp": "1.00",
    "initial_count_fp": "1.00",
    "taker_fees_dollars": "0",
    "maker_fees_dollars": "0",
    "taker_fill_cost_dollars": "0",
    "maker_fill_cost_dollars": "0",
}
UNREADABLE = ROW | {"order_id": "o-2", "book_side": "middle", "ticker": None}
CANCELED = {"orders": [{"order_id": "o-1", "reduced_by": "1.00", "ts_ms": 5}]}


def listing(*rows: dict[str, Any]) -> dict[str, Any]:
    return {"orders": list(rows), "cursor": ""}


async def stop(
    *answers: dict[str, Any],
    last: Callable[[], dict[str, Any]],
    wait_s: float,
    adopts: bool = False,
) -> Any:
    """The stop, and what it asked; after the answers the last one comes again and again."""
    exchange = FakeExchange(*answers, *(last() for _ in range(40)))
    async with exchange.client() as client:
        ownership = OrderOwnership(OWN, adopts)
        return await cancel_own_orders(client, ownership, wait_s), exchange.asked


def canceled(asked: list[httpx.Request]) -> list[str]:
    bodies = [json.loads(request.content) for request in asked if request.method == "DELETE"]
    return [order["order_id"] for body in bodies for order in body["orders"]]


async def test_the_others_are_canceled_and_nothing_is_proven() -> None:
    found, asked = await stop(
        listing(UNREADABLE, ROW), CANCELED, last=lambda: listing(UNREADABLE), wait_s=1.6
    )
    assert canceled(asked) == ["o-1"]
    assert not found.is_clear
    assert found.error


async def test_a_late_empty_list_is_the_proof() -> None:
    found, asked = await stop(listing(ROW), CANCELED, last=listing, wait_s=10.0)
    assert canceled(asked) == ["o-1"]
    assert (found.is_clear, found.resting, found.error) == (True, (), "")


async def test_the_order_of_another_stack_is_left_alone() -> None:
    theirs = ROW | {"client_order_id": "ka-00000000-i1-BY"}
    found, asked = await stop(listing(theirs), last=lambda: listing(theirs), wait_s=10.0)
    assert canceled(asked) == []
    assert (found.is_clear, found.resting) == (True, ())


async def test_adopted_orders_are_canceled_too() -> None:
    theirs = ROW | {"client_order_id": "by-hand"}
    found, asked = await stop(listing(theirs), CANCELED, last=listing, wait_s=10.0, adopts=True)
    assert canceled(asked) == ["o-1"]
    assert found.is_clear
