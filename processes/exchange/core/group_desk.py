"""What an account does with its order groups: create, limit, trigger, reset, delete."""

from __future__ import annotations

from collections.abc import Callable

from processes.exchange.core.desk import Desk
from processes.exchange.core.events import GroupChanged, GroupEvent
from processes.exchange.core.groups import OrderGroup
from processes.exchange.core.ledger import Account
from processes.exchange.core.orders import Order, UpdateReason

__all__ = ["GroupDesk"]


class GroupDesk:
    """The desk's other counter."""

    def __init__(self, desk: Desk, new_id: Callable[[], str]) -> None:
        self._desk = desk
        self._new_id = new_id

    def create(self, account: Account, limit_e2: int, exchange_index: int) -> OrderGroup:
        """A new group; `Rejection` when the account has too many."""
        group = OrderGroup(self._new_id(), account, limit_e2, exchange_index)
        self._desk.groups.add(group)
        self._tell(group, GroupEvent.CREATED, limit_e2)
        return group

    def change_limit(self, group: OrderGroup, limit_e2: int) -> None:
        """Another limit; what has matched already may exhaust it at once."""
        group.limit_e2 = limit_e2
        self._tell(group, GroupEvent.LIMIT_UPDATED, limit_e2)
        if not group.triggered and group.is_exhausted(self._desk.venue.now_ms()):
            self._desk.trigger(group)

    def trigger(self, group: OrderGroup) -> None:
        """Cancel its orders and take no more."""
        self._desk.trigger(group)

    def reset(self, group: OrderGroup) -> None:
        """Take orders again."""
        group.reset()
        self._tell(group, GroupEvent.RESET)

    def delete(self, group: OrderGroup) -> None:
        """Cancel its orders and forget it."""
        self._desk.end_where(lambda o: o.group_id == group.group_id, UpdateReason.NONE)
        self._desk.groups.remove(group)
        self._tell(group, GroupEvent.DELETED)

    def orders_of(self, group: OrderGroup) -> list[Order]:
        """Its resting orders."""
        return [o for o in self._desk.live_orders() if o.group_id == group.group_id]

    def _tell(self, group: OrderGroup, event: GroupEvent, limit_e2: int | None = None) -> None:
        venue = self._desk.venue
        now_ms = venue.now_ms()
        venue.emit(GroupChanged(group.account, group.group_id, event, limit_e2, now_ms))
