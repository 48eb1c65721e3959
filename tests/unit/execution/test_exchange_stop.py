"""An order needs a group on its market's shard; a purchase needs somebody who would cancel it."""

from __future__ import annotations

import pytest
from support.order_manager import ManagerRig
from support.orders import TICKER, intent

from ipc.messages import ActorOrder, OrderStatus
from processes.execution.exchange_stop import ExchangeStop
from processes.execution.order_groups import LARGEST_E2, group_limit_e2
from processes.execution.orders import CancelOrder, CreateAccepted, SendOrder

SHARD = 3


def rig_of(**groups: str) -> ManagerRig:
    rig = ManagerRig().known()
    rig.state.money.shards[TICKER] = SHARD
    stop = rig.state.exchange_stop
    stop.is_required, stop.groups = True, {int(shard[1:]): g for shard, g in groups.items()}
    return rig


def want(rig: ManagerRig, name: str) -> ActorOrder:
    rig.manager.on_intent(intent(name), rig.mono_ns)
    return rig.last_order()


def test_without_a_group_nothing_is_sent() -> None:
    rig = rig_of(s1="elsewhere")
    assert want(rig, "i1").reason == "no_order_group"
    rig.state.exchange_stop.groups = {SHARD: "g"}
    assert want(rig, "i2").status is OrderStatus.PENDING


def test_while_nobody_watches_nothing_is_opened() -> None:
    """What rests and would open is canceled; what is held may be sold."""
    rig = rig_of(s3="g")
    want(rig, "i1")
    (create,) = (r for box in rig.history for r in box.requests if isinstance(r, SendOrder))
    accepted = CreateAccepted("e-1", 0, create.order.initial_e2, rig.mono_ns)
    rig.state.on_fact(create.order.client_order_id, accepted)
    rig.drain()
    rig.state.exchange_stop.unwatched = "the watchdog reports nothing for 4 s"
    rig.manager.tick()
    assert [r.order.client_order_id for r in rig.requests(CancelOrder)] == ["ka-i1-BY"]
    assert want(rig, "i2").reason == "no_watchdog: the watchdog reports nothing for 4 s"
    rig.manager.on_intent(intent("i3", is_buy=False), rig.mono_ns)
    assert not rig.last_order().reason.startswith("no_watchdog")


def test_another_refusal_says_nothing_of_the_group() -> None:
    stop = ExchangeStop()
    stop.groups = {SHARD: "g"}
    stop.on_refusal(SHARD, "insufficient_balance")
    assert (stop.groups, stop.refused) == ({SHARD: "g"}, {})


@pytest.mark.parametrize(
    ("total_e2", "limit_e2"),
    [(None, LARGEST_E2), (0, 100), (99, 100), (100, 200), (2_050, 2_100), (10**12, LARGEST_E2)],
)
def test_the_limit_of_a_group_is_reached_only_above_the_account_s(
    total_e2: int | None, limit_e2: int
) -> None:
    assert group_limit_e2(total_e2) == limit_e2
