"""Execution and the recorder's own reports, over its own socket: no persistence, no opening."""

from __future__ import annotations

from pathlib import Path

from support.actor_rig import FakeRecorder
from support.execution_rig import Rig, executing
from support.orders import intent

from ipc.messages import OrderStatus
from ipc.sockets import Publisher

RESTING = OrderStatus.RESTING


def recorder_of(rig: Rig, tmp_path: Path) -> tuple[Publisher, FakeRecorder]:
    publisher = Publisher(rig.context, "recorder", tmp_path, {}, 1)
    return publisher, FakeRecorder(publisher)


async def test_what_cannot_be_stored_is_not_opened_and_goes_on_by_itself(tmp_path: Path) -> None:
    async with executing(tmp_path, RL_MAX_UNRECORDED_BYTES=str(1 << 20)) as rig:
        publisher, recorder = recorder_of(rig, tmp_path)
        try:
            await rig.known()
            rig.trade("ask", 4_900, 500)
            await rig.push(intent("held", yes_price_e4=4_900, count_e2=500))
            await rig.holds(500)
            await rig.push(intent("rests", yes_price_e4=4_500))
            await rig.order(intent_id="rests", status=RESTING)
            state = rig.service._state
            too_much = {"behind": 5, "behind_bytes": 1 << 20, "behind_ms": 5}
            await recorder.reports_until(lambda: bool(state.unrecorded), **too_much)
            assert rig.log.has("not_persisted", behind_bytes=1 << 20)
            await rig.order(intent_id="rests", status=OrderStatus.CANCELED)
            assert rig.resting() == []
            await rig.push(intent("opens", yes_price_e4=4_500))
            refused = await rig.order(intent_id="opens")
            assert refused.status is OrderStatus.REJECTED
            assert refused.reason == (
                f"not_recorded: {(1 << 20) + 200} bytes wait for the database, allowed {1 << 20}"
            )
            await rig.push(intent("reduces", is_buy=False, yes_price_e4=4_900, count_e2=500))
            await rig.order(intent_id="reduces", status=RESTING)
            await rig.counted("recorded", 0)
            await recorder.reports_until(lambda: not state.unrecorded, behind=0, behind_ms=0)
            assert rig.log.has("persisted_again")
            await rig.push(intent("again", yes_price_e4=4_500))
            await rig.order(intent_id="again", status=RESTING)
            await rig.counted("recorded", 1)
        finally:
            publisher.close()


async def test_a_recorder_that_falls_silent_counts_as_one_that_stores_nothing(
    tmp_path: Path,
) -> None:
    async with executing(tmp_path, RL_MAX_UNRECORDED_S="5") as rig:
        publisher, recorder = recorder_of(rig, tmp_path)
        try:
            await rig.known()
            state, gate = rig.service._state, rig.service._persistence
            await recorder.reports_until(lambda: bool(gate._counters), behind=0, behind_ms=0)
            assert state.unrecorded == ""
            await rig.until(lambda: state.unrecorded, "its silence is noticed")
            assert state.unrecorded == "the oldest record waits for 5 s, allowed 5"
            await rig.push(intent("opens", yes_price_e4=4_500))
            assert (await rig.order(intent_id="opens")).status is OrderStatus.REJECTED
        finally:
            publisher.close()
