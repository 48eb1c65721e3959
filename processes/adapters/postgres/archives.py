"""What an archive holds beside a session's events, and how a session is deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import msgspec

from ipc.units import ONE_DOLLAR_E4
from models.simulation.tape import RecordedSession, SessionError
from processes.adapters.parquet.archive import ArchiveError, read_events, read_header
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
_REASON: Final = 300  # characters of an error's reason
_MOST_MS: Final = 9_000_000_000_000  # until the year 2255; in nanoseconds still 64 bits
UNKNOWN: Final = (None, None)  # result and value of a market whose outcome is not known


class ArchiveHeader(msgspec.Struct, frozen=True):
    """All that is known of an archived session but its events.

    Attributes:
        session: As stored, without the archive's own place.
        markets: Its markets.
        marks: Its gaps, reconnects and holes.
    """

    session: StoredSession
    markets: list[StoredMarket]
    marks: list[StoredMark]


async def header_of(loader: SessionDataLoader, session: StoredSession) -> bytes:
    """For the archive's own metadata; the same for the same session, wherever its events lie."""
    settled = msgspec.structs.replace(session, archive_path=None, stored=True, shared=False)
    markets = await loader.markets(session.session_id)
    marks = await loader.marks(session.session_id)
    return msgspec.json.encode(ArchiveHeader(settled, markets, marks))


def load_archive(path: Path) -> list[RecordedSession]:
    """Load every market of an archived session, without any database.

    Args:
        path: A Parquet file that `sessions archive` wrote.

    Raises:
        SessionError: It is no archive, damaged, or event numbers are missing.
        ConfigError: pyarrow is not installed.
    """
    header = _read(path)
    try:
        return split_by_market(header.session, header.markets, header.marks, *read_events(path))
    except ArchiveError as error:
        raise SessionError(str(error)) from None


def _read(path: Path) -> ArchiveHeader:
    try:
        header = msgspec.json.decode(read_header(path), type=ArchiveHeader)
        for market in header.markets:
            _check_market(market)
    except ArchiveError as error:
        raise SessionError(str(error)) from None
    except (ValueError, RecursionError, ArithmeticError) as error:
        reason = f"its header cannot be read: {type(error).__name__}: {error}"
        raise SessionError(f"{path}: {reason[:_REASON]}") from None
    return header


def _check_market(market: StoredMarket) -> None:
    """`ValueError` for facts that no market has."""
    if not all(0 <= ms <= _MOST_MS for ms in (market.open_ms, market.close_ms)):
        raise ValueError(f"open_ms or close_ms of {market.ticker} is no time")
    if market.yes_value_e4 is not None and not 0 <= market.yes_value_e4 <= ONE_DOLLAR_E4:
        raise ValueError(f"yes_value_e4={market.yes_value_e4} of {market.ticker}")
    if not market.price_ranges or market.grid.size < 1:
        raise ValueError(f"{market.ticker} has no prices")


def compare_results(session: StoredSession, known: list[StoredMarket]) -> tuple[int, int]:
    """Compare what an archive says that markets paid with what is known now.

    Args:
        session: With the archive's path.
        known: Its markets as the database has them.

    Returns:
        (results that its archive lacks, results that differ there); (0, 0) without an archive.

    Raises:
        SessionError: The archive cannot be read.
    """
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
        for name in ("marks", "fees", "programs", "markets", "session"):
            await connection.execute(_SQL[name], session.session_id)
        await connection.execute(_SQL["events"], session.session_id)
        if session.session_uid is not None:
            await forget_stream(connection, f"{COLLECTOR}/{session.session_uid}")


async def forget_stream(connection: Any, stream: str) -> None:
    """Delete what is known of a producer's run."""
    for name in ("rejected", "offsets", "stream"):
        await connection.execute(_SQL[name], stream)
