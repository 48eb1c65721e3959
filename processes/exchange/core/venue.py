"""Markets, their order flow and lifecycle, the newest trades. Events in, events out; no I/O.

A recording or the synthetic flow drives the markets; orders of accounts come through `order_entry`.
Everything that happens is handed to one sink, in order.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from itertools import count
from typing import Any, Final

import msgspec

from ipc.units import ONE_DOLLAR_E4, PriceGrid, format_price
from processes.exchange.core.books import YES, Level
from processes.exchange.core.events import (
    BookChanged,
    BookReplaced,
    Event,
    EventCreated,
    LifecycleChanged,
    TradePrinted,
)
from processes.exchange.core.fees import FeeTable
from processes.exchange.core.ledger import Member, TradingAccount
from processes.exchange.core.markets import Closing, ListedMarket, MarketFacts, MarketPhase
from processes.exchange.core.rejections import Rejection

__all__ = ["AUTO", "Sink", "TradeHistory", "Venue", "shard_of"]

Sink = Callable[[Event], None]
NO_SHARDS: Final[Mapping[str, int]] = {}


class Venue:
    """All markets, and the users of these primary accounts.

    Prices are 1e-4 dollars, counts 1e-2 contracts, times Unix ms of market time.

    Args:
        accounts: One primary account a user.
        clock_ms: Market time between the steps of the flow.
        sink: Receives every event, in order.
        shards: Shard by series; a series that is not named keeps the one of its facts.

    Attributes:
        members: Users by id.
        markets: By ticker, the newest of each.
        by_number: By their number, those too that were replaced under their ticker.
        trades: The newest trades.
        closing: How markets close.
        exclusive: Events of which at most one market resolves to yes.
        event_numbers: Each event's place in lists; it never changes.
        step_ms: Time of the step that is being taken, None between steps.
    """

    def __init__(
        self,
        accounts: list[TradingAccount],
        clock_ms: Callable[[], int],
        sink: Sink,
        shards: Mapping[str, int] = NO_SHARDS,
    ) -> None:
        self.members = {a.user_id: Member(a) for a in accounts}
        self.markets: dict[str, ListedMarket] = {}
        self.by_number: dict[int, ListedMarket] = {}
        self.emit = sink
        self.trades = TradeHistory()
        self.fees = FeeTable()
        self.closing = Closing()  # how markets close
        self.exclusive: set[str] = set()  # events of which at most one market resolves to yes
        self._shards = shards
        self._events: set[str] = set()
        self.event_numbers: dict[str, int] = {}  # the place of each event among all, for ever
        self._numbers = count()
        self._trade_numbers = 0
        self.clock = 0
        self.step_ms: int | None = None  # the time of the step that is being taken
        self.step_us = 0  # the same to the microsecond, where it is known
        self._clock_ms = clock_ms

    @property
    def accounts(self) -> list[TradingAccount]:
        """All accounts of all users."""
        return [a for member in self.members.values() for a in member.accounts.values()]

    def now_ms(self) -> int:
        """Market time; what a recorded step causes happens at the step's own time."""
        return self._clock_ms() if self.step_ms is None else self.step_ms

    def add_market(self, facts: MarketFacts) -> ListedMarket:
        """List a market, not yet open; a known ticker is listed again with an empty book.

        Returns:
            The market, in the phase `initialized`.
        """
        shard = self._shards.get(facts.series_ticker, facts.exchange_index)
        facts = msgspec.structs.replace(facts, exchange_index=shard)
        market = ListedMarket(facts, next(self._numbers))
        self.markets[facts.ticker] = self.by_number[market.number] = market
        self.event_numbers.setdefault(facts.event_ticker, market.number)
        return market

    def ended(self) -> list[ListedMarket]:
        """Settled markets and those replaced under their ticker, oldest end first."""
        over = (m for m in self.by_number.values() if m.settled_ms or self._is_superseded(m))
        return sorted(over, key=lambda m: m.settled_ms or m.flow_ms)

    def _is_superseded(self, market: ListedMarket) -> bool:
        return self.markets.get(market.ticker) is not market

    def forget(self, markets: Iterable[ListedMarket]) -> set[str]:
        """Drop markets, and what only they needed.

        Returns:
            Tickers of which nothing is left: not those listed again since.
        """
        gone = set()
        for market in markets:
            del self.by_number[market.number]
            if not self._is_superseded(market):
                del self.markets[market.ticker]
                gone.add(market.ticker)
        known = {m.facts.event_ticker for m in self.markets.values()}
        self._events &= known
        self.exclusive &= known
        self.event_numbers = {t: n for t, n in self.event_numbers.items() if t in known}
        self.trades.forget(gone)
        return gone

    # Flow

    def replace_book(self, market: ListedMarket, levels: tuple[Level, ...], sent_ms: int) -> None:
        """The market's book becomes `levels`."""
        self.clock += 1
        market.clock, market.flow_ms = self.clock, sent_ms
        market.book.replace(levels)
        market.log.replaced(market.book.levels())
        self.emit(BookReplaced(market, levels, sent_ms))

    def change_book(self, change: BookChanged) -> None:
        """One level of a market's book changes."""
        market = change.market
        self.clock += 1
        market.clock, market.flow_ms = self.clock, change.sent_ms
        market.book.change(change.leg, change.price_e4, change.delta_e2)
        market.log.changed(change.leg, change.price_e4, change.delta_e2, market.book)
        self.emit(change)

    def print_trade(self, trade: TradePrinted) -> None:
        """A public trade."""
        self._trade_numbers += 1
        trade = msgspec.structs.replace(trade, number=self._trade_numbers)
        trade.market.flow_ms = trade.sent_ms
        trade.market.trade(trade.yes_price_e4, trade.count_e2, trade.taker_leg)
        self.trades.add(trade)
        self.emit(trade)

    # Lifecycle

    def open_market(self, market: ListedMarket, sent_ms: int) -> None:
        """The market takes orders from now on."""
        market.status = MarketPhase.ACTIVE
        facts = market.facts
        if facts.event_ticker not in self._events:
            self._events.add(facts.event_ticker)
            self.emit(EventCreated(market, sent_ms))
        self._emit_lifecycle(market, "created", sent_ms, **market.created_facts())

    def pause_market(self, market: ListedMarket, sent_ms: int) -> None:
        """No orders until it is resumed."""
        market.status = MarketPhase.INACTIVE
        self._emit_lifecycle(market, "deactivated", sent_ms, is_deactivated=True)

    def resume_market(self, market: ListedMarket, sent_ms: int) -> None:
        """Orders again."""
        market.status = MarketPhase.ACTIVE
        self._emit_lifecycle(market, "activated", sent_ms, is_deactivated=False)

    def move_close(self, market: ListedMarket, close_ms: int, sent_ms: int) -> None:
        """The market closes at another time than was said."""
        market.facts = msgspec.structs.replace(market.facts, close_ms=close_ms)
        self._emit_lifecycle(market, "close_date_updated", sent_ms, close_ts=close_ms // 1000)

    def change_grid(
        self, market: ListedMarket, grid: PriceGrid, structure: str, sent_ms: int
    ) -> None:
        """Other prices are allowed from now on; what rests is left where it is."""
        market.facts = msgspec.structs.replace(market.facts, grid=grid, structure=structure)
        self._emit_lifecycle(
            market,
            "price_level_structure_updated",
            sent_ms,
            price_level_structure=structure,
            price_ranges=grid.to_wire(),
        )

    def close_market(self, market: ListedMarket, sent_ms: int) -> None:
        """No more orders; by time, so no frame says it."""
        market.status = MarketPhase.CLOSED
        market.updated_ms = sent_ms

    def determine_market(
        self, market: ListedMarket, result: str, value_e4: int, sent_ms: int
    ) -> None:
        """Set the result, which is reported at once; nothing is paid yet.

        Args:
            market: Closed, or settled when its result is corrected.
            result: Such as `yes`.
            value_e4: What a YES contract pays, 1e-4 dollars.
            sent_ms: Market time.
        """
        market.status = MarketPhase.DETERMINED
        market.result, market.value_e4 = result, value_e4
        self._emit_lifecycle(
            market,
            "determined",
            sent_ms,
            determination_ts=sent_ms // 1000,
            result=result,
            settlement_value=format_price(value_e4),
        )

    def correct_market(
        self, market: ListedMarket, result: str, value_e4: int, sent_ms: int
    ) -> None:
        """The result that was paid was wrong; this is the right one."""
        self.determine_market(market, result, value_e4, sent_ms)
        self.settle_market(market, sent_ms)

    def settle_market(self, market: ListedMarket, sent_ms: int) -> None:
        """Positions have been paid out."""
        market.status = MarketPhase.FINALIZED
        market.settled_ms = sent_ms
        self._emit_lifecycle(market, "settled", sent_ms, settled_ts=sent_ms // 1000)

    def _emit_lifecycle(
        self, market: ListedMarket, event_type: str, sent_ms: int, **facts: Any
    ) -> None:
        market.updated_ms = market.flow_ms = sent_ms
        self.emit(LifecycleChanged(market, event_type, facts, sent_ms))

    # Values

    def portfolio_value_e6(self, account: TradingAccount, shard: int | None = None) -> int:
        """Positions at the bid at which they could be sold, 1e-6 dollars.

        Args:
            account: Whose positions.
            shard: Only markets of this one; None: all.
        """
        total = 0
        for ticker, position in account.positions.items():
            market = self.markets.get(ticker)
            if market is None or shard not in (None, market.facts.exchange_index):
                continue
            if position.count_e2:
                total += abs(position.count_e2) * self._worth(ticker, position.count_e2 > 0)
        return total

    def _worth(self, ticker: str, is_yes: bool) -> int:
        market = self.markets[ticker]
        if market.value_e4 is not None:
            return market.value_e4 if is_yes else ONE_DOLLAR_E4 - market.value_e4
        return market.book.best(YES if is_yes else 1 - YES)


KEPT_PER_MARKET: Final = 20_000
KEPT: Final = 200_000  # over all markets


class TradeHistory:
    """Every trade goes in; the oldest fall out."""

    def __init__(self) -> None:
        self._all: deque[TradePrinted] = deque(maxlen=KEPT)
        self._by_ticker: dict[str, deque[TradePrinted]] = {}

    def add(self, trade: TradePrinted) -> None:
        """Note a trade."""
        ticker = trade.market.ticker
        if len(self._all) == KEPT:
            self._drop(self._all[0])
        if ticker not in self._by_ticker:
            self._by_ticker[ticker] = deque(maxlen=KEPT_PER_MARKET)
        self._by_ticker[ticker].append(trade)
        self._all.append(trade)

    def _drop(self, oldest: TradePrinted) -> None:
        """What falls out of all falls out of its market, unless it has before."""
        kept = self._by_ticker.get(oldest.market.ticker)
        if kept and kept[0] is oldest:
            kept.popleft()

    def forget(self, tickers: Set[str]) -> None:
        """Keep no trade of these markets."""
        if tickers:
            kept = (t for t in self._all if t.market.ticker not in tickers)
            self._all = deque(kept, maxlen=KEPT)
        for ticker in tickers:
            self._by_ticker.pop(ticker, None)

    def __len__(self) -> int:
        return len(self._all)

    def newest_first(self, ticker: str = "") -> Iterator[TradePrinted]:
        """Of one market, or of all."""
        return reversed(self._by_ticker.get(ticker, deque()) if ticker else self._all)


AUTO: Final = -1


def shard_of(venue: Venue, exchange_index: int | None, ticker: str) -> int:
    """The shard that a request is about.

    Args:
        venue: Knows the markets.
        exchange_index: As the request names it; None and -1 leave it to the ticker.
        ticker: Empty where the request names none.

    Raises:
        Rejection: 404 `market_not_found`; 400 `invalid_parameters` for -1 without a ticker.
    """
    if exchange_index is not None and exchange_index != AUTO:
        return exchange_index
    if ticker:
        market = venue.markets.get(ticker)
        if market is None:
            raise Rejection.nested(404, "market_not_found")
        return market.facts.exchange_index
    if exchange_index == AUTO:
        text = "market_ticker is required for auto-routing"
        raise Rejection.nested(400, "invalid_parameters", text)
    return 0
