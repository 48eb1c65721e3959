"""Execution mode `shadow` beside hand trading, over the real exchange: it reads, nothing more."""

from __future__ import annotations

from pathlib import Path

import pytest
from support.execution_rig import Rig, executing
from support.orders import TICKER, intent
from support.trading_command import given

from ipc import account_table as a
from ipc.messages import ActorOrder, OrderStatus
from ipc.trading import CommandRefused, TradingMode, TradingReport
from processes.adapters.kalshi.errors import ReadOnlyError
from processes.execution.direct_stop import stop_at_exchange
from processes.runtime.config import load_settings

LEFT = "ka-20260803T120000-1a2b3c4d-17-BY"  # of an earlier live run
UNTOUCHED = "execution mode shadow cancels nothing: 1 orders of a live run rest"


async def reason_of(rig: Rig, name: str, yes_price_e4: int) -> str:
    await rig.push(intent(name, yes_price_e4=yes_price_e4))
    order: ActorOrder = await rig.order(intent_id=name)
    assert (order.status, order.order_id) == (OrderStatus.REJECTED, None)
    return order.reason


async def test_beside_hand_trading_everything_is_recorded_and_nothing_sent(tmp_path: Path) -> None:
    async with executing(tmp_path, starts=False, RL_EXECUTION_MODE="shadow") as rig:
        rig.place(LEFT, "bid", 4_100, 100)
        rig.place("by-hand-1", "bid", 4_200, 100)
        rig.start()
        await rig.known()
        assert rig.log.has(
            "leftover_order_not_touched", client_order_id=rig.own_name(LEFT), ticker=TICKER
        )
        assert await reason_of(rig, "i1", 4_500) == "shadow_mode"
        rig.place("by-hand-2", "bid", 5_000, 600)
        await rig.holds(600)  # the private channel tells of the real position
        row = rig.row()
        assert row is not None
        assert row[a.N_ORDERS] == 0
        assert (await reason_of(rig, "i2", 4_600)) == (
            f"shadow_mode: would replace {rig.own_name('ka-i1-BY')}"
        )
        assert {o.intent_id for o in rig.journalled(ActorOrder)} == {"i1", "i2", None}
        await rig.counted("sends_orders", 0)

        refused = await given(rig, "flatten")
        assert isinstance(refused, CommandRefused)
        assert refused.error.startswith("execution mode shadow sends nothing")
        stopped = await given(rig, "stop")
        assert isinstance(stopped, TradingReport)
        assert stopped.mode is TradingMode.STOPPED
        control = rig.service._control
        await rig.until(lambda: control.progress == UNTOUCHED, "what stays is said")
        assert await reason_of(rig, "i3", 4_700) == "trading_stopped"
        client = rig.service._gateway.client
        assert client is not None
        with pytest.raises(ReadOnlyError, match="this client only reads"):
            await client.cancel_order("whatever it is", TICKER)
        await rig.stop()
        assert rig.between.writes() == []
        assert [o["status"] for o in rig.at_exchange(LEFT)] == ["resting"]

        port = rig.between.url.rpartition(":")[2]
        known = {"RL_DATA_DIR": str(tmp_path), "RL_EXCHANGE_PORT": port}
        settings = load_settings(known | {"RL_EXECUTION_MODE": "shadow"})
        done = await stop_at_exchange(settings, 1.5)  # past execution it only asks
        assert not done.is_clear
        assert "this client only reads" in done.error
        assert rig.between.writes() == []
