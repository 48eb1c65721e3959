"""What the followed markets charge, and which programs pay in them; no socket, no clock.

The exchange says a series' fees, those that an event has instead, changes of both to come, and a
market's waiver. `Terms` keeps what was said, with times, and journals a market's fees whenever they
read differently than before, and every program of a followed market that is new or has changed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from decimal import Decimal
from typing import Final, Protocol

import msgspec

from ipc.messages import MarketTerms, ProgramListed
from models.trading.fees import ALWAYS_MS, NEWEST_RULE, FeeStep, MarketFees
from models.trading.market_fees import OverrideStep, resolve_steps
from processes.adapters.kalshi.rest.public import (
    EventFeeChange,
    EventFees,
    FeeChange,
    IncentiveProgram,
    Series,
    multiplier_e4,
)
from processes.adapters.kalshi.schemas.normalise import MarketInfo
from processes.adapters.kalshi.schemas.stream_messages import EventFeeUpdateMsg
from processes.runtime.log import Log

__all__ = ["Terms", "TermsSink"]

LAG_MS: Final = 120_000  # so long after a change a read may still say what was before


class _EventTerms(msgspec.Struct):
    """What is known of an event: its series, and its own fees over time."""

    series_ticker: str
    overrides: list[OverrideStep] = []


class TermsSink(Protocol):
    """Takes what is new: the session's journal."""

    def terms(self, terms: MarketTerms) -> None:
        """A market charges this from now on."""
        ...

    def program(self, program: ProgramListed) -> None:
        """A program of a market is new, or has changed."""
        ...


class Terms:
    """Fees by series and event, programs by market.

    Args:
        session: takes what is new.
        log: one line for each market whose terms cannot be used.
    """

    def __init__(self, session: TermsSink, log: Log) -> None:
        self._session = session
        self._log = log
        self._series: dict[str, list[FeeStep]] = {}
        self._series_changes: dict[str, list[FeeStep]] = {}  # announced, of any series
        self._events: dict[str, _EventTerms] = {}
        self._event_changes: dict[str, list[OverrideStep]] = {}  # announced, of any event
        self._programs: dict[str, list[IncentiveProgram]] = {}
        self._fees: dict[str, tuple[FeeStep, ...]] = {}
        self._journalled: dict[str, IncentiveProgram] = {}
        self._refused: set[str] = set()

    @property
    def fees(self) -> dict[str, tuple[tuple[int, str, int], ...]]:
        """The fees of every followed market that are known, as `MarketTerms.fees`."""
        return dict(self._fees.items())

    def unread_events(self, followed: Iterable[MarketInfo]) -> list[str]:
        """Events of followed markets that were not read yet, in order."""
        return sorted({m.event_ticker for m in followed} - self._events.keys())

    def series_of(self, followed: Iterable[MarketInfo]) -> list[str]:
        """The series of followed markets, as far as their events were read, in order."""
        events = (self._events.get(m.event_ticker) for m in followed)
        return sorted({event.series_ticker for event in events if event is not None})

    # What the exchange says

    def on_event(self, event: EventFees) -> None:
        """What an event charges now, and of which series it is."""
        if event.event_ticker in self._events:
            return
        steps = list(self._event_changes.get(event.event_ticker, ()))
        if event.fee_type is not None:
            steps.insert(0, OverrideStep(ALWAYS_MS, event.fee_type, event.fee_multiplier_e4))
        self._events[event.event_ticker] = _EventTerms(event.series_ticker, steps)

    def on_series(self, series: Series, now_ms: int) -> None:
        """What a series charges now; a difference from what was expected begins now."""
        said = series.fee_type, series.fee_multiplier_e4
        if series.ticker not in self._series:
            changes = self._series_changes.get(series.ticker, ())
            self._series[series.ticker] = [FeeStep(ALWAYS_MS, *said), *changes]
            return
        known = self._series[series.ticker]
        begun = [step for step in known if step.from_ms <= now_ms]
        if begun and begun[-1][1:] != said and begun[-1].from_ms + LAG_MS < now_ms:
            known.append(FeeStep(now_ms, *said))
            known.sort()

    def on_series_changes(self, changes: Iterable[FeeChange], now_ms: int) -> None:
        """All announced changes of series' fees: what is to come is only that."""
        self._series_changes = {}
        for c in sorted(changes, key=lambda change: change.at_ms):
            if c.at_ms > now_ms:
                step = FeeStep(c.at_ms, c.fee_type, c.fee_multiplier_e4)
                self._series_changes.setdefault(c.series_ticker, []).append(step)
        for ticker, known in self._series.items():
            known[:] = [step for step in known if step.from_ms <= now_ms]
            known += self._series_changes.get(ticker, ())

    def on_event_changes(self, changes: Iterable[EventFeeChange], now_ms: int) -> None:
        """All announced changes of events' own fees: what is to come is only that."""
        self._event_changes = {}
        for c in sorted(changes, key=lambda change: change.at_ms):
            if c.at_ms > now_ms:
                step = OverrideStep(c.at_ms, c.fee_type, c.fee_multiplier_e4)
                self._event_changes.setdefault(c.event_ticker, []).append(step)
        for ticker, known in self._events.items():
            known.overrides = [step for step in known.overrides if step.from_ms <= now_ms]
            known.overrides += self._event_changes.get(ticker, ())

    def on_event_update(self, msg: EventFeeUpdateMsg, now_ms: int) -> None:
        """An event's own fees begin or end now. `WireError` for a bad multiplier."""
        known = self._events.get(msg.event_ticker)
        if known is None:
            return
        times = msg.fee_multiplier_override
        said = (
            msg.fee_type_override,
            None if times is None else multiplier_e4(Decimal(str(times)), msg.event_ticker),
        )
        begun = [step for step in known.overrides if step.from_ms <= now_ms]
        if (begun[-1][1:] if begun else (None, None)) == said:
            return
        coming = [step for step in known.overrides if step.from_ms > now_ms]
        known.overrides = [*begun, OverrideStep(now_ms, *said), *coming]

    def on_programs(self, programs: Iterable[IncentiveProgram]) -> None:
        """All programs that are active or upcoming."""
        self._programs = {}
        for program in programs:
            self._programs.setdefault(program.market_ticker, []).append(program)

    # What is made of it

    def update(self, followed: Sequence[MarketInfo], now_ns: int) -> None:
        """Journal what has changed for followed markets, and forget what is not followed."""
        for info in followed:
            self._update_fees(info)
            for program in self._programs.get(info.ticker, ()):
                self._update_program(program, now_ns)
        self._forget({info.ticker for info in followed}, {info.event_ticker for info in followed})

    def _update_fees(self, info: MarketInfo) -> None:
        event = self._events.get(info.event_ticker)
        series = self._series.get(event.series_ticker) if event else None
        if event is None or series is None:
            return
        steps = resolve_steps(series, event.overrides, info.fee_waiver_ms)
        if self._fees.get(info.ticker) == steps or info.ticker in self._refused:
            return
        try:
            MarketFees.of(NEWEST_RULE, steps)
        except ValueError as error:
            self._refused.add(info.ticker)
            self._log.warning("fees_assumed", ticker=info.ticker, error=error)
            return
        self._fees[info.ticker] = steps
        self._session.terms(MarketTerms(market_ticker=info.ticker, fees=steps))

    def _update_program(self, program: IncentiveProgram, now_ns: int) -> None:
        if self._journalled.get(program.program_id) == program:
            return
        self._journalled[program.program_id] = program
        facts = msgspec.structs.asdict(program)
        self._session.program(ProgramListed(**facts, listed_ns=now_ns))

    def _forget(self, tickers: Collection[str], events: Collection[str]) -> None:
        for ticker in self._fees.keys() - tickers:
            del self._fees[ticker]
        for event in self._events.keys() - events:
            del self._events[event]
        self._refused &= set(tickers)
        for program_id, program in list(self._journalled.items()):
            if program.market_ticker not in tickers:
                del self._journalled[program_id]
