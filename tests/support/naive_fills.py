"""The fill rules said once more, without any index: whole books, every event, one at a time."""

from __future__ import annotations

from ipc import account_table as a
from ipc import book as b
from ipc.units import ASK, BID, ONE_DOLLAR_E4
from models.simulation.tape import CHANGE, CLEAR, EXECUTED, WHOLE, Tape
from models.trading.actions import OrderRequest, affordable_e2, is_buy, side_of
from models.trading.fees import OrderFees
from models.trading.portfolio import apply_fill

Books = tuple[dict[int, int], dict[int, int]]


class NaiveOrder:
    """An order that has reached the exchange."""

    def __init__(self, request: OrderRequest, tape: Tape) -> None:
        self.action = int(request.action)
        self.side = side_of(self.action)
        self.yes_price = request.yes_price_e4
        self.remaining = request.count_e2
        self.fees = OrderFees(tape.fees.at_ms(0))
        self.ahead = self.level = 0

    @property
    def own_price(self) -> int:
        """Of its leg."""
        return self.yes_price if self.side == BID else ONE_DOLLAR_E4 - self.yes_price


class NaiveOrderManager:
    """`SimulatedOrderManager`, slowly."""

    def __init__(self, tape: Tape, cash_e6: int, latency_ns: int) -> None:
        self.account = a.new_account(cash_e6)
        self.resting: NaiveOrder | None = None
        self.filled_e2 = 0
        self._tape, self._latency_ns = tape, latency_ns
        self._pending: tuple[OrderRequest, int] | None = None
        self._now_ns = 0

    def submit(self, request: OrderRequest, now_ns: int) -> None:
        """Send an order; it replaces one that is still on its way."""
        self._pending = request, now_ns + self._latency_ns

    def advance(self, tick: int) -> None:
        """Let the market pass to the next tick, or to its end."""
        tape, ticks = self._tape, self._tape.tick_event
        stop = int(ticks[tick + 1]) + 1 if tick + 1 < len(ticks) else len(tape.ns)
        books = tuple(dict(b.levels_of(tape.rows[tick], side)) for side in b.LEGS)
        for e in range(int(ticks[tick]) + 1, stop):
            if self._pending and tape.ns[e] > self._pending[1]:
                self._arrive(books)
            self._now_ns = int(tape.ns[e])
            self._event(books, e)
        if self._pending and self._pending[1] < self._until_ns(tick):
            self._arrive(books)

    def _until_ns(self, tick: int) -> float:
        """When the next tick comes; at the end, when the market closes."""
        if tick + 1 < len(self._tape.rows):
            return float(self._tape.rows[tick + 1, b.RECV_NS])
        return float(self._tape.rows[tick, b.CLOSE_MS]) * 1e6 or float("inf")

    def _held(self, side: int) -> int:
        position = int(self.account[a.POSITION_E2])
        return max(position if side == ASK else -position, 0)

    def _arrive(self, books: Books) -> None:
        request, self._now_ns = self._pending
        self._pending = None
        old, new = self.resting, NaiveOrder(request, self._tape)
        if old and (old.action, old.yes_price) == (new.action, new.yes_price):
            return
        if not is_buy(new.action):
            new.remaining = min(new.remaining, self._held(new.side))
        self.resting = new if new.remaining > 0 else None
        other = books[1 - new.side]
        for price in sorted(other, reverse=True):
            crosses = price >= ONE_DOLLAR_E4 - new.own_price
            if self.resting and crosses and other[price] > 0:
                yes_price = ONE_DOLLAR_E4 - price if new.side == BID else price
                self._fill(yes_price, other[price], taker=True)
        new.level = new.ahead = books[new.side].get(new.own_price, 0)

    def _fill(self, yes_price: int, count: int, *, taker: bool) -> None:
        order, fees = self.resting, self._tape.fees.at_ms(self._now_ns // 1_000_000)
        order.fees.schedule = fees
        count = filled = min(count, order.remaining)
        if not is_buy(order.action):
            filled = min(filled, self._held(order.side))
        rate = fees.rate_e6(is_taker=taker)
        filled = affordable_e2(self.account, order.side, yes_price, filled, 1, fees.code, rate)
        if filled > 0:
            bid = order.side == BID
            fee = order.fees.charge(yes_price, filled, is_buy=bid, is_taker=taker)
            apply_fill(self.account, order.side, yes_price, filled, fee.net_e6)
            self.filled_e2 += filled
        order.remaining -= filled
        if order.remaining == 0 or filled < count:
            self.resting = None

    def _event(self, books: Books, e: int) -> None:
        tape = self._tape
        meaning, leg = int(tape.meaning[e]), int(tape.leg[e])
        price, qty = int(tape.price_e4[e]), int(tape.count_e2[e])
        if self.resting:
            self._meet(self.resting, meaning, leg, price, qty)
        if meaning & CLEAR:
            books[0].clear()
            books[1].clear()
        if meaning & CHANGE:
            books[leg][price] = books[leg].get(price, 0) + qty

    def _meet(self, order: NaiveOrder, meaning: int, leg: int, price: int, qty: int) -> None:
        if meaning & CLEAR:
            order.level = 0
        if meaning & WHOLE:
            order.ahead = min(order.ahead, order.level)
        if leg != order.side:
            if meaning & CHANGE and qty > 0 and price + order.own_price >= ONE_DOLLAR_E4:
                self._fill(order.yes_price, qty, taker=False)
            return
        if meaning & EXECUTED and price <= order.own_price:
            ahead = order.ahead if price == order.own_price else 0
            order.ahead = max(order.ahead - abs(qty), 0)
            if abs(qty) > ahead:
                self._fill(order.yes_price, abs(qty) - ahead, taker=False)
        if meaning & CHANGE and price == order.own_price:
            order.level += qty
            order.ahead = min(order.ahead, max(order.level, 0))
