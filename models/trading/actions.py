"""LimitOrderActionSpace: an action as a limit order on the market's own grid; which are allowed.

Every order is on a side of the one YES book: BUY_YES and SELL_NO bid, SELL_YES and BUY_NO ask.

- `aggressive` takes the opposite touch, `passive` joins its own, `mid` quotes between them; what
  does not fall on the grid is rounded to the passive side (bids down, asks up).
- A missing quote means no order, never a default price.
- Sells only reduce what is held. Buys open, or net against the other outcome, and are capped by the
  sub-account's cash, taker fee included.

`MarketChoice` says in which markets the actor acts at all.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum, StrEnum
from hashlib import blake2b
from typing import Any, Final

import msgspec
import numpy as np
import numpy.typing as npt

from ipc import account_table as a
from ipc import book as b
from ipc.kernels import compiled, kernel
from ipc.messages import BookSide, Leg
from ipc.units import ASK, BID, ONE_DOLLAR_E4, SideCode
from models.trading.fees import FeeSchedule, trade_fee_e6
from models.trading.portfolio import cash_flow_e6

__all__ = [
    "ACTION_SCHEMA_HASH",
    "BUY_YES",
    "LEAVING",
    "N_ACTIONS",
    "PRICING_CODE",
    "SELL_YES",
    "Action",
    "LimitOrderActionSpace",
    "MarketChoice",
    "Mask",
    "OrderRequest",
    "Pricing",
    "TargetMarketMode",
    "affordable_e2",
    "exit_action",
    "fill_mask",
    "is_buy",
    "masked_argmax",
    "order_count_e2",
    "side_of",
    "yes_price_of",
]

Mask = npt.NDArray[np.bool_]

WHOLE_E2: Final = 100  # buys are whole contracts
LEAVING: Final = "leaving"  # reason of a decision that closes what is held in a market left


class Action(IntEnum):
    """What a policy may ask for; the values are those of the network's outputs.

    Attributes:
        HOLD: Nothing is sent; an order that rests is left alone.
        BUY_YES_LIMIT: Buy YES: bids on the YES book.
        SELL_YES_LIMIT: Sell YES that is held: asks.
        BUY_NO_LIMIT: Buy NO: asks on the YES book at one dollar less the NO price.
        SELL_NO_LIMIT: Sell NO that is held: bids.
    """

    HOLD = 0
    BUY_YES_LIMIT = 1
    SELL_YES_LIMIT = 2
    BUY_NO_LIMIT = 3
    SELL_NO_LIMIT = 4


class Pricing(StrEnum):
    """Where an order's limit is placed.

    Attributes:
        AGGRESSIVE: At the opposite touch: it fills at once, as a taker.
        PASSIVE: At its own side's touch: it rests behind what is there.
        MID: Between the two, rounded to the passive side.
    """

    AGGRESSIVE = "aggressive"
    PASSIVE = "passive"
    MID = "mid"


N_ACTIONS: Final = len(Action)
HOLD: Final = int(Action.HOLD)
BUY_YES: Final = int(Action.BUY_YES_LIMIT)
SELL_YES: Final = int(Action.SELL_YES_LIMIT)
BUY_NO: Final = int(Action.BUY_NO_LIMIT)
SELL_NO: Final = int(Action.SELL_NO_LIMIT)
PRICING_CODE: Final = {Pricing.AGGRESSIVE: 0, Pricing.PASSIVE: 1, Pricing.MID: 2}

_RULES: Final = "YES-book sides; sells reduce; buys capped by cash; passive rounding; v1"
ACTION_SCHEMA_HASH: Final = blake2b(
    msgspec.json.encode([[action.value, action.name] for action in Action] + [[_RULES]]),
    digest_size=16,
).hexdigest()


@kernel
def side_of(action: int) -> SideCode:
    """The side of the YES book on which an action works, `BID` or `ASK`."""
    return BID if action in (BUY_YES, SELL_NO) else ASK


@kernel
def is_buy(action: int) -> bool:
    """Whether an action opens (or nets) rather than reduces."""
    return action in (BUY_YES, BUY_NO)


@kernel
def _round_passive(row: b.Row, price_e4: int, side: SideCode) -> int:
    """The grid price at `price_e4` or on its passive side; 0 when the grid has none there."""
    best = 0
    for i in range(row[b.N_RANGES]):
        start, end = row[b.GRID + 4 * i], row[b.GRID + 4 * i + 1]
        step = row[b.GRID + 4 * i + 2]
        if side == BID and start <= price_e4:
            best = start + (min(price_e4, end) - start) // step * step
        if side == ASK and end >= price_e4:
            best = end - (end - max(price_e4, start)) // step * step
            break
    return int(best) if 0 < best < ONE_DOLLAR_E4 else 0


@kernel
def yes_price_of(row: b.Row, action: int, pricing: int) -> int:
    """The limit price of an action.

    Args:
        row: The book, in the layout of `ipc.book`.
        action: `Action`, not HOLD.
        pricing: A value of `PRICING_CODE`.

    Returns:
        The limit on the YES scale in 1e-4 dollars; 0 when a quote that it needs is missing.
    """
    side = side_of(action)
    bid = b.price_of(row, row[b.BEST_YES])
    no_bid = b.price_of(row, row[b.BEST_NO])
    ask = ONE_DOLLAR_E4 - no_bid if no_bid > 0 else 0
    own, opposite = (bid, ask) if side == BID else (ask, bid)
    price = opposite
    if pricing == 1:
        price = own
    elif pricing == 2:
        if bid == 0 or ask == 0:
            return 0
        total = bid + ask
        price = total // 2 if side == BID else -(-total // 2)
    return _round_passive(row, price, side) if price > 0 else 0


@kernel
def _affords(
    account: a.AccountRow, side: SideCode, yes_price_e4: int, count_e2: int, rule: int, rate_e6: int
) -> bool:
    fee_e6 = trade_fee_e6(rule, rate_e6, yes_price_e4, count_e2, side == BID)
    flow_e6 = cash_flow_e6(account[a.POSITION_E2], side, yes_price_e4, count_e2)
    return bool(account[a.CASH_E6] + flow_e6 - fee_e6 >= 0)


@kernel
def affordable_e2(
    account: a.AccountRow,
    side: SideCode,
    yes_price_e4: int,
    count_e2: int,
    unit_e2: int,
    rule: int,
    rate_e6: int,
) -> int:
    """How much of an order the account can pay for.

    Args:
        account: The sub-account, in the layout of `ipc.account_table`.
        side: `BID` or `ASK`.
        yes_price_e4: Limit on the YES scale.
        count_e2: What is wanted.
        unit_e2: What is bought comes in whole multiples of this.
        rule: `FeeSchedule.code`.
        rate_e6: Fee rate.

    Returns:
        `count_e2`, or the largest multiple of `unit_e2` below it that cash and netting pay for, the
        fee included.
    """
    if _affords(account, side, yes_price_e4, count_e2, rule, rate_e6):
        return count_e2
    low, high = 0, count_e2 // unit_e2 + 1  # affordable, not affordable
    while high - low > 1:
        middle = (low + high) // 2
        if _affords(account, side, yes_price_e4, middle * unit_e2, rule, rate_e6):
            low = middle
        else:
            high = middle
    return low * unit_e2


@kernel
def order_count_e2(
    account: a.AccountRow, action: int, yes_price_e4: int, size_e2: int, rule: int, rate_e6: int
) -> int:
    """How much an action may order, in 1e-2 contracts; 0 when nothing.

    Args:
        account: The sub-account.
        action: `Action`, not HOLD.
        yes_price_e4: Limit on the YES scale.
        size_e2: Size of an order before caps.
        rule: `FeeSchedule.code`.
        rate_e6: Fee rate of a taker.
    """
    position_e2 = account[a.POSITION_E2]
    if action == SELL_YES:
        return int(min(size_e2, max(position_e2, 0)))
    if action == SELL_NO:
        return int(min(size_e2, max(-position_e2, 0)))
    side = side_of(action)
    return int(affordable_e2(account, side, yes_price_e4, size_e2, WHOLE_E2, rule, rate_e6))


@kernel
def fill_mask(
    row: b.Row,
    account: a.AccountRow,
    pricing: int,
    size_e2: int,
    rule: int,
    rate_e6: int,
    out: Any,
) -> None:
    """Write which actions would place an order now.

    Args:
        row: The book.
        account: The sub-account.
        pricing: A value of `PRICING_CODE`.
        size_e2: Size of an order before caps.
        rule: `FeeSchedule.code`.
        rate_e6: Fee rate of a taker.
        out: bool[5], overwritten; HOLD is always allowed.
    """
    out[HOLD] = True
    for action in range(1, 5):
        price = yes_price_of(row, action, pricing)
        out[action] = (
            price > 0 and order_count_e2(account, action, price, size_e2, rule, rate_e6) > 0
        )


@compiled
def masked_argmax(logits: npt.NDArray[np.float32], masks: Mask) -> npt.NDArray[np.int64]:
    """The best allowed action of each row.

    Args:
        logits: float32[n, 5].
        masks: bool[n, 5].

    Returns:
        int64[n]: the first of equals. A logit that is not a number never wins; where none can,
        action 0 (HOLD) does.
    """
    chosen = np.zeros(len(logits), np.int64)
    for i in range(len(logits)):
        best = -np.inf
        for action in range(logits.shape[1]):
            if masks[i, action] and logits[i, action] > best:
                best, chosen[i] = logits[i, action], action
    return chosen


class OrderRequest(msgspec.Struct, frozen=True):
    """A limit order, described both by its leg and on the YES book.

    Attributes:
        action: What was asked for.
        leg: The outcome that is bought or sold.
        is_buy: Whether it opens (or nets) rather than reduces.
        price_e4: Limit on the scale of `leg`.
        yes_price_e4: The same on the YES scale.
        book_side: The side of the YES book on which it acts.
        count_e2: Size in 1e-2 contracts.
    """

    action: Action
    leg: Leg
    is_buy: bool
    price_e4: int  # of the leg
    yes_price_e4: int
    book_side: BookSide
    count_e2: int


class LimitOrderActionSpace:
    """Five actions over one market: which are allowed, and the order that each one means.

    Live and simulated orders are both priced and sized here.

    Args:
        pricing: Where the limit is placed.
        contract_size_e2: Size of an order before caps, whole contracts.
        fees: What a market charges whose account row does not say it; decides what is affordable.
            Default: the newest schedule.

    Raises:
        ValueError: Unknown pricing, or a size that is not a positive number of whole contracts.
    """

    def __init__(
        self,
        pricing: Pricing | str = Pricing.AGGRESSIVE,
        contract_size_e2: int = 1_000,
        fees: FeeSchedule | None = None,
    ) -> None:
        if pricing not in list(Pricing):
            raise ValueError(f"unknown pricing {pricing!r}; allowed: {', '.join(Pricing)}")
        if contract_size_e2 < WHOLE_E2 or contract_size_e2 % WHOLE_E2:
            raise ValueError(f"contract size {contract_size_e2} is not a number of whole contracts")
        self.pricing = Pricing(pricing)
        self.contract_size_e2 = contract_size_e2
        self.fees = fees or FeeSchedule()
        self._code = PRICING_CODE[self.pricing]

    def mask(self, row: b.Row, account: a.AccountRow, out: Mask | None = None) -> Mask:
        """Which actions are allowed now.

        Args:
            row: The book.
            account: The sub-account.
            out: bool[5] to write into; a new array when None.

        Returns:
            bool[5] in the order of `Action`; HOLD is always allowed.
        """
        if out is None:
            out = np.empty(N_ACTIONS, np.bool_)
        fill_mask(row, account, self._code, self.contract_size_e2, *self._rates(account), out)
        return out

    def order_for(
        self, action: int, row: b.Row, account: a.AccountRow, size_e2: int | None = None
    ) -> OrderRequest | None:
        """The order that an action means.

        Args:
            action: A value of `Action`.
            row: The book.
            account: The sub-account.
            size_e2: Size before caps; default: `contract_size_e2`.

        Returns:
            The order, or None for HOLD and for whatever the mask forbids.
        """
        action = Action(action)
        price = int(yes_price_of(row, int(action), self._code)) if action else 0
        if not price:
            return None
        size = self.contract_size_e2 if size_e2 is None else size_e2
        count = int(order_count_e2(account, int(action), price, size, *self._rates(account)))
        if not count:
            return None
        yes_leg = action in (Action.BUY_YES_LIMIT, Action.SELL_YES_LIMIT)
        return OrderRequest(
            action=action,
            leg=Leg.YES if yes_leg else Leg.NO,
            is_buy=bool(is_buy(int(action))),
            price_e4=price if yes_leg else ONE_DOLLAR_E4 - price,
            yes_price_e4=price,
            book_side=BookSide.BID if side_of(int(action)) == BID else BookSide.ASK,
            count_e2=count,
        )

    def _rates(self, account: a.AccountRow) -> tuple[int, int]:
        """Code and taker's rate of what the market charges."""
        if account[a.FEE_CODE]:
            return int(account[a.FEE_CODE]) - 1, int(account[a.TAKER_RATE_E6])
        return self.fees.code, self.fees.taker_rate_e6


def exit_action(account: a.AccountRow) -> Action:
    """The action that sells what is held: HOLD when nothing is.

    Args:
        account: The sub-account, in the layout of `ipc.account_table`.
    """
    position_e2 = int(account[a.POSITION_E2])
    if position_e2 == 0:
        return Action.HOLD
    return Action.SELL_YES_LIMIT if position_e2 > 0 else Action.SELL_NO_LIMIT


class TargetMarketMode(StrEnum):
    """Values of `RL_ACTOR_TARGET_MARKET_MODE`; `hot` is `models.trading.market_choice`."""

    HOT = "hot"
    ALL = "all"
    CONFIG = "config"


class MarketChoice:
    """In which of the LIVE markets the actor acts. All of them tick and keep their history.

    Args:
        mode: `all`, or `config` for the given tickers and no others.
        tickers: Markets of mode `config`.

    Raises:
        ValueError: Another mode, or `config` without a ticker.
    """

    def __init__(self, mode: TargetMarketMode | str, tickers: Iterable[str] = ()) -> None:
        fixed = (TargetMarketMode.ALL, TargetMarketMode.CONFIG)
        if mode not in fixed:
            allowed = ", ".join(fixed)
            raise ValueError(f"unknown target market mode {mode!r}; allowed: {allowed}")
        self.mode = TargetMarketMode(mode)
        self._tickers = frozenset(tickers)
        if self.mode is TargetMarketMode.CONFIG and not self._tickers:
            raise ValueError("target market mode 'config' needs at least one ticker")

    def trades(self, ticker: str) -> bool:
        """Whether decisions are made for this market."""
        return self.mode is TargetMarketMode.ALL or ticker in self._tickers

    def forbids(self, _ticker: str, _tick_row: b.Row) -> bool:
        """Whether the choice speaks against a decision on this very row: never."""
        return False

    def exit_pricing(self, _ticker: str, _tick_row: b.Row) -> Pricing | None:
        """How an order is priced that closes what is held; None: the policy decides. Always."""
        return None
