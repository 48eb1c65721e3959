"""The exchange's core with two accounts and one market, and what it said, for unit tests."""

from __future__ import annotations

from itertools import count

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from models.trading.fees import NO_FEES, FeeSchedule
from processes.exchange.core.access import ApiKey, Caller
from processes.exchange.core.books import YES, Level
from processes.exchange.core.clearing import MarketClearing
from processes.exchange.core.events import BookChanged, Event, TradePrinted
from processes.exchange.core.ledger import TradingAccount
from processes.exchange.core.markets import ListedMarket, MarketFacts
from processes.exchange.core.matching import Matcher
from processes.exchange.core.order_entry import OrderEntry
from processes.exchange.core.orders import NewOrder, OrderTimeInForce, SelfTradePrevention
from processes.exchange.core.venue import Venue

__all__ = ["CASH_E6", "TICKER", "Core", "ask", "bid"]

TICKER = "KXTEST-26NOV24-T1"
CASH_E6 = 1_000_000_000
START_MS = 1_795_500_000_000
_numbers = count(1)


def bid(price_e4: int, count_e2: int, **more: object) -> NewOrder:
    """Buy YES."""
    return _order(YES, price_e4, count_e2, more)


def ask(yes_price_e4: int, count_e2: int, **more: object) -> NewOrder:
    """Sell YES, that is buy NO."""
    return _order(1 - YES, 10_000 - yes_price_e4, count_e2, more)


def _order(leg: int, price_e4: int, count_e2: int, more: dict[str, object]) -> NewOrder:
    facts: dict[str, object] = {
        "ticker": TICKER,
        "client_order_id": f"c{next(_numbers)}",
        "time_in_force": OrderTimeInForce.GOOD_TILL_CANCELED,
        "self_trade": SelfTradePrevention.TAKER_AT_CROSS,
    }
    return NewOrder(leg=leg, leg_price_e4=price_e4, count_e2=count_e2, **(facts | more))


class Core:
    """One open market; `said` is every event."""

    def __init__(
        self,
        *levels: Level,
        shadow: bool = True,
        fees: FeeSchedule = NO_FEES,
        cash_e6: int = CASH_E6,
    ) -> None:
        self.said: list[Event] = []
        self.now_ms = START_MS
        self.accounts = [TradingAccount(f"u{n}", cash_e6) for n in (1, 2)]
        self.venue = Venue(self.accounts, lambda: self.now_ms, self.said.append)
        ids = count(1)
        self.order_entry = OrderEntry(self.venue, lambda: f"id-{next(ids)}", shadow=shadow)
        facts = MarketFacts(
            ticker=TICKER,
            event_ticker="KXTEST-26NOV24",
            series_ticker="KXTEST",
            open_ms=START_MS,
            close_ms=START_MS + 900_000,
            fees=fees,
        )
        self.market: ListedMarket = self.venue.add_market(facts)
        self.clearing: MarketClearing = self.order_entry.open(self.market)
        self.venue.replace_book(self.market, levels, START_MS)
        self.venue.open_market(self.market, START_MS)

    def caller(self, account: int = 0) -> Caller:
        """One of the users, by a key for everything."""
        member = self.venue.members[self.accounts[account].user_id]
        public = Ed25519PrivateKey.generate().public_key()
        return Caller(member, ApiKey(f"k{account + 1}", member.user_id, public))

    @property
    def matcher(self) -> Matcher:
        """The market's matcher."""
        return self.clearing.matcher

    def change(self, leg: int, price_e4: int, delta_e2: int, ts_ms: int = START_MS) -> None:
        """The recording changes a level."""
        change = BookChanged(self.market, leg, price_e4, delta_e2, ts_ms, ts_ms)
        self.venue.change_book(change)
        self.matcher.on_change(leg, price_e4, delta_e2, ts_ms)

    def trade(self, maker_leg: int, price_e4: int, count_e2: int, ts_ms: int = START_MS) -> None:
        """The recording trades against the bids of `maker_leg`."""
        yes = price_e4 if maker_leg == YES else 10_000 - price_e4
        self.venue.print_trade(
            TradePrinted(self.market, "t", yes, count_e2, 1 - maker_leg, ts_ms, ts_ms)
        )
        self.matcher.on_trade(maker_leg, price_e4, count_e2, ts_ms)

    def settle(self, yes_value_e4: int) -> None:
        """Close, determine and settle."""
        self.order_entry.close(self.market)
        self.venue.close_market(self.market, self.now_ms)
        result = "yes" if yes_value_e4 else "no"
        self.venue.determine_market(self.market, result, yes_value_e4, self.now_ms)
        self.order_entry.settle(self.market, self.now_ms)
        self.venue.settle_market(self.market, self.now_ms)
