"""Reads fees and programs over REST for the markets that are followed, a few requests at a time.

An event is read once (its series, its own fees), a series once and then from time to time; changes
to come and programs are read as whole lists. How much is read in one look is bounded, so a thousand
new markets cost no more tokens a second than ten do; they only wait longer for their fees.

A reading that fails costs none of the others: it is tried again later, or in the next look when the
exchange could not be reached at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import Final, NoReturn

from ipc.clock import NS_PER_MS, NS_PER_S, Clock, mono_ns
from processes.adapters.kalshi.errors import ExchangeUnavailable, KalshiError, NotFound, WireError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.schemas.decoding import LeftOut
from processes.adapters.kalshi.schemas.normalise import MarketInfo
from processes.collector.markets import Markets
from processes.collector.terms import Terms
from processes.runtime.log import Log

__all__ = ["TermsReader"]

Reading = tuple[str, int, Callable[[], Awaitable[None]]]

LOOK_PAUSE: Final = 2.0  # seconds between looks for what is due
MOST_READS: Final = 10  # events and series of one look, 10 tokens each
SERIES_NS: Final = 3_600 * NS_PER_S  # between two readings of a series
CHANGES_NS: Final = 120 * NS_PER_S  # between two readings of the changes to come
PROGRAMS_NS: Final = 300 * NS_PER_S  # between two readings of the programs
RETRY_NS: Final = 60 * NS_PER_S  # before a reading that failed is tried again
STATUSES: Final = ("active", "upcoming")  # of programs; those that are over are not read


class TermsReader:
    """One task of the collector.

    Args:
        client: reads the exchange.
        markets: those that are followed.
        terms: takes what was read.
        clock: market time.
        log: one line for each reading that begins to fail.
    """

    def __init__(
        self,
        client: KalshiTradingClient,
        markets: Markets,
        terms: Terms,
        clock: Clock,
        log: Log,
    ) -> None:
        self._client = client
        self._markets = markets
        self._terms = terms
        self._clock = clock
        self._log = log
        self._due_ns: dict[str, int] = {}  # monotonic; what is not to be read before that
        self._failing: set[str] = set()  # readings whose failure is in the log
        self._left_out: set[str] = set()
        self.reads = 0

    async def run(self) -> NoReturn:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_PAUSE)

    async def look(self) -> None:
        """Read what is due, and journal what has changed."""
        followed = [m.info for m in self._markets]
        self._failing &= self._due_ns.keys()
        self._due_ns = {name: due for name, due in self._due_ns.items() if due > mono_ns()}
        for name, pause_ns, read in self._due(followed):
            self._due_ns[name] = mono_ns() + pause_ns
            try:
                await read()
            except ExchangeUnavailable as error:
                self._due_ns[name] = 0
                self._report_failure(name, error)
                break  # nothing else can be read now
            except (NotFound, WireError) as error:  # it will be the same for some time
                self._report_failure(name, error)
            except KalshiError as error:
                self._due_ns[name] = mono_ns() + RETRY_NS
                self._report_failure(name, error)
            else:
                self._failing.discard(name)
            self.reads += 1
        self._terms.update(followed, self._clock.now_ns())

    def _due(self, followed: Sequence[MarketInfo]) -> Iterator[Reading]:
        """What is to be read in this look: (name, nanoseconds to its next reading, how).

        One after the other: an event that was read names its series.
        """
        if not followed:
            return
        left = MOST_READS
        for kind, tickers_of, read in (
            ("event", self._terms.unread_events, self._event),
            ("series", self._terms.series_of, self._series),
        ):
            due = [t for t in tickers_of(followed) if f"{kind} {t}" not in self._due_ns][:left]
            left -= len(due)
            for ticker in due:
                yield f"{kind} {ticker}", SERIES_NS, partial(read, ticker)
        for reading in (
            ("changes of series' fees", CHANGES_NS, self._series_changes),
            ("changes of events' fees", CHANGES_NS, self._event_changes),
            ("programs", PROGRAMS_NS, self._programs),
        ):
            if reading[0] not in self._due_ns:
                yield reading

    def _report_failure(self, name: str, error: KalshiError) -> None:
        """One line until it has been read again."""
        if name not in self._failing:
            self._failing.add(name)
            self._log.warning("terms_not_read", of=name, error=error)

    async def _event(self, ticker: str) -> None:
        self._terms.on_event(await self._client.event_fees(ticker))

    async def _series(self, ticker: str) -> None:
        series = await self._client.series(ticker)
        self._terms.on_series(series, self._clock.now_ns() // NS_PER_MS)

    async def _series_changes(self) -> None:
        changes = await self._client.series_fee_changes()
        self._terms.on_series_changes(changes.items, self._clock.now_ns() // NS_PER_MS)
        self._report_left_out("fee changes", changes.left_out)

    async def _event_changes(self) -> None:
        changes = await self._client.event_fee_changes()
        self._terms.on_event_changes(changes.items, self._clock.now_ns() // NS_PER_MS)
        self._report_left_out("fee changes", changes.left_out)

    async def _programs(self) -> None:
        found = []
        for status in STATUSES:
            programs = await self._client.incentive_programs(status=status)
            found += programs.items
            self._report_left_out("programs", programs.left_out)
        self._terms.on_programs(found)

    def _report_left_out(self, what: str, left_out: LeftOut) -> None:
        """Rows that could not be read, one line for each reason."""
        if left_out and left_out.reason not in self._left_out:
            self._left_out.add(left_out.reason)
            self._log.warning(
                "terms_left_out", of=what, count=left_out.count, error=left_out.reason
            )
