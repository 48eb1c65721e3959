"""Exchange fees in integers, by the two dated rules of the exchange.

A fee is quadratic in the price: `rate * contracts * p * (1 - p)`, so it is the same for a YES price
and for its NO complement. What the two rules do with the fractions of a cent:

- `AUGUST_2026`: the fee is rounded up to $0.0001; then cost + fee is rounded up to $0.0001 and the
  difference is added to the fee. Reproduces the recorded taker fills of August 2026.
- `OCTOBER_2026`: the trade fee is rounded up to $0.000001; the balance change (revenue - fee) is
  rounded down to $0.0001; the difference, the rounding fee, also goes to the order's accumulator;
  every whole $0.0001 in it comes back as a rebate, never more than the fill's fee.

A `flat` fee is the same at every price, `rate * contracts`, rounded by the same rules. What the
exchange charges per contract is in a table that its API does not serve, so `FLAT_RATE_E6` is an
assumption: what a `quadratic` market charges at 0.50, which is the most that it ever charges.

The rounding looks at the fill's cash flow, so `is_buy` matters with fractional counts or prices: a
buy costs `price * count`, a sell receives it. Buying NO at 1 - p and selling YES at p are rounded
alike. Data is charged by the rule of its own date, the live exchange by the newest.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, date, datetime
from enum import IntEnum, StrEnum
from typing import Final, NamedTuple

import msgspec

from ipc.kernels import kernel
from ipc.units import ONE_DOLLAR_E4

__all__ = [
    "ALWAYS_MS",
    "FEE_TYPES",
    "FLAT",
    "FLAT_RATE_E6",
    "NEWEST_RULE",
    "NO_FEES",
    "TAKER_RATE_E6",
    "FeeBound",
    "FeePeriod",
    "FeeRule",
    "FeeSchedule",
    "FeeSource",
    "FeeStep",
    "FillFee",
    "MarketFees",
    "OrderFees",
    "fee_of",
    "rebate_of",
    "rule_at_ms",
    "rule_on",
    "trade_fee_e6",
]

TAKER_RATE_E6: Final = 70_000  # 0.07
FLAT: Final = "flat"
FLAT_RATE_E6: Final = 17_500  # a contract, of makers too; assumed, see above
PRECISION_E6: Final = 100  # balances of direct members move in $0.0001
RATE_DENOMINATOR: Final = 10_000_000_000  # e6 rate * e2 count * e8 p(1-p) -> e6 money
MULTIPLIER_SCALE: Final = 10_000
ALWAYS_MS: Final = 0  # of a first step: it also holds before

# Maker's rate over the taker's, in hundredths, by the series' `fee_type`.
_MAKER_SHARE_E2: Final = {
    "quadratic": 0,
    "quadratic_with_maker_fees": 25,
    "quadratic_with_combo_maker_fees": 50,
}
FEE_TYPES: Final = (*_MAKER_SHARE_E2, FLAT)  # values of a series' `fee_type`


class FeeRule(IntEnum):
    """How fractions of a cent are rounded; named by the month in which the rule came into force.

    Attributes:
        AUGUST_2026: Fee and balance are rounded up to $0.0001, without rebates.
        OCTOBER_2026: Fee to $0.000001, balance to $0.0001, and an order gets whole $0.0001 of its
            rounding fees back.
    """

    AUGUST_2026 = 0
    OCTOBER_2026 = 1


NEWEST_RULE: Final = FeeRule.OCTOBER_2026
_OCTOBER_STARTS: Final = date(2026, 10, 1)
_OCTOBER: Final = int(FeeRule.OCTOBER_2026)  # Numba freezes plain integers
_IS_FLAT: Final = 16  # added to a rule: the rate is dollars a contract, whatever the price


def rule_on(day: date) -> FeeRule:
    """The rule that was in force on a day, in UTC."""
    return FeeRule.OCTOBER_2026 if day >= _OCTOBER_STARTS else FeeRule.AUGUST_2026


def rule_at_ms(ts_ms: int) -> FeeRule:
    """The rule that was in force at a moment, Unix milliseconds."""
    return rule_on(datetime.fromtimestamp(ts_ms / 1000, UTC).date())


@kernel
def _ceil_to(value: int, unit: int) -> int:
    return -(-value // unit) * unit


@kernel
def _raw_fee_e6(code: int, rate_e6: int, price_e4: int, count_e2: int) -> int:
    """rate * C * p * (1 - p), or rate * C, rounded up to 1e-6 dollars; exact, without overflow."""
    if code >= _IS_FLAT:
        return -(-(rate_e6 * count_e2) // 100)
    volume = count_e2 * price_e4 * (ONE_DOLLAR_E4 - price_e4)
    whole = volume // RATE_DENOMINATOR
    rest = volume % RATE_DENOMINATOR
    return rate_e6 * whole + -(-(rate_e6 * rest) // RATE_DENOMINATOR)


@kernel
def fee_of(code: int, rate_e6: int, price_e4: int, count_e2: int, is_buy: bool) -> tuple[int, int]:
    """The fee of one fill, before any rebate.

    Args:
        code: `FeeSchedule.code`.
        rate_e6: `FeeSchedule.taker_rate_e6` or `.maker_rate_e6`.
        price_e4: Price of the leg that is bought or sold.
        count_e2: Contracts filled.
        is_buy: Whether the leg is bought.

    Returns:
        (trade fee, rounding fee) in micro-dollars; what is charged is their sum.
    """
    fee = _raw_fee_e6(code, rate_e6, price_e4, count_e2)
    if code % _IS_FLAT != _OCTOBER:
        fee = _ceil_to(fee, PRECISION_E6)
    cost = price_e4 * count_e2 if is_buy else -price_e4 * count_e2
    return fee, _ceil_to(cost + fee, PRECISION_E6) - cost - fee


@kernel
def rebate_of(code: int, accumulator_e6: int, trade_e6: int, rounding_e6: int) -> tuple[int, int]:
    """What an order gets back of its rounding fees.

    Args:
        code: `FeeSchedule.code`; no rebates before the rule of October 2026.
        accumulator_e6: Rounding fees of the order's earlier fills, less what was paid back.
        trade_e6: Trade fee of this fill.
        rounding_e6: Rounding fee of this fill.

    Returns:
        (rebate of this fill, accumulator after it), micro-dollars.
    """
    if code % _IS_FLAT != _OCTOBER:
        return 0, 0
    total = accumulator_e6 + rounding_e6
    rebate = min(total, trade_e6 + rounding_e6) // PRECISION_E6 * PRECISION_E6
    return rebate, total - rebate


@kernel
def trade_fee_e6(code: int, rate_e6: int, price_e4: int, count_e2: int, is_buy: bool) -> int:
    """What one fill is charged when its order has no other: trade fee + rounding fee - rebate.

    Args:
        code: `FeeSchedule.code`.
        rate_e6: `FeeSchedule.taker_rate_e6` or `.maker_rate_e6`.
        price_e4: Price of the leg that is bought or sold.
        count_e2: Contracts filled.
        is_buy: Whether the leg is bought.

    Returns:
        Micro-dollars.
    """
    trade, rounding = fee_of(code, rate_e6, price_e4, count_e2, is_buy)
    return int(trade + rounding - rebate_of(code, 0, trade, rounding)[0])


class FillFee(NamedTuple):
    """What one fill was charged, in micro-dollars.

    Attributes:
        trade_e6: By rate, count and price.
        rounding_e6: What brings the balance to a whole $0.0001.
        rebate_e6: Paid back of the order's rounding fees.
    """

    trade_e6: int
    rounding_e6: int
    rebate_e6: int

    @property
    def net_e6(self) -> int:
        """The amount that leaves the balance."""
        return self.trade_e6 + self.rounding_e6 - self.rebate_e6


class OrderFees:
    """One order's fees over all its fills, taker and maker; keeps the accumulator of the rule.

    Args:
        schedule: What the market charges.

    Attributes:
        schedule: What the next fill is charged by; may be replaced between two fills.
        accumulator_e6: Rounding fees not paid back yet.
        charged_e6: Net fees so far.
    """

    def __init__(self, schedule: FeeSchedule) -> None:
        self.schedule = schedule
        self.accumulator_e6 = 0
        self.charged_e6 = 0

    def charge(self, price_e4: int, count_e2: int, *, is_buy: bool, is_taker: bool) -> FillFee:
        """Charge the next fill.

        Args:
            price_e4: Price of the leg that is bought or sold.
            count_e2: Contracts filled.
            is_buy: Whether the leg is bought.
            is_taker: Whether the fill took liquidity.

        Returns:
            The three parts of its fee.
        """
        code, rate = self.schedule.code, self.schedule.rate_e6(is_taker=is_taker)
        trade, rounding = fee_of(code, rate, price_e4, count_e2, is_buy)
        rebate, self.accumulator_e6 = rebate_of(code, self.accumulator_e6, trade, rounding)
        fee = FillFee(trade, rounding, rebate)
        self.charged_e6 += fee.net_e6
        return fee


class FeeSchedule(msgspec.Struct, frozen=True):
    """What a market charges: a rounding rule and the two rates, the series' multiplier included.

    Source: the exchange's fee schedule; see the module for its two rounding rules.

    Attributes:
        rule: How fractions are rounded.
        taker_rate_e6: Rate of a taker, 0.07 for most series.
        maker_rate_e6: Rate of a maker, 0 for most series.
        is_flat: Whether the rates are dollars a contract instead of factors of p * (1 - p).
    """

    rule: FeeRule = NEWEST_RULE
    taker_rate_e6: int = TAKER_RATE_E6
    maker_rate_e6: int = 0
    is_flat: bool = False

    @classmethod
    def of(
        cls, rule: FeeRule, fee_type: str = "quadratic", multiplier_e4: int = 10_000
    ) -> FeeSchedule:
        """The schedule of a series.

        Args:
            rule: The rule in force at the time of the data.
            fee_type: The series' `fee_type`.
            multiplier_e4: The series' `fee_multiplier`, in 1e-4.

        Raises:
            ValueError: Unknown fee type, or a multiplier that gives a rate finer than 1e-6.
        """
        if fee_type not in FEE_TYPES:
            raise ValueError(f"unknown fee_type {fee_type!r}; allowed: {', '.join(FEE_TYPES)}")
        if fee_type == FLAT:
            flat, rest = divmod(FLAT_RATE_E6 * multiplier_e4, MULTIPLIER_SCALE)
            if rest or multiplier_e4 < 0:
                raise ValueError(f"fee multiplier {multiplier_e4}e-4 gives a rate finer than 1e-6")
            return cls(rule, flat, flat, is_flat=True)
        maker_e8 = TAKER_RATE_E6 * _MAKER_SHARE_E2[fee_type]
        taker, rest = divmod(TAKER_RATE_E6 * multiplier_e4, MULTIPLIER_SCALE)
        maker, maker_rest = divmod(maker_e8 * multiplier_e4, 100 * MULTIPLIER_SCALE)
        if rest or maker_rest or multiplier_e4 < 0:
            raise ValueError(f"fee multiplier {multiplier_e4}e-4 gives a rate finer than 1e-6")
        return cls(rule, taker, maker)

    @property
    def code(self) -> int:
        """Rule and kind of the rates in one integer, as the kernels of this module take them."""
        return int(self.rule) + (_IS_FLAT if self.is_flat else 0)

    def rate_e6(self, *, is_taker: bool) -> int:
        """The rate of a taker or a maker."""
        return self.taker_rate_e6 if is_taker else self.maker_rate_e6

    def fee_e6(self, price_e4: int, count_e2: int, *, is_buy: bool, is_taker: bool) -> int:
        """What a fill is charged when its order has no other.

        Args:
            price_e4: Price of the leg that is bought or sold.
            count_e2: Contracts filled.
            is_buy: Whether the leg is bought.
            is_taker: Whether the fill took liquidity.

        Returns:
            Micro-dollars.
        """
        rate = self.rate_e6(is_taker=is_taker)
        return int(trade_fee_e6(self.code, rate, price_e4, count_e2, is_buy))


NO_FEES: Final = FeeSchedule(NEWEST_RULE, 0, 0)


class FeeSource(StrEnum):
    """Where a market's fees are known from. `ASSUMED`: nowhere; they are the usual ones."""

    EXCHANGE = "exchange"
    TABLE = "table"
    ASSUMED = "assumed"


class FeeStep(NamedTuple):
    """From `from_ms` (Unix milliseconds) on a market charges this; the multiplier is in 1e-4."""

    from_ms: int
    fee_type: str
    multiplier_e4: int


class FeePeriod(NamedTuple):
    """From `from_ms` on a fill is charged by this schedule."""

    from_ms: int
    schedule: FeeSchedule


class FeeBound(msgspec.Struct, frozen=True):
    """The most that a fill may be charged while it is not known which of some schedules applies."""

    schedules: tuple[FeeSchedule, ...] = (FeeSchedule(),)

    def fee_e6(self, price_e4: int, count_e2: int, *, is_buy: bool, is_taker: bool) -> int:
        """The highest fee under any of them, micro-dollars; arguments as of `FeeSchedule`."""
        return max(
            s.fee_e6(price_e4, count_e2, is_buy=is_buy, is_taker=is_taker) for s in self.schedules
        )


class MarketFees(msgspec.Struct, frozen=True):
    """What a market charges, period by period.

    Attributes:
        periods: In order, at least one; the first also holds before its time.
        source: Where they are known from.
        is_flat: Whether any of them is `flat`, whose rate is an assumption.
    """

    periods: tuple[FeePeriod, ...] = (FeePeriod(ALWAYS_MS, FeeSchedule()),)
    source: FeeSource = FeeSource.ASSUMED

    @classmethod
    def of(
        cls, rule: FeeRule, steps: Sequence[FeeStep], source: FeeSource = FeeSource.EXCHANGE
    ) -> MarketFees:
        """From the exchange's terms.

        Args:
            rule: The rounding rule in force at the time of the data.
            steps: In any order, at least one.
            source: Where they are known from.

        Raises:
            ValueError: No steps, an unknown fee type, or a multiplier finer than 1e-6 in its rate.
        """
        if not steps:
            raise ValueError("a market's fees need at least one step")
        ordered = sorted(steps, key=lambda step: step.from_ms)
        periods = [
            FeePeriod(s.from_ms, FeeSchedule.of(rule, s.fee_type, s.multiplier_e4)) for s in ordered
        ]
        return cls(tuple(periods), source)

    @classmethod
    def constant(cls, schedule: FeeSchedule, source: FeeSource = FeeSource.ASSUMED) -> MarketFees:
        """One schedule for all time."""
        return cls((FeePeriod(ALWAYS_MS, schedule),), source)

    @property
    def is_flat(self) -> bool:
        """Whether any period is `flat`: what it charges a contract is assumed."""
        return any(period.schedule.is_flat for period in self.periods)

    @property
    def assumption(self) -> str:
        """What about these fees is assumed, for people; "" when nothing is."""
        if self.source is FeeSource.ASSUMED:
            return "fee type and multiplier"
        return f"the rate of `{FLAT}`" if self.is_flat else ""

    def at_ms(self, now_ms: int) -> FeeSchedule:
        """The schedule in force at a moment, Unix milliseconds."""
        starts = [period.from_ms for period in self.periods]
        return self.periods[max(bisect_right(starts, now_ms) - 1, 0)].schedule

    def bound(self, from_ms: int, until_ms: int) -> FeeBound:
        """The most that a fill in a stretch of time may be charged, both ends included."""
        later = (p.schedule for p in self.periods if from_ms < p.from_ms <= until_ms)
        return FeeBound((self.at_ms(from_ms), *later))
