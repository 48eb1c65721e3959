"""One line per event, written at once, with a stable `action` key."""

from __future__ import annotations

import sys
from typing import Protocol, TextIO

__all__ = ["Log", "StdoutLog"]


class Log(Protocol):
    """Where events go."""

    def __call__(self, action: str, **facts: object) -> None:
        """Note that `action` happened."""
        ...


class StdoutLog:
    """`process action key=value ...`; one `write` a line, so processes do not interleave."""

    def __init__(self, process: str, stream: TextIO | None = None) -> None:
        self._process = process
        self._stream = stream or sys.stdout

    def __call__(self, action: str, **facts: object) -> None:
        """Write the line."""
        words = [self._process, action, *(f"{k}={_shown(v)}" for k, v in facts.items())]
        self._stream.write(" ".join(words) + "\n")
        self._stream.flush()


def _shown(value: object) -> str:
    text = str(value).replace("\n", "\\n")
    return repr(text) if " " in text else text
