"""Checks of the markets that would be followed: found at all, their ticks, their fees."""

from __future__ import annotations

from contextlib import suppress
from typing import Final

from ipc.clock import NS_PER_MS
from ipc.messages import MarketTerms, ProgramListed
from ipc.units import PriceGrid, format_price
from models.trading.fees import FeeStep
from models.trading.market_fees import fee_words_of
from processes.adapters.kalshi.errors import NotFound
from processes.adapters.kalshi.schemas.drift import SEEN
from processes.adapters.kalshi.schemas.normalise import MarketInfo
from processes.collector.choice import MarketChoice, MarketRules
from processes.collector.discovery import Discovery, MarketReader, ReadAllowance
from processes.collector.terms import Terms
from processes.doctor.exchange_checks import market_clock
from processes.doctor.findings import Finding, Verdict
from processes.doctor.subject import Subject
from processes.runtime.log import no_log

__all__ = ["fees", "markets", "series", "wire"]

MOST_EVENTS: Final = 10  # whose fees are read
MOST_NAMED: Final = 5


class _Notes:
    """Takes the place of a log: what discovery would report of markets."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __call__(self, action: str, /, **facts: object) -> None:
        """Not of interest."""

    def debug(self, action: str, /, **facts: object) -> None:
        """Not of interest."""

    def warning(self, action: str, /, **facts: object) -> None:
        """A market that cannot be followed."""
        words = " ".join(f"{name}={value}" for name, value in facts.items())
        self.lines.append(f"{action}: {words}")

    error = warning


async def series(subject: Subject) -> list[Finding]:
    """Whether the series that discovery is to look at exist."""
    unknown = []
    for ticker in subject.settings.books.series:
        try:
            await subject.market_data.series(ticker)
        except NotFound:
            unknown.append(ticker)
    if not unknown:
        return []
    text = f"RL_MARKET_SERIES: no such series: {', '.join(unknown)}"
    advice = "correct it; the series of a market is the part of its ticker before the first -"
    return [Finding("markets", Verdict.PROBLEM, text, advice)]


async def markets(subject: Subject) -> list[Finding]:
    """What the collector would follow, as it chooses."""
    notes = _Notes()
    found = await _chosen(subject, notes)
    subject.markets = found
    refused = [
        Finding("markets", Verdict.PROBLEM, line, "correct RL_MARKET_TICKERS, or do without it")
        for line in notes.lines[:MOST_NAMED]
    ]
    if not found:
        text = "no open market fits the settings"
        advice = "see RL_MARKET_MODE, RL_MARKET_SERIES, RL_MARKET_TICKERS, RL_MARKET_MIN_VOLUME"
        return [*refused, Finding("markets", Verdict.PROBLEM, text, advice)]
    named = ", ".join(f"{m.ticker} ({_ticks(m.grid)})" for m in found[:MOST_NAMED])
    more = f" and {len(found) - MOST_NAMED} more" if len(found) > MOST_NAMED else ""
    text = f"{len(found)} would be followed: {named}{more}"
    return [*refused, Finding("markets", Verdict.OK, text)]


async def _chosen(subject: Subject, notes: _Notes) -> list[MarketInfo]:
    """The markets that the settings choose now, best first; one that cannot be read is noted."""
    clock = await market_clock(subject)
    choice = MarketChoice(
        MarketRules.of(subject.settings.books),
        lambda ticker, error: notes.warning("market_refused", ticker=ticker, error=error),
    )
    reader = MarketReader(subject.market_data, ReadAllowance(), notes)
    await Discovery(reader, choice, clock, notes).look()
    return [chosen.info for chosen in choice.choose(clock.now_ns() // NS_PER_MS)]


def _ticks(grid: PriceGrid) -> str:
    steps = sorted({part.step_e4 for part in grid.ranges})
    return "tick " + "/".join(f"${format_price(step)}" for step in steps)


class _NoSession:
    """Takes the place of a session's journal."""

    def terms(self, terms: MarketTerms) -> None:
        """Not of interest: they are shown from what was read."""

    def program(self, program: ProgramListed) -> None:
        """Not of interest."""


async def fees(subject: Subject) -> list[Finding]:
    """What these markets charge: series, their events' own fees, announced changes and waivers."""
    first = {m.event_ticker: m for m in reversed(subject.markets or ())}
    asked = list(reversed(first.values()))[:MOST_EVENTS]  # one market of each event
    if not asked:
        return []
    terms = await _read_terms(subject, asked)
    events: dict[str, list[str]] = {}
    for market in asked:
        if steps := terms.fees.get(market.ticker):
            events.setdefault(fee_words_of([FeeStep(*step) for step in steps]), []).append(
                market.event_ticker
            )
    known = "; ".join(f"{words}: {_listed(names)}" for words, names in events.items())
    findings = [Finding("fees", Verdict.OK, known)] if known else []
    if unknown := [m.event_ticker for m in asked if m.ticker not in terms.fees]:
        text = f"not said for {_listed(unknown)}"
        findings.append(Finding("fees", Verdict.NOTE, text, "0.07 x p x (1 - p) is assumed"))
    return findings


async def _read_terms(subject: Subject, asked: list[MarketInfo]) -> Terms:
    """As the collector reads them; an event or series that is not there stays unknown."""
    client = subject.market_data
    now_ns = (await market_clock(subject)).now_ns()
    now_ms = now_ns // NS_PER_MS
    terms = Terms(_NoSession(), no_log())
    for event in terms.unread_events(asked):
        with suppress(NotFound):
            terms.on_event(await client.event_fees(event))
    for name in terms.series_of(asked):
        with suppress(NotFound):
            terms.on_series(await client.series(name), now_ms)
    terms.on_series_changes((await client.series_fee_changes()).items, now_ms)
    terms.on_event_changes((await client.event_fee_changes()).items, now_ms)
    terms.update(asked, now_ns)
    return terms


def _listed(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


async def wire(_: Subject) -> list[Finding]:
    """What all answers and frames so far had that this version does not know."""
    if not SEEN.counts:
        return [Finding("protocol", Verdict.OK, "nothing unknown was seen on the wire")]
    names = ", ".join(list(SEEN.counts)[:MOST_NAMED])
    text = f"{len(SEEN.counts)} unknown on the wire: {names}"
    advice = (
        "unknown values are not traded on; update kalshi-actor, or compare: kalshi-actor check "
        "--protocol FOLDER (with the newest openapi.yaml and asyncapi.yaml)"
    )
    is_value = any(name.startswith(("value ", "frame ")) for name in SEEN.counts)
    return [Finding("protocol", Verdict.PROBLEM if is_value else Verdict.NOTE, text, advice)]
