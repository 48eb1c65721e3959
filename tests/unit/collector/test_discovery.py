"""How the exchange's list is read: whole, by name, what changed; and what that may cost."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.listed_market import market
from support.logged import Logged

from ipc.clock import NS_PER_S, ManualClock
from processes.adapters.kalshi.errors import (
    ApiError,
    ExchangeUnavailable,
    KalshiError,
    RateLimited,
    WireError,
)
from processes.adapters.kalshi.rest.public import MarketQuery
from processes.adapters.kalshi.schemas.decoding import LeftOut, Listing
from processes.adapters.kalshi.schemas.rest_public import Market
from processes.collector.choice import MarketChoice, MarketRules
from processes.collector.discovery import Discovery, MarketReader, ReadAllowance
from processes.runtime.config import load_settings

NOW_NS = 1_770_000_000 * NS_PER_S
NOTHING = LeftOut()


class Waits:
    """A clock that a sleep moves on."""

    def __init__(self) -> None:
        self.now_ns = 0

    def now(self) -> int:
        return self.now_ns

    async def sleep(self, seconds: float) -> None:
        self.now_ns += round(seconds * NS_PER_S)


class FakeList:
    """Answers pages of two markets as the exchange would, and notes what was asked."""

    def __init__(self, markets: list[Market], left_out: LeftOut = NOTHING, rows: int = 2) -> None:
        self.markets = {m.ticker: m for m in markets}
        self.left_out = left_out
        self.rows = rows
        self.asked: list[MarketQuery] = []
        self.failures: list[KalshiError] = []

    async def markets_page(
        self, query: MarketQuery, cursor: str = ""
    ) -> tuple[Listing[Market], str]:
        self.asked.append(query)
        if self.failures:
            raise self.failures.pop(0)
        if query.tickers:
            found = [self.markets[t] for t in reversed(query.tickers) if t in self.markets]
            return Listing(found, self.left_out), ""
        listed, at = list(self.markets.values()), int(cursor or 0)
        after = str(at + self.rows) if at + self.rows < len(listed) else ""
        return Listing(listed[at : at + self.rows], self.left_out), after


class Reading:
    """A `Discovery` of a fake list."""

    def __init__(self, source: Any, **wanted: str) -> None:
        self.log, self.waits = Logged(), Waits()
        self.clock = ManualClock(NOW_NS)
        self.allowance = ReadAllowance(self.waits.now, self.waits.sleep)
        self.reader = MarketReader(source, self.allowance, self.log, self.waits.sleep)
        settings = load_settings({k.upper(): v for k, v in wanted.items()}).books
        self.choice = MarketChoice(
            MarketRules.of(settings), lambda t, e: self.log("market_refused", ticker=t, error=e)
        )
        self.discovery = Discovery(self.reader, self.choice, self.clock, self.log)

    def chosen(self) -> list[str]:
        return [c.market.ticker for c in self.choice.choose(NOW_NS // 1_000_000)]


async def test_a_list_is_asked_for_in_pieces_and_keeps_its_order_without_what_has_ended() -> None:
    chance = np.random.default_rng(1)
    names = [f"M{n}" for n in chance.permutation(250).tolist()]
    listing = FakeList([market(t, status="determined" if t == "M7" else "active") for t in names])
    wanted = ",".join([*names, "NONE"])
    reading = Reading(listing, rl_market_mode="config", rl_market_tickers=wanted)
    await reading.discovery.look()
    assert reading.chosen() == [t for t in names if t != "M7"]
    assert [len(q.tickers) for q in listing.asked] == [100, 100, 51]


async def test_a_named_market_that_does_not_exist_is_reported_once() -> None:
    """One that has ended exists: it was not misspelt."""
    listing = FakeList([market("A"), market("OVER", status="determined")])
    reading = Reading(listing, rl_market_mode="config", rl_market_tickers="A,TYPO,OVER")
    for _ in range(3):
        await reading.discovery.look()
        assert reading.chosen() == ["A"]
    assert reading.log.actions() == ["market_refused"]
    assert reading.log.has("market_refused", ticker="TYPO")


async def test_a_row_that_cannot_be_read_costs_itself_and_is_reported_once() -> None:
    listing = FakeList([market("A", "5.00"), market("B")], LeftOut(3, "close_time"))
    reading = Reading(listing)
    for _ in range(2):
        await reading.discovery.look()
        assert reading.chosen() == ["A", "B"]
    assert reading.log.actions().count("markets_left_out") == 1
    assert reading.reader.counts["discovery_rows_left_out"] == 6


async def test_a_followed_market_that_could_not_be_read_is_not_given_up() -> None:
    listing = FakeList([market("A"), market("B")])
    reading = Reading(listing)
    await reading.discovery.look()
    reading.choice.on_followed(("A", "B"))
    del listing.markets["A"], listing.markets["B"]
    listing.left_out = LeftOut(1, "close_time", frozenset({"A"}))
    assert await reading.discovery.read_named(["A", "B"]) == {"B"}
    assert reading.chosen() == ["A"]


async def test_the_whole_list_is_asked_for_without_combos_each_series_by_itself() -> None:
    listing = FakeList([market("KXA-1"), market("KXB-1"), market("KXB-2")])
    reading = Reading(listing, rl_market_series="KXA,KXB", rl_market_max_hours_left="2")
    await reading.discovery.look()
    assert all(q.without_combos and q.status == "open" for q in listing.asked)
    assert [q.series_ticker for q in listing.asked] == ["KXA", "KXA", "KXB", "KXB"]
    assert {q.max_close_s for q in listing.asked} == {1_770_007_200}
    assert {q.min_close_s for q in listing.asked} == {1_770_000_000}


async def test_close_times_that_the_exchange_refuses_are_checked_here_instead() -> None:
    soon = market("SOON", close_time="2026-02-02T03:00:00Z")
    listing = FakeList([soon, market("FAR")])
    listing.failures = [ApiError(400, "bad_request", "status open does not go with it")]
    reading = Reading(listing, rl_market_max_hours_left="2")
    await reading.discovery.look()
    assert [q.max_close_s for q in listing.asked] == [1_770_007_200, None]
    assert reading.chosen() == ["SOON"]
    assert "close_times_refused" in reading.log.actions()


@pytest.mark.parametrize(
    "error",
    [
        RateLimited(429, "too_many_requests", ""),
        ExchangeUnavailable("GET /markets: 503"),
        WireError("/markets: JSON is malformed"),
    ],
)
async def test_a_page_that_fails_is_asked_for_again_and_the_look_goes_on(
    error: KalshiError,
) -> None:
    listing = FakeList([market("A"), market("B"), market("C")])
    listing.failures = [error, error]
    reading = Reading(listing)
    await reading.discovery.look()
    assert reading.chosen() == ["A", "B", "C"]
    assert reading.waits.now_ns > NS_PER_S
    assert reading.reader.counts["discovery_failures"] == 2


async def test_a_look_that_fails_leaves_what_is_known() -> None:
    listing = FakeList([market("A"), market("B"), market("C")])
    reading = Reading(listing)
    await reading.discovery.look()
    listing.failures = [ExchangeUnavailable("503")] * 9
    with pytest.raises(ExchangeUnavailable):
        await reading.discovery.look()
    assert reading.chosen() == ["A", "B", "C"]


async def test_a_cursor_that_leads_back_to_the_first_page_ends_the_look() -> None:
    class Circle(FakeList):
        async def markets_page(
            self, query: MarketQuery, cursor: str = ""
        ) -> tuple[Listing[Market], str]:
            listing, _ = await super().markets_page(query, cursor if cursor == "2" else "")
            return listing, "2" if not cursor else f"unknown {len(self.asked)}"

    circle = Circle([market("A"), market("B"), market("C")])
    reading = Reading(circle)
    await reading.discovery.look()
    assert len(circle.asked) == 3
    assert reading.log.has("markets_repeated")
    assert reading.chosen() == ["A", "B", "C"]


async def test_changes_are_asked_for_from_before_the_last_question_on() -> None:
    listing = FakeList([market("A")])
    reading = Reading(listing, rl_market_series="KXA")
    await reading.discovery.read_changes()
    assert listing.asked == []  # before the first look there is nothing to compare with
    await reading.discovery.look()
    reading.clock.advance(100 * NS_PER_S)
    listing.markets = {"KXA-2": market("KXA-2")}
    for since_s in (1_769_999_980, 1_770_000_080, 1_770_000_180):
        await reading.discovery.read_changes()
        reading.clock.advance(100 * NS_PER_S)
        query = listing.asked[-1]
        assert query == MarketQuery(series_ticker="KXA", without_combos=True, min_updated_s=since_s)
    assert reading.chosen() == ["KXA-2"]


async def test_ten_minutes_never_cost_more_than_15_percent_of_basic() -> None:
    waits = Waits()
    allowance = ReadAllowance(waits.now, waits.sleep)
    begun_ns = waits.now_ns
    while waits.now_ns - begun_ns < 600 * NS_PER_S:
        await allowance.take()
    assert 14_000 < allowance.recent <= 0.15 * 120_000
    assert allowance.waits > 1_000
    waits.now_ns += 600 * NS_PER_S
    assert allowance.recent <= 10, "what was spent before the last ten minutes is over"


async def test_a_market_by_name_does_not_wait_for_a_list() -> None:
    listing = FakeList([market(f"M{n}") for n in range(200)])
    reading = Reading(listing)
    await reading.discovery.look()
    before_ns = reading.waits.now_ns
    assert before_ns > 0, "a list uses all that it may"
    for n in range(9):
        assert await reading.discovery.read_named([f"M{n}"]) == set()
    assert reading.waits.now_ns == before_ns


async def test_a_followed_market_that_the_list_lacks_is_asked_for_by_name() -> None:
    listing = FakeList([market("A"), market("B")])
    reading = Reading(listing)
    reading.choice.on_followed(("B", "PAUSED", "GONE"))
    asked: list[tuple[str, ...]] = []
    listed = listing.markets_page

    async def page(query: MarketQuery, cursor: str = "") -> tuple[Listing[Market], str]:
        if query.tickers:
            asked.append(query.tickers)
            listing.markets["PAUSED"] = market("PAUSED", status="inactive")
        return await listed(query, cursor)

    listing.markets_page = page  # type: ignore[method-assign]
    await reading.discovery.look()
    assert asked == [("GONE", "PAUSED")]
    assert reading.chosen() == ["B", "PAUSED", "A"]
