"""What an intent must pass before anything is sent: small pure checks, each a reason or None.

To add a check: write a function of a `RiskCase` here, and name it in `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from ipc.clock import NS_PER_S
from ipc.messages import BookSide, Intent, Leg
from ipc.units import ASK, BID, ONE_DOLLAR_E4, PriceGrid
from models.trading.fees import FeeSchedule
from models.trading.portfolio import cash_flow_e6
from processes.execution.account import MarketAccount
from processes.execution.orders import TrackedOrder, valid_intent_id
from processes.runtime.tasks import Backoff

__all__ = [
    "CHECKS",
    "OFF_GRID",
    "RefusalMemory",
    "RiskCase",
    "RiskLimits",
    "collateral_e6",
    "excess",
    "refusal",
]


OFF_GRID: Final = "price_off_grid"
REFUSED: Final = Backoff(first_s=0.5, longest_s=60.0)  # from the second in a row on


class RiskLimits(msgspec.Struct, frozen=True):
    """Bounds that hold whatever a policy asks for."""

    enabled: bool = True
    count_e2: int = 1_000
    open_orders: int = 200  # of the whole stack
    fees: FeeSchedule = FeeSchedule()


class RiskCase(msgspec.Struct, frozen=True):
    """An intent and all that the checks look at.

    `account` and `grid` are None for a market that is not known, `others` are the market's open
    orders, `open_orders` counts those of the whole stack, `session_uid` is the collector's present
    one, None while it has not spoken. `backing_off`: the exchange has just refused such an order.
    """

    intent: Intent
    limits: RiskLimits
    now_mono_ns: int
    account: MarketAccount | None
    grid: PriceGrid | None
    others: tuple[TrackedOrder, ...]
    open_orders: int
    session_uid: str | None
    environment_ok: bool
    backing_off: bool = False


RiskCheck = Callable[[RiskCase], str | None]


def refusal(case: RiskCase) -> str | None:
    """The first reason not to send, or None."""
    return next((r for check in CHECKS if (r := check(case))), None)


def within_deadline(case: RiskCase) -> str | None:
    """A decision is worthless after its deadline."""
    return "deadline" if case.now_mono_ns > case.intent.deadline_mono_ns else None


def enabled(case: RiskCase) -> str | None:
    """`RL_ACTOR_ENABLED`."""
    return None if case.limits.enabled else "actor_disabled"


def well_formed(case: RiskCase) -> str | None:
    """The intent says the same thing both ways, under a name that the exchange accepts."""
    if not valid_intent_id(case.intent.intent_id):
        return "intent_id"
    bid = case.intent.is_buy == (case.intent.leg is Leg.YES)
    yes_price_e4 = case.intent.price_e4
    if case.intent.leg is Leg.NO:
        yes_price_e4 = ONE_DOLLAR_E4 - case.intent.price_e4
    if (case.intent.book_side is BookSide.BID) != bid or yes_price_e4 != case.intent.yes_price_e4:
        return "contradiction"
    return None


def of_this_session(case: RiskCase) -> str | None:
    """Decisions of an earlier collector run, or on data of a foreign environment, do not count."""
    if case.intent.session_uid != case.session_uid:
        return "session"
    return None if case.environment_ok else "environment"


def account_known(case: RiskCase) -> str | None:
    """Unknown does not trade; nor does a market that has paid out."""
    account = case.account
    if account is None or case.grid is None:
        return "market_unknown"
    if account.doubts:
        return min(account.doubts).value
    return None if account.settled_e4 is None else "settled"


def not_refused_lately(case: RiskCase) -> str | None:
    """A refusal that will not pass is not asked for again at every tick."""
    return "backing_off" if case.backing_off else None


def on_grid(case: RiskCase) -> str | None:
    """The exchange refuses prices off its grid."""
    off = case.grid is None or case.grid.index(case.intent.yes_price_e4) < 0
    return OFF_GRID if off else None


def count_allowed(case: RiskCase) -> str | None:
    """Positive, and not above the contract size."""
    return None if 0 < case.intent.count_e2 <= case.limits.count_e2 else "count"


def one_order_per_market(case: RiskCase) -> str | None:
    """No other order of ours may be open in this market."""
    return "order_open" if any(order.own for order in case.others) else None


def room_for_orders(case: RiskCase) -> str | None:
    """A bound on the open orders of the whole stack."""
    return None if case.open_orders < case.limits.open_orders else "too_many_orders"


def sells_held(case: RiskCase) -> str | None:
    """A sale never exceeds what is held less what every order on its side of the book may take."""
    if case.intent.is_buy or case.account is None:
        return None
    held = case.intent.count_e2 <= _free_e2(case.account, case.intent, case.others)
    return None if held else "sells_more_than_held"


def _free_e2(
    account: MarketAccount, sale: Intent | TrackedOrder, others: Iterable[TrackedOrder]
) -> int:
    """Contracts held of the sale's leg, less what others may take on its side of the book."""
    position_e2 = account.position_e2
    held_e2 = max(position_e2 if sale.leg is Leg.YES else -position_e2, 0)
    return held_e2 - sum(o.remaining_e2 for o in others if o.book_side is sale.book_side)


def collateral_e6(order: TrackedOrder, fees: FeeSchedule) -> int:
    """Cash that a resting buy may take, taker fee included; netting is not counted on."""
    if not order.is_buy:
        return 0
    fee_e6 = fees.fee_e6(order.yes_price_e4, order.remaining_e2, is_buy=True, is_taker=True)
    return order.price_e4 * order.remaining_e2 + fee_e6


def buys_affordable(case: RiskCase) -> str | None:
    """A purchase and its worst fee fit the sub-account's cash, other resting buys paid first.

    A better price costs less even though its fee may be higher: the limit is the worst case.
    """
    intent, account = case.intent, case.account
    if not intent.is_buy or account is None:
        return None
    left_e6 = _cash_left_e6(account, intent, intent.count_e2, case.others, case.limits.fees)
    return None if left_e6 >= 0 else "not_enough_cash"


def _cash_left_e6(
    account: MarketAccount,
    purchase: Intent | TrackedOrder,
    count_e2: int,
    others: Iterable[TrackedOrder],
    fees: FeeSchedule,
) -> int:
    """Cash after `count_e2` of the purchase, its worst fee, and all other resting buys."""
    bid, price_e4 = purchase.book_side is BookSide.BID, purchase.yes_price_e4
    flow_e6 = cash_flow_e6(account.position_e2, BID if bid else ASK, price_e4, count_e2)
    fee_e6 = fees.fee_e6(price_e4, count_e2, is_buy=bid, is_taker=True)
    held_e6 = sum(collateral_e6(o, fees) for o in others if o.own)
    left_e6: int = account.cash_e6 + flow_e6 - fee_e6 - held_e6
    return left_e6


def excess(
    order: TrackedOrder,
    account: MarketAccount,
    others: Sequence[TrackedOrder],
    limits: RiskLimits,
) -> str | None:
    """Hold an order that rests against the bounds again: the account may have changed under it.

    Args:
        order: rests, and was placed by this program.
        account: its market's.
        others: the market's other open orders, whoever placed them.
        limits: of the stack.

    Returns:
        The reason why what remains of it must not fill, or None.
    """
    if order.is_buy:
        left_e6 = _cash_left_e6(account, order, order.remaining_e2, others, limits.fees)
        return None if left_e6 >= 0 else "not_enough_cash"
    held = order.remaining_e2 <= _free_e2(account, order, others)
    return None if held else "sells_more_than_held"


class RefusalStreak(NamedTuple):
    """Creates that the exchange refused in a row for one reason, and until when to wait."""

    reason: str
    times: int
    until_mono_ns: int


class RefusalMemory:
    """What the exchange refused lately, by market; most refusals do not pass within a tick.

    Buys and sells are apart: a buy without money must not hold up a sale.
    """

    def __init__(self) -> None:
        self._streaks: dict[tuple[str, bool], RefusalStreak] = {}

    def on_refused(self, order: TrackedOrder, mono_ns: int) -> int:
        """A create was refused -> how often in a row for that reason."""
        key, reason = (order.market_ticker, order.is_buy), order.reason.partition(":")[0]
        before = self._streaks.get(key)
        times = before.times + 1 if before is not None and before.reason == reason else 1
        pause_s = REFUSED.after(times - 2) if times > 1 else 0  # one may be of that moment
        until_ns = mono_ns + int(pause_s * NS_PER_S)
        self._streaks[key] = RefusalStreak(reason, times, until_ns)
        return times

    def on_accepted(self, order: TrackedOrder) -> None:
        """A create was accepted: the streak is over."""
        self._streaks.pop((order.market_ticker, order.is_buy), None)

    def forget(self, ticker: str) -> None:
        """The market is over."""
        for is_buy in (True, False):
            self._streaks.pop((ticker, is_buy), None)

    def is_backing_off(self, ticker: str, *, is_buy: bool, mono_ns: int) -> bool:
        """Whether such orders of this market are not to be sent yet."""
        streak = self._streaks.get((ticker, is_buy))
        return streak is not None and mono_ns < streak.until_mono_ns


CHECKS: Final[tuple[RiskCheck, ...]] = (
    within_deadline,
    enabled,
    well_formed,
    of_this_session,
    account_known,
    not_refused_lately,
    on_grid,
    count_allowed,
    one_order_per_market,
    room_for_orders,
    sells_held,
    buys_affordable,
)
