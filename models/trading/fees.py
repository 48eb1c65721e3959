"""Exchange fees in integers, by the two dated rules of the exchange.

A fee is quadratic in the price: `rate * contracts * p * (1 - p)`, so it is the same for a YES price
and for its NO complement. What the two rules do with the fractions of a cent:

- `AUGUST_2026`: the fee is rounded up to $0.0001; then cost + fee is rounded up to $0.0001 and the
  difference is added to the fee. Reproduces the recorded taker fills of August 2026.
- `OCTOBER_2026`: the trade fee is rounded up to $0.000001; the balance change (revenue - fee) is
  rounded down to $0.0001; the difference, the rounding fee, also goes to the order's accumulator;
  every whole $0.0001 in it comes back as a rebate, never more than the fill's fee.

The rounding looks at the fill's cash flow, so `is_buy` matters with fractional counts or prices: a
buy costs `price * count`, a sell receives it. Buying NO at 1 - p and selling YES at p are rounded
alike. Data is charged by the rule of its own date, the live exchange by the newest.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from enum import IntEnum
from typing import Final, NamedTuple

import msgspec

from ipc.kernels import kernel
from ipc.units import ONE_DOLLAR_E4

__all__ = [
    "NEWEST_RULE",
    "NO_FEES",
    "TAKER_RATE_E6",
    "FeeRule",
    "FeeSchedule",
    "FillFee",
    "OrderFees",
    "fee_of",
    "rebate_of",
    "rule_at_ms",
    "rule_on",
    "trade_fee_e6",
]

TAKER_RATE_E6: Final = 70_000  # 0.07
PRECISION_E6: Final = 100  # balances of direct members move in $0.0001
RATE_DENOMINATOR: Final = 10_000_000_000  # e6 rate * e2 count * e8 p(1-p) -> e6 money
MULTIPLIER_SCALE: Final = 10_000

# Maker's rate over the taker's, in hundredths, by the series' `fee_type`.
_MAKER_SHARE_E2: Final = {
    "quadratic": 0,
    "quadratic_with_maker_fees": 25,
    "quadratic_with_combo_maker_fees": 50,
}


class FeeRule(IntEnum):
    """How fractions of a cent are rounded; named by the month in which the rule came into force."""

    AUGUST_2026 = 0
    OCTOBER_2026 = 1


NEWEST_RULE: Final = FeeRule.OCTOBER_2026
_OCTOBER_STARTS: Final = date(2026, 10, 1)
_OCTOBER: Final = int(FeeRule.OCTOBER_2026)  # Numba freezes plain integers


def rule_on(day: date) -> FeeRule:
    """The rule that was in force on a day."""
    return FeeRule.OCTOBER_2026 if day >= _OCTOBER_STARTS else FeeRule.AUGUST_2026


def rule_at_ms(ts_ms: int) -> FeeRule:
    """The rule that was in force at a moment, Unix milliseconds."""
    return rule_on(datetime.fromtimestamp(ts_ms / 1000, UTC).date())


@kernel
def _ceil_to(value: int, unit: int) -> int:
    return -(-value // unit) * unit


@kernel
def _raw_fee_e6(rate_e6: int, price_e4: int, count_e2: int) -> int:
    """rate * C * p * (1 - p), rounded up to 1e-6 dollars; exact, without overflow."""
    volume = count_e2 * price_e4 * (ONE_DOLLAR_E4 - price_e4)
    whole = volume // RATE_DENOMINATOR
    rest = volume % RATE_DENOMINATOR
    return rate_e6 * whole + -(-(rate_e6 * rest) // RATE_DENOMINATOR)


@kernel
def fee_of(rule: int, rate_e6: int, price_e4: int, count_e2: int, is_buy: bool) -> tuple[int, int]:
    """The fee of one fill, before any rebate.

    Args:
        rule: `FeeRule`.
        rate_e6: `FeeSchedule.taker_rate_e6` or `.maker_rate_e6`.
        price_e4: Price of the leg that is bought or sold.
        count_e2: Contracts filled.
        is_buy: Whether the leg is bought.

    Returns:
        (trade fee, rounding fee) in micro-dollars; what is charged is their sum.
    """
    fee = _raw_fee_e6(rate_e6, price_e4, count_e2)
    if rule != _OCTOBER:
        fee = _ceil_to(fee, PRECISION_E6)
    cost = price_e4 * count_e2 if is_buy else -price_e4 * count_e2
    return fee, _ceil_to(cost + fee, PRECISION_E6) - cost - fee


@kernel
def rebate_of(rule: int, accumulator_e6: int, trade_e6: int, rounding_e6: int) -> tuple[int, int]:
    """What an order gets back of its rounding fees.

    Args:
        rule: `FeeRule`; no rebates before October 2026.
        accumulator_e6: Rounding fees of the order's earlier fills, less what was paid back.
        trade_e6: Trade fee of this fill.
        rounding_e6: Rounding fee of this fill.

    Returns:
        (rebate of this fill, accumulator after it), micro-dollars.
    """
    if rule != _OCTOBER:
        return 0, 0
    total = accumulator_e6 + rounding_e6
    rebate = min(total, trade_e6 + rounding_e6) // PRECISION_E6 * PRECISION_E6
    return rebate, total - rebate


@kernel
def trade_fee_e6(rule: int, rate_e6: int, price_e4: int, count_e2: int, is_buy: bool) -> int:
    """What one fill is charged when its order has no other: trade fee + rounding fee - rebate.

    Arguments as of `fee_of`; micro-dollars.
    """
    trade, rounding = fee_of(rule, rate_e6, price_e4, count_e2, is_buy)
    return int(trade + rounding - rebate_of(rule, 0, trade, rounding)[0])


class FillFee(NamedTuple):
    """What one fill was charged, in micro-dollars."""

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
        accumulator_e6: Rounding fees not paid back yet.
        charged_e6: Net fees so far.
    """

    def __init__(self, schedule: FeeSchedule) -> None:
        self._schedule = schedule
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
        rule = int(self._schedule.rule)
        rate = self._schedule.rate_e6(is_taker=is_taker)
        trade, rounding = fee_of(rule, rate, price_e4, count_e2, is_buy)
        rebate, self.accumulator_e6 = rebate_of(rule, self.accumulator_e6, trade, rounding)
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
    """

    rule: FeeRule = NEWEST_RULE
    taker_rate_e6: int = TAKER_RATE_E6
    maker_rate_e6: int = 0

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
        if fee_type not in _MAKER_SHARE_E2:
            allowed = ", ".join(_MAKER_SHARE_E2)
            raise ValueError(f"unknown fee_type {fee_type!r}; allowed: {allowed}")
        maker_e8 = TAKER_RATE_E6 * _MAKER_SHARE_E2[fee_type]
        taker, rest = divmod(TAKER_RATE_E6 * multiplier_e4, MULTIPLIER_SCALE)
        maker, maker_rest = divmod(maker_e8 * multiplier_e4, 100 * MULTIPLIER_SCALE)
        if rest or maker_rest or multiplier_e4 < 0:
            raise ValueError(f"fee multiplier {multiplier_e4}e-4 gives a rate finer than 1e-6")
        return cls(rule, taker, maker)

    def rate_e6(self, *, is_taker: bool) -> int:
        """The rate of a taker or a maker."""
        return self.taker_rate_e6 if is_taker else self.maker_rate_e6

    def fee_e6(self, price_e4: int, count_e2: int, *, is_buy: bool, is_taker: bool) -> int:
        """What a fill is charged when its order has no other, in micro-dollars.

        Arguments as of `OrderFees.charge`.
        """
        rate = self.rate_e6(is_taker=is_taker)
        return int(trade_fee_e6(int(self.rule), rate, price_e4, count_e2, is_buy))


NO_FEES: Final = FeeSchedule(NEWEST_RULE, 0, 0)
