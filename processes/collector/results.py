"""What markets paid, as the exchange says it: on the lifecycle channel, or when it is asked.

A market is awaited from its listing on, or because an earlier run left it open, until the exchange
says that it is finalized, whether or not it still has a row. The last report wins. `Results` has no
socket and no clock; `Outcomes` asks the exchange about what `Results` says is due.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from ipc.clock import MS_PER_S, NS_PER_MS, NS_PER_S, Clock, mono_ns
from ipc.messages import MarketResult
from processes.adapters.kalshi.errors import KalshiError, NotFound, WireError
from processes.adapters.kalshi.feed.session import SessionJournal
from processes.adapters.kalshi.rest.client import KalshiTradingClient
from processes.adapters.kalshi.schemas.enums import MarketStatus, Result
from processes.adapters.kalshi.schemas.normalise import ms_of_rfc3339, paid_of
from processes.adapters.kalshi.schemas.rest_public import Market
from processes.adapters.kalshi.schemas.stream_messages import LifecycleMsg
from processes.adapters.postgres.database import LOST
from processes.adapters.postgres.open_results import OpenResult
from processes.collector.choice import LIVING
from processes.runtime.config import ConfigError
from processes.runtime.log import Log

__all__ = ["Outcomes", "Results"]

MOST: Final = 10_000  # awaited markets; beyond it the one that has been awaited longest goes
FIRST_PAUSE_NS: Final = 10 * NS_PER_S  # market time after a word or a question; it doubles
LONGEST_PAUSE_NS: Final = 3_600 * NS_PER_S
MOST_NAMED: Final = 100  # markets in one request
MOST_PAST: Final = 10  # of a look, which are asked for one by one
RECALL_NS: Final = 600 * NS_PER_S  # between two looks at what earlier runs left open

Recall = Callable[[], Awaitable[Sequence[OpenResult]]]

Facts = tuple[str, int | None, int | None, int | None]
NOTHING: Final[Facts] = (str(Result.NONE), None, None, None)


class _Awaited(msgspec.Struct):
    """`report` is the last one; nothing is asked before `close_ns` and `next_ns`, market time."""

    close_ns: int
    report: MarketResult | None = None
    next_ns: int = 0
    pause_ns: int = FIRST_PAUSE_NS

    def ask_after(self, now_ns: int) -> None:
        """Something was reported: reads lag, so the next question waits a little."""
        self.close_ns = min(self.close_ns, now_ns)
        self.next_ns, self.pause_ns = now_ns + FIRST_PAUSE_NS, FIRST_PAUSE_NS


class Results:
    """Markets whose final result is still to come; every new report goes into the journal."""

    def __init__(self, session: SessionJournal) -> None:
        self._session = session
        self._awaited: dict[str, _Awaited] = {}
        self.given_up = 0

    def __len__(self) -> int:
        return len(self._awaited)

    def expect(self, ticker: str, close_ms: int, report: MarketResult | None = None) -> None:
        """Await a market's result; `report` is what an earlier run recorded. Safe to repeat.

        `close_ms` 0: when it closes is not known, so ask at once.
        """
        awaited = self._awaited.get(ticker)
        if awaited is None:
            awaited = self._awaited[ticker] = _Awaited(close_ms * NS_PER_MS, report)
        elif awaited.report is None and close_ms:
            awaited.close_ns = close_ms * NS_PER_MS
        if len(self._awaited) > MOST:
            del self._awaited[next(iter(self._awaited))]
            self.given_up += 1

    def due(self, now_ns: int, number: int) -> list[str]:
        """At most so many markets to ask about now, those first that have waited longest."""
        waiting = [
            (max(a.next_ns, a.close_ns), ticker)
            for ticker, a in self._awaited.items()
            if max(a.next_ns, a.close_ns) <= now_ns
        ]
        return [ticker for _, ticker in sorted(waiting)[:number]]

    def on_lifecycle(self, msg: LifecycleMsg, now_ns: int) -> None:
        """The end of a market's life, which may say its result. `WireError` for a bad amount."""
        awaited = self._awaited.get(msg.market_ticker)
        if awaited is None:
            return
        awaited.ask_after(now_ns)
        if not (msg.result or msg.settlement_value):
            return
        at_s = msg.determination_ts
        self._on_report(
            MarketResult(
                market_ticker=msg.market_ticker,
                result=str(msg.result or Result.NONE),
                yes_value_e4=paid_of(msg.settlement_value, msg.market_ticker),
                determined_ms=None if at_s is None else at_s * MS_PER_S,
                settled_ms=None,
                reported_ns=now_ns,
            )
        )

    def on_market(self, market: Market, asked_ns: int, now_ns: int) -> None:
        """The answer to a question asked at `asked_ns`. `WireError` for a bad amount or time.

        Reads lag: what was reported since the question was asked is newer.
        """
        awaited = self._awaited.get(market.ticker)
        if awaited is None:
            return
        if awaited.report is not None and awaited.report.reported_ns > asked_ns:
            return
        if market.status in LIVING:  # a replay that starts again opens it again
            awaited.close_ns = ms_of_rfc3339(market.close_time) * NS_PER_MS
            self.on_silence(market.ticker, now_ns)
            return
        final = market.status is MarketStatus.FINALIZED
        settled = market.settlement_ts if final else None
        self._on_report(
            MarketResult(
                market_ticker=market.ticker,
                result=str(market.result),
                yes_value_e4=paid_of(market.settlement_value_dollars, market.ticker),
                determined_ms=None,
                settled_ms=ms_of_rfc3339(settled) if settled else None,
                reported_ns=now_ns,
            )
        )
        self.on_silence(market.ticker, now_ns)
        if final:
            del self._awaited[market.ticker]

    def on_silence(self, ticker: str, now_ns: int) -> None:
        """A question brought no final result: the pause before the next one doubles."""
        if awaited := self._awaited.get(ticker):
            awaited.next_ns = now_ns + awaited.pause_ns
            awaited.pause_ns = min(2 * awaited.pause_ns, LONGEST_PAUSE_NS)

    def _on_report(self, report: MarketResult) -> None:
        """Journal what differs from the last report; one that says nothing is none."""
        awaited = self._awaited[report.market_ticker]
        last = _facts(awaited.report) if awaited.report else NOTHING
        if report.determined_ms is None and _facts(report)[:2] == last[:2]:
            report = msgspec.structs.replace(report, determined_ms=last[2])
        if _facts(report) == last:
            return
        self._session.result(report)
        awaited.report = report
        awaited.ask_after(report.reported_ns)


def _facts(report: MarketResult) -> Facts:
    return report.result, report.yes_value_e4, report.determined_ms, report.settled_ms


class Outcomes:
    """Asks the exchange for results that the lifecycle channel did not bring.

    Args:
        client: reads markets, those of the past too.
        results: says what is due, and takes the answers.
        recall: markets of earlier runs that are recorded without a final result.
        clock: market time.
        log: one line per failure, not per look.
    """

    def __init__(
        self,
        client: KalshiTradingClient,
        results: Results,
        recall: Recall,
        clock: Clock,
        log: Log,
    ) -> None:
        self._client = client
        self._results = results
        self._recall = recall
        self._clock = clock
        self._log = log
        self._recalled_ns: int | None = None
        self._away = False  # the database is down, and that has been logged

    async def run(self, every_s: float) -> None:
        """Look for ever."""
        while True:
            await self.look()
            await asyncio.sleep(every_s)

    async def look(self) -> None:
        """Ask about what is due; what cannot be asked now is due again."""
        if self._recalled_ns is None or mono_ns() - self._recalled_ns > RECALL_NS:
            await self._remember()
        asked_ns = self._clock.now_ns()
        due = self._results.due(asked_ns, MOST_NAMED)
        if not due:
            return
        try:
            listing = await self._client.markets(tickers=due)
            found = {m.ticker: m for m in listing.items}
            for ticker in [t for t in due if t not in found][:MOST_PAST]:
                if market := await self._past(ticker):
                    found[ticker] = market
                else:
                    self._results.on_silence(ticker, asked_ns)
        except KalshiError as error:
            self._log.warning("results_not_read", error=error)
            return
        for market in found.values():
            self._take(market, asked_ns)

    async def _past(self, ticker: str) -> Market | None:
        """A market that is no longer on the list; None when the exchange knows of none."""
        try:
            return await self._client.historical_market(ticker)
        except NotFound:
            return None

    def _take(self, market: Market, asked_ns: int) -> None:
        now_ns = self._clock.now_ns()
        try:
            self._results.on_market(market, asked_ns, now_ns)
        except WireError as error:
            self._results.on_silence(market.ticker, now_ns)
            self._log("result_refused", ticker=market.ticker, error=error)

    async def _remember(self) -> None:
        try:
            left_open = await self._recall()
        except (ConfigError, *LOST) as error:  # it is starting, or down
            if not self._away:
                self._log("results_not_recalled", error=f"{type(error).__name__}: {error}")
            self._away = True
            return
        self._recalled_ns, self._away = mono_ns(), False
        for market in left_open:
            self._results.expect(market.ticker, 0, market.heard)  # its close may have moved
