"""Order groups at the local exchange: one a shard, reused, triggered, gone, reset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.execution_rig import Rig, executing
from support.orders import intent

from ipc.messages import ActorOrder, Environment, OrderStatus
from ipc.trading import TradingCommand, TradingVerb
from processes.adapters.kalshi.stop.group_file import OwnGroup, load_groups
from processes.adapters.kalshi.stop.watchdog_record import WatchdogRecord, save_fired

REJECTED, RESTING, CANCELED = OrderStatus.REJECTED, OrderStatus.RESTING, OrderStatus.CANCELED
GROUPS = "/portfolio/order_groups"


def listed(rig: Rig) -> dict[str, Any]:
    """The exchange's list, by id."""
    return {row["id"]: row for row in rig.exchange.get(GROUPS)["order_groups"]}


def own(rig: Rig) -> OwnGroup:
    """The one that the file names."""
    (group,) = load_groups(rig.data_dir).groups
    return group


def change(rig: Rig, method: str, below: str) -> None:
    reply = rig.exchange.call(method, f"{GROUPS}/{below}", {} if method == "PUT" else None)
    assert reply.status_code in (200, 201), reply.text


def limits(rig: Rig, text: str) -> None:
    aside = rig.data_dir / "limits.new"
    aside.write_text(f"[simulated]\n{text}\n")
    aside.chmod(0o600)
    aside.rename(rig.data_dir / "limits.toml")


async def rests(rig: Rig, name: str) -> ActorOrder:
    await rig.push(intent(name, yes_price_e4=4_500))
    return await rig.order(intent_id=name, status=RESTING)


async def refused(rig: Rig, name: str) -> str:
    await rig.push(intent(name, yes_price_e4=4_500))
    order: ActorOrder = await rig.order(intent_id=name, status=REJECTED)
    return order.reason


def resume(rig: Rig) -> None:
    control = rig.service._control
    control.answer(TradingCommand(TradingVerb.RESUME, "test", 1, "by hand", now_mono(rig)))


def now_mono(rig: Rig) -> int:
    return rig.service._state.now().mono_ns


async def test_every_order_belongs_to_a_group_which_outlives_a_restart(tmp_path: Path) -> None:
    """Made before the first order, found again, with the limit of the account; others are left."""
    async with executing(tmp_path, starts=False) as rig:
        foreign = rig.exchange.call("POST", f"{GROUPS}/create", {"contracts_limit": 7})
        assert foreign.status_code == 201
        rig.start()
        await rig.known()
        await rests(rig, "i1")
        group = own(rig)
        assert group == OwnGroup(group.group_id, 0, Environment.SIMULATED, None)
        assert [o["order_group_id"] for o in rig.at_exchange()] == [group.group_id]
        assert listed(rig)[group.group_id]["contracts_limit_fp"] == "1000000.00"

        limits(rig, "total_contracts = 40")
        await rig.until(
            lambda: listed(rig)[group.group_id]["contracts_limit_fp"] == "41.00", "a new limit"
        )
        await rig.stop()
        rig.start()
        await rig.known()
        await rests(rig, "i2")
        assert own(rig) == group
        assert len(listed(rig)) == 2
        assert listed(rig)[foreign.json()["order_group_id"]]["contracts_limit_fp"] == "7.00"


async def test_a_group_that_the_exchange_stopped_latches_until_resume(tmp_path: Path) -> None:
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig, "i1")
        change(rig, "PUT", f"{own(rig).group_id}/trigger")
        await rig.order(intent_id="i1", status=CANCELED)
        await rig.until(lambda: rig.log.has("limit_latched", limit="order_group_triggered"), "")
        reason = await refused(rig, "i2")
        assert reason.startswith(("no_order_group", "order_group_triggered"))

        await rig.stop()  # it holds over a restart, and nothing resets the group
        rig.start()
        await rig.known()
        assert (await refused(rig, "i3")).startswith(("no_order_group", "order_group_triggered"))
        resume(rig)
        await rig.until(lambda: rig.service._state.exchange_stop.groups, "it is reset")
        await rests(rig, "i4")
        assert len(listed(rig)) == 1

        change(rig, "DELETE", own(rig).group_id)  # somebody takes it away
        await rig.order(intent_id="i4", status=CANCELED)
        await rig.until(lambda: rig.service._manager.account_limits.latches, "a latch")
        resume(rig)
        await rig.until(lambda: rig.service._state.exchange_stop.groups, "another is made")
        await rests(rig, "i5")


async def test_what_the_watchdog_triggered_is_reset_when_execution_is_back(tmp_path: Path) -> None:
    async with executing(tmp_path) as rig:
        await rig.known()
        await rests(rig, "i1")
        group = own(rig)
        await rig.stop()
        fired = WatchdogRecord(1, 1, 1_786_399_275_000_000_000, True, True, 1, (group.group_id,))
        save_fired(tmp_path, fired)
        change(rig, "PUT", f"{group.group_id}/trigger")
        rig.start()
        await rig.known()
        await rests(rig, "i2")
        assert own(rig) == group
        assert not rig.service._manager.account_limits.latches
        assert load_groups(tmp_path).handled == 1
        (event,) = [e for e in rig.journal() if getattr(e, "name", "") == "watchdog_fired"]
        assert event.numbers == {"utc_ns": fired.since_utc_ns, "canceled": 1, "groups": 1}
