"""What is seen on the wire and in no schema of this version, counted by name.

The exchange changes about weekly. An unknown field, word of an enumeration, type of frame, error
code or close code is ignored (PROTOCOL.md, 0); it is counted here, so that a process can log it
once and show it. The number of names is bounded, and so is each: a peer may make up any number.
"""

from __future__ import annotations

from typing import Final

from processes.runtime.log import Log

__all__ = ["SEEN", "UNKNOWN", "DriftCounts", "report_drift"]

MOST_NAMES: Final = 64  # further ones are counted together
UNKNOWN: Final = "unknown "  # begins the name of a counter
OTHERS: Final = "others"
LONGEST: Final = 80  # characters of a name


class DriftCounts:
    """Counts by name, such as `field Market.color` or `value MarketStatus=halted`.

    Attributes:
        counts: How often each name was seen. Frequent messages are sampled, so the count of a field
            is of the messages that were looked at.
    """

    def __init__(self, most_names: int = MOST_NAMES) -> None:
        self._most_names = most_names
        self._not_reported: list[str] = []
        self.counts: dict[str, int] = {}

    def note(self, kind: str, name: object) -> None:
        """Count one sight of `kind` (field, value, frame, error, close) and `name`."""
        text = _plain(f"{kind} {name}")
        if text not in self.counts and len(self.counts) >= self._most_names:
            text = OTHERS
        if text not in self.counts:
            self._not_reported.append(text)
        self.counts[text] = self.counts.get(text, 0) + 1

    def take_new(self) -> list[str]:
        """The names that were first seen since the last call, in that order."""
        names, self._not_reported = self._not_reported, []
        return names

    @property
    def total(self) -> int:
        """All sights of all names."""
        return sum(self.counts.values())


def report_drift(log: Log, seen: DriftCounts | None = None) -> dict[str, int]:
    """Log each name that is new, once -> all counts, as counters of a process.

    Args:
        log: Of the process.
        seen: The counts; None: those of this process.

    Returns:
        `unknown_on_the_wire`, how often anything was seen, and `unknown <kind> <name>` for each
        name; empty where nothing was seen.
    """
    seen = SEEN if seen is None else seen
    for name in seen.take_new():
        log.warning("unknown_on_the_wire", name=name)
    if not seen.counts:
        return {}
    named = {f"{UNKNOWN}{name}": count for name, count in seen.counts.items()}
    return {"unknown_on_the_wire": seen.total} | named


SEEN: Final = DriftCounts()  # of this process: enumerations have no other way to reach their owner


def _plain(text: str) -> str:
    """Printable ASCII of a bounded length."""
    return "".join(c if " " <= c <= "~" else "?" for c in text[:LONGEST])
