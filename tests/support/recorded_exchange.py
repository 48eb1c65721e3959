"""A recording through the local exchange's own replay, ledger and matching, with orders of ours."""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from ipc.units import ASK, BID
from models.trading.actions import Action, is_buy, side_of
from processes.exchange.core.books import NO, YES
from processes.exchange.core.events import OrderFilled
from processes.exchange.core.ledger import TradingAccount
from processes.exchange.core.order_entry import OrderEntry
from processes.exchange.core.orders import (
    AccountOrder,
    NewOrder,
    OrderState,
    OrderTimeInForce,
    SelfTradePrevention,
)
from processes.exchange.core.venue import Venue
from processes.exchange.replay.flow import Replay
from processes.exchange.replay.timeline import load_recordings
from processes.exchange.shared.market_time import MarketTime

__all__ = ["Fill", "Sent", "exchange_fills"]

MS = 1_000_000
DOLLAR_E4 = 10_000
PLENTY_E6 = 100_000_000_000
_ids = count(1)


class Sent(NamedTuple):
    """An order on its way: what was asked for, and when it arrives."""

    arrival_ns: int
    action: Action
    yes_price_e4: int
    count_e2: int


class Fill(NamedTuple):
    """An execution of ours, wherever it happened; `order` counts the orders that were placed."""

    order: int
    action: Action
    yes_price_e4: int
    count_e2: int
    fee_e6: int
    is_taker: bool
    at_ms: int


class _Trader(OrderEntry):
    """Before every step of the replay, what has arrived by then is placed: one order at most.

    Where the book `heals`, what we took from it is there again at once.
    """

    def __init__(self, venue: Venue, sent: list[Sent], *, heals: bool) -> None:
        super().__init__(venue, lambda: f"id-{next(_ids)}", shadow=True)
        self._sent = deque(sent)
        self._heals = heals
        self._order: AccountOrder | None = None
        self.action = Action.HOLD
        self.placed = 0

    def expire(self, now_ms: int) -> None:
        """Place, then let expire."""
        self._heal()
        while self._sent and self._sent[0].arrival_ns < now_ms * MS:
            sent = self._sent.popleft()
            step_ms, self.venue.step_ms = self.venue.step_ms, sent.arrival_ns // MS
            self._place(sent)
            self._heal()
            self.venue.step_ms = step_ms
        super().expire(now_ms)

    def _heal(self) -> None:
        for clearing in self.clearings.values() if self._heals else ():
            clearing.matcher._taken.clear()

    def _place(self, sent: Sent) -> None:
        """The same order again keeps its place; another replaces it."""
        (account,) = self.venue.accounts
        (ticker,) = self.clearings
        if not self.venue.markets[ticker].is_running:  # it comes too late
            return
        side = side_of(int(sent.action))
        leg = YES if side == BID else NO
        price_e4 = sent.yes_price_e4 if leg == YES else DOLLAR_E4 - sent.yes_price_e4
        resting = self._order
        if resting is not None and resting.status is OrderState.RESTING:
            if (self.action, resting.leg_price_e4) == (sent.action, price_e4):
                return
            self.cancel(account, resting.order_id)
        self.action, count_e2 = sent.action, sent.count_e2
        if not is_buy(int(sent.action)):
            held = account.position(ticker).held_e2(YES if side == ASK else NO)
            count_e2 = min(count_e2, held)
        if count_e2:
            self.placed += 1
            asked = NewOrder(
                ticker=ticker,
                client_order_id=f"c{next(_ids)}",
                leg=leg,
                leg_price_e4=price_e4,
                count_e2=count_e2,
                time_in_force=OrderTimeInForce.GOOD_TILL_CANCELED,
                self_trade=SelfTradePrevention.TAKER_AT_CROSS,
            )
            self._order = self.create(account, asked).order


class _Listener:
    """Somebody follows every book, so that time does not wait."""

    def book_pairs(self, _ticker: str) -> list[Any]:
        """A subscription."""
        return [object()]


async def _always() -> None:
    """There is room."""


def exchange_fills(
    recording: Path, sent: list[Sent], folder: Path, *, heals: bool
) -> tuple[list[Fill], int]:
    """Replay one market with these orders -> (our fills, cash gained in all, micro-dollars)."""
    fills: list[Fill] = []
    account = TradingAccount("u1", PLENTY_E6)
    recordings = load_recordings(recording)
    time = MarketTime(folder / "clock", recordings[0].starts_ms, 0)

    def note(event: object) -> None:
        if isinstance(event, OrderFilled):
            facts = event.yes_price_e4, event.count_e2, event.fee_e6, event.is_taker
            fills.append(Fill(order_entry.placed, order_entry.action, *facts, event.ts_ms))

    venue = Venue([account], time.now_ms, note)
    order_entry = _Trader(venue, sent, heals=heals)
    replay = Replay(
        recordings,
        venue,
        order_entry,
        _Listener(),
        time,
        _always,
        lambda *_, **__: None,  # type: ignore[arg-type]
    )
    asyncio.run(replay.run(loop=False))
    time.close()
    gained_e6 = account.cash_e6 - PLENTY_E6
    return fills, gained_e6
