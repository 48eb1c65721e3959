"""Markets of stored sessions, for what learns from them."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

from models.sessions import RecordedSession, SessionError
from processes.adapters.postgres.database import FOREIGN_PATIENCE, connect_within
from processes.adapters.postgres.location import dsn_of
from processes.adapters.postgres.sessions import SessionDataLoader, StoredSession
from processes.runtime.config import load_settings

__all__ = ["ALL", "load_stored"]

ALL: Final = "all"
ACTIVE: Final = "active"


def load_stored(
    environ: Mapping[str, str], wanted: Sequence[str], environment: str | None = None
) -> list[RecordedSession]:
    """Every market of sessions by number, uid, or `all` that have ended; `SessionError`.

    The database is that of a stack with these variables. With an environment, others are left out.
    """
    return asyncio.run(_load(dsn_of(load_settings(environ)), wanted, environment))


async def _load(dsn: str, wanted: Sequence[str], environment: str | None) -> list[RecordedSession]:
    connection = await connect_within(dsn, FOREIGN_PATIENCE)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            loader = SessionDataLoader(connection)
            sessions = _chosen(await loader.sessions(), wanted)
            fitting = [s for s in sessions if environment in (None, s.environment)]
            return await loader.load_all(fitting, mixed=True)  # the learner refuses a mix itself
    finally:
        await connection.close()


def _chosen(stored: Sequence[StoredSession], wanted: Sequence[str]) -> list[StoredSession]:
    """In the order of the database, each once."""
    names = {name: s for s in stored for name in (str(s.session_id), s.session_uid)}
    for word in wanted:
        if word != ALL and word not in names:
            newest = ", ".join(str(s.session_id) for s in stored[:5]) or "none"
            raise SessionError(f"session {word!r} is not stored; allowed: {ALL}, newest: {newest}")
    if ALL in wanted:
        return [s for s in stored if s.status != ACTIVE]
    ids = {names[word].session_id for word in wanted}
    return [s for s in stored if s.session_id in ids]
