"""Money moved between a user's accounts and shards, by hand or by its target allocation."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

from processes.exchange.core.members import Member
from processes.exchange.core.rejections import Rejection, not_found

__all__ = ["MAX_SHARD", "Transfer", "Transfers"]

MAX_SHARD: Final = 100
KEPT: Final = 10_000  # of one user; older ones are forgotten, with their ids
PERCENT: Final = 100


class Transfer(msgspec.Struct, frozen=True):
    """One transfer; it is complete at once. `source` and `destination` are shards."""

    transfer_id: str
    client_transfer_id: str
    source: int
    destination: int
    amount_e6: int
    created_ms: int
    from_account: int = 0
    to_account: int = 0

    @property
    def is_between_accounts(self) -> bool:
        """Whether the money stays on its shard; else it is a transfer between shards."""
        return self.source == self.destination

    def repeats(self, earlier: Transfer) -> bool:
        """Whether this is the same request again, by the id that the client gave it."""
        return (
            bool(self.client_transfer_id)
            and self.client_transfer_id == earlier.client_transfer_id
            and self.is_between_accounts == earlier.is_between_accounts
            and (self.is_between_accounts or self.source == earlier.source)
        )


class Transfers:
    """Of all users."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._done: dict[str, deque[Transfer]] = {}
        self._targets: dict[str, dict[int, int]] = {}

    def move(self, member: Member, asked: Transfer) -> Transfer:
        """Move free money; `asked` has no id yet."""
        source_account = member.account(asked.from_account)
        destination_account = member.account(asked.to_account)
        done = self._done.setdefault(member.user_id, deque(maxlen=KEPT))
        if any(asked.repeats(earlier) for earlier in done):
            raise Rejection.nested(409, "transfer_already_exists")
        if asked.amount_e6 <= 0:
            raise Rejection.nested(400, "invalid_parameters", "amount must be positive")
        if asked.is_between_accounts and source_account is destination_account:
            raise Rejection.nested(400, "invalid_parameters", "source and destination are the same")
        source = source_account.purse(asked.source)
        if source.available_e6 < asked.amount_e6:
            raise Rejection.nested(400, "insufficient_balance")
        source.cash_e6 -= asked.amount_e6
        source_account.moved_e6 -= asked.amount_e6
        destination_account.purse(asked.destination).cash_e6 += asked.amount_e6
        destination_account.moved_e6 += asked.amount_e6
        made = msgspec.structs.replace(asked, transfer_id=self._new_id())
        done.append(made)
        return made

    def of(self, member: Member, *, between_accounts: bool = False) -> list[Transfer]:
        """A user's transfers between shards, or those between accounts; newest first."""
        done = reversed(self._done.get(member.user_id, ()))
        return [t for t in done if t.is_between_accounts == between_accounts]

    def get(self, member: Member, transfer_id: str) -> Transfer:
        """One of those between shards; `Rejection` when there is none."""
        for transfer in self.of(member):
            if transfer.transfer_id == transfer_id:
                return transfer
        raise not_found()

    # Target allocation

    def targets(self, member: Member) -> dict[int, int]:
        """Percent by shard, nothing when money stays where it is."""
        return self._targets.get(member.user_id, {})

    def aim(self, member: Member, percents: dict[int, int]) -> None:
        """Keep the primary account's free money spread like this; an empty mapping ends it."""
        if percents and sum(percents.values()) != PERCENT:
            raise Rejection.nested(400, "invalid_parameters", "percentages must total 100")
        self._targets[member.user_id] = percents

    def rebalance(self, member: Member) -> None:
        """Spread free money as aimed; the cut of a cent stays on the first shard of the aim."""
        targets, account = self.targets(member), member.account(0)
        if not targets:
            return
        free = {i: account.purse(i).available_e6 for i in {*targets, *account.purses}}
        total = sum(free.values())
        wanted = {i: total * targets.get(i, 0) // PERCENT for i in free}
        first = next(iter(targets))
        wanted[first] += total - sum(wanted.values())
        for index, amount_e6 in free.items():
            account.purse(index).cash_e6 += wanted[index] - amount_e6
