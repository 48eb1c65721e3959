"""The first row of a session, and the room for its events."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from processes.adapters.postgres.queries import load_queries
from processes.runtime.log import Log

__all__ = ["create_session"]

_SQL: Final = load_queries("recorder.sql")


async def create_session(
    connection: Any,
    market_tickers: Sequence[str],
    websocket_url: str,
    environment: str,
    *,
    session_uid: str,
    started_ns: int,
    log: Log,
) -> int:
    """Insert an active session and make the partition of its events.

    Both inside the caller's transaction.

    Args:
        connection: An open connection.
        market_tickers: What it begins with; later ones are added as they are listed.
        websocket_url: Where its data comes from.
        environment: Of that.
        session_uid: Name of the run.
        started_ns: Market time of the start.
        log: Gets a line.

    Returns:
        Its id.
    """
    facts = (session_uid, started_ns, websocket_url, environment, list(market_tickers))
    session_id: int = await connection.fetchval(_SQL["create_session"], *facts)
    await connection.execute(_SQL["open_events"], session_id)
    log(
        "session_created",
        session_id=session_id,
        environment=environment,
        markets=len(market_tickers),
    )
    return session_id
