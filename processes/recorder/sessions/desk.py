"""What every command works with: the database, the data folder, and a way to say how far it is."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from ipc.clock import NS_PER_S, mono_ns
from processes.adapters.postgres.database import connect
from processes.adapters.postgres.sessions import (
    LATEST,
    SessionDataLoader,
    StoredSession,
    named_session,
)
from processes.runtime.config import ConfigError

__all__ = ["ALL", "LATEST", "Desk", "Progress", "choose", "choose_one"]

ALL: Final = "all"
SAY_EVERY_NS: Final = NS_PER_S


class Desk:
    """One connection and one data folder; `entropy` makes this run's session unique."""

    def __init__(self, dsn: str, connection: Any, data_dir: Path, entropy: bytes) -> None:
        self._dsn = dsn
        self.entropy = entropy
        self.connection = connection
        self.data_dir = data_dir
        self.loader = SessionDataLoader(connection)

    async def reconnect(self) -> None:
        """Replace the connection: an interrupted one may stay in its transaction for ever."""
        self.connection.terminate()
        self.connection = await connect(self._dsn)
        self.loader = SessionDataLoader(self.connection)


async def choose(loader: SessionDataLoader, wanted: Sequence[str]) -> list[StoredSession]:
    """Sessions by id or uid, `latest` or `all`; `SessionError` names what is allowed."""
    stored = await loader.sessions()
    if ALL in wanted:
        return list(stored)
    named = [named_session(stored, word, ALL) for word in wanted]
    return list({session.session_id: session for session in named}.values())


async def choose_one(loader: SessionDataLoader, wanted: str) -> StoredSession:
    """A session by id or uid, or `latest`; `ConfigError` for `all`, `SessionError` otherwise."""
    if wanted == ALL:
        raise ConfigError(f"session {ALL} are many; allowed: {LATEST} or one id")
    return (await choose(loader, [wanted]))[0]


class Progress:
    """How far long work is, on stderr: at most a line a second, and one at the end."""

    def __init__(self, what: str, total: int | None = None) -> None:
        self._what = what
        self._of = "" if total is None else f" of {total:,}"
        self._done = 0
        self._said_ns = mono_ns()

    def add(self, number: int) -> None:
        """That many more events."""
        self._done += number
        if mono_ns() - self._said_ns > SAY_EVERY_NS:
            self._say()

    def _say(self, word: str = "") -> None:
        self._said_ns = mono_ns()
        sys.stderr.write(f"{self._what}: {self._done:,}{self._of} events{word}\n")
        sys.stderr.flush()

    def end(self) -> None:
        """Done."""
        self._say(", done")
