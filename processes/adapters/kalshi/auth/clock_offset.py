"""What this machine's clock lacks of the exchange's: from `Date` of REST replies, and from frames.

`Date` names the second in which a reply was made, and that was between its request and its arrival:
so every reply bounds the offset from both sides, a second and a round trip apart. Replies at other
parts of a second narrow that down; the offset is the middle of what all of them allow. A frame
cannot arrive before it was sent, which bounds it from below.
"""

from __future__ import annotations

from collections import deque
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final, NamedTuple

__all__ = ["LIMIT_MS", "ClockOffset"]

KEPT: Final = 240  # replies; a clock may drift or be set
SECOND_MS: Final = 1_000
WIDEST_MS: Final = 800  # between the bounds, for an offset that corrects ages
LIMIT_MS: Final = 5_000  # beyond it the exchange may refuse what is signed (PROTOCOL.md, 1)


class _Bounds(NamedTuple):
    low_ms: int
    high_ms: int


class ClockOffset:
    """Bounds of the offset: the exchange's clock less this machine's, milliseconds."""

    def __init__(self) -> None:
        self._kept: deque[_Bounds] = deque(maxlen=KEPT)
        self._bounds: _Bounds | None = None
        self._text = ""
        self._date_ms = 0
        self._least_ms: int | None = None  # by frames

    def on_reply(self, date: str | None, sent_ms: int, received_ms: int) -> None:
        """A REST reply: its `Date`, and this machine's time of its request and of its arrival."""
        date_ms = self._parsed(date or "")
        if date_ms is None or received_ms < sent_ms:
            return
        new = _Bounds(date_ms - received_ms, date_ms + SECOND_MS - sent_ms)
        self._kept.append(new)
        low = max(bounds.low_ms for bounds in self._kept)
        high = min(bounds.high_ms for bounds in self._kept)
        if low > high:  # a clock was set: what was known before is void
            self._kept.clear()
            self._kept.append(new)
            self._least_ms = None
            low, high = new
        self._bounds = _Bounds(low, high)

    def on_frame(self, sent_ms: int, received_ms: int) -> None:
        """A frame by its own time of sending and this machine's time of its arrival."""
        least = sent_ms - received_ms
        if self._least_ms is None or least > self._least_ms:
            self._least_ms = least

    def _parsed(self, text: str) -> int | None:
        """Unix milliseconds of a `Date`; None for what is none. The same text is parsed once."""
        if text != self._text:
            try:
                moment = parsedate_to_datetime(text)
                self._date_ms = round(moment.replace(tzinfo=UTC).timestamp()) * SECOND_MS
            except (ValueError, TypeError, IndexError, OverflowError):
                return None
            self._text = text
        return self._date_ms if text else None

    @property
    def off_ms(self) -> int | None:
        """How far the clock is off at least, signed as the offset; None unknown, 0 may be right."""
        if self._bounds is None:
            return None
        low, high = self._bounds
        return low if low > 0 else min(high, 0)

    @property
    def offset_ms(self) -> int | None:
        """The offset that corrects ages; None while it is not known well enough."""
        if self._bounds is None or self._bounds.high_ms - self._bounds.low_ms > WIDEST_MS:
            return None
        low, high = self._bounds
        if self._least_ms is not None and low < self._least_ms <= high:
            low = self._least_ms
        return (low + high) // 2
