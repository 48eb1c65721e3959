"""A made-up trading day for the eye: seeded books that move and an actor that trades them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from support import synthetic_stack as made
from support.synthetic_stack import SyntheticStack

from ipc.messages import ActorOrder, BookSide, Leg, OrderStatus
from ipc.units import ONE_DOLLAR_E4, format_count, format_price
from models.trading.actions import Action
from models.trading.portfolio import Portfolio

__all__ = ["SyntheticMarket"]

CENT_E4 = 100
LEVELS = 14
CASH_E6 = 100_000_000
SIZE_E2 = 1_000
STEP_NS = 1_000_000_000
US = 1_000


class SyntheticMarket:
    """One market: `step` moves its book by a second and lets the actor decide."""

    def __init__(self, stack: SyntheticStack, ticker: str, bid_e4: int, seed: int) -> None:
        self._stack = stack
        self._ticker = ticker
        self._random = np.random.default_rng(seed)
        self._bid_e4 = bid_e4
        self._sizes = self._random.integers(20, 900, (2, LEVELS)) * 100
        self._portfolio = Portfolio(CASH_E6)
        self._open: list[ActorOrder] = []
        self._steps = self._version = 0

    @property
    def portfolio(self) -> Portfolio:
        """What the actor holds of it."""
        return self._portfolio

    @property
    def open_orders(self) -> int:
        """Orders that rest."""
        return len(self._open)

    @property
    def now_ns(self) -> int:
        """Its market time."""
        return made.MARKET_NS + self._steps * STEP_NS

    def step(self) -> None:
        """One second passes."""
        self._steps += 1
        self._move()
        self._settle_orders()
        self._decide()
        self._tell_position()

    def _move(self) -> None:
        drift = int(self._random.choice([-1, 0, 0, 0, 0, 1])) * CENT_E4
        self._bid_e4 = min(max(self._bid_e4 + drift, 1_600), 8_200)
        noise = self._random.integers(-60, 61, self._sizes.shape) * 100
        self._sizes = np.clip(self._sizes + noise, 500, 120_000)
        self._stack.put_book(
            self._ticker,
            self._leg(0, self._bid_e4),
            self._leg(1, ONE_DOLLAR_E4 - self._bid_e4 - 2 * CENT_E4),
            recv_ns=self.now_ns,
        )
        if self._random.random() < 0.4:
            self._stack.put_trade(
                self._ticker, format_price(self._bid_e4), "12.00", self.now_ns // 1_000_000
            )

    def _leg(self, side: int, best_e4: int) -> dict[str, str]:
        return {
            format_price(best_e4 - i * CENT_E4): format_count(int(self._sizes[side, i]))
            for i in range(LEVELS)
        }

    def _decide(self) -> None:
        logits = self._random.normal((1.4, 0.0, 0.0, 0.0, 0.0), 1.1)
        held = self._portfolio.position_e2
        mask = (True, True, held > 0, True, held < 0)
        chosen = Action(int(np.where(mask, logits, -np.inf).argmax()))
        intent_id = None if chosen is Action.HOLD else f"{self._ticker}-{self._steps}"
        hops = np.cumsum(self._random.gamma(4.0, (8, 3, 30, 12, 60, 150, 260), 7) * US)
        frame, written, woken, decided, received, sent, acknowledged = (
            int(h) + self._steps * STEP_NS for h in hops
        )
        self._stack.send(
            "inference",
            "action",
            made.action(
                self._ticker,
                action=chosen.value,
                action_name=chosen.name,
                event_no=self._steps * 37,
                account_version=self._version,
                logits=tuple(float(x) for x in logits),
                value=float(self._random.normal(0.0, 0.4)),
                mask=mask,
                intent_id=intent_id,
                decided_ns=self.now_ns,
                recv_ns=self.now_ns,
                observation_hash=f"{self._steps:032x}"[::-1],
                frame_mono_ns=frame,
                written_mono_ns=written,
                woken_mono_ns=woken,
                decided_mono_ns=decided,
            ),
        )
        self._shadow(logits + self._random.normal(0.0, 0.5, len(logits)), mask)
        if intent_id is not None:
            for order in tuple(self._open):
                self._end(order, OrderStatus.CANCELED, "replaced", 0)
            self._place(chosen, intent_id, (received, sent, acknowledged))

    def _shadow(self, logits: npt.NDArray[np.float64], mask: tuple[bool, ...]) -> None:
        """A shadow thinks much the same."""
        chosen = Action(int(np.where(mask, logits, -np.inf).argmax()))
        answer = made.shadow(
            self._ticker,
            action=chosen.value,
            action_name=chosen.name,
            event_no=self._steps * 37,
            logits=tuple(logits.tolist()),
        )
        self._stack.send("inference", "shadow", answer)

    def _place(self, chosen: Action, intent_id: str, hops: tuple[int, int, int]) -> None:
        leg = Leg.YES if chosen in (Action.BUY_YES_LIMIT, Action.SELL_YES_LIMIT) else Leg.NO
        is_bid = chosen in (Action.BUY_YES_LIMIT, Action.SELL_NO_LIMIT)
        order = made.order(
            self._ticker,
            order_id=f"order-{intent_id}",
            client_order_id=f"client-{intent_id}",
            intent_id=intent_id,
            leg=leg,
            is_buy=chosen in (Action.BUY_YES_LIMIT, Action.BUY_NO_LIMIT),
            book_side=BookSide.BID if is_bid else BookSide.ASK,
            yes_price_e4=self._bid_e4 + (0 if is_bid else 2 * CENT_E4),
            expire_ms=self.now_ns // 1_000_000 + 30_000,
            ts_ns=self.now_ns,
            received_mono_ns=hops[0],
            sent_mono_ns=hops[1],
            acknowledged_mono_ns=hops[2],
        )
        self._open.append(order)
        self._stack.send("execution", "order", order)

    def _settle_orders(self) -> None:
        """The market came to an order, or its expiry did."""
        for order in tuple(self._open):
            is_bid = order.book_side is BookSide.BID
            touch_e4 = self._bid_e4 + (2 * CENT_E4 if is_bid else 0)
            if (touch_e4 <= order.yes_price_e4) if is_bid else (touch_e4 >= order.yes_price_e4):
                self._fill(order)
            elif order.expire_ms is not None and self.now_ns >= order.expire_ms * 1_000_000:
                self._end(order, OrderStatus.CANCELED, "expired", 0)

    def _fill(self, order: ActorOrder) -> None:
        fee_e6 = 0 if self._random.random() < 0.7 else 17_500
        self._portfolio.fill(order.book_side, order.yes_price_e4, SIZE_E2, fee_e6)
        self._stack.send(
            "execution",
            "fill",
            made.fill(
                self._ticker,
                trade_id=f"trade-{order.client_order_id}",
                order_id=order.order_id,
                client_order_id=order.client_order_id,
                book_side=order.book_side,
                yes_price_e4=order.yes_price_e4,
                count_e2=SIZE_E2,
                is_taker=fee_e6 > 0,
                fee_e6=fee_e6,
                ts_ms=self.now_ns // 1_000_000,
            ),
        )
        self._end(order, OrderStatus.EXECUTED, "", SIZE_E2)

    def _end(self, order: ActorOrder, status: OrderStatus, reason: str, filled_e2: int) -> None:
        self._open.remove(order)
        ended = made.changed(
            order,
            status=status,
            reason=reason,
            fill_count_e2=filled_e2,
            remaining_count_e2=SIZE_E2 - filled_e2,
            ts_ns=self.now_ns,
        )
        self._stack.send("execution", "order", ended)

    def _tell_position(self) -> None:
        self._version += 1
        held = self._portfolio
        self._stack.send(
            "execution",
            "position",
            made.position(
                self._ticker,
                position_e2=held.position_e2,
                cost_basis_e6=held.cost_basis_e6,
                cash_e6=held.cash_e6,
                realized_e6=held.realized_e6,
                fees_e6=held.fees_e6,
                open_orders=len(self._open),
                account_version=self._version,
                ts_ns=self.now_ns,
            ),
        )
