"""Orders of execution leave with signatures that were made before there was an intent."""

from __future__ import annotations

from support.execution_rig import executing
from support.orders import intent

from ipc.messages import OrderStatus, ProcessStats


async def test_an_order_leaves_with_a_signature_that_was_made_before(tmp_path):
    async with executing(tmp_path) as rig:
        await rig.known()
        await rig.push(intent("i1", yes_price_e4=4_500))
        await rig.order(intent_id="i1", status=OrderStatus.RESTING)
        signed = (0, 0)
        while signed == (0, 0):
            message = (await rig.heard.recv())[1]
            if isinstance(message, ProcessStats):
                counted = message.counters
                signed = (counted.get("signed_ahead", 0), counted.get("signed_late", 0))
        assert signed == (1, 0)
