"""Users: each has a primary account, number 0, and numbered ones that it opened below it."""

from __future__ import annotations

from typing import Final

from processes.exchange.core.ledger import Account
from processes.exchange.core.rejections import Rejection

__all__ = ["MOST_SUBACCOUNTS", "Member"]

MOST_SUBACCOUNTS: Final = 63


class Member:
    """One user. `netting` are the accounts that ask for collateral back across an event's markets.

    No event here gives any back, so that asking for it changes nothing.
    """

    def __init__(self, primary: Account) -> None:
        self.user_id = primary.user_id
        self.accounts = {primary.number: primary}
        self.netting: set[int] = set()

    def account(self, number: int) -> Account:
        """The account of a number; `Rejection` when there is none."""
        account = self.accounts.get(number)
        if account is None:
            raise Rejection.nested(404, "subaccount_not_found")
        return account

    def open(self) -> Account:
        """A new account, without money, under the next number; `Rejection` when there are all."""
        number = len(self.accounts)
        if number > MOST_SUBACCOUNTS:
            raise Rejection.nested(400, "too_many_subaccounts")
        self.accounts[number] = made = Account(self.user_id, 0, number)
        return made
