"""What an intent must keep to of the limits of the whole account: small pure checks.

Each gives a breach for every bound that the intent would pass, with the numbers that were compared;
`breaches` is all of them, not the first. To add a check: write a function of a `LimitCase` here,
name it in one of the three lists of checks, and its limit in `limits_file.LIMITS` and
docs/limits.md.

A sale of what is held reduces: it keeps to rates, collar and the number of orders, and to nothing
else here. What is measured but not known is a breach of the limit that needs it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Final

import msgspec

from ipc.clock import NS_PER_MS
from ipc.units import ONE_DOLLAR_E4
from processes.execution.account_measures import Measures
from processes.execution.exposure import TOTAL, MarketRisk, RiskScope, ScopeKind
from processes.execution.limits_file import LIMITS, AccountBounds, LimitName
from processes.execution.risk import RiskCase
from processes.execution.touch import Touch

__all__ = [
    "AMEND_CHECKS",
    "CANCEL_CHECKS",
    "DECISION_CHECKS",
    "ORDER_CHECKS",
    "SUMMED",
    "SUM_CHECKS",
    "LimitBreach",
    "LimitCase",
    "LimitCheck",
    "breaches",
    "standing_losses",
    "sum_breaches",
]

ORDER: Final = "order"  # scope of what is measured of one order alone
NOT_KNOWN: Final = "not known"

SUMMED: Final[Mapping[ScopeKind, tuple[tuple[LimitName, str], ...]]] = {
    ScopeKind.MARKET: (
        (LimitName.MARKET_CONTRACTS, "contracts_e2"),
        (LimitName.MARKET_EXPOSURE, "exposure_e6"),
    ),
    ScopeKind.EVENT: (
        (LimitName.EVENT_CONTRACTS, "contracts_e2"),
        (LimitName.EVENT_EXPOSURE, "exposure_e6"),
    ),
    ScopeKind.SERIES: (
        (LimitName.SERIES_CONTRACTS, "contracts_e2"),
        (LimitName.SERIES_EXPOSURE, "exposure_e6"),
    ),
    ScopeKind.TOTAL: (
        (LimitName.TOTAL_CONTRACTS, "contracts_e2"),
        (LimitName.TOTAL_EXPOSURE, "exposure_e6"),
        (LimitName.WORST_CASE_LOSS, "worst_e6"),
    ),
}


class LimitBreach(msgspec.Struct, frozen=True):
    """A limit that is passed, or would be.

    Attributes:
        name: Of the limit.
        measured: In integers of its unit; None when it is not known.
        limit: Likewise.
        scope: Of what: `market KXBTC-1`, `event KXBTC`, `series KX`, `total`, `shard 0`, `order`.
    """

    name: LimitName
    measured: int | None
    limit: int
    scope: str

    @property
    def measured_text(self) -> str:
        """What was measured, with its unit."""
        return NOT_KNOWN if self.measured is None else LIMITS[self.name].unit.text(self.measured)

    @property
    def limit_text(self) -> str:
        """The limit, with its unit."""
        return LIMITS[self.name].unit.text(self.limit)

    @property
    def numbers(self) -> dict[str, int]:
        """Both as integers, for the audit; names end in their unit."""
        end = LIMITS[self.name].unit.suffix
        known = {} if self.measured is None else {f"measured{end}": self.measured}
        return {**known, f"limit{end}": self.limit}

    def __str__(self) -> str:
        return f"{self.name}: {self.measured_text}, limit {self.limit_text} ({self.scope})"


class LimitCase(msgspec.Struct, frozen=True):
    """An intent and all that the checks look at.

    Attributes:
        risk: The intent with its market, as the checks of `risk` see it.
        bounds: What is allowed.
        measures: Of the account now.
        sums: By scope, with the intent's order resting.
        touch: Of the market; None when it is not known.
        close_ms: When the market closes, market time; None when it is not known.
        now_ms: Market time.
    """

    risk: RiskCase
    bounds: AccountBounds
    measures: Measures
    sums: Mapping[RiskScope, MarketRisk]
    touch: Touch | None
    close_ms: int | None
    now_ms: int

    @property
    def reduces(self) -> bool:
        """Whether it is a sale of what is held; `risk.sells_held` bounds it by that."""
        return not self.risk.intent.is_buy


LimitCheck = Callable[[LimitCase], Iterable[LimitBreach]]


def breaches(case: LimitCase, checks: Iterable[LimitCheck]) -> tuple[LimitBreach, ...]:
    """Every bound that the intent would pass; those that do not bind it are left out."""
    found = (breach for check in checks for breach in check(case))
    return tuple(b for b in found if not case.reduces or LIMITS[b.name].binds_reductions)


def _above(
    bounds: AccountBounds, name: LimitName, measured: int | None, scope: str
) -> Iterator[LimitBreach]:
    """A breach when the measure is above the limit, or not known."""
    limit = bounds.of(name)
    if limit is not None and (measured is None or measured > limit):
        yield LimitBreach(name, measured, limit, scope)


def _reached(bounds: AccountBounds, name: LimitName, measured: int) -> Iterator[LimitBreach]:
    """A breach when the measure has reached the limit."""
    limit = bounds.of(name)
    if limit is not None and measured >= limit:
        yield LimitBreach(name, measured, limit, str(TOTAL))


def _below(
    bounds: AccountBounds, name: LimitName, measured: int | None, scope: str
) -> Iterator[LimitBreach]:
    """A breach when the measure is below the limit, or not known."""
    limit = bounds.of(name)
    if limit is not None and (measured is None or measured < limit):
        yield LimitBreach(name, measured, limit, scope)


def sum_breaches(
    bounds: AccountBounds, scope: RiskScope, risk: MarketRisk
) -> Iterator[LimitBreach]:
    """Contracts, exposure and worst-case loss of one scope above their limits."""
    for name, field in SUMMED[scope.kind]:
        yield from _above(bounds, name, getattr(risk, field), str(scope))


def sums_in_bounds(case: LimitCase) -> Iterator[LimitBreach]:
    """With this order resting, and everything filled, no sum is above its limit."""
    for scope, risk in case.sums.items():
        yield from sum_breaches(case.bounds, scope, risk)


def standing_losses(bounds: AccountBounds, measures: Measures) -> Iterator[LimitBreach]:
    """Losses of the account that have reached their limits, whatever is ordered next."""
    yield from _reached(bounds, LimitName.DAILY_LOSS, measures.daily_loss_e6)
    yield from _reached(bounds, LimitName.DRAWDOWN, measures.drawdown_e6)
    yield from _reached(bounds, LimitName.LOSS_STREAK, measures.losses)


def losses_in_bounds(case: LimitCase) -> Iterator[LimitBreach]:
    """Nothing is opened once the day's loss, the drawdown or the losses in a row are too many."""
    yield from standing_losses(case.bounds, case.measures)


def price_in_collar(case: LimitCase) -> Iterator[LimitBreach]:
    """The limit is not further outside of the touch than the collar; YES scale.

    Where the book has one side only, that side is the whole touch.
    """
    outside_e4 = _outside_e4(case.risk.intent.yes_price_e4, case.touch)
    yield from _above(case.bounds, LimitName.PRICE_COLLAR_CENTS, outside_e4, ORDER)


def _outside_e4(yes_price_e4: int, touch: Touch | None) -> int | None:
    if touch is None or not (touch.yes_bid_e4 or touch.no_bid_e4):
        return None
    bid_e4 = touch.yes_bid_e4
    ask_e4 = ONE_DOLLAR_E4 - touch.no_bid_e4 if touch.no_bid_e4 else bid_e4
    return max((bid_e4 or ask_e4) - yes_price_e4, yes_price_e4 - ask_e4, 0)


def data_is_fresh(case: LimitCase) -> Iterator[LimitBreach]:
    """The market's book is LIVE, and what was decided on is not too old by now.

    The age is that of the book's newest frame when it was received, and the time since the frame
    that the decision was made on.
    """
    age_ms = None
    if case.touch is not None:
        waited_ns = case.risk.now_mono_ns - case.risk.intent.frame_mono_ns
        age_ms = case.touch.age_ms + max(waited_ns, 0) // NS_PER_MS
    yield from _above(case.bounds, LimitName.DATA_AGE_MS, age_ms, ORDER)


def cash_is_left(case: LimitCase) -> Iterator[LimitBreach]:
    """After the order and its worst fee the shard has its reserve; what nets is not counted on."""
    intent, funds = case.risk.intent, case.risk.funds
    if funds is None:
        yield from _below(case.bounds, LimitName.CASH_RESERVE, None, "shard")
        return
    fee_e6 = case.risk.limits.fees.fee_e6(
        intent.price_e4, intent.count_e2, is_buy=True, is_taker=True
    )
    left_e6 = funds.free_e6 - intent.price_e4 * intent.count_e2 - fee_e6
    yield from _below(case.bounds, LimitName.CASH_RESERVE, left_e6, f"shard {funds.shard}")


def closes_late_enough(case: LimitCase) -> Iterator[LimitBreach]:
    """Nothing is opened shortly before the market closes."""
    left_ms = None if case.close_ms is None else case.close_ms - case.now_ms
    scope = str(RiskScope(ScopeKind.MARKET, case.risk.intent.market_ticker))
    yield from _below(case.bounds, LimitName.MINUTES_TO_CLOSE, left_ms, scope)


def orders_in_bounds(case: LimitCase) -> Iterator[LimitBreach]:
    """With this one there are not too many orders: open, in a second, in a minute."""
    open_orders = case.measures.open_orders + 1
    yield from _above(case.bounds, LimitName.OPEN_ORDERS, open_orders, str(TOTAL))
    yield from order_rates_in_bounds(case)


def order_rates_in_bounds(case: LimitCase) -> Iterator[LimitBreach]:
    """An order, or another price or size of one, is not one too many in a second or a minute."""
    bounds, now = case.bounds, case.measures
    yield from _above(bounds, LimitName.ORDERS_PER_SECOND, now.orders_second + 1, str(TOTAL))
    yield from _above(bounds, LimitName.ORDERS_PER_MINUTE, now.orders_minute + 1, str(TOTAL))


def cancels_in_bounds(case: LimitCase) -> Iterator[LimitBreach]:
    """Replacing an order does not make too many cancels; cancels for safety are never held back."""
    bounds, now = case.bounds, case.measures
    yield from _above(bounds, LimitName.CANCELS_PER_SECOND, now.cancels_second + 1, str(TOTAL))
    yield from _above(bounds, LimitName.CANCELS_PER_MINUTE, now.cancels_minute + 1, str(TOTAL))


DECISION_CHECKS: Final[tuple[LimitCheck, ...]] = (
    losses_in_bounds,
    sums_in_bounds,
    price_in_collar,
    data_is_fresh,
    cash_is_left,
    closes_late_enough,
)
ORDER_CHECKS: Final = (*DECISION_CHECKS, orders_in_bounds)  # of one that is sent now
AMEND_CHECKS: Final[tuple[LimitCheck, ...]] = (order_rates_in_bounds,)  # beside DECISION_CHECKS
SUM_CHECKS: Final[tuple[LimitCheck, ...]] = (sums_in_bounds, cash_is_left)  # of the worse terms
CANCEL_CHECKS: Final[tuple[LimitCheck, ...]] = (cancels_in_bounds,)  # of one that replaces another
