"""Sessions out of the database: says what goes, asks, and only then lets it go."""

from __future__ import annotations

import argparse
import sys
from typing import Final

from ipc.journal import stream_folder
from processes.adapters.postgres.archives import forget_session
from processes.adapters.postgres.queries import load_queries
from processes.adapters.postgres.sessions import StoredSession
from processes.recorder.sessions.desk import Desk, choose
from processes.recorder.sessions.listing import listed, size_of
from processes.recorder.stream import SESSION_PRODUCER
from processes.runtime.config import ConfigError

__all__ = ["delete_sessions"]

_SQL: Final = load_queries("sessions.sql")
YES: Final = "yes"


async def delete_sessions(desk: Desk, options: argparse.Namespace) -> int:
    """Delete what was named; archives stay where they are."""
    chosen = await choose(desk.loader, options.session)
    for session in chosen:
        _may_go(desk, session)
    for session in chosen:
        print(await _what_goes(desk, session))
    if not options.yes and not _agreed(len(chosen)):
        print("nothing is deleted")
        return 0
    for session in chosen:
        await forget_session(desk.connection, session)
        print(f"session {session.session_id} is deleted")
    return 0


def _may_go(desk: Desk, session: StoredSession) -> None:
    """Not what is still being recorded."""
    folder = stream_folder(desk.data_dir, SESSION_PRODUCER, session.session_uid or "")
    if session.status == "active" and session.session_uid and folder.exists():
        raise ConfigError(
            f"session {session.session_id} has status=active and its journal is there; "
            "allowed: closed, error, or active without a journal"
        )


async def _what_goes(desk: Desk, session: StoredSession) -> str:
    (line,) = await listed(desk, [session])
    marks = len(await desk.loader.marks(session.session_id))
    stays = f"; its archive {line.archive_path} stays" if line.archive_path else ""
    return (
        f"session {line.session_id} ({line.environment}, {line.status}, {line.started}): "
        f"{line.events if session.stored else 0:,} events, {line.markets} markets, {marks} marks, "
        f"{size_of(line.database_bytes)} in the database{stays}"
    )


def _agreed(number: int) -> bool:
    if not sys.stdin.isatty():
        raise ConfigError("delete asks at a terminal; allowed without one: --yes")
    sys.stderr.write(f"delete {number} session(s)? Type {YES}: ")
    sys.stderr.flush()
    return sys.stdin.readline().strip() == YES
