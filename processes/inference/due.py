"""Which markets have a tick that nobody has looked at: triggers, kept one per market."""

from __future__ import annotations

from collections.abc import Iterable

from ipc.messages import Trigger

__all__ = ["Due"]


class _Market:
    """A market's newest trigger and the newest tick that was evaluated."""

    __slots__ = ("evaluated", "newest")

    def __init__(self, newest: Trigger) -> None:
        self.newest = newest
        self.evaluated = 0

    def announces_new(self) -> bool:
        return self.newest.tick_event_no > self.evaluated


class Due:
    """Conflates triggers; `missed` counts announced ticks that a newer one replaced unread.

    A tick stays due until `done` names it (or a newer one), so a row that was BUSY is read again at
    its market's next trigger.
    """

    def __init__(self) -> None:
        self._markets: dict[str, _Market] = {}
        self._waiting: dict[str, None] = {}
        self.missed = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def offer(self, trigger: Trigger) -> None:
        """Take a trigger in; it waits if it announces a tick that was not evaluated."""
        market = self._markets.get(trigger.market_ticker)
        if market is None or market.newest.generation != trigger.generation:
            market = self._markets[trigger.market_ticker] = _Market(trigger)
        else:
            self.missed += self._replaced(market, trigger.tick_event_no)
            market.newest = trigger
        if market.announces_new():
            self._waiting[trigger.market_ticker] = None

    @staticmethod
    def _replaced(market: _Market, tick_event_no: int) -> bool:
        """Whether a trigger shows that a tick was overwritten before it was read."""
        known = market.newest.tick_event_no
        return known < tick_event_no and (
            market.announces_new() or tick_event_no < market.evaluated
        )

    def take(self) -> list[Trigger]:
        """The newest trigger of every waiting market, in the order in which they came."""
        found = [self._markets[ticker].newest for ticker in self._waiting]
        self._waiting.clear()
        return found

    def done(self, ticker: str, tick_event_no: int) -> None:
        """The market's tick of that event was evaluated; it may be newer than the trigger's."""
        market = self._markets[ticker]
        self.missed += market.announces_new() and tick_event_no > market.newest.tick_event_no
        market.evaluated = tick_event_no

    def is_new(self, ticker: str, tick_event_no: int) -> bool:
        """Whether this tick is newer than what was evaluated."""
        return tick_event_no > self._markets[ticker].evaluated

    def void(self) -> None:
        """The books have another writer: nothing was evaluated."""
        for market in self._markets.values():
            market.evaluated = 0

    def forget_all_but(self, tickers: Iterable[str]) -> list[str]:
        """Drop markets that are gone -> which."""
        gone = sorted(self._markets.keys() - set(tickers))
        for ticker in gone:
            del self._markets[ticker]
            self._waiting.pop(ticker, None)
        return gone
