"""A log that can be asked what it was told."""

from __future__ import annotations

import re

__all__ = ["Logged", "events"]

LINE = re.compile(r"\S+Z (?:debug|info|warning|error) +(.*?)(?: run=[0-9a-f]{8})?")


class Logged:
    """A `Log`; `lines` is what was said, at whatever level."""

    def __init__(self) -> None:
        self.lines: list[tuple[str, dict[str, object]]] = []

    def __call__(self, action: str, /, **facts: object) -> None:
        self.lines.append((action, facts))

    debug = warning = error = __call__

    def actions(self) -> list[str]:
        return [action for action, _ in self.lines]

    def has(self, action: str, **facts: object) -> bool:
        """Whether a line says this, whatever else it says."""
        return any(said == action and facts.items() <= all_.items() for said, all_ in self.lines)


def events(said: str) -> list[str]:
    """`process action key=value ...` of the lines that processes logged, without time and run."""
    return [found[1] for line in said.splitlines() if (found := LINE.fullmatch(line))]
