"""Execution over the real exchange: the actor leaves a market."""

from __future__ import annotations

from support.execution_rig import executing
from support.orders import TICKER, intent

from ipc.messages import LeaveMarket, OrderStatus


async def test_a_market_that_is_left_has_no_order_of_ours_at_the_exchange(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rig.push(intent("i1", yes_price_e4=4_500))
        await rig.order(intent_id="i1", status=OrderStatus.RESTING)
        stranger = rig.place("by-hand", "bid", 4_100, 300)
        await rig.push(LeaveMarket(market_ticker=TICKER, reason="one-sided"))
        await rig.order(intent_id="i1", status=OrderStatus.CANCELED)
        assert rig.resting() == []
        assert [o["order_id"] for o in rig.at_exchange("by-hand", "resting")] == [stranger]
        await rig.push(intent("i2", yes_price_e4=4_500))  # what closes a position still comes
        await rig.order(intent_id="i2", status=OrderStatus.RESTING)
