"""What one market charges over time: its series' fees, its event's overrides, a waiver.

The exchange's terms come as `FeeStep`s, (from when, fee type, multiplier). `resolve_steps` puts the
three sources into one list by the exchange's precedence: a market's fee waiver goes before its
event's override, that before its series. `MarketFees` of `models.trading.fees` is the same list as
schedules that can be charged by; the simulator, evaluation and the bounds of live risk all read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from models.trading.fees import ALWAYS_MS, FeeRule, FeeSchedule, FeeStep, MarketFees

__all__ = [
    "OverrideStep",
    "assumed_fees",
    "fee_words_of",
    "fees_note",
    "resolve_steps",
    "utc_text",
]

WAIVED: Final = "quadratic"  # with multiplier 0


class OverrideStep(NamedTuple):
    """From `from_ms` on an event charges this; a type of None: what its series charges."""

    from_ms: int
    fee_type: str | None
    multiplier_e4: int | None


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
