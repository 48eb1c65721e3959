"""What an archive holds beside a session's events, and how a session is deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from models.simulation.tape import RecordedSession, SessionError
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

__all__ = [
    "ArchiveHeader",
    "compare_results",
    "forget_session",
    "forget_stream",
    "header_of",
    "load_archive",
]

_SQL: Final = load_queries("forget.sql")
COLLECTOR: Final = "collector"  # whose streams are sessions
UNKNOWN: Final = (None, None)  # result and value of a market whose outcome is not known


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
    header = _read(path)
    try:
        return split_by_market(header.session, header.markets, *read_events(path))
    except ArchiveError as error:
        raise SessionError(str(error)) from None


def _read(path: Path) -> ArchiveHeader:
    try:
        return msgspec.json.decode(read_header(path), type=ArchiveHeader)
    except msgspec.MsgspecError as error:
        raise SessionError(f"{path}: its header cannot be read: {error}") from None
    except ArchiveError as error:
        raise SessionError(str(error)) from None


def compare_results(session: StoredSession, known: list[StoredMarket]) -> tuple[int, int]:
    """(results that its archive lacks, results that differ there); (0, 0) without an archive."""
    path = Path(session.archive_path or "")
    if session.archive_path is None or (session.stored and not path.exists()):
        return 0, 0
    archived = {m.market_id: (m.result, m.yes_value_e4) for m in _read(path).markets}
    pairs = [((m.result, m.yes_value_e4), archived.get(m.market_id, UNKNOWN)) for m in known]
    lacks = sum(old == UNKNOWN != now for now, old in pairs)
    return lacks, sum(old not in (UNKNOWN, now) for now, old in pairs)


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
