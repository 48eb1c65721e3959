"""Reads fees and programs over REST for the markets that are followed, a few requests at a time.

An event is read once (its series, its own fees), a series once and then from time to time; changes
to come and programs are read as whole lists. How much is read in one look is bounded, so a thousand
new markets cost no more tokens a second than ten do; they only wait longer for their fees.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, NoReturn

from ipc.clock import NS_PER_MS, NS_PER_S, Clock, mono_ns
from processes.adapters.kalshi.errors import KalshiError, NotFound, WireError
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.schemas.decoding import LeftOut
from processes.collector.markets import Markets
from processes.collector.terms import Terms
from processes.runtime.log import Log

__all__ = ["TermsReader"]

LOOK_PAUSE: Final = 2.0  # seconds between looks for what is due
MOST_READS: Final = 10  # events and series of one look, 10 tokens each
SERIES_NS: Final = 3_600 * NS_PER_S  # between two readings of a series
CHANGES_NS: Final = 120 * NS_PER_S  # between two readings of the changes to come
PROGRAMS_NS: Final = 300 * NS_PER_S  # between two readings of the programs
CHANGES: Final = "changes of fees"
PROGRAMS: Final = "programs"
STATUSES: Final = ("active", "upcoming")  # of programs; those that are over are not read


class TermsReader:
    """One task of the collector.

    Args:
        client: reads the exchange.
        markets: those that are followed.
        terms: takes what was read.
        clock: market time.
        log: one line when reading begins to fail, and for each event or series that is not known.
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
        self._failing = False
        self._left_out: set[str] = set()
        self.reads = 0

    async def run(self) -> NoReturn:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_PAUSE)

    async def look(self) -> None:
        """Read what is due, and journal what has changed."""
        try:
            await self._read()
            self._failing = False
        except KalshiError as error:
            if not self._failing:
                self._log.warning("terms_not_read", error=error)
            self._failing = True
        now_ns = self._clock.now_ns()
        self._terms.update([m.info for m in self._markets], now_ns)

    async def _read(self) -> None:
        followed = [m.info for m in self._markets]
        if not followed:
            return
        self._due_ns = {name: due for name, due in self._due_ns.items() if due > mono_ns()}
        events = self._terms.unread_events(followed)
        due = [event for event in events if self._is_due(f"event {event}")][:MOST_READS]
        for ticker in due:
            await self._one("event", ticker, self._event)
        series = [s for s in self._terms.series_of(followed) if self._is_due(f"series {s}")]
        for ticker in series[: MOST_READS - len(due)]:
            await self._one("series", ticker, self._series)
        for name, pause_ns, read in (
            (CHANGES, CHANGES_NS, self._changes),
            (PROGRAMS, PROGRAMS_NS, self._programs),
        ):
            if self._is_due(name):
                await read()
                self._due_ns[name] = mono_ns() + pause_ns

    async def _one(self, kind: str, ticker: str, read: Callable[[str], Awaitable[None]]) -> None:
        """Read an event or a series, not again soon; also when it does not exist."""
        try:
            await read(ticker)
        except (NotFound, WireError) as error:
            self._log.warning("fees_assumed", of=f"{kind} {ticker}", error=error)
        self._due_ns[f"{kind} {ticker}"] = mono_ns() + SERIES_NS
        self.reads += 1

    async def _event(self, ticker: str) -> None:
        self._terms.on_event(await self._client.event_fees(ticker))

    async def _series(self, ticker: str) -> None:
        series = await self._client.series(ticker)
        self._terms.on_series(series, self._clock.now_ns() // NS_PER_MS)

    async def _changes(self) -> None:
        of_series, of_events = (
            await self._client.series_fee_changes(),
            await self._client.event_fee_changes(),
        )
        self.reads += 2
        now_ms = self._clock.now_ns() // NS_PER_MS
        self._terms.on_series_changes(of_series.items, now_ms)
        self._terms.on_event_changes(of_events.items, now_ms)
        self._report_left_out("fee changes", of_series.left_out + of_events.left_out)

    async def _programs(self) -> None:
        found = []
        for status in STATUSES:
            listing = await self._client.incentive_programs(status=status)
            found += listing.items
            self._report_left_out("programs", listing.left_out)
        self.reads += len(STATUSES)
        self._terms.on_programs(found)

    def _is_due(self, name: str) -> bool:
        return name not in self._due_ns

    def _report_left_out(self, what: str, left_out: LeftOut) -> None:
        """Rows that could not be read, one line for each reason."""
        if left_out and left_out.reason not in self._left_out:
            self._left_out.add(left_out.reason)
            self._log.warning(
                "terms_left_out", of=what, count=left_out.count, error=left_out.reason
            )
