"""What the lifecycle channel says of markets: collected here, asked about in discovery."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from support.listed_market import market
from support.logged import Logged
from support.patience import turns

from ipc.clock import NS_PER_S, ManualClock
from processes.adapters.kalshi.errors import ExchangeUnavailable, KalshiError
from processes.adapters.kalshi.rest.public import MarketQuery
from processes.adapters.kalshi.schemas.decoding import LeftOut, Listing
from processes.adapters.kalshi.schemas.rest_public import Market
from processes.collector import discovery_link, discovery_process
from processes.collector.choice import MarketChoice, MarketRules
from processes.collector.discovery import Discovery, MarketReader, ReadAllowance
from processes.collector.discovery_link import (
    ChoiceChanged,
    FollowedChanged,
    MarketNews,
    MarketsChanged,
)
from processes.collector.discovery_process import MOST_IN_VAIN, DiscoveryLoops
from processes.runtime.config import load_settings

NOW_NS = 1_770_000_000 * NS_PER_S


# In the collector


def test_news_are_taken_once_the_newest_word_of_each_market() -> None:
    news = MarketNews()
    news.add("A", is_over=False)
    news.add("B", is_over=False)
    news.add("A", is_over=True)
    assert news.waiting.is_set()
    assert list(news.take()) == [MarketsChanged(changed=("B",), ended=("A",))]
    assert not news.waiting.is_set()
    assert list(news.take()) == []


def test_what_was_missed_is_said() -> None:
    news = MarketNews()
    news.missed()
    assert news.waiting.is_set()
    assert list(news.take()) == [MarketsChanged(is_incomplete=True)]
    assert list(news.take()) == []


def test_news_without_end_are_bounded_and_every_message_fits_the_link(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(discovery_link, "MOST_WAITING", 3_000)
    news = MarketNews()
    for n in range(5_000):
        news.add(f"KX{'X' * 100}-{n}", is_over=bool(n % 2))
    first, *rest = news.take()
    assert first == MarketsChanged(is_incomplete=True)
    assert sum(len(m.changed) + len(m.ended) for m in rest) == 3_000
    assert max(len(discovery_link._encoder.encode(m)) for m in rest) < discovery_link.MOST_BYTES


# In discovery


async def no_wait(_: float) -> None:
    """In place of a pause."""
    await asyncio.sleep(0)


class Link:
    """The collector's end: what it says, and what it is told."""

    def __init__(self) -> None:
        self.says: asyncio.Queue[Any] = asyncio.Queue()
        self.told: list[Any] = []

    async def receive(self) -> Any:
        return await self.says.get()

    async def send(self, message: Any) -> None:
        self.told.append(message)


class Loops:
    """The tasks of discovery on an exchange that knows these markets; nothing waits for time."""

    def __init__(self, *listed: Market, **wanted: str) -> None:
        self.listed = {m.ticker: m for m in listed}
        self.asked: list[MarketQuery] = []
        self.failures: list[KalshiError] = []
        self.link = Link()
        wanted = {"rl_discovery_interval_s": "600"} | wanted
        books = load_settings({k.upper(): v for k, v in wanted.items()}).books
        log = Logged()
        this: Any = SimpleNamespace(
            settings=SimpleNamespace(books=books), log=log, stop=asyncio.Event()
        )
        source: Any = self
        reader = MarketReader(source, ReadAllowance(), log, no_wait)
        self.choice = MarketChoice(MarketRules.of(books), lambda *_: None)
        link: Any = self.link
        clock = ManualClock(NOW_NS)
        discovery = Discovery(reader, self.choice, clock, log)
        self.loops = DiscoveryLoops(this, discovery, reader, link, clock)

    async def markets_page(self, query: MarketQuery, _: str = "") -> tuple[Listing[Market], str]:
        self.asked.append(query)
        if self.failures and query.tickers:
            raise self.failures.pop(0)
        found = self.listed.values()
        if query.tickers:
            found = [self.listed[t] for t in query.tickers if t in self.listed]
        return Listing(list(found), LeftOut()), ""

    @property
    def asked_by_name(self) -> list[tuple[str, ...]]:
        return [query.tickers for query in self.asked if query.tickers]

    @property
    def chosen(self) -> list[str]:
        told = [m for m in self.link.told if isinstance(m, ChoiceChanged)]
        return [c.market.ticker for m in told for c in m.chosen]

    async def says(self, *messages: Any) -> None:
        for message in messages:
            self.link.says.put_nowait(message)
        await turns(200)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(work) for work in self.loops.tasks().values()]
        await turns(200)
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


@pytest.fixture(autouse=True)
def _no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("READS_LAG", "NEWS_PAUSE", "CHOICE_PAUSE", "CHOICE_SHARE"):
        monkeypatch.setattr(discovery_process, name, 0)
    monkeypatch.setattr(discovery_process, "FAILED_LOOK", SimpleNamespace(after=lambda _: 0))


async def test_a_market_that_changed_is_asked_for_and_followed() -> None:
    loops = Loops(market("A", "5.00"))
    async with loops.running():
        assert loops.chosen == ["A"]
        loops.listed["NEW"] = market("NEW", "7.00")
        await loops.says(FollowedChanged(added=("A",)), MarketsChanged(changed=("NEW",)))
        assert loops.asked_by_name == [("NEW",)]
        assert loops.chosen == ["A", "NEW"]


async def test_a_market_that_is_over_is_dropped_and_not_asked_for() -> None:
    loops = Loops(market("A", "5.00"), market("B", "4.00"))
    async with loops.running():
        await loops.says(MarketsChanged(ended=("B",)))
        assert loops.asked_by_name == []
        (dropped,) = [m.dropped for m in loops.link.told if getattr(m, "dropped", ())]
        assert dropped == ("B",)


async def test_a_market_that_is_not_listed_yet_is_asked_for_a_few_times() -> None:
    loops = Loops(market("A", "5.00"))
    async with loops.running():
        await loops.says(MarketsChanged(changed=("LATER",)))
        assert loops.asked_by_name == [("LATER",)] * MOST_IN_VAIN


async def test_news_that_could_not_be_asked_about_are_asked_about_again() -> None:
    loops = Loops(market("A", "5.00"))
    async with loops.running():
        loops.failures = [ExchangeUnavailable("503")] * 12
        loops.listed["NEW"] = market("NEW", "7.00")
        await loops.says(MarketsChanged(changed=("NEW",)))
        assert loops.failures == []
        assert loops.chosen == ["A", "NEW"]


async def test_news_of_no_interest_are_not_asked_about() -> None:
    loops = Loops(market("KXA-1", "5.00"), rl_market_series="KXA")
    async with loops.running():
        await loops.says(MarketsChanged(changed=("KXB-1",)))
        assert loops.asked_by_name == []


async def test_those_that_are_followed_come_first() -> None:
    loops = Loops(market("Z", "5.00"))
    async with loops.running():
        many = tuple(f"M{n:03}" for n in range(150))
        await loops.says(FollowedChanged(added=("Z",)), MarketsChanged(changed=(*many, "Z")))
        assert "Z" in loops.asked_by_name[0]


@pytest.mark.parametrize("is_flood", [False, True])
async def test_when_news_are_missing_the_list_of_changes_is_read(
    monkeypatch: pytest.MonkeyPatch, is_flood: bool
) -> None:
    monkeypatch.setattr(discovery_process, "MOST_NEWS", 100)
    loops = Loops(market("A", "5.00"))
    many = tuple(f"M{n}" for n in range(101))
    async with loops.running():
        assert not any(query.min_updated_s for query in loops.asked)
        await loops.says(
            MarketsChanged(changed=many) if is_flood else MarketsChanged(is_incomplete=True)
        )
        assert sum(query.min_updated_s is not None for query in loops.asked) == 1
        assert loops.asked_by_name == [], "the list has them all"
