"""Programs that pay for resting orders or for volume in the exchange's markets.

Nothing is stored: a market's programs follow from its own times. A market that trades has a
liquidity program in each half of its window and a volume program over all of it; of the catalogue
every tenth market has a liquidity program. The figures are those seen most often (20 dollars a
window of 15 minutes, target size 300 or 1,000, discount 0.5). What they pay is computed nowhere
here: a program is paid out a minute after its end.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Final

import msgspec

from processes.exchange.core.catalogue import Catalogue
from processes.exchange.core.markets import ListedMarket, market_id_of
from processes.exchange.core.venue import Venue

__all__ = ["KINDS", "STATUSES", "ExchangeProgram", "programs_of"]

KINDS: Final = ("liquidity", "volume", "margin_maker_volume", "margin_taker_volume")
STATUSES: Final = ("active", "upcoming", "closed", "paid_out")
PAID_AFTER_MS: Final = 60_000
EVERY: Final = 10  # of the catalogue's markets one has a program
BEHIND: Final = 1 << 40  # the catalogue's places come after those of all other markets
CENTICENTS: Final = 200_000  # 20 dollars


class ExchangeProgram(msgspec.Struct, frozen=True):
    """One program of one market; money in 1e-4 dollars, for the whole period."""

    place: tuple[int, int]  # among all programs, for ever
    ticker: str
    market_id: str
    kind: str
    start_ms: int
    end_ms: int
    reward: int = CENTICENTS
    target_size_e2: int | None = 30_000
    discount_bps: int | None = 5_000

    @property
    def program_id(self) -> str:
        """The same for the same market, kind and period."""
        name = f"program:{self.ticker}:{self.kind}:{self.start_ms}"
        return str(uuid.uuid5(uuid.NAMESPACE_URL, name))

    @property
    def description(self) -> str:
        """For people."""
        return f"{self.kind.replace('_', ' ').capitalize()} incentive program"

    def status(self, now_ms: int) -> str:
        """One of `STATUSES`."""
        if now_ms < self.start_ms:
            return "upcoming"
        if now_ms < self.end_ms:
            return "active"
        return "closed" if now_ms < self.end_ms + PAID_AFTER_MS else "paid_out"


def programs_of(venue: Venue, catalogue: Catalogue, now_ms: int) -> Iterator[ExchangeProgram]:
    """All programs, in the order of their places."""
    for market in sorted(venue.markets.values(), key=lambda m: m.number):
        yield from _of_market(market)
    for place in range(0, catalogue.markets, EVERY):
        row = catalogue.row(place, now_ms)
        ticker = catalogue.ticker(row)
        if ticker not in venue.markets:
            at, times = (BEHIND + place, 0), (row.open_ms, row.close_ms)
            yield ExchangeProgram(
                at, ticker, market_id_of(ticker), "liquidity", *times, target_size_e2=100_000
            )


def _of_market(market: ListedMarket) -> Iterator[ExchangeProgram]:
    facts, number = market.facts, market.number
    named = market.ticker, market.market_id
    half_ms = (facts.open_ms + facts.close_ms) // 2
    yield ExchangeProgram((number, 0), *named, "liquidity", facts.open_ms, half_ms)
    yield ExchangeProgram((number, 1), *named, "liquidity", half_ms, facts.close_ms)
    whole = ((number, 2), *named, "volume", facts.open_ms, facts.close_ms)
    yield ExchangeProgram(*whole, target_size_e2=None, discount_bps=None)
