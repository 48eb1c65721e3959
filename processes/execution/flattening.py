"""Closes positions by command: small orders that fill at once or end, within a collar, in time.

The collar is around the first touch that is seen in a market: what bids pay for YES that is held,
what asks cost where NO is held. However the book moves afterwards, no order goes beyond it. Each
order is at most a slice and at most what is held; the exchange is told that it only reduces.
"""

from __future__ import annotations

import asyncio
from itertools import count
from typing import Final, NamedTuple, NoReturn

from ipc.clock import NS_PER_S, mono_ns, real_ns
from ipc.messages import BookSide, Intent, Leg
from ipc.trading import FlattenTerms, TradingMode
from ipc.units import ONE_DOLLAR_E4, PriceGrid, format_price, parse_count, parse_price
from models.trading.actions import Action
from processes.adapters.kalshi.errors import KalshiError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.portfolio import Position
from processes.adapters.kalshi.schemas.decoding import whole
from processes.adapters.kalshi.schemas.normalise import grid_of_market
from processes.adapters.kalshi.schemas.rest_public import Market
from processes.adapters.kalshi.stop.own_orders import READ_LAG_NS
from processes.execution.account import MarketAccount
from processes.execution.gateway import EffectRunner
from processes.execution.manager import KalshiOrderManager
from processes.execution.trading_control import TradingControl, described
from processes.execution.trading_record import FLAT

__all__ = ["ExchangeTouch", "Flattening", "collar_price_e4", "touch_of"]

STEP_PAUSE: Final = 0.25  # seconds between two orders of a market
SEND_S: Final = 2  # seconds within which an order must have gone out
ORDER_PAUSE: Final = 0.02  # seconds between looks whether an order has ended
MODEL: Final = "command:flatten"


class ExchangeTouch(NamedTuple):
    """The best prices of a YES book, 1e-4 dollars; None where nobody bids or asks."""

    bid_e4: int | None
    ask_e4: int | None

    def for_position(self, position_e2: int) -> int | None:
        """The price at which a position can be closed now."""
        return self.bid_e4 if position_e2 > 0 else self.ask_e4


def touch_of(market: Market) -> ExchangeTouch:
    """The touch as the exchange reports it; a missing quote shows in its size only.

    Raises:
        ValueError: A price or size cannot be read.
    """
    return ExchangeTouch(
        _quote(market.yes_bid_dollars, market.yes_bid_size_fp),
        _quote(market.yes_ask_dollars, market.yes_ask_size_fp),
    )


def _quote(price: str | None, size: str | None) -> int | None:
    if price is None or size is None or parse_count(size) <= 0:
        return None
    return parse_price(price)


def collar_price_e4(first_touch_e4: int, position_e2: int, collar_e4: int, grid: PriceGrid) -> int:
    """The worst price at which a position may be closed, on the market's grid.

    Args:
        first_touch_e4: The price that the collar is around, on the YES scale.
        position_e2: What is held: YES is sold, so its price may fall; NO is bought back on the YES
            scale, so its price may rise.
        collar_e4: How far, 1e-4 dollars.
        grid: Of the market.

    Returns:
        The price of the grid that is farthest from the touch and within the collar; where there is
        none, the one nearest to it.
    """
    prices = [int(price) for price in grid.prices]
    if position_e2 > 0:
        low = first_touch_e4 - collar_e4
        return min((p for p in prices if p >= low), default=prices[-1])
    high = first_touch_e4 + collar_e4
    return max((p for p in prices if p <= high), default=prices[0])


class Flattening:
    """One task.

    Args:
        control: Says when, with what terms, and learns how it ended.
        manager: Sends the orders, within the checks of risk.
        effects: The way to the journal and to the exchange's REST.
        compare_soon: Set to have the accounts compared with the exchange.
        most_e2: The largest size of an order.
        run_uid: Of this run: its orders' names begin with it.
    """

    def __init__(
        self,
        control: TradingControl,
        manager: KalshiOrderManager,
        effects: EffectRunner,
        compare_soon: asyncio.Event,
        most_e2: int,
        run_uid: str,
    ) -> None:
        self._control = control
        self._manager = manager
        self._state = manager.state
        self._effects = effects
        self._compare_soon = compare_soon
        self._most_e2 = most_e2
        self._run_uid = run_uid
        self._numbers = count(1)
        self._sent_mono_ns = 0

    async def run(self) -> NoReturn:
        """Whenever it is commanded."""
        while True:
            await self._control.closing.wait()
            self._compare_soon.set()
            await self._close_all(self._control.change)

    async def _close_all(self, change: int) -> None:
        """Until nothing is held, the deadline has passed or another command has come."""
        while self._control.change == change and self._control.mode is TradingMode.FLATTENING:
            flattening = self._control.record.flattening
            if flattening is None or real_ns() >= flattening.deadline_utc_ns:
                self._end_at_deadline()
                return
            if await self._is_flat():
                if self._control.change == change:
                    self._end_flat()
                return
            accounts = self._state.accounts.values()
            held = [a for a in accounts if a.own_e2 and a.payout is None]
            self._control.progress = f"closing positions in {len(held)} markets"
            async with asyncio.TaskGroup() as group:
                for account in held:
                    group.create_task(self._step(account, flattening.terms))
                group.create_task(asyncio.sleep(STEP_PAUSE))

    def _end_flat(self) -> None:
        """Nothing of this stack is held; what others bought is left to them."""
        left = self._control.held(lambda _ticker: "")
        outcome = FLAT
        if left:
            outcome = f"no position of this stack is left; {len(left)} of others are left alone"
        self._control.on_flattened(outcome, left)

    def _end_at_deadline(self) -> None:
        left = self._control.held(self._note_of)
        unknown = [a for a in self._state.accounts.values() if not a.known and not a.position_e2]
        outcome = f"the deadline has passed; positions are left in {len(left)} markets"
        if unknown or not self._state.accounts:
            outcome += ", and not every account is known"
        self._control.on_flattened(outcome, left)

    def _note_of(self, ticker: str) -> str:
        doubts = ", ".join(sorted(self._state.accounts[ticker].doubts))
        return doubts or self._control.notes.get(ticker, "not closed in time")

    async def _is_flat(self) -> bool:
        """Whether this stack holds nothing, by a list of the exchange that was read late enough."""
        accounts, client = self._state.accounts.values(), self._effects.gateway.client
        if client is None or any(a.own_e2 and a.payout is None for a in accounts):
            return False
        if any(not account.known for account in accounts) or self._state.orders.open_count:
            return False
        if mono_ns() - self._effects.gateway.create_ended_mono_ns < READ_LAG_NS:
            return False
        try:
            listed = whole(await client.positions(), "positions")
        except KalshiError as error:
            self._control.progress = f"positions are not read: {error}"
            return False
        open_there = [p for p in listed if p.position_e2 and not self._is_explained(p)]
        if open_there:
            self._compare_soon.set()
        return not open_there

    def _is_explained(self, position: Position) -> bool:
        """Whether it is about to be paid out, or known to be someone else's."""
        account = self._state.accounts.get(position.market_ticker)
        if account is None:
            return False
        return account.payout is not None or account.position_e2 == position.position_e2

    async def _step(self, account: MarketAccount, terms: FlattenTerms) -> None:
        """One order in one market, or a note why there is none."""
        client = self._effects.gateway.client
        note = "not connected to the exchange yet"
        if client is not None:
            try:
                note = await self._try(client, account, terms)
            except (KalshiError, ValueError) as error:
                note = f"the market cannot be read: {error}"
        self._control.notes[account.ticker] = note

    async def _try(
        self, client: KalshiTradingClient, account: MarketAccount, terms: FlattenTerms
    ) -> str:
        ticker = account.ticker
        if not account.known:
            return ", ".join(sorted(account.doubts))
        if any(order.own for order in self._state.orders.open_in(ticker)):
            return "an order is still being canceled"
        market = await client.market(ticker)
        grid = self._grid_of(market)
        position_e2, touch_e4 = account.own_e2, None
        if position_e2:
            touch_e4 = touch_of(market).for_position(position_e2)
        if touch_e4 is None:
            return "the book has no quote to close it at"
        limit_e4 = self._limit_e4(account, touch_e4, terms, grid)
        if limit_e4 is None:
            return "another command came"
        if (touch_e4 < limit_e4) if position_e2 > 0 else (touch_e4 > limit_e4):
            shown, bound = format_price(touch_e4), format_price(limit_e4)
            return f"the touch, YES at {shown}, is outside of the collar, which ends at {bound}"
        slice_e2 = min(abs(position_e2), self._most_e2, terms.slice_e2 or self._most_e2)
        intent = self._intent(ticker, position_e2, limit_e4, slice_e2)
        if not self._effects.keep_intent(intent):
            return "the journal does not take the order"
        reason = self._manager.close_position(intent)
        self._effects.act()
        if reason is not None:
            return reason
        await self._ended(ticker)
        if not account.own_e2:
            return ""
        bound = format_price(limit_e4)
        return f"{described(account.own_e2)} still held, not taken within YES at {bound}"

    def _limit_e4(
        self, account: MarketAccount, touch_e4: int, terms: FlattenTerms, grid: PriceGrid
    ) -> int | None:
        """The worst price; None when positions are not to be closed any more."""
        flattening = self._control.record.flattening
        if flattening is not None and account.ticker not in flattening.first_touch_e4:
            self._control.on_first_touch(account.ticker, touch_e4)
            flattening = self._control.record.flattening
        if flattening is None:
            return None
        first_e4 = flattening.first_touch_e4[account.ticker]
        return collar_price_e4(first_e4, account.position_e2, terms.collar_e4, grid)

    def _grid_of(self, market: Market) -> PriceGrid:
        """Of a market that the collector does not follow, too."""
        if market.ticker not in self._state.grids:
            self._state.follow(market.ticker, grid_of_market(market), shard=market.exchange_index)
        return self._state.grids[market.ticker]

    def _intent(self, ticker: str, position_e2: int, yes_price_e4: int, count_e2: int) -> Intent:
        holds_yes, now_mono_ns = position_e2 > 0, mono_ns()
        action = Action.SELL_YES_LIMIT if holds_yes else Action.SELL_NO_LIMIT
        return Intent(
            intent_id=f"{self._run_uid}-flat-{next(self._numbers)}",
            market_ticker=ticker,
            action=int(action),
            action_name=action.name,
            leg=Leg.YES if holds_yes else Leg.NO,
            is_buy=False,
            book_side=BookSide.ASK if holds_yes else BookSide.BID,
            price_e4=yes_price_e4 if holds_yes else ONE_DOLLAR_E4 - yes_price_e4,
            yes_price_e4=yes_price_e4,
            count_e2=count_e2,
            deadline_mono_ns=now_mono_ns + SEND_S * NS_PER_S,
            decided_ns=self._state.now().ns,
            session_uid=self._state.session_uid or "",
            event_no=0,
            account_version=self._state.accounts[ticker].version,
            model=MODEL,
            frame_mono_ns=now_mono_ns,
            written_mono_ns=now_mono_ns,
            decided_mono_ns=now_mono_ns,
        )

    async def _ended(self, ticker: str) -> None:
        """Until the order has ended and its fills are booked, or long enough."""
        until_ns = mono_ns() + 2 * SEND_S * NS_PER_S
        account = self._state.accounts.get(ticker)
        while account is not None and mono_ns() < until_ns:
            if account.known and not any(o.own for o in self._state.orders.open_in(ticker)):
                return
            await asyncio.sleep(ORDER_PAUSE)
