"""Reads the exchange's list of markets: rarely as a whole, often what changed, within an allowance.

A look at the whole list costs a request for every 1,000 markets, about 100 on the real exchange.
In between the lifecycle channel says which markets changed, and a list of the changes since the
last one finds what the channel did not say. No volume is in either: it comes with the whole list.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable
from typing import Final

from ipc.clock import NS_PER_MS, NS_PER_S, Clock, mono_ns
from processes.adapters.kalshi.errors import ApiError, KalshiError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.rest.public import MarketQuery
from processes.adapters.kalshi.rest.rate_budget import TokenBucket
from processes.adapters.kalshi.schemas.decoding import LeftOut, Listing
from processes.adapters.kalshi.schemas.rest_public import Market
from processes.collector.choice import MarketChoice
from processes.runtime.log import Log
from processes.runtime.tasks import Backoff

__all__ = ["MOST_TICKERS", "Discovery", "MarketReader", "ReadAllowance"]

MOST_TICKERS: Final = 100  # named in one request
COST: Final = 10  # tokens of a request
# 15 % of what the Basic tier may read in ten minutes is 18,000 tokens: 15,000 for this, the others
# for what is read with it (fees, programs).
TOKENS_PER_S: Final = 24
BURST: Final = 600  # tokens: most of the first look at the whole list is read at once
FOR_NEWS: Final = 100  # tokens that lists leave for markets that are asked for by name
WINDOW_NS: Final = 600 * NS_PER_S
BASIC_TOKENS: Final = 120_000  # that the Basic tier may read in ten minutes
MOST_PAGES: Final = 2_000
TRIES: Final = 5  # of a page
AGAIN: Final = Backoff(first_s=0.5, longest_s=8.0)
OVERLAP_S: Final = 20  # of two lists of changes: clocks differ, and reads lag
BAD_REQUEST: Final = 400


class ReadAllowance:
    """The tokens that discovery may spend: fewer than 15 % of the Basic tier's.

    Args:
        now_ns: monotonic nanoseconds.
        sleep: waits that many seconds.

    Attributes:
        spent: tokens since the start.
        waits: how often a request had to wait.
    """

    def __init__(
        self,
        now_ns: Callable[[], int] = mono_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._now_ns = now_ns
        self._sleep = sleep
        self._bucket = TokenBucket(TOKENS_PER_S, BURST, now_ns)
        self._times: deque[int] = deque()
        self.spent = 0
        self.waits = 0

    async def take(self, keep: int = 0) -> None:
        """Wait for the tokens of one request, and take them if `keep` remain."""
        while delay_ns := self._bucket.take(COST, keep):
            self.waits += 1
            await self._sleep(delay_ns / NS_PER_S)
        self.spent += COST
        self._times.append(self._now_ns())

    @property
    def recent(self) -> int:
        """Tokens spent in the last ten minutes."""
        while self._times and self._times[0] < self._now_ns() - WINDOW_NS:
            self._times.popleft()
        return COST * len(self._times)


class MarketReader:
    """Pages of markets, each counted and paid for; a page that fails is asked for again.

    Args:
        client: reads them.
        allowance: what they may cost.
        log: one line for each reason why a row could not be read.
        sleep: waits that many seconds.
    """

    def __init__(
        self,
        client: KalshiTradingClient,
        allowance: ReadAllowance,
        log: Log,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._client = client
        self._log = log
        self._sleep = sleep
        self._reasons: set[str] = set()
        self.allowance = allowance
        self.counts: Counter[str] = Counter()

    async def pages(self, query: MarketQuery, keep: int = 0) -> AsyncIterator[Listing[Market]]:
        """Every page of a list; `KalshiError` when one cannot be had.

        Ends where the exchange's cursor leads back: one that it does not know is its first page.
        """
        cursor, first = "", None
        for _ in range(MOST_PAGES):
            listing, cursor_after = await self._page(query, cursor, keep)
            ticker = listing.items[0].ticker if listing.items else None
            if cursor and ticker is not None and ticker == first:
                self._log.warning("markets_repeated", pages=self.counts["discovery_pages"])
                return
            first = first or ticker
            yield listing
            if not cursor_after or cursor_after == cursor:
                return
            cursor = cursor_after

    async def _page(
        self, query: MarketQuery, cursor: str, keep: int
    ) -> tuple[Listing[Market], str]:
        for attempt in range(TRIES):
            await self.allowance.take(keep)
            self.counts["discovery_pages"] += 1
            try:
                listing, after = await self._client.markets_page(query, cursor)
            except KalshiError as error:
                self.counts["discovery_failures"] += 1
                refused = isinstance(error, ApiError) and error.http_status == BAD_REQUEST
                if refused or attempt == TRIES - 1:
                    raise
                await self._sleep(AGAIN.after(attempt))
            else:
                self._note(listing.left_out)
                return listing, after
        raise AssertionError("the last try raises")

    async def named(
        self, tickers: Iterable[str]
    ) -> AsyncIterator[tuple[list[str], Listing[Market]]]:
        """Markets by name, in pieces: (the tickers of the piece, what the exchange says)."""
        asked = list(tickers)
        for at in range(0, len(asked), MOST_TICKERS):
            piece = asked[at : at + MOST_TICKERS]
            listing, _ = await self._page(MarketQuery(tickers=tuple(piece)), "", 0)
            yield piece, listing

    def _note(self, left_out: LeftOut) -> None:
        if left_out:
            self.counts["discovery_rows_left_out"] += left_out.count
            if left_out.reason not in self._reasons and len(self._reasons) < MOST_TICKERS:
                self._reasons.add(left_out.reason)
                self._log.warning("markets_left_out", count=left_out.count, error=left_out.reason)


class Discovery:
    """Keeps a `MarketChoice` up to date with the exchange; every method is one kind of look.

    Args:
        reader: reads pages of markets.
        choice: what is known, and the rules.
        clock: market time.
        log: one line per look at the whole list.
    """

    def __init__(self, reader: MarketReader, choice: MarketChoice, clock: Clock, log: Log) -> None:
        self._reader = reader
        self.choice = choice
        self._clock = clock
        self._log = log
        self._changes_s: int | None = None  # since when changes have not been read
        self._unknown: set[str] = set()
        self._asks_for_times = True  # whether the exchange takes close times with status `open`

    @property
    def named(self) -> tuple[str, ...]:
        """The markets of the settings, where they name them."""
        return self.choice.rules.named

    def _now_ms(self) -> int:
        return self._clock.now_ns() // NS_PER_MS

    async def look(self) -> None:
        """Read the whole list, or the markets that the settings name; `KalshiError`."""
        if self.named:
            await self.read_named(self.named)
            return
        spent, begun_ns, begun_s = self._reader.allowance.spent, mono_ns(), self._now_ms() // 1000
        self.choice.begin_look()
        try:
            listed = await self._read_open()
        except (KalshiError, asyncio.CancelledError):
            self.choice.abandon_look()
            raise
        missing = self.choice.end_look(self._now_ms())
        await self.read_named(sorted(missing))
        if self._changes_s is None:
            self._changes_s = begun_s - OVERLAP_S
        self._log(
            "markets_listed",
            markets=listed,
            candidates=len(self.choice),
            tokens=self._reader.allowance.spent - spent,
            took_s=round((mono_ns() - begun_ns) / NS_PER_S, 1),
            share_of_basic=f"{100 * self._reader.allowance.recent / BASIC_TOKENS:.1f} %",
        )

    async def _read_open(self) -> int:
        """The open markets, of each series if the settings name some -> how many there were."""
        listed = 0
        for series in self.choice.rules.series or (None,):
            try:
                listed += await self._read_list(self._open_query(series))
            except ApiError as error:
                if error.http_status != BAD_REQUEST or not self._narrows_times:
                    raise
                self._asks_for_times = False  # the specification does not promise it
                self._log.warning("close_times_refused", error=error)
                listed += await self._read_list(self._open_query(series))
        return listed

    async def _read_list(self, query: MarketQuery) -> int:
        listed = 0
        async for listing in self._reader.pages(query, FOR_NEWS):
            listed += len(listing.items)
            self.choice.on_page(listing.items, self._now_ms())
        return listed

    @property
    def _narrows_times(self) -> bool:
        rules = self.choice.rules
        return self._asks_for_times and bool(rules.min_left_ms or rules.max_left_ms)

    def _open_query(self, series: str | None) -> MarketQuery:
        rules, now_ms = self.choice.rules, self._now_ms()
        least = most = None
        if self._narrows_times:
            least = (now_ms + rules.min_left_ms) // 1000
            most = None if rules.max_left_ms is None else -(-(now_ms + rules.max_left_ms) // 1000)
        return MarketQuery(
            status="open",
            series_ticker=series,
            without_combos=True,
            min_close_s=least,
            max_close_s=most,
        )

    async def read_changes(self) -> None:
        """What changed since the last list of changes, but for trading; `KalshiError`."""
        if self._changes_s is None:
            return
        asked_s, series = self._now_ms() // 1000, self.choice.rules.series
        query = MarketQuery(
            series_ticker=series[0] if len(series) == 1 else None,
            without_combos=True,
            min_updated_s=max(min(self._changes_s, asked_s - OVERLAP_S), 0),
        )
        async for listing in self._reader.pages(query, FOR_NEWS):
            for market in listing.items:
                self.choice.put(market, self._now_ms())
        self._changes_s = asked_s - OVERLAP_S

    async def read_named(self, tickers: Collection[str]) -> set[str]:
        """These markets as they are now -> those that the exchange does not know; `KalshiError`."""
        unknown: set[str] = set()
        async for asked, listing in self._reader.named(tickers):
            for market in listing.items:
                self.choice.put(market, self._now_ms())
            found = {market.ticker for market in listing.items}
            unknown |= {t for t in asked if t not in found and not listing.left_out.concerns(t)}
        for ticker in unknown:
            self._on_unknown(ticker)
        return unknown

    def _on_unknown(self, ticker: str) -> None:
        """Delisted, or misspelt in the settings: that is reported once."""
        self.choice.drop(ticker)
        if ticker in self.named and ticker not in self._unknown:
            self._unknown.add(ticker)
            error = "the exchange knows no such market; RL_MARKET_TICKERS names it"
            self._log.warning("market_refused", ticker=ticker, error=error)
