"""Order groups: the rolling window, what a reached limit does, what a group refuses."""

from __future__ import annotations

from itertools import count

import pytest
from support.exchange_core import Core, ask, bid

from processes.exchange.core.books import NO, YES
from processes.exchange.core.events import GroupChanged, GroupEvent
from processes.exchange.core.order_entry import GroupCommands
from processes.exchange.core.orders import (
    WINDOW_MS,
    ExchangeOrderGroup,
    OrderState,
    OrderTimeInForce,
)
from processes.exchange.core.rejections import Rejection

IOC = OrderTimeInForce.IMMEDIATE_OR_CANCEL


class Groups(Core):
    """A core whose first account has a group of five contracts."""

    def __init__(self, *levels: tuple[int, int, int], shadow: bool = True) -> None:
        super().__init__(*levels, shadow=shadow)
        ids = count(1)
        self.groups = GroupCommands(self.order_entry, lambda: f"group-{next(ids)}")
        self.group: ExchangeOrderGroup = self.groups.create(self.accounts[0], 500, 0)

    @property
    def told(self) -> list[GroupEvent]:
        """What the account heard of its groups."""
        return [e.event_type for e in self.said if isinstance(e, GroupChanged)]


def code_of(core: Groups, group_id: str = "group-1", account: int = 0) -> str:
    """The refusal of an order for a group."""
    with pytest.raises(Rejection) as refusal:
        core.order_entry.create(core.accounts[account], bid(3_000, 100, group_id=group_id))
    return refusal.value.code


def test_a_reached_limit_cancels_the_rest_and_refuses_more_until_reset():
    core = Groups((NO, 5_000, 1_000))
    resting = core.order_entry.create(core.accounts[0], bid(3_000, 100, group_id="group-1")).order
    apart = core.order_entry.create(core.accounts[0], bid(3_000, 100)).order
    core.order_entry.create(core.accounts[0], bid(5_000, 500, group_id="group-1"))
    assert (resting.status, apart.status) == (OrderState.CANCELED, OrderState.RESTING)
    assert core.told == [GroupEvent.CREATED, GroupEvent.TRIGGERED]
    core.now_ms += WINDOW_MS
    assert code_of(core) == "exceeded_order_group_risk_limit"
    core.groups.reset(core.group)
    assert core.order_entry.create(core.accounts[0], bid(3_000, 100, group_id="group-1"))
    assert core.told[2:] == [GroupEvent.RESET]


def test_the_rest_of_the_order_that_reached_it_goes_too():
    core = Groups((NO, 5_000, 300), (NO, 4_900, 300), (NO, 4_800, 300))
    order = core.order_entry.create(core.accounts[0], bid(5_200, 900, group_id="group-1")).order
    assert (order.filled_e2, order.remaining_e2, order.status) == (600, 0, OrderState.CANCELED)


def test_what_matched_more_than_fifteen_seconds_ago_does_not_count():
    core = Groups((NO, 5_000, 1_000))
    core.order_entry.create(core.accounts[0], bid(5_000, 300, group_id="group-1"))
    core.now_ms += WINDOW_MS
    core.order_entry.create(core.accounts[0], bid(5_000, 300, group_id="group-1"))
    assert not core.group.triggered
    core.now_ms += WINDOW_MS - 1
    core.order_entry.create(core.accounts[0], bid(5_000, 200, group_id="group-1"))
    assert core.group.triggered


@pytest.mark.parametrize("shadow", [True, False])
def test_one_taker_meets_only_what_is_left_of_a_group(shadow):
    core = Groups(shadow=shadow)
    first, second = (
        core.order_entry.create(core.accounts[0], bid(4_000, 500, group_id="group-1")).order
        for _ in range(2)
    )
    taker = core.order_entry.create(core.accounts[1], ask(4_000, 800, time_in_force=IOC))
    assert (first.status, second.status) == (OrderState.EXECUTED, OrderState.CANCELED)
    assert taker.filled_e2 == 500
    assert [f.count_e2 for f in core.order_entry.fills["u1"]] == [500]
    assert core.market.book.count(YES, 4_000) == 0


def test_groups_are_an_account_s_own_and_of_one_shard():
    core = Groups()
    assert code_of(core, account=1) == "order_group_not_found"
    assert code_of(core, "none") == "order_group_not_found"
    core.groups.create(core.accounts[0], 500, 2)
    assert code_of(core, "group-2") == "order_group_not_found"
    with pytest.raises(Rejection):
        core.order_entry.groups.get([core.accounts[1]], "group-1")
    with pytest.raises(Rejection):
        core.order_entry.groups.get([core.accounts[0]], "group-1", 2)


def test_a_lower_limit_may_be_reached_already():
    core = Groups((NO, 5_000, 1_000))
    core.order_entry.create(core.accounts[0], bid(5_000, 300, group_id="group-1"))
    core.groups.change_limit(core.group, 301)
    assert not core.group.triggered
    core.groups.change_limit(core.group, 300)
    assert core.group.triggered
    assert core.told[-2:] == [GroupEvent.LIMIT_UPDATED, GroupEvent.TRIGGERED]


def test_a_deleted_group_takes_its_orders_with_it():
    core = Groups()
    order = core.order_entry.create(core.accounts[0], bid(3_000, 100, group_id="group-1")).order
    core.groups.delete(core.group)
    assert order.status is OrderState.CANCELED
    assert core.order_entry.groups.of(core.accounts[0]) == []
    assert core.told[-1] is GroupEvent.DELETED
