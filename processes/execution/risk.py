"""What an intent must pass before anything is sent: small pure checks, each a reason or None.

To add a check: write a function of a `RiskCase` here, and name it in `CHECKS`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final, NamedTuple

import msgspec

from ipc.clock import NS_PER_MS, NS_PER_S
from ipc.messages import BookSide, Intent, Leg, TradingState
from ipc.trading import TradingMode
from ipc.units import ASK, BID, ONE_DOLLAR_E4, PriceGrid, format_money
from models.trading.fees import FeeBound
from models.trading.portfolio import cash_flow_e6
from processes.execution.account import MarketAccount, ShardFunds
from processes.execution.exchange_stop import NO_ORDER_GROUP, NO_WATCHDOG
from processes.execution.orders import TrackedOrder, valid_intent_id
from processes.runtime.tasks import Backoff

__all__ = [
    "CHECKS",
    "CLOSING_CHECKS",
    "MEASURED",
    "NO_MONEY",
    "OFF_GRID",
    "TOGETHER_CHECKS",
    "RefusalMemory",
    "RiskCase",
    "RiskLimits",
    "closing_refusal",
    "collateral_e6",
    "compared",
    "excess",
    "refusal",
]


OFF_GRID: Final = "price_off_grid"
NOT_RECORDED: Final = "not_recorded"  # and then which bound is passed
NEEDS: Final = "production_needs"  # and then what is missing
MODEL: Final = "model_environment"  # and then which model, and what it lacks
DIFFERS: Final = "exchange_differs"  # and then what
MEASURED: Final = frozenset(  # reasons that compare numbers
    {
        *("deadline", "count", "too_many_orders", "sells_more_than_held", "not_enough_cash"),
        *("no_money_on_shard", "price_off_grid"),
    }
)
NO_MONEY: Final = "no_money_on_shard"  # and then the command that would move it
DOLLAR_E6: Final = 1_000_000
REFUSED: Final = Backoff(first_s=0.5, longest_s=60.0)  # from the second in a row on


class RiskLimits(msgspec.Struct, frozen=True):
    """Bounds that hold whatever a policy asks for.

    Attributes:
        enabled: `RL_ACTOR_ENABLED`; off, every intent is refused.
        count_e2: Largest size of an order.
        open_orders: Most open orders of the whole stack.
        fees: The most that a taker may be charged, for the worst case of a buy.
    """

    enabled: bool = True
    count_e2: int = 1_000
    open_orders: int = 200  # of the whole stack
    fees: FeeBound = FeeBound()


class RiskCase(msgspec.Struct, frozen=True):
    """An intent and all that the checks look at.

    Attributes:
        intent: What a decision wants.
        limits: The stack's bounds.
        now_mono_ns: The present, against the deadline.
        account: The market's sub-account, None for a market that is not known.
        grid: Its prices, None likewise.
        others: The market's other open orders, of this stack and of others.
        leaving: Client order ids of those of them whose cancel is asked for with this intent.
        open_orders: Open orders of the whole stack.
        session_uid: The collector's present session, None before it has reported.
        environment_ok: Whether its data is of the environment that is traded in.
        trading: Whether the exchange takes orders in this market.
        backing_off: Whether the exchange has just refused such an order.
        mode: What is done with intents, as it was commanded.
        keeps: Whether what is wanted rests already, and nothing new would be sent.
        funds: The money of the market's shard, with what its own orders beside `others` hold; None
            only while `account` is in doubt about it.
        unrecorded: Why what is opened now may not get into the database; "" while it does.
        needs_missing: What production needs before its first order and does not have; "" for none.
        model_error: Why the intent's model may send no order in this environment; "" when it may.
        has_group: Whether the order would belong to an order group, or need not.
        unwatched: Why nobody would stop what is opened if this process died; "" while somebody
            would, or need not.
        differs: What the exchange has reported otherwise for two rounds; "" while both agree.
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
    trading: TradingState
    backing_off: bool = False
    mode: TradingMode = TradingMode.ON
    keeps: bool = False
    funds: ShardFunds | None = None
    unrecorded: str = ""
    needs_missing: str = ""
    model_error: str = ""
    has_group: bool = True
    unwatched: str = ""
    differs: str = ""
    leaving: frozenset[str] = frozenset()


RiskCheck = Callable[[RiskCase], str | None]


def refusal(case: RiskCase, checks: Iterable[RiskCheck] | None = None) -> str | None:
    """The first reason not to send, or None; by `CHECKS` unless others are named."""
    return next((r for check in checks or CHECKS if (r := check(case))), None)


def closing_refusal(case: RiskCase) -> str | None:
    """The first reason not to send an order that closes a position by a command, or None."""
    return next((r for check in CLOSING_CHECKS if (r := check(case))), None)


def compared(case: RiskCase) -> dict[str, int]:
    """The numbers that an intent's refusal came of, for the audit; names end in their unit."""
    intent, account = case.intent, case.account
    numbers = {
        "count_e2": intent.count_e2,
        "price_e4": intent.price_e4,
        "late_ms": (case.now_mono_ns - intent.deadline_mono_ns) // NS_PER_MS,
        "open_orders": case.open_orders,
        "most_count_e2": case.limits.count_e2,
        "most_open_orders": case.limits.open_orders,
    }
    if account is not None:
        numbers |= {
            "position_e2": account.position_e2,
            "own_e2": account.own_e2,
            "cash_e6": account.cash_e6,
        }
    if case.funds is not None:
        numbers |= {"shard": case.funds.shard, "shard_free_e6": case.funds.free_e6}
    return numbers


def within_deadline(case: RiskCase) -> str | None:
    """A decision is worthless after its deadline."""
    return "deadline" if case.now_mono_ns > case.intent.deadline_mono_ns else None


def enabled(case: RiskCase) -> str | None:
    """`RL_ACTOR_ENABLED`."""
    return None if case.limits.enabled else "actor_disabled"


def trading_on(case: RiskCase) -> str | None:
    """Trading was paused or stopped by a command; in a pause what rests may stay."""
    stays = case.mode is TradingMode.PAUSED and case.keeps
    return None if case.mode is TradingMode.ON or stays else f"trading_{case.mode}"


def sells(case: RiskCase) -> str | None:
    """What closes a position sells the leg that is held."""
    return "not_a_sale" if case.intent.is_buy else None


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


def production_ready(case: RiskCase) -> str | None:
    """In production nothing is sent before all that it needs was found."""
    return f"{NEEDS}: {case.needs_missing}" if case.needs_missing else None


def model_allowed(case: RiskCase) -> str | None:
    """A model that was made for another environment, or is not known, sends no order here."""
    return f"{MODEL}: {case.model_error}" if case.model_error else None


def exchange_trades(case: RiskCase) -> str | None:
    """In a pause the exchange refuses every order; what is not known to trade does not."""
    return None if case.trading is TradingState.TRADING else f"not_trading_{case.trading}"


def account_known(case: RiskCase) -> str | None:
    """Unknown does not trade; nor does a market that has paid out."""
    account = case.account
    if account is None or case.grid is None:
        return "market_unknown"
    if account.doubts:
        return min(account.doubts).value
    return None if account.payout is None else "settled"


def only_reduces(case: RiskCase) -> str | None:
    """A position whose fills are not known may be sold, not added to."""
    held = case.account is not None and case.account.reduce_only
    return "reduce_only" if held and case.intent.is_buy else None


def recorded(case: RiskCase) -> str | None:
    """Nothing is opened that the database may never hold; what is held may be sold."""
    if not case.unrecorded or not case.intent.is_buy:
        return None
    return f"{NOT_RECORDED}: {case.unrecorded}"


def in_order_group(case: RiskCase) -> str | None:
    """The exchange itself can stop what belongs to a group; nothing else is sent."""
    return None if case.has_group else NO_ORDER_GROUP


def watched(case: RiskCase) -> str | None:
    """Nothing is opened that nobody would cancel if this process died."""
    if not case.unwatched or not case.intent.is_buy:
        return None
    return f"{NO_WATCHDOG}: {case.unwatched}"


def agrees(case: RiskCase) -> str | None:
    """Nothing is opened where the exchange has another view of the market, round after round."""
    return f"{DIFFERS}: {case.differs}" if case.differs and case.intent.is_buy else None


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
    """No other order of ours may be open in this market, but for one whose cancel is asked for."""
    stays = (o for o in case.others if o.own and o.client_order_id not in case.leaving)
    return "order_open" if any(stays) else None


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
    """Contracts held of the sale's leg, less what others may take on its side of the book.

    Of what this stack bought itself, less what its own others may take, where that is less.
    """
    sign = 1 if sale.leg is Leg.YES else -1
    same_side = [o for o in others if o.book_side is sale.book_side]
    free_e2 = max(sign * account.position_e2, 0) - sum(o.most_e2 for o in same_side)
    own_e2 = max(sign * account.own_e2, 0) - sum(o.most_e2 for o in same_side if o.own)
    return min(free_e2, own_e2)


def collateral_e6(order: TrackedOrder, fees: FeeBound) -> int:
    """Cash that a resting buy may take, taker fee included; netting is not counted on.

    While a change is on its way, the dearer price and the larger size count.

    Args:
        order: Any order; a sale takes none.
        fees: What a taker is charged.

    Returns:
        Micro-dollars.
    """
    if not order.is_buy:
        return 0
    asked_e4 = order.amend.yes_price_e4 if order.amend else order.yes_price_e4
    prices_e4 = {order.yes_price_e4, asked_e4}  # the fee need not be highest at the dearer one
    fees_e6 = [fees.fee_e6(p, order.most_e2, is_buy=True, is_taker=True) for p in prices_e4]
    return order.hold_e6 + max(fees_e6)


def buys_affordable(case: RiskCase) -> str | None:
    """A purchase and its worst fee fit the sub-account's cash, other resting buys paid first.

    A better price costs less even though its fee may be higher: the limit is the worst case.
    """
    intent, account = case.intent, case.account
    if not intent.is_buy or account is None:
        return None
    wanted = (intent.yes_price_e4, intent.count_e2)
    left_e6 = _cash_left_e6(account, intent, *wanted, case.others, case.limits.fees)
    return None if left_e6 >= 0 else "not_enough_cash"


def _cash_left_e6(
    account: MarketAccount,
    purchase: Intent | TrackedOrder,
    yes_price_e4: int,
    count_e2: int,
    others: Iterable[TrackedOrder],
    fees: FeeBound,
) -> int:
    """Cash after `count_e2` of the purchase, its worst fee, and all other resting buys."""
    held_e6 = sum(collateral_e6(o, fees) for o in others if o.own)
    flow_e6 = _purchase_e6(account, purchase, yes_price_e4, count_e2, fees)
    return account.cash_e6 + flow_e6 - held_e6


def shard_affordable(case: RiskCase) -> str | None:
    """A purchase and its worst fee fit what the market's shard of the exchange can spend.

    Every shard has money of its own (PROTOCOL.md, 6.5): the whole balance may look healthy while
    the exchange refuses each order on a shard without.
    """
    intent, account, funds = case.intent, case.account, case.funds
    if not intent.is_buy or account is None or funds is None:
        return None
    flow_e6 = _purchase_e6(account, intent, intent.yes_price_e4, intent.count_e2, case.limits.fees)
    return None if funds.free_e6 + flow_e6 >= 0 else _without_money(funds, -flow_e6)


def _without_money(funds: ShardFunds, cost_e6: int) -> str:
    """The reason, and the command that moves what is missing, in whole dollars, if it is there."""
    missing_e6 = cost_e6 - max(funds.free_e6, 0)
    dollars = -(-missing_e6 // DOLLAR_E6)
    way = "no other shard has as much: deposit"
    if funds.richest is not None and funds.richest_e6 >= dollars * DOLLAR_E6:
        way = f"kalshi-actor funds move {dollars}.00 --from {funds.richest} --to {funds.shard}"
    return f"{NO_MONEY}: shard {funds.shard} has {format_money(funds.free_e6)} dollars; {way}"


def _purchase_e6(
    account: MarketAccount,
    purchase: Intent | TrackedOrder,
    price_e4: int,
    count_e2: int,
    fees: FeeBound,
) -> int:
    """What buying does to cash at the limit price, its worst fee paid: negative unless it nets."""
    bid = purchase.book_side is BookSide.BID
    flow_e6: int = cash_flow_e6(account.position_e2, BID if bid else ASK, price_e4, count_e2)
    return flow_e6 - fees.fee_e6(price_e4, count_e2, is_buy=bid, is_taker=True)


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
        others: The market's other open orders, of this stack or not.
        limits: of the stack.

    Returns:
        The reason why what remains of it must not fill, or None.
    """
    if order.is_buy:
        worst = (order.worst_yes_price_e4, order.most_e2)
        left_e6 = _cash_left_e6(account, order, *worst, others, limits.fees)
        return None if left_e6 >= 0 else "not_enough_cash"
    held = order.most_e2 <= _free_e2(account, order, others)
    return None if held else "sells_more_than_held"


class RefusalStreak(NamedTuple):
    """Creates that the exchange refused in a row.

    Attributes:
        reason: Its code, the same for all of them.
        times: How many.
        until_mono_ns: No such order is sent before.
    """

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
        """Note that the exchange refused a create.

        Args:
            order: With the reason.
            mono_ns: Now.

        Returns:
            How often in a row for that reason.
        """
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
    trading_on,
    well_formed,
    of_this_session,
    production_ready,
    model_allowed,
    exchange_trades,
    account_known,
    only_reduces,
    recorded,
    in_order_group,
    watched,
    agrees,
    not_refused_lately,
    on_grid,
    count_allowed,
    one_order_per_market,
    room_for_orders,
    sells_held,
    buys_affordable,
    shard_affordable,
)

# Of orders that may be open together, and of an order that may have its old terms or new ones.
TOGETHER_CHECKS: Final[tuple[RiskCheck, ...]] = (
    one_order_per_market,
    room_for_orders,
    sells_held,
    buys_affordable,
    shard_affordable,
)

# Of what closes a position because an operator commands it; the model's own rules do not count.
CLOSING_CHECKS: Final[tuple[RiskCheck, ...]] = (
    within_deadline,
    well_formed,
    sells,
    exchange_trades,
    account_known,
    not_refused_lately,
    on_grid,
    count_allowed,
    one_order_per_market,
    sells_held,
)
