"""What each market charges, as the collector reports it: for the bounds of risk and for the table.

The collector reads fees with discovery and repeats them with its session, so execution reads none
itself. A market whose fees were not reported is charged the usual ones until they are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from models.trading.fees import FeeSchedule, rule_at_ms
from models.trading.market_fees import FeeBound, FeeStep, MarketFees

__all__ = ["ReportedFees"]


class ReportedFees:
    """Fees by market, and what was last shown of them in the account table."""

    def __init__(self) -> None:
        self._steps: dict[str, tuple[FeeStep, ...]] = {}
        self._fees: dict[str, MarketFees] = {}
        self._shown: dict[str, FeeSchedule] = {}

    def report(self, fees: Mapping[str, Sequence[tuple[int, str, int]]], now_ms: int) -> list[str]:
        """Take what the collector says of its markets.

        Args:
            fees: As `SessionInfo.fees`.
            now_ms: Market time.

        Returns:
            The markets whose terms cannot be charged by; what was known of them stays.
        """
        refused = []
        for ticker, reported in fees.items():
            steps = tuple(FeeStep(*step) for step in reported)
            if self._steps.get(ticker) == steps:
                continue
            self._steps[ticker] = steps
            try:
                self._fees[ticker] = MarketFees.of(rule_at_ms(now_ms), steps)
            except ValueError:
                refused.append(ticker)
        return refused

    def in_force(self, ticker: str, now_ms: int) -> FeeSchedule | None:
        """What a market charges now; None when that is not known."""
        fees = self._fees.get(ticker)
        return None if fees is None else fees.at_ms(now_ms)

    def bound(self, ticker: str, from_ms: int, until_ms: int) -> FeeBound:
        """The most that a fill of a market in a stretch of time may be charged."""
        fees = self._fees.get(ticker)
        return FeeBound() if fees is None else fees.bound(from_ms, until_ms)

    def changed(self, now_ms: int) -> list[str]:
        """The markets that charge otherwise than at the last call."""
        found = []
        for ticker in self._fees:
            schedule = self._fees[ticker].at_ms(now_ms)
            if self._shown.get(ticker) != schedule:
                self._shown[ticker] = schedule
                found.append(ticker)
        return found

    def forget(self, ticker: str) -> None:
        """The market is over."""
        for known in (self._steps, self._fees, self._shown):
            known.pop(ticker, None)
