"""What the account may lose: contracts, cost at risk and worst-case loss, by market and together.

Of one market, with a position that cost `c` and resting orders on both sides of its book:

    opening bids   contracts bid beyond what is held of NO, the dearest of them, at their limits
    opening asks   contracts asked beyond what is held of YES, likewise, at a dollar less the limit
    fees           the most that each of them may be charged as a taker
    contracts      the largest position, of either leg, that any of the orders filling can lead to
    exposure       c + opening bids + opening asks + fees: what is at risk if everything fills
    worst case     c + the dearest of all opening contracts, as many as the larger side has + fees

A bid and an ask that both fill are a pair that pays a dollar, so no more contracts than those of
the larger side can lose; a gain that is not booked yet is never counted against a loss. No figure
rises when an order fills at its limit or better. Markets are added up as if each paid the worse of
its outcomes, so mutually exclusive markets of one event count in full.

Prices are 1e-4 dollars on the YES scale, counts 1e-2 contracts, money 1e-6 dollars.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from typing import Final, NamedTuple

from ipc.messages import BookSide
from ipc.units import ONE_DOLLAR_E4
from models.trading.fees import FeeBound

__all__ = [
    "TOTAL",
    "ExposureBook",
    "MarketRisk",
    "RestingOrder",
    "RiskScope",
    "ScopeKind",
    "event_of",
    "market_risk",
    "scopes_of",
]


class ScopeKind(StrEnum):
    """What is added up: one market, its event, its series, everything."""

    MARKET = "market"
    EVENT = "event"
    SERIES = "series"
    TOTAL = "total"


class RiskScope(NamedTuple):
    """Some markets.

    Attributes:
        kind: How they belong together.
        name: Ticker of the market, event or series; empty for everything.
    """

    kind: ScopeKind
    name: str = ""

    def __str__(self) -> str:
        return f"{self.kind} {self.name}".rstrip()


TOTAL: Final = RiskScope(ScopeKind.TOTAL)


class MarketRisk(NamedTuple):
    """What some markets may come to.

    Attributes:
        contracts_e2: Largest position that open orders can lead to, of either leg.
        exposure_e6: Cost at risk if every open order fills.
        worst_e6: Loss if the worse outcome comes, open orders filled.
    """

    contracts_e2: int = 0
    exposure_e6: int = 0
    worst_e6: int = 0

    def plus(self, other: MarketRisk, sign: int = 1) -> MarketRisk:
        """Both together; with a sign of -1, without the other."""
        return MarketRisk(*(a + sign * b for a, b in zip(self, other, strict=True)))


class RestingOrder(NamedTuple):
    """What the figures need of an order that may still fill.

    Attributes:
        book_side: The side of the YES book.
        yes_price_e4: Limit on the YES scale.
        count_e2: What may still fill.
    """

    book_side: BookSide
    yes_price_e4: int
    count_e2: int

    @property
    def is_bid(self) -> bool:
        """Whether it raises the position."""
        return self.book_side is BookSide.BID

    @property
    def cost_e4(self) -> int:
        """What a contract of it costs where it opens."""
        return self.yes_price_e4 if self.is_bid else ONE_DOLLAR_E4 - self.yes_price_e4


def market_risk(
    position_e2: int,
    cost_basis_e6: int,
    orders: Iterable[RestingOrder],
    fees: FeeBound,
    unexplained_e2: int = 0,
) -> MarketRisk:
    """The figures of one market.

    Args:
        position_e2: Signed, YES positive.
        cost_basis_e6: What it cost, without fees.
        orders: All that may fill, of this stack and of others.
        fees: The most that a taker is charged.
        unexplained_e2: Contracts that the exchange reports beyond what is booked; each may have
            cost a dollar.
    """
    every = list(orders)
    bids = [order for order in every if order.is_bid]
    asks = [order for order in every if not order.is_bid]
    fees_e6 = sum(fees.fee_e6(o.cost_e4, o.count_e2, is_buy=True, is_taker=True) for o in every)
    most_e2 = position_e2 + sum(order.count_e2 for order in bids)
    least_e2 = position_e2 - sum(order.count_e2 for order in asks)
    opening = [*_opening(bids, -position_e2), *_opening(asks, position_e2)]
    larger_e2 = max(most_e2 - max(position_e2, 0), min(position_e2, 0) - least_e2, 0)
    unknown_e2 = abs(unexplained_e2)
    known_e6 = cost_basis_e6 + unknown_e2 * ONE_DOLLAR_E4 + fees_e6
    return MarketRisk(
        contracts_e2=max(abs(most_e2), abs(least_e2), abs(position_e2)) + unknown_e2,
        exposure_e6=known_e6 + sum(cost_e4 * count_e2 for cost_e4, count_e2 in opening),
        worst_e6=known_e6 + sum(c * n for c, n in _dearest(opening, larger_e2)),
    )


def _opening(orders: list[RestingOrder], held_e2: int) -> list[tuple[int, int]]:
    """Contracts of one side beyond what is held of the other leg, the dearest of them."""
    wanted = [(order.cost_e4, order.count_e2) for order in orders]
    return _dearest(wanted, sum(order.count_e2 for order in orders) - max(held_e2, 0))


def _dearest(wanted: list[tuple[int, int]], left_e2: int) -> list[tuple[int, int]]:
    """At most `left_e2` of the contracts, (cost_e4, count_e2), those that cost the most."""
    found = []
    for cost_e4, count_e2 in sorted(wanted, reverse=True):
        if left_e2 > 0:
            found.append((cost_e4, min(count_e2, left_e2)))
        left_e2 -= count_e2
    return found


class ExposureBook:
    """The figures of every market, and their sums by event, by series and in total.

    A market is put in again when anything about it changes; the sums follow, so one change costs
    the same however many markets there are.
    """

    def __init__(self) -> None:
        self._markets: dict[str, tuple[tuple[RiskScope, ...], MarketRisk]] = {}
        self._sums: dict[RiskScope, MarketRisk] = {}
        self._members: dict[RiskScope, int] = {}

    def put(self, ticker: str, event: str, risk: MarketRisk) -> None:
        """Replace a market's figures.

        Args:
            ticker: The market.
            event: Its event.
            risk: What it may come to.
        """
        self.remove(ticker)
        scopes = scopes_of(ticker, event)
        self._markets[ticker] = (scopes, risk)
        for scope in scopes:
            self._sums[scope] = self._sums.get(scope, MarketRisk()).plus(risk)
            self._members[scope] = self._members.get(scope, 0) + 1

    def remove(self, ticker: str) -> None:
        """Forget a market."""
        scopes, risk = self._markets.pop(ticker, ((), MarketRisk()))
        for scope in scopes:
            self._sums[scope] = self._sums[scope].plus(risk, -1)
            self._members[scope] -= 1
            if not self._members[scope]:
                del self._sums[scope], self._members[scope]

    def of(self, scope: RiskScope) -> MarketRisk:
        """The sum over some markets."""
        return self._sums.get(scope, MarketRisk())

    def with_market(self, ticker: str, event: str, risk: MarketRisk) -> dict[RiskScope, MarketRisk]:
        """The sums that a market belongs to, if its figures were these."""
        counted, before = self._markets.get(ticker, ((), MarketRisk()))
        rest = {scope: self.of(scope).plus(before, -1) for scope in counted}
        return {
            scope: rest.get(scope, self.of(scope)).plus(risk) for scope in scopes_of(ticker, event)
        }

    def tickers(self) -> set[str]:
        """The markets that were put in."""
        return set(self._markets)

    def sums(self) -> Iterator[tuple[RiskScope, MarketRisk]]:
        """All sums."""
        return iter(self._sums.items())


def scopes_of(ticker: str, event: str) -> tuple[RiskScope, ...]:
    """What a market belongs to; the series is the event's ticker up to its first dash."""
    return (
        RiskScope(ScopeKind.MARKET, ticker),
        RiskScope(ScopeKind.EVENT, event),
        RiskScope(ScopeKind.SERIES, series_of(event)),
        TOTAL,
    )


def series_of(event: str) -> str:
    """The series of an event, by its ticker: `KXBTC15M-26AUG05` -> `KXBTC15M`."""
    return event.partition("-")[0]


def event_of(ticker: str) -> str:
    """The event of a market of which only the ticker is known: all of it but the last part."""
    return ticker.rpartition("-")[0] or ticker
