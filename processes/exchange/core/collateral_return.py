"""Collateral that mutually exclusive markets of an event return to each other (MECNET).

At most one market of such an event resolves to yes. What an account's positions in it pay in the
worst case is certain, so an account that asks for it gets that much back at once (PROTOCOL 7); it
is taken back as the positions are closed or settled.
"""

from __future__ import annotations

from collections.abc import Iterable

from processes.exchange.core.books import YES
from processes.exchange.core.ledger import TradingAccount
from processes.exchange.core.markets import ListedMarket
from processes.exchange.core.venue import Venue

__all__ = ["CollateralReturn", "guaranteed_e6"]


def guaranteed_e6(counts_e2: Iterable[int]) -> int:
    """What positions in the markets of one event pay whatever happens.

    Args:
        counts_e2: By market, 1e-2 contracts, YES positive.

    Returns:
        1e-6 dollars: the least over "no market is yes" and "this one is".
    """
    counts = list(counts_e2)
    none_yes = sum(-count for count in counts if count < 0)
    return 10_000 * min([none_yes, *(none_yes + count for count in counts)])


class CollateralReturn:
    """Which events are mutually exclusive, and what their markets have returned to accounts.

    Args:
        venue: whose markets they are.
    """

    def __init__(self, venue: Venue) -> None:
        self._venue = venue

    def set_exclusive(self, event_ticker: str, *, on: bool) -> None:
        """Whether at most one market of an event resolves to yes."""
        if on:
            self._venue.exclusive.add(event_ticker)
        for account in self._venue.accounts:
            self._set_returned(account, event_ticker, self._owed_e6(account, event_ticker) * on)
        if not on:
            self._venue.exclusive.discard(event_ticker)

    def update(self, account: TradingAccount, event_ticker: str) -> None:
        """A position in the event changed, or the account asks for returns, or no more."""
        if event_ticker in self._venue.exclusive:
            self._set_returned(account, event_ticker, self._owed_e6(account, event_ticker))

    def update_all(self, account: TradingAccount) -> None:
        """The account asks for returns, or no more."""
        for event_ticker in self._venue.exclusive:
            self.update(account, event_ticker)

    def taken_back_e6(
        self, account: TradingAccount, market: ListedMarket, leg: int, count_e2: int
    ) -> int:
        """What a purchase of `count_e2` (1e-2 contracts) of a leg takes back of the return."""
        event_ticker = market.facts.event_ticker
        returned_e6 = account.returned_e6.get(event_ticker, 0)
        if not returned_e6:
            return 0
        change_e2 = count_e2 if leg == YES else -count_e2
        after_e6 = self._owed_e6(account, event_ticker, {market.ticker: change_e2})
        return max(returned_e6 - after_e6, 0)

    def _owed_e6(
        self, account: TradingAccount, event_ticker: str, changes: dict[str, int] | None = None
    ) -> int:
        member = self._venue.members[account.user_id]
        if event_ticker not in self._venue.exclusive or account.number not in member.netting:
            return 0
        counts = {
            m.ticker: account.position(m.ticker).count_e2 for m in self._markets(event_ticker)
        }
        for ticker, change_e2 in (changes or {}).items():
            counts[ticker] += change_e2
        return guaranteed_e6(counts.values())

    def _markets(self, event_ticker: str) -> list[ListedMarket]:
        markets = self._venue.markets.values()
        return [m for m in markets if m.facts.event_ticker == event_ticker]

    def _set_returned(self, account: TradingAccount, event_ticker: str, amount_e6: int) -> None:
        """Pay what is more than before, or take back what is less."""
        before_e6 = account.returned_e6.get(event_ticker, 0)
        if amount_e6 == before_e6:
            return
        shard = self._markets(event_ticker)[0].facts.exchange_index
        account.collateral(shard).cash_e6 += amount_e6 - before_e6
        account.returned_e6[event_ticker] = amount_e6
        if not amount_e6:
            del account.returned_e6[event_ticker]
