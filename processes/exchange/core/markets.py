"""A market: facts, phase (initialized, active, paused, closed, determined, finalized) and book."""

from __future__ import annotations

import uuid
from enum import StrEnum
from typing import Any

import msgspec

from ipc.units import LINEAR_CENT, PriceGrid
from models.trading.fees import FeeSchedule
from processes.exchange.core.books import BookLog, PublishedBook

__all__ = ["Closing", "ListedMarket", "MarketFacts", "MarketPhase", "market_id_of"]


class MarketPhase(StrEnum):
    """A market's state, as `GET /markets` reports it."""

    INITIALIZED = "initialized"
    ACTIVE = "active"
    INACTIVE = "inactive"
    CLOSED = "closed"
    DETERMINED = "determined"
    FINALIZED = "finalized"

    @property
    def filter(self) -> str:
        """The word that the `status` filter uses for it."""
        return _FILTERS[self]


_FILTERS = {
    MarketPhase.INITIALIZED: "unopened",
    MarketPhase.ACTIVE: "open",
    MarketPhase.INACTIVE: "paused",
    MarketPhase.CLOSED: "closed",
    MarketPhase.DETERMINED: "closed",
    MarketPhase.FINALIZED: "settled",
}


def market_id_of(ticker: str) -> str:
    """A stable UUID for a market whose recording has none."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"market:{ticker}"))


class MarketFacts(msgspec.Struct, frozen=True):
    """What is known of a market before it opens.

    Times are market time. `structure` is the price grid's name as the exchange reports it,
    `fee_multiplier_e4` a factor of the fee type's rate (1e-4), `settlement_timer_s` the time from
    result to payment.
    """

    ticker: str
    event_ticker: str
    series_ticker: str
    open_ms: int
    close_ms: int
    grid: PriceGrid = LINEAR_CENT
    structure: str = "linear_cent"
    title: str = ""
    yes_sub_title: str = ""
    no_sub_title: str = ""
    strike_type: str = ""
    floor_strike: float | None = None
    market_id: str = ""
    fee_type: str = "quadratic"
    fee_multiplier_e4: int = 10_000
    fees: FeeSchedule = FeeSchedule()  # of the type and multiplier above
    waiver_until_ms: int = 0  # no fees before
    category: str = ""
    rules: str = ""
    rules_more: str = ""
    settlement_timer_s: int = 1
    exchange_index: int = 0  # the shard whose engine matches it and whose collateral it takes
    expiration_value: str = ""  # shown once the market is determined
    details: dict[str, Any] = {}  # fields of its REST body that describe and decide nothing


class Closing(msgspec.Struct, frozen=True):
    """How a market's book ends: whether every level is removed, then snapshots without levels."""

    burst: bool = False
    snapshots: int = 1


class ListedMarket:
    """One market: facts, phase, published book with its log, and what has traded.

    Attributes:
        facts: As they are now; close time and grid may change.
        number: Its place in lists; it never changes.
        value_e4: What a YES contract pays, None before the result.
        settled_ms: Market time of the payment, None before.
        position_limit_e2: Contracts of an account at most, None without a limit.
    """

    def __init__(self, facts: MarketFacts, number: int) -> None:
        self.facts = facts
        self.ticker = facts.ticker
        self.number = number
        self.market_id = facts.market_id or market_id_of(facts.ticker)
        self.status = MarketPhase.INITIALIZED
        self.is_cut_short = False  # closed by order: what its recording says after that is not said
        self.book = PublishedBook()
        self.log = BookLog()
        self.clock = 0  # the exchange's clock at the newest change of the book
        self.flow_ms = facts.open_ms  # market time of the newest frame
        self.last_price_e4 = 0
        self.volume_e2 = 0
        self.open_interest_e2 = 0
        self.last_count_e2 = 0
        self.result = ""
        self.value_e4: int | None = None
        self.settled_ms: int | None = None
        self.updated_ms = facts.open_ms
        self.minimum_e2 = 1  # contracts of an order
        self.position_limit_e2: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether orders are taken."""
        return self.status is MarketPhase.ACTIVE

    @property
    def is_running(self) -> bool:
        """Whether it has opened and not closed; it may be paused."""
        return self.status in (MarketPhase.ACTIVE, MarketPhase.INACTIVE)

    def top(self) -> tuple[int, int, int, int]:
        """Best YES bid, its size, best NO bid, its size; 0 where there is none."""
        yes, no = self.book.best(0), self.book.best(1)
        return yes, self.book.count(0, yes), no, self.book.count(1, no)

    def trade(self, yes_price_e4: int, count_e2: int, taker_leg: int) -> None:
        """Note a trade.

        Whether strangers open or close positions is not known. Here those who buy YES open, those
        who buy NO close half of the time, as far as there is anything to close.
        """
        closed_e2 = min(count_e2 // 2, self.open_interest_e2) if taker_leg else 0
        self.open_interest_e2 += count_e2 - 2 * closed_e2
        self.last_price_e4 = yes_price_e4
        self.last_count_e2 = count_e2
        self.volume_e2 += count_e2

    def created_facts(self) -> dict[str, Any]:
        """What the lifecycle channel says when the market is created."""
        facts = self.facts
        return {
            "open_ts": facts.open_ms // 1000,
            "close_ts": facts.close_ms // 1000,
            "exchange_index": facts.exchange_index,
            "price_level_structure": facts.structure,
            "price_ranges": facts.grid.to_wire(),
            "additional_metadata": self.lifecycle_metadata(),
        }

    def lifecycle_metadata(self) -> dict[str, Any]:
        """`additional_metadata` of the frame that says a market was created."""
        facts = self.facts
        metadata: dict[str, Any] = {
            "name": facts.title,
            "title": facts.title,
            "yes_sub_title": facts.yes_sub_title,
            "no_sub_title": facts.no_sub_title,
            "rules_primary": facts.rules,
            "rules_secondary": "",
            "can_close_early": True,
            "event_ticker": facts.event_ticker,
            "expected_expiration_ts": facts.close_ms // 1000,
        }
        if facts.strike_type:
            metadata["strike_type"] = facts.strike_type
        if facts.floor_strike is not None:
            metadata["floor_strike"] = facts.floor_strike
        return metadata
