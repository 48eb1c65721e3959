"""Maintenance: announced pauses of trading that begin and end by themselves, by market time."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from processes.exchange.core.pauses import Pauses

__all__ = ["Maintenance", "Window", "weekly_window"]

NEW_YORK: Final = ZoneInfo("America/New_York")
THURSDAY: Final = 3  # as `date.weekday` counts
FROM, UNTIL = time(3), time(5)


class Window(msgspec.Struct, frozen=True, order=True):
    """Trading is paused from `start_ms` until `end_ms`."""

    start_ms: int
    end_ms: int
    is_weekly: bool = False


def weekly_window(now_ms: int) -> Window:
    """The Thursday morning in New York that is now, or the next."""
    today = datetime.fromtimestamp(now_ms / 1000, NEW_YORK).date()
    day = today + timedelta(days=(THURSDAY - today.weekday()) % 7)
    while True:
        ends = datetime.combine(day, UNTIL, NEW_YORK)
        if ends.timestamp() * 1000 > now_ms:
            starts = datetime.combine(day, FROM, NEW_YORK)
            return Window(round(starts.timestamp()) * 1000, round(ends.timestamp()) * 1000, True)
        day += timedelta(days=7)


class Maintenance:
    """The windows that are announced. `on_start` cuts the connections."""

    def __init__(self, pauses: Pauses, *, weekly: bool) -> None:
        self.on_start: Callable[[], object] = lambda: None
        self._pauses = pauses
        self._weekly = weekly
        self._windows: list[Window] = []
        self._is_on = False

    def announce(self, start_ms: int, end_ms: int) -> None:
        """One more window."""
        self._windows = sorted([*self._windows, Window(start_ms, end_ms)])

    def clear(self, now_ms: int) -> None:
        """What was announced is taken back; the weekly pause comes all the same."""
        self._windows.clear()
        self.apply(now_ms)

    def windows(self, now_ms: int) -> list[Window]:
        """Those that are not over, the first to begin first."""
        self._add_weekly(now_ms)
        return [w for w in self._windows if w.end_ms > now_ms]

    def resumes_ms(self, now_ms: int) -> int | None:
        """When the pause ends; None while there is none."""
        if not self._is_on:
            return None
        return max((w.end_ms for w in self._windows if w.start_ms <= now_ms), default=now_ms)

    def apply(self, now_ms: int) -> None:
        """Begin and end what is due."""
        self._add_weekly(now_ms)
        due = [w for w in self._windows if w.start_ms <= now_ms]
        if due and not self._is_on:
            self._is_on = True
            self._pauses.maintenance(on=True)
            self.on_start()
        self._windows = [w for w in self._windows if w.end_ms > now_ms]
        if self._is_on and not any(w.start_ms <= now_ms for w in self._windows):
            self._is_on = False
            self._pauses.maintenance(on=False)

    def _add_weekly(self, now_ms: int) -> None:
        if self._weekly and not any(w.is_weekly for w in self._windows):
            self._windows = sorted([*self._windows, weekly_window(now_ms)])
