"""When the exchange says that it will not trade: maintenance windows and closed hours.

`GET /exchange/schedule` gives windows as moments, and weekly hours in New York time. Pure: a
schedule in, halts out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, time, timedelta
from typing import Final, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from ipc.messages import TradingState
from processes.adapters.kalshi.errors import WireError
from processes.adapters.kalshi.rest.public import Schedule
from processes.adapters.kalshi.schemas.normalise import ms_of_rfc3339
from processes.adapters.kalshi.schemas.rest_public import Session, WeekRow

__all__ = ["Halt", "TradingHours", "halt_at", "next_halt"]

NEW_YORK: Final = ZoneInfo("America/New_York")
DAYS_BACK: Final = 2
DAYS_AHEAD: Final = 9  # a week and what surrounds it
MS: Final = 1_000

Spans = list[tuple[int, int]]  # (start, end) in Unix milliseconds, sorted, apart from each other


class Halt(NamedTuple):
    """Trading is announced to stand still from `start_ms` until `end_ms` (Unix milliseconds)."""

    start_ms: int
    end_ms: int
    state: TradingState


class TradingHours(msgspec.Struct, frozen=True):
    """The exchange's schedule as halts.

    Attributes:
        maintenance: Announced windows, the first to begin first.
        weeks: Weekly hours, and how long each of them holds.
    """

    maintenance: tuple[Halt, ...] = ()
    weeks: tuple[_Week, ...] = ()

    @classmethod
    def of(cls, schedule: Schedule) -> TradingHours:
        """From the exchange's reply; `WireError` when a time cannot be read."""
        windows = sorted(
            Halt(start, end, TradingState.MAINTENANCE)
            for start, end in schedule.maintenance_ms
            if start < end
        )
        return cls(tuple(windows), tuple(_Week.of(row) for row in schedule.weeks))

    def halts(self, now_ms: int) -> list[Halt]:
        """Those that are not over, of this week and the next days, the first to begin first."""
        today = datetime.fromtimestamp(now_ms / MS, NEW_YORK).date()
        days = [today + timedelta(days=n) for n in range(-DAYS_BACK, DAYS_AHEAD)]
        closed = (Halt(start, end, TradingState.CLOSED) for start, end in _closed(self.weeks, days))
        return sorted(h for h in (*self.maintenance, *closed) if h.end_ms > now_ms)


def halt_at(halts: Iterable[Halt], now_ms: int) -> Halt | None:
    """The one of `TradingHours.halts` that is on, with the end of all that follow it at once."""
    found: Halt | None = None
    for halt in halts:
        if halt.start_ms <= now_ms < halt.end_ms:
            found = halt if found is None else _longer(found, halt)
        elif found is not None and halt.start_ms <= found.end_ms:
            found = _longer(found, halt)
    return found


def next_halt(halts: Iterable[Halt], now_ms: int) -> Halt | None:
    """The one of `TradingHours.halts` that is the next to begin."""
    return next((h for h in halts if h.start_ms > now_ms), None)


class _Week(msgspec.Struct, frozen=True):
    """Hours of the days from Monday on; they hold from `from_ms` until `until_ms`."""

    from_ms: int
    until_ms: int
    days: tuple[tuple[tuple[time, time], ...], ...]

    @classmethod
    def of(cls, row: WeekRow) -> _Week:
        working = (row.monday, row.tuesday, row.wednesday, row.thursday, row.friday)
        days = (*working, row.saturday, row.sunday)
        hours = tuple(tuple(_hours(session) for session in day) for day in days)
        return cls(ms_of_rfc3339(row.start_time), ms_of_rfc3339(row.end_time), hours)

    def open_spans(self, days: Iterable[date]) -> Iterator[tuple[int, int]]:
        """When the exchange is open; a session that ends at or before its begin ends a day on."""
        for day in days:
            for opens, closes in self.days[day.weekday()]:
                last = day + timedelta(days=1) if closes <= opens else day
                yield _ms(day, opens), _ms(last, closes)


def _hours(session: Session) -> tuple[time, time]:
    try:
        return time.fromisoformat(session.open_time), time.fromisoformat(session.close_time)
    except ValueError:
        hours = f"{session.open_time[:20]!r} to {session.close_time[:20]!r}"
        raise WireError(f"schedule: {hours} are no hours of a day") from None


def _ms(day: date, at: time) -> int:
    return round(datetime.combine(day, at, NEW_YORK).timestamp()) * MS


def _longer(halt: Halt, other: Halt) -> Halt:
    return halt if other.end_ms <= halt.end_ms else halt._replace(end_ms=other.end_ms)


def _closed(weeks: Iterable[_Week], days: list[date]) -> Iterator[tuple[int, int]]:
    """Between the open spans of the hours that hold; where none hold, nothing is known."""
    first, last = _ms(days[0], time()), _ms(days[-1], time())
    for week in weeks:
        begins, ends = max(first, week.from_ms), min(last, week.until_ms)
        at = begins
        for opens, closes in _joined(week.open_spans(days)):
            if at < min(opens, ends):
                yield at, min(opens, ends)
            at = max(at, closes)
        if at < ends:
            yield at, ends


def _joined(spans: Iterable[tuple[int, int]]) -> Spans:
    """Spans that meet or overlap as one."""
    found: Spans = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], end)
        else:
            found.append((start, end))
    return found
