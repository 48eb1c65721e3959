"""What some series charged in the past: for recordings made before fees were stored with them.

A row holds what a reply or a fill of that time shows, for the days between the first and the last
such sighting, and names it. Nothing is carried further: on other days, and for all other series,
fees are assumed and every report says so. The multipliers behind the 33 real fills of August 2026
(1 for 23 of them, 0.5 for 10) are known, but not whose series they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from typing import Final, NamedTuple

from models.trading.fees import ALWAYS_MS, FeeSource, FeeStep, MarketFees, rule_at_ms
from models.trading.market_fees import assumed_fees

__all__ = ["KNOWN_FEES", "KnownFees", "fees_of_recording", "series_of"]


class KnownFees(NamedTuple):
    """A series' fees from `first` to `last`, both days (UTC) included; the multiplier in 1e-4."""

    series_ticker: str
    first: date
    last: date
    fee_type: str
    multiplier_e4: int
    source: str


KNOWN_FEES: Final[tuple[KnownFees, ...]] = (
    KnownFees(
        "CO2",
        date(2026, 1, 12),
        date(2026, 1, 12),
        "quadratic",
        10_000,
        "a reply of production to `GET /series/CO2`, 12 January 2026",
    ),
    KnownFees(
        "KXWTACHALLENGERMATCH",
        date(2026, 6, 11),
        date(2026, 6, 11),
        "quadratic",
        10_000,
        "three taker fills of the demo environment, 11 June 2026 (1 at 0.52: $0.017500; two of 1 "
        "at 0.99: $0.000700); that makers pay nothing is the type's rule, none was filled",
    ),
)


def series_of(ticker: str) -> str:
    """The series of a market or an event, as tickers are built: what is before the first hyphen."""
    return ticker.partition("-")[0]


def fees_of_recording(ticker: str, began_ms: int, stored: Sequence[FeeStep] = ()) -> MarketFees:
    """A recorded market's fees: those recorded with it, else those of the table, else assumed.

    Args:
        ticker: The market.
        began_ms: When it opened, or its first event, Unix milliseconds; decides the rounding rule.
        stored: The terms that were recorded with it.

    Raises:
        ValueError: Stored terms that cannot be charged by.
    """
    rule = rule_at_ms(began_ms)
    if stored:
        return MarketFees.of(rule, stored)
    day = datetime.fromtimestamp(began_ms / 1000, UTC).date()
    for row in KNOWN_FEES:
        if row.series_ticker == series_of(ticker) and row.first <= day <= row.last:
            step = FeeStep(ALWAYS_MS, row.fee_type, row.multiplier_e4)
            return MarketFees.of(rule, [step], FeeSource.TABLE)
    return assumed_fees(rule)
