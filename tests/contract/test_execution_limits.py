"""Limits of the account over the real exchange: the file, its changes, latches over restarts."""

from __future__ import annotations

from pathlib import Path

from support.execution_rig import Rig, executing
from support.execution_world import OTHER
from support.fake_collector import FakeCollector
from support.orders import TICKER, intent

from ipc.messages import ActorOrder, OrderStatus

REJECTED, RESTING = OrderStatus.REJECTED, OrderStatus.RESTING
UID = "20260810T221500-000000c0"
CHANGE = "4.00 dollars -> 5.00 dollars"


def write(data_dir: Path, text: str) -> None:
    path = data_dir / "limits.toml"
    aside = data_dir / "limits.new"
    aside.write_text(f"[simulated]\n{text}\n")
    aside.chmod(0o600)
    aside.rename(path)


async def refused(rig: Rig, name: str, **fields: object) -> str:
    """Why an intent became no order."""
    await rig.push(intent(name, **{"yes_price_e4": 4_500, **fields}))
    order: ActorOrder = await rig.order(intent_id=name, status=REJECTED)
    return order.reason


async def rests(rig: Rig, name: str, yes_price_e4: int = 4_500) -> ActorOrder:
    await rig.push(intent(name, yes_price_e4=yes_price_e4))
    return await rig.order(intent_id=name, status=RESTING)


async def test_a_changed_file_takes_effect_and_a_bad_one_stops(tmp_path: Path) -> None:
    write(tmp_path, "total_exposure = 4.00")
    async with executing(tmp_path) as rig:
        await rig.known()
        reason = await refused(rig, "i1")
        assert reason.startswith("total_exposure: 4.673")
        assert reason.endswith("limit 4.00 dollars (total)")
        write(tmp_path, "total_exposure = 5.00")
        await rig.until(lambda: rig.log.has("limits_read", total_exposure=CHANGE), "it is read")
        await rests(rig, "i2")
        write(tmp_path, "total_exposur = 5.00")
        await rig.order(intent_id="i2", status=OrderStatus.CANCELED)
        assert rig.resting() == []
        assert await refused(rig, "i3") == "limits_invalid"
        await rig.counted("limits_valid", 0)
        write(tmp_path, "total_exposure = 50.00")
        await rig.counted("limits_valid", 1)
        await rests(rig, "i4")
        await rig.counted("exposure_e6", 4_673_300)
        assert len(rig.at_exchange()) == 2


async def test_what_is_bought_elsewhere_takes_the_room_of_what_rests(tmp_path: Path) -> None:
    write(tmp_path, "total_contracts = 15")
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig, "i1")
        rig.place("by-hand", "bid", 5_000, 600)  # the ask at 50 cents
        await rig.order(intent_id="i1", status=OrderStatus.CANCELED)
        await rig.holds(600)
        assert rig.log.has("resting_order_exceeds_limits", ticker=TICKER)
        assert (await refused(rig, "i2")).startswith("total_contracts: 16 contracts, limit 15")


async def test_a_latch_outlives_a_restart(tmp_path: Path) -> None:
    write(tmp_path, "orders_per_minute = 1")
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig, "i1")
        assert await refused(rig, "i2", yes_price_e4=4_600) == (
            "orders_per_minute: 2, limit 1 (total)"
        )
        await rig.counted("latched", 1)
        await rig.until(lambda: rig.resting() == [], "our purchase is canceled")
        await rig.stop()
        rig.start()
        await rig.known()
        reason = await refused(rig, "i3")
        assert reason == "orders_per_minute: latched at 2, limit 1"
        assert rig.log.has("limit_still_latched", limit="orders_per_minute")
        assert len(rig.at_exchange()) == 1


async def test_a_price_is_held_against_the_collector_s_own_book(tmp_path: Path) -> None:
    write(tmp_path, "price_collar_cents = 2")
    async with executing(tmp_path) as rig:
        await rig.known(TICKER, beside=OTHER)
        assert (await refused(rig, "i1")).startswith("price_collar_cents: not known")
        collector = FakeCollector(tmp_path, rig.collector, UID)
        collector.add(TICKER)
        collector.snapshot(0, TICKER, yes={40: 100}, no={50: 100})
        try:
            reason = await refused(rig, "i2", yes_price_e4=5_300)
            assert reason == "price_collar_cents: 3 cents, limit 2 cents (order)"
            reason = await refused(rig, "i3", yes_price_e4=3_700)
            assert reason.startswith("price_collar_cents: 3 cents")
            await rests(rig, "i4", 3_800)
        finally:
            collector.close()
