"""A session beside its events: what its archive says of it, and how the database forgets it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from models.sessions import RecordedSession, SessionError
from processes.adapters.parquet.archive import ArchiveError, read_events, read_header
from processes.adapters.postgres.packed_events import partition_of
from processes.adapters.postgres.queries import load_queries
from processes.adapters.postgres.sessions import (
    SessionDataLoader,
    StoredMark,
    StoredMarket,
    StoredSession,
    split_by_market,
)

__all__ = ["ArchiveHeader", "forget_session", "forget_stream", "header_of", "load_archive"]

_SQL: Final = load_queries("forget.sql")
COLLECTOR: Final = "collector"  # whose streams are sessions


class ArchiveHeader(msgspec.Struct, frozen=True):
    """All that is known of an archived session but its events."""

    session: StoredSession
    markets: list[StoredMarket]
    marks: list[StoredMark]


async def header_of(loader: SessionDataLoader, session: StoredSession) -> bytes:
    """For the archive's own metadata; the same for the same session, wherever its events lie."""
    settled = msgspec.structs.replace(session, archive_path=None, stored=True)
    markets = await loader.markets(session.session_id)
    marks = await loader.marks(session.session_id)
    return msgspec.json.encode(ArchiveHeader(settled, markets, marks))


def load_archive(path: Path) -> list[RecordedSession]:
    """Every market of an archived session, without any database; `SessionError`."""
    try:
        header = msgspec.json.decode(read_header(path), type=ArchiveHeader)
        return split_by_market(header.session, header.markets, *read_events(path))
    except msgspec.MsgspecError as error:
        raise SessionError(f"{path}: its header cannot be read: {error}") from None
    except ArchiveError as error:
        raise SessionError(str(error)) from None


async def forget_session(connection: Any, session: StoredSession) -> None:
    """Delete a session and all that belongs to it alone; its archive is a file and stays."""
    async with connection.transaction():
        for name in ("marks", "markets", "session"):
            await connection.execute(_SQL[name], session.session_id)
        await connection.execute(f"drop table if exists {partition_of(session.session_id)}")
        if session.session_uid is not None:
            await forget_stream(connection, f"{COLLECTOR}/{session.session_uid}")


async def forget_stream(connection: Any, stream: str) -> None:
    """Delete what is known of a producer's run."""
    for name in ("rejected", "offsets", "stream"):
        await connection.execute(_SQL[name], stream)
