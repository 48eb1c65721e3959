"""Money moved between an account's shards, by hand or by its target allocation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from processes.exchange.core.ledger import Account
from processes.exchange.core.rejections import Rejection, not_found

__all__ = ["MAX_SHARD", "Transfer", "Transfers"]

MAX_SHARD: Final = 100
PERCENT: Final = 100


class Transfer(msgspec.Struct, frozen=True):
    """One transfer; it is complete at once."""

    transfer_id: str
    client_transfer_id: str
    source: int
    destination: int
    amount_e6: int
    created_ms: int


class Transfers:
    """Of all accounts."""

    def __init__(self, new_id: Callable[[], str]) -> None:
        self._new_id = new_id
        self._done: dict[str, list[Transfer]] = {}
        self._targets: dict[str, dict[int, int]] = {}

    def move(self, account: Account, asked: Transfer) -> Transfer:
        """Move free money from one shard to another; `asked` has no id yet."""
        done = self._done.setdefault(account.user_id, [])
        key = asked.client_transfer_id
        if key and any(t.client_transfer_id == key and t.source == asked.source for t in done):
            raise Rejection.nested(409, "transfer_already_exists")
        if asked.amount_e6 <= 0:
            raise Rejection.nested(400, "invalid_parameters", "amount must be positive")
        source = account.purse(asked.source)
        if source.available_e6 < asked.amount_e6:
            raise Rejection.nested(400, "insufficient_balance")
        source.cash_e6 -= asked.amount_e6
        account.purse(asked.destination).cash_e6 += asked.amount_e6
        made = msgspec.structs.replace(asked, transfer_id=self._new_id())
        done.append(made)
        return made

    def of(self, account: Account) -> list[Transfer]:
        """An account's transfers, newest first."""
        return self._done.get(account.user_id, [])[::-1]

    def get(self, account: Account, transfer_id: str) -> Transfer:
        """One of them; `Rejection` when there is none."""
        for transfer in self.of(account):
            if transfer.transfer_id == transfer_id:
                return transfer
        raise not_found()

    # Target allocation

    def targets(self, account: Account) -> dict[int, int]:
        """Percent by shard, nothing when money stays where it is."""
        return self._targets.get(account.user_id, {})

    def aim(self, account: Account, percents: dict[int, int]) -> None:
        """Keep free money spread like this from now on; an empty mapping ends it."""
        if percents and sum(percents.values()) != PERCENT:
            raise Rejection.nested(400, "invalid_parameters", "percentages must total 100")
        self._targets[account.user_id] = percents

    def rebalance(self, account: Account) -> None:
        """Spread free money as aimed; the cut of a cent stays on the first shard of the aim."""
        targets = self.targets(account)
        if not targets:
            return
        free = {i: account.purse(i).available_e6 for i in {*targets, *account.purses}}
        total = sum(free.values())
        wanted = {i: total * targets.get(i, 0) // PERCENT for i in free}
        first = next(iter(targets))
        wanted[first] += total - sum(wanted.values())
        for index, amount_e6 in free.items():
            account.purse(index).cash_e6 += wanted[index] - amount_e6
