"""Execution while the exchange itself misbehaves: nothing is doubled, lost or traded blindly."""

from __future__ import annotations

import pytest
from support.execution_rig import executing
from support.orders import intent

from ipc.messages import ActorFill, ActorOrder, Leg, OrderStatus, TradingState

CANCELED = OrderStatus.CANCELED
EXECUTED = OrderStatus.EXECUTED
REJECTED = OrderStatus.REJECTED
RESTING = OrderStatus.RESTING
HELD_MS = 600_000  # longer than any test: what waits for it is let go by hand


def fault(rig, kind, **facts):
    """Order a fault."""
    return rig.exchange.order("fault", kind=kind, **facts)


def private_channels(rig):
    """Connections that have all three of them."""
    rows = rig.exchange.admin("connections")
    return {row["id"] for row in rows if len(row["subscriptions"]) == 3}


def assert_struck(rig):
    """The answer that was to be lost was lost."""
    assert fault(rig, "halt_acks", on=False)["lost_waiting"] == 0


async def direct(rig):
    """Start with nobody between execution and the exchange."""
    rig.is_direct = True
    rig.start()
    await rig.known()


async def test_an_order_whose_answer_the_exchange_lost_is_there_once(tmp_path):
    async with executing(tmp_path, starts=False) as rig:
        await direct(rig)
        fault(rig, "lose_answer", method="POST")
        await rig.push(intent("i1", yes_price_e4=4_500))
        await rig.order(intent_id="i1", status=RESTING)
        await rig.known()
        assert_struck(rig)
        await rig.push(intent("i2", leg=Leg.NO, yes_price_e4=4_500))
        await rig.order(intent_id="i2", status=RESTING)
        assert [o["client_order_id"] for o in rig.at_exchange()] == ["ka-i1-BY", "ka-i2-BN"]
        assert rig.resting() == ["ka-i2-BN"]


async def test_a_cancel_whose_answer_the_exchange_lost_is_one_cancel(tmp_path):
    async with executing(tmp_path, starts=False) as rig:
        await direct(rig)
        await rig.push(intent("i1", yes_price_e4=4_500))
        await rig.order(status=RESTING)
        fault(rig, "lose_answer", method="DELETE")
        await rig.push(intent("i2", leg=Leg.NO, yes_price_e4=4_500))
        await rig.order(intent_id="i1", status=CANCELED)
        await rig.order(intent_id="i2", status=RESTING)
        assert rig.resting() == ["ka-i2-BN"]
        assert_struck(rig)


async def test_a_fill_reported_twice_before_its_trade_counts_once(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        fault(rig, "duplicate_fills")
        fault(rig, "fills_first")
        await rig.push(intent("i1", yes_price_e4=5_000))
        await rig.order(status=EXECUTED)
        await rig.counted("duplicate_fills")
        await rig.holds(1_000)
        assert len(rig.journalled(ActorFill)) == 1
        rig.assert_account_is_the_exchange_s()


async def test_a_fill_reported_late_was_fetched_before_and_counts_once(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        fault(rig, "delay_fills", ms=HELD_MS)
        await rig.push(intent("i1", yes_price_e4=5_000))
        await rig.holds(1_000)
        assert fault(rig, "halt_acks", on=False)["fills_held"] == 1
        fault(rig, "clear")
        await rig.counted("duplicate_fills")
        assert len(rig.journalled(ActorFill)) == 1
        rig.assert_account_is_the_exchange_s()


@pytest.mark.parametrize("code", [10, 25])
async def test_private_channels_that_the_exchange_ends_come_back_and_miss_nothing(tmp_path, code):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rig.push(intent("i1", yes_price_e4=4_500))
        await rig.order(status=RESTING)
        assert fault(rig, "end_subscription", code=code)["affected"] == 3
        rig.trade("ask", 4_500, 1_000)
        await rig.order(intent_id="i1", status=EXECUTED)
        await rig.holds(1_000)
        assert len(rig.journalled(ActorFill)) == 1
        rig.assert_account_is_the_exchange_s()


async def test_in_maintenance_nothing_is_placed_and_after_it_trading_goes_on(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rig.push(intent("i1", yes_price_e4=4_500))
        await rig.order(status=RESTING)
        cut = private_channels(rig)
        fault(rig, "maintenance", for_s=3_600)
        back = await rig.until(lambda: private_channels(rig) - cut, "its channels are back")
        assert len(back) == len(cut) == 1
        await rig.known()  # the collector has not looked yet
        await rig.push(intent("i2", yes_price_e4=4_600))
        refused = await rig.until(
            lambda: rig.journalled(ActorOrder, intent_id="i2", status=REJECTED), "i2 is refused"
        )
        assert refused[0].reason.startswith("trading_paused")
        assert rig.journalled(ActorOrder, intent_id="i1", status=CANCELED)  # by the exchange
        assert rig.resting() == []
        await rig.unknown()  # until the collector says that it trades
        fault(rig, "clear")
        rig.tell_trading(TradingState.TRADING)
        await rig.known()
        await rig.push(intent("i3", yes_price_e4=4_700))
        await rig.order(intent_id="i3", status=RESTING)
        assert rig.resting() == ["ka-i3-BY"]
