"""API keys: whose they are, what they allow, which of their user's accounts they are locked to."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Final

import msgspec

from processes.adapters.kalshi.auth.signing import PublicKey
from processes.exchange.core.ledger import Account
from processes.exchange.core.members import Member
from processes.exchange.core.rejections import Rejection, not_found

__all__ = ["FULL_ACCESS", "ApiKey", "Asker", "KeyRing", "Scope"]


class Scope(StrEnum):
    """What a key may do; `read` and `write` hold all of their children."""

    READ = "read"
    WRITE = "write"
    READ_BLOCK_TRADE_ACCEPT = "read::block_trade_accept"
    READ_BALANCE = "read::portfolio_balance"
    WRITE_TRADE = "write::trade"
    WRITE_TRANSFER = "write::transfer"
    WRITE_FCM_RISK = "write::fcm_risk"
    WRITE_BLOCK_TRADE_ACCEPT = "write::block_trade_accept"

    @property
    def parent(self) -> Scope:
        """The broad scope that grants this one too."""
        return Scope(self.partition("::")[0])


FULL_ACCESS: Final = (Scope.READ, Scope.WRITE)


class ApiKey(msgspec.Struct, frozen=True):
    """One key; `subaccount` None: of all accounts of its user."""

    api_key_id: str
    user_id: str
    public: PublicKey
    name: str = "local"
    scopes: tuple[Scope, ...] = FULL_ACCESS
    subaccount: int | None = None

    def allows(self, scope: Scope) -> bool:
        """Whether the scope was granted, by itself or with its parent."""
        return scope in self.scopes or scope.parent in self.scopes


class KeyRing:
    """All keys of all users."""

    def __init__(self, keys: Iterable[ApiKey]) -> None:
        self._keys = {key.api_key_id: key for key in keys}

    def get(self, api_key_id: str) -> ApiKey | None:
        """A key by its id."""
        return self._keys.get(api_key_id)

    def of(self, member: Member) -> list[ApiKey]:
        """A user's keys, oldest first."""
        return [key for key in self._keys.values() if key.user_id == member.user_id]

    def add(self, key: ApiKey) -> None:
        """A new key."""
        self._keys[key.api_key_id] = key

    def remove(self, member: Member, api_key_id: str) -> None:
        """A user's key is no more; `Rejection` when it has none of this id."""
        key = self._keys.get(api_key_id)
        if key is None or key.user_id != member.user_id:
            raise not_found()
        del self._keys[api_key_id]


class Asker(msgspec.Struct, frozen=True):
    """Who asks: a user, through one key."""

    member: Member
    key: ApiKey

    @property
    def lock(self) -> int | None:
        """The only account that the key is for."""
        return self.key.subaccount

    def account(self, number: int | None) -> Account:
        """The account that is meant where only one can be: the key's own, else the primary."""
        wanted = self._wanted(number)
        return self.member.account(0 if wanted is None else wanted)

    def accounts(self, number: int | None) -> list[Account]:
        """The accounts that are meant where all can be."""
        wanted = self._wanted(number)
        if wanted is None:
            return list(self.member.accounts.values())
        return [self.member.account(wanted)]

    def _wanted(self, number: int | None) -> int | None:
        if self.lock is not None and number not in (None, self.lock):
            raise Rejection.nested(403, "forbidden", "the key is restricted to another subaccount")
        return self.lock if number is None else number

    def sees(self, account: Account) -> bool:
        """Whether the account is one of the key's."""
        return account.user_id == self.member.user_id and self.lock in (None, account.number)

    def check_unlocked(self) -> None:
        """`Rejection` for a key of one account only: what it asks for concerns others too."""
        if self.lock is not None:
            raise Rejection.nested(403, "forbidden", "the key is restricted to one subaccount")

    def check_scope(self, scope: Scope) -> None:
        """`Rejection` when the key was not granted this."""
        if not self.key.allows(scope):
            raise Rejection.nested(403, "forbidden", f"the key lacks the scope {scope}")
