"""Profit and loss of the day, its peak, and losses in a row: what the account has done lately.

A market's *result* is what it has made so far, fees included, its position valued at the best bid
of the leg that is held: `realized - fees + position x bid - cost basis`. The day's profit is what
all results together changed by since the day began (UTC, market time). The results of the beginning
are part of the record, so a restart continues the same day, with what was filled meanwhile.

- Without a bid in a book that is known, a position is worth nothing: that is what it would bring.
- Where the book is not known, the position counts at its last known price; where none was ever
  known, at its cost, so that only what is realised counts.
- A market that is new to the record begins at 0 if all its fills are of today, else as it is now.

A *closed trade* is a market that has come back to a position of zero, by fills or by a settlement.
"""

from __future__ import annotations

from typing import Final

import msgspec

__all__ = ["MS_PER_DAY", "DayPnl", "DayRecord", "LossStreak", "day_of"]

MS_PER_DAY: Final = 86_400_000


def day_of(now_ms: int) -> int:
    """The number of a day since 1970, UTC."""
    return now_ms // MS_PER_DAY


class DayRecord(msgspec.Struct, frozen=True):
    """A day so far, as it is stored.

    Attributes:
        day: Its number since 1970, UTC.
        markets: By ticker what the market's result was when the day began, and last; 1e-6 dollars.
        peak_e6: The highest that the day's profit was, 0 at its beginning.
        losses: Closed trades in a row, up to the newest, that lost.
    """

    day: int = 0
    markets: dict[str, tuple[int, int]] = {}
    peak_e6: int = 0
    losses: int = 0


class DayPnl:
    """The day's profit, from the results of its markets.

    Args:
        record: What was stored of the day, or of an earlier one.
        now_ms: Market time.

    Attributes:
        profit_e6: Since the day began; a loss is negative.
        peak_e6: The highest that it was, 0 at the beginning.
    """

    def __init__(self, record: DayRecord, now_ms: int) -> None:
        self._day = record.day
        self._markets = {ticker: list(entry) for ticker, entry in record.markets.items()}
        self.profit_e6 = sum(last - base for base, last in record.markets.values())
        self.peak_e6 = max(record.peak_e6, self.profit_e6)
        self.roll(now_ms)

    @property
    def drawdown_e6(self) -> int:
        """How far the profit is below the day's peak."""
        return self.peak_e6 - self.profit_e6

    @property
    def began_ms(self) -> int:
        """When the day began, market time."""
        return self._day * MS_PER_DAY

    @property
    def markets(self) -> dict[str, tuple[int, int]]:
        """What is stored of every market: its result at the beginning of the day, and last."""
        return {ticker: (base, last) for ticker, (base, last) in self._markets.items()}

    @property
    def day(self) -> int:
        """Its number since 1970, UTC."""
        return self._day

    def roll(self, now_ms: int) -> bool:
        """Begin a new day when it has come; every result is then that of the beginning.

        Args:
            now_ms: Market time; a clock that was set back, as of a replay that starts over, is
                another day too.

        Returns:
            Whether a new day has begun.
        """
        if day_of(now_ms) == self._day:
            return False
        self._day = day_of(now_ms)
        self._markets = {ticker: [last, last] for ticker, (_, last) in self._markets.items()}
        self.profit_e6 = self.peak_e6 = 0
        return True

    def begin(self, ticker: str, result_e6: int) -> None:
        """Take a market in with what its result was when the day began, micro-dollars."""
        self._markets[ticker] = [result_e6, result_e6]

    def update(self, ticker: str, result_e6: int) -> None:
        """Take the result of a market that was taken in: all that it has made, fees included."""
        entry = self._markets[ticker]
        self.profit_e6 += result_e6 - entry[1]
        entry[1] = result_e6
        self.peak_e6 = max(self.peak_e6, self.profit_e6)

    def last_of(self, ticker: str) -> int | None:
        """The newest result of a market, None while it has none."""
        entry = self._markets.get(ticker)
        return None if entry is None else entry[1]

    def forget(self, keep: set[str]) -> None:
        """Drop markets that are over and have changed nothing today."""
        for ticker in [t for t, (base, last) in self._markets.items() if base == last]:
            if ticker not in keep:
                del self._markets[ticker]


class LossStreak:
    """Closed trades in a row that lost.

    Args:
        losses: So many already.

    Attributes:
        losses: Up to the newest closed trade.
    """

    def __init__(self, losses: int = 0) -> None:
        self.losses = losses
        self._flat_e6: dict[str, int] = {}  # by market: realised less fees when it was last flat

    def update(self, ticker: str, position_e2: int, net_e6: int) -> None:
        """Take a market's account.

        Args:
            ticker: The market.
            position_e2: What is held.
            net_e6: Realised less fees, since the account began.
        """
        before = self._flat_e6.setdefault(ticker, net_e6)
        if position_e2 != 0 or net_e6 == before:
            return
        self._flat_e6[ticker] = net_e6
        self.losses = self.losses + 1 if net_e6 < before else 0

    def forget(self, ticker: str) -> None:
        """The market is over."""
        self._flat_e6.pop(ticker, None)
