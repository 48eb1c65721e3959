"""Order groups: how many contracts of an account may match within 15 seconds. No I/O, no clock."""

from __future__ import annotations

from collections import deque
from collections.abc import Collection
from typing import Final

from processes.exchange.core.ledger import Account
from processes.exchange.core.rejections import Rejection, not_found

__all__ = ["WINDOW_MS", "OrderGroup", "OrderGroups"]

WINDOW_MS: Final = 15_000
MOST_GROUPS: Final = 100_000  # of one account


class OrderGroup:
    """One group. Once triggered it takes no order until it is reset."""

    def __init__(self, group_id: str, account: Account, limit_e2: int, exchange_index: int) -> None:
        self.group_id = group_id
        self.account = account
        self.limit_e2 = limit_e2
        self.exchange_index = exchange_index
        self.triggered = False
        self._matched: deque[tuple[int, int]] = deque()

    def match(self, count_e2: int, now_ms: int) -> None:
        """Note an execution."""
        self._matched.append((now_ms, count_e2))

    def matched_e2(self, now_ms: int) -> int:
        """What has matched in the window that ends now."""
        while self._matched and self._matched[0][0] <= now_ms - WINDOW_MS:
            self._matched.popleft()
        return sum(count for _, count in self._matched)

    def is_exhausted(self, now_ms: int) -> bool:
        """Whether the limit is reached."""
        return self.matched_e2(now_ms) >= self.limit_e2

    def reset(self) -> None:
        """Count anew, take orders again."""
        self.triggered = False
        self._matched.clear()


class OrderGroups:
    """The groups of all accounts."""

    def __init__(self) -> None:
        self._groups: dict[str, OrderGroup] = {}

    def add(self, group: OrderGroup) -> None:
        """Take in a new group; `Rejection` when the account has too many."""
        if len(self.of(group.account)) >= MOST_GROUPS:
            raise Rejection.nested(400, "too_many_order_groups")
        self._groups[group.group_id] = group

    def of(self, account: Account) -> list[OrderGroup]:
        """An account's groups, oldest first."""
        return [g for g in self._groups.values() if g.account is account]

    def get(
        self, accounts: Collection[Account], group_id: str, exchange_index: int | None = None
    ) -> OrderGroup:
        """A group of one of these accounts, on a shard if one is named; `Rejection` otherwise."""
        group = self._groups.get(group_id)
        elsewhere = group is not None and exchange_index not in (None, group.exchange_index)
        if group is None or group.account not in accounts or elsewhere:
            raise not_found()
        return group

    def remove(self, group: OrderGroup) -> None:
        """Forget a group."""
        del self._groups[group.group_id]

    def admit(self, account: Account, group_id: str, exchange_index: int, now_ms: int) -> None:
        """Whether a group takes a new order on a shard; `Rejection` otherwise."""
        group = self._groups.get(group_id)
        if group is None or group.account is not account or group.exchange_index != exchange_index:
            raise Rejection.nested(400, "order_group_not_found")
        if group.triggered or group.is_exhausted(now_ms):
            raise Rejection.nested(400, "exceeded_order_group_risk_limit")

    def exhausted(self, group_id: str, count_e2: int, now_ms: int) -> OrderGroup | None:
        """Note an execution of a group's order -> the group, if that reached its limit."""
        group = self._groups.get(group_id)
        if group is None:
            return None
        group.match(count_e2, now_ms)
        return group if group.is_exhausted(now_ms) and not group.triggered else None
