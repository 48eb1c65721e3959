"""In production nothing is sent before all that it needs is there, over the real exchange."""

from __future__ import annotations

from pathlib import Path

from support.execution_rig import Rig, executing
from support.orders import intent
from support.production import examined, reporting_watchdog, write_limits

from ipc.messages import ActorOrder, Environment, OrderStatus
from processes.adapters.kalshi.auth.credentials import load_credentials

MODEL, HASH = "baseline:random", "0123456789abcdef"
REJECTED, RESTING = OrderStatus.REJECTED, OrderStatus.RESTING


async def refused(rig: Rig, name: str, **fields: object) -> str:
    await rig.push(intent(name, yes_price_e4=4_500, **fields))
    order: ActorOrder = await rig.order(intent_id=name)
    assert order.status is REJECTED
    return order.reason


async def test_each_need_is_a_line_and_all_are_said_before_the_first_order(tmp_path: Path) -> None:
    async with (
        executing(tmp_path, starts=False, RL_ALLOW_MODEL_HASH=HASH) as rig,
        reporting_watchdog(rig.settings),
    ):
        rig.environment = Environment.PRODUCTION  # this exchange, taken for the real one
        rig.start()
        await rig.known()
        await rig.counted("needs_missing", 2)  # key and account are well
        assert await refused(rig, "i1", model=MODEL, model_hash=HASH) == (
            "production_needs: limits, doctor"
        )
        needs = {facts["need"] for said, facts in rig.log.lines if said == "production_need"}
        assert {"limits", "doctor"} <= needs
        write_limits(tmp_path)
        key_id = load_credentials(rig.settings).api_key_id
        examined(tmp_path, key_id, key_id_hash="of another")
        await rig.counted("needs_missing", 1)
        examined(tmp_path, key_id)
        await rig.counted("needs_missing", 0)
        assert (await refused(rig, "i2", model="onnx:mine", model_hash=HASH[::-1])).startswith(
            "model_environment: onnx:mine"
        )
        assert not rig.log.has("production_start")
        assert rig.between.writes() == []

        await rig.push(intent("i3", yes_price_e4=4_500, model=MODEL, model_hash=HASH))
        await rig.order(intent_id="i3", status=RESTING)
        await rig.push(intent("i4", yes_price_e4=4_600, model=MODEL, model_hash=HASH))
        await rig.order(reason="amended: i4", status=RESTING)
        (said,) = (facts for name, facts in rig.log.lines if name == "production_start")
        assert said["model"] == f"{MODEL} {HASH}"
        assert said["cash"] == "shard 0: 10000.00 dollars"
        assert (said["positions"], said["resting_orders"]) == ("none", 0)
        assert said["total_exposure"] == "50.00 dollars"
        assert said["money_at_risk"] == (
            "50.00 dollars at once, fees included; stops opening at 10.00 dollars a day"
        )
