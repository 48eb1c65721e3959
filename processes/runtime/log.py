"""One line per event: UTC time, level, process, a stable `action`, its facts, and the run.

Everything that this process writes about itself leaves by one handler of `logging`: our own events,
the warnings and errors of libraries, and Python's own warnings. Two formats (`RL_LOG_FORMAT`):

    2026-08-10T22:15:00.123Z warning recorder db_lost error="..." run=1a2b3c4d
    {"time": "2026-08-10T22:15:00.123Z", "level": "warning", "process": "recorder", ...}
"""

from __future__ import annotations

import io
import json
import logging
import math
import re
import sys
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TextIO

import msgspec

from ipc.clock import NS_PER_S, real_ns
from processes.runtime.config import LogSettings

__all__ = ["Log", "ProcessLog", "error_in", "no_log", "open_log", "take_over_supervisord"]

LONGEST_VALUE: Final = 4_000  # characters of one fact; what peers say may be of any length
OWN: Final = "kalshi_actor"  # the logger of our own events
_OWN_KEYS: Final = frozenset({"time", "level", "process", "action", "run"})
# supervisord's control socket is this user's alone (chmod 0700), as a password beside it would be.
_NO_NEWS: Final = "Server 'unix_http_server' running without any HTTP authentication checking"
_ERROR: Final = re.compile(  # of a line in either format
    r'(?:\S+Z \w+ .*? error=|\{"time": .*?"error": )(?:"((?:[^"\\]|\\.)*)"|(\S+))'
)
_SUPERVISORD: Final = {50: "error", 40: "error", 30: "warning", 20: "info"}


class Log(Protocol):
    """Where events go: `log("action", key=value)`, or at another level than info.

    An action is a stable word that can be searched for; everything that varies is a fact. Keys are
    the glossary's words (`ticker`, `client_order_id`, `error`). No fact may hold a secret.
    """

    def __call__(self, action: str, /, **facts: object) -> None:
        """Note that `action` happened."""
        ...

    def debug(self, action: str, /, **facts: object) -> None:
        """Note a detail for finding a fault; off by default."""
        ...

    def warning(self, action: str, /, **facts: object) -> None:
        """Note what works again by itself, or works less well."""
        ...

    def error(self, action: str, /, **facts: object) -> None:
        """Note what the operator has to look at."""
        ...


class ProcessLog:
    """`Log` over `logging`."""

    def __init__(self, logger: logging.Logger) -> None:
        self._logger = logger

    def __call__(self, action: str, /, **facts: object) -> None:
        """Note that `action` happened."""
        self._write(logging.INFO, action, facts)

    def debug(self, action: str, /, **facts: object) -> None:
        """Note a detail for finding a fault; off by default."""
        self._write(logging.DEBUG, action, facts)

    def warning(self, action: str, /, **facts: object) -> None:
        """Note what works again by itself, or works less well."""
        self._write(logging.WARNING, action, facts)

    def error(self, action: str, /, **facts: object) -> None:
        """Note what the operator has to look at."""
        self._write(logging.ERROR, action, facts)

    def _write(self, level: int, action: str, facts: Mapping[str, object]) -> None:
        if self._logger.isEnabledFor(level):
            self._logger.log(level, "%s", action, extra={"facts": facts})


class _LogLine(msgspec.Struct, frozen=True):
    """One event, before it is text."""

    time: str
    level: str
    process: str
    action: str
    facts: Mapping[str, object]
    run: str | None

    def as_console(self) -> str:
        facts = dict(self.facts) | ({} if self.run is None else {"run": self.run})
        words = [self.time, f"{self.level:<7}", self.process, self.action]
        return " ".join((*words, *(f"{key}={_quoted(_text(v))}" for key, v in facts.items())))

    def as_json(self) -> str:
        head = {"time": self.time, "level": self.level, "process": self.process, "run": self.run}
        facts = {f"{k}_" if k in _OWN_KEYS else k: _plain(v) for k, v in self.facts.items()}
        return json.dumps({**head, "action": self.action, **facts})


def _text(value: object) -> str:
    """As text of a bounded length."""
    if isinstance(value, list | tuple | set | frozenset):
        text = ",".join(map(str, value))
    elif isinstance(value, BaseException):
        text = str(value) or type(value).__name__
    else:
        text = str(value)
    beyond = len(text) - LONGEST_VALUE
    return text if beyond <= 0 else f"{text[:LONGEST_VALUE]}... {beyond} more characters"


def _quoted(text: str) -> str:
    """In quotes where it would not be one word; whatever a terminal could obey is escaped."""
    if not text.isprintable():
        return json.dumps(text)
    if not text or " " in text or text.startswith('"'):
        return json.dumps(text, ensure_ascii=False)
    return text


def _plain(value: object) -> object:
    """What JSON has a form for, else text."""
    if value is None or isinstance(value, bool | int):
        return value
    return value if isinstance(value, float) and math.isfinite(value) else _text(value)


def _stamp(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S.%f}"[:-3] + "Z"


class _Formatter(logging.Formatter):
    """Our events as they are; what a library logs becomes the fact `message` of one action."""

    def __init__(self, process: str, run: str | None, *, as_json: bool) -> None:
        super().__init__()
        self._process = process
        self._run = run
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        facts: Mapping[str, object] | None = getattr(record, "facts", None)
        if facts is None:
            action, facts = _of_library(record)
        else:
            action = record.getMessage()
        return self.line(record.created, record.levelname.lower(), action, facts)

    def line(self, seconds: float, level: str, action: str, facts: Mapping[str, object]) -> str:
        line = _LogLine(_stamp(seconds), level, self._process, action, facts, self._run)
        return line.as_json() if self._as_json else line.as_console()


def _of_library(record: logging.LogRecord) -> tuple[str, dict[str, object]]:
    facts: dict[str, object] = {"logger": record.name, "message": record.getMessage().strip()}
    if record.exc_info and (error := record.exc_info[1]) is not None:
        facts["error"] = f"{type(error).__name__}: {error}"
        facts["traceback"] = "".join(traceback.format_exception(error))
    return ("python_warning" if record.name == "py.warnings" else "library_message"), facts


def _admitted(record: logging.LogRecord) -> bool:
    """Ours at the level asked for; a library's from warnings on: below, some show headers."""
    return record.name == OWN or record.levelno >= logging.WARNING


def no_log() -> ProcessLog:
    """A log that writes nothing: for commands that report in their own words."""
    logger = logging.Logger(OWN, level=logging.CRITICAL + 1)  # below no other: never inherits
    return ProcessLog(logger)


def open_log(
    process: str, run: str | None, settings: LogSettings, stream: TextIO | None = None
) -> ProcessLog:
    """Make this process log from now on; replaces every handler of the root logger.

    Args:
        process: Its name, a word of every line.
        run: Short name of the run; None leaves it out.
        settings: Level and format.
        stream: Where lines go; None is standard output.
    """
    if stream is None and isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a line is never lost to a locale
    handler = logging.StreamHandler(stream or sys.stdout)
    handler.setFormatter(_Formatter(process, run, as_json=settings.format == "json"))
    handler.addFilter(_admitted)
    logging.basicConfig(handlers=[handler], level=settings.level.upper(), force=True)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a terminal that was closed ends no process
    return ProcessLog(logging.getLogger(OWN))


def error_in(line: str) -> str | None:
    """The fact `error` of a line of either format, still escaped; None in a line without one."""
    found = _ERROR.match(line)
    return found and (found[1] or found[2])


class _SupervisordHandler:
    """A handler of supervisord's own logger that writes lines in the format of the programs."""

    def __init__(self, formatter: _Formatter, level: int, stream: TextIO) -> None:
        self.level = level
        self._formatter = formatter
        self._stream = stream

    def emit(self, record: Any) -> None:
        message = record.asdict()["message"].strip()
        if message.startswith(_NO_NEWS):
            return
        level = _SUPERVISORD.get(record.level, "debug")
        facts = {"message": message}
        line = self._formatter.line(real_ns() / NS_PER_S, level, "supervisord_message", facts)
        self._stream.write(line + "\n")
        self._stream.flush()

    def close(self) -> None:
        """The stream is not ours to close."""

    def reopen(self) -> None:
        """Nothing is rotated."""

    def remove(self) -> None:
        """Nothing is on disk."""


def take_over_supervisord(logger: Any, settings: LogSettings) -> None:
    """Let supervisord's logger write to standard output in our format, at the level it has."""
    formatter = _Formatter("supervisord", None, as_json=settings.format == "json")
    for handler in [h for h in logger.handlers if isinstance(h, _SupervisordHandler)]:
        logger.handlers.remove(handler)
    logger.addHandler(_SupervisordHandler(formatter, logger.level, sys.stdout))
