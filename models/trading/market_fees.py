"""What one market charges over time: its series' fees, its event's overrides, a waiver.

The exchange's terms come as `FeeStep`s, (from when, fee type, multiplier). `resolve_steps` puts the
three sources into one list by the exchange's precedence: a market's fee waiver goes before its
event's override, that before its series. `MarketFees` is the same list as schedules that can be
charged by; the simulator, evaluation and the bounds of live risk all read it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Final, NamedTuple

import msgspec

from models.trading.fees import FLAT, FeeRule, FeeSchedule

__all__ = [
    "ALWAYS_MS",
    "FeeBound",
    "FeePeriod",
    "FeeSource",
    "FeeStep",
    "MarketFees",
    "OverrideStep",
    "assumed_fees",
    "fee_words_of",
    "fees_note",
    "resolve_steps",
    "utc_text",
]

ALWAYS_MS: Final = 0  # of a first step: it also holds before
WAIVED: Final = "quadratic"  # with multiplier 0


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


class OverrideStep(NamedTuple):
    """From `from_ms` on an event charges this; a type of None: what its series charges."""

    from_ms: int
    fee_type: str | None
    multiplier_e4: int | None


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


def fees_note(markets: Sequence[MarketFees]) -> str:
    """How well the fees of some markets are known, for people: "" when nothing is assumed."""
    assumed = [fees.assumption for fees in markets if fees.assumption]
    if not assumed:
        return ""
    kinds = ", ".join(f"{what} ({assumed.count(what)})" for what in sorted(set(assumed)))
    return f"fees assumed for {len(assumed)} of {len(markets)} markets: {kinds}"


def fee_words_of(steps: Sequence[FeeStep]) -> str:
    """Terms for people: the fee type and multiplier of each step, and from when the later ones."""
    words = [f"{s.fee_type} x{s.multiplier_e4 / 10_000:g}" for s in steps]
    later = [f", from {utc_text(s.from_ms)} {w}" for s, w in zip(steps, words, strict=True)][1:]
    return "".join([*words[:1], *later])


def utc_text(ms: int) -> str:
    """Unix milliseconds as UTC, to the second."""
    return datetime.fromtimestamp(ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def assumed_fees(rule: FeeRule) -> MarketFees:
    """What is charged where nothing is known: `quadratic`, multiplier 1."""
    return MarketFees.constant(FeeSchedule.of(rule))


def resolve_steps(
    series: Sequence[FeeStep],
    overrides: Sequence[OverrideStep] = (),
    waived_until_ms: int = 0,
) -> tuple[FeeStep, ...]:
    """A market's own terms, by the exchange's precedence (PROTOCOL 7).

    Args:
        series: What its series charges, at least one step.
        overrides: What its event charges instead, and from when.
        waived_until_ms: End of the market's fee waiver, 0 for none.

    Returns:
        Steps in order, none equal to the one before it; the first also holds before its time.
    """
    times = {s.from_ms for s in series} | {o.from_ms for o in overrides}
    if waived_until_ms:
        times |= {ALWAYS_MS, waived_until_ms}
    found: list[FeeStep] = []
    for from_ms in sorted(times):
        step = FeeStep(from_ms, *_in_force(series, overrides, waived_until_ms, from_ms))
        if not found or found[-1][1:] != step[1:]:
            found.append(step)
    return tuple(found)


def _in_force(
    series: Sequence[FeeStep],
    overrides: Sequence[OverrideStep],
    waived_until_ms: int,
    at_ms: int,
) -> tuple[str, int]:
    """(fee type, multiplier) at a moment."""
    if at_ms < waived_until_ms:
        return WAIVED, 0
    begun = [o for o in sorted(overrides, key=lambda o: o.from_ms) if o.from_ms <= at_ms]
    if begun and begun[-1].fee_type is not None:
        return begun[-1].fee_type, begun[-1].multiplier_e4 or 0
    ordered = sorted(series, key=lambda s: s.from_ms)
    step = [s for s in ordered if s.from_ms <= at_ms][-1:] or ordered[:1]
    return step[0].fee_type, step[0].multiplier_e4
