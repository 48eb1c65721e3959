"""Execution over an exchange whose REST reads lag behind, as the real one's do."""

from __future__ import annotations

from support.execution_rig import SOON, executing
from support.orders import intent

from ipc.messages import ActorOrder, OrderStatus
from processes.execution.reconciliation import READ_LAG_NS

CANCELED = OrderStatus.CANCELED
PENDING = OrderStatus.PENDING
RESTING = OrderStatus.RESTING
LAGS = {"RL_EXCHANGE_ORDERS_LAG_MS": "800", "RL_EXCHANGE_POSITIONS_LAG_MS": "1900"}


def lagging(data_dir, **more):
    """Execution with its own waits, reconciling all the time."""
    facts = {"exchange": LAGS, "read_lag_ns": READ_LAG_NS, "RL_RECONCILE_S": SOON}
    return executing(data_dir, **facts, **more)


async def reads(rig, more):
    """Until so many more reconciliations have read positions."""

    def count():
        return len([p for p in rig.between.sent("GET") if p.path.endswith("/positions")])

    wanted = count() + more
    await rig.until(lambda: count() >= wanted, f"{more} reconciliations")


async def test_a_position_that_is_read_late_is_no_mismatch(tmp_path):
    async with lagging(tmp_path) as rig:
        await rig.known()
        await rig.push(intent("i1", yes_price_e4=5_000))
        await rig.holds(1_000)
        assert rig.rest_position()["position_e2"] == 0  # not yet
        await reads(rig, 6)
        rig.assert_account_is_the_exchange_s()
        assert "position_mismatch" not in rig.log.actions()


async def test_orders_that_are_read_late_neither_come_back_nor_vanish(tmp_path):
    async with lagging(tmp_path) as rig:
        await rig.known()
        await rig.push(intent("i0", yes_price_e4=4_400))
        await rig.order(intent_id="i0", status=RESTING)
        await reads(rig, 3)  # the last of them shows it
        for number, price_e4 in ((1, 4_500), (2, 4_600)):
            await rig.push(intent(f"i{number}", yes_price_e4=price_e4))
            await rig.order(reason=f"amended: i{number}", status=RESTING)
            await reads(rig, 3)
        told = rig.journalled(ActorOrder)
        assert {order.intent_id for order in told} == {"i0"}
        statuses = [order.status for order in told]
        assert statuses == sorted(statuses, key=(PENDING, RESTING, CANCELED).index)
        prices = [order.yes_price_e4 for order in told]
        assert prices == sorted(prices)
        assert prices[-1] == 4_600
        assert rig.resting() == ["ka-i0-BY"]
        assert rig.between.writes() == ["POST"] * 3


async def test_a_start_outwaits_the_orders_that_reads_do_not_show_yet(tmp_path):
    async with lagging(tmp_path, starts=False) as rig:
        rig.place("ka-left-BY", "bid", 4_100, 300)
        rig.start()
        await rig.known()
        assert rig.resting() == []


async def test_a_start_outwaits_the_positions_that_reads_do_not_show_yet(tmp_path):
    async with lagging(tmp_path, starts=False) as rig:
        rig.place("ka-earlier-BY", "bid", 5_000, 300)  # fills at once
        rig.start()
        await rig.known()
        rig.assert_account_is_the_exchange_s()
        assert "position_mismatch" not in rig.log.actions()
