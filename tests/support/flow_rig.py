"""The synthetic flow over the exchange's core, with one account and a hand on the clock."""

from __future__ import annotations

from itertools import count

from processes.exchange.core.events import Event
from processes.exchange.core.ledger import TradingAccount
from processes.exchange.core.markets import ListedMarket
from processes.exchange.core.order_entry import OrderEntry
from processes.exchange.core.orders import NewOrder, OrderTimeInForce, SelfTradePrevention
from processes.exchange.core.venue import Venue
from processes.exchange.synthetic.flow import SyntheticFlow
from processes.exchange.synthetic.profiles import Profile

__all__ = ["START_MS", "FlowRig"]

START_MS = 1_767_225_600_000  # a quarter of an hour begins
CASH_E6 = 10_000_000_000_000


class FlowRig:
    """Markets of the flow; `said` is every event."""

    def __init__(self, *profiles: Profile, seed: int = 1, start_ms: int = START_MS) -> None:
        self.said: list[Event] = []
        self.now_ms = start_ms
        self.account = TradingAccount("u1", CASH_E6)
        self.venue = Venue([self.account], lambda: self.now_ms, self.said.append)
        ids = count(1)
        self.order_entry = OrderEntry(self.venue, lambda: f"id-{next(ids)}", shadow=False)
        self.flow = SyntheticFlow(self.venue, self.order_entry, seed, list(profiles))
        self.flow.step(self.now_ms)

    @property
    def market(self) -> ListedMarket:
        """The newest market."""
        return list(self.venue.by_number.values())[-1]

    def go(self, seconds: float, stride_ms: int = 250) -> None:
        """Let time pass."""
        end_ms = self.now_ms + round(seconds * 1000)
        while self.now_ms < end_ms:
            self.now_ms = min(self.now_ms + stride_ms, end_ms)
            self.flow.step(self.now_ms)

    def buy(
        self,
        leg: int,
        price_e4: int,
        count_e2: int,
        time_in_force: OrderTimeInForce = OrderTimeInForce.GOOD_TILL_CANCELED,
    ) -> NewOrder:
        """An order of the account."""
        order = NewOrder(
            ticker=self.market.ticker,
            client_order_id=f"c{len(self.order_entry.orders)}",
            leg=leg,
            leg_price_e4=price_e4,
            count_e2=count_e2,
            time_in_force=time_in_force,
            self_trade=SelfTradePrevention.TAKER_AT_CROSS,
        )
        self.order_entry.create(self.account, order)
        return order
