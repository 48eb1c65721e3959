"""Markets whose final result is not recorded yet."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from ipc.messages import MarketResult
from processes.adapters.postgres.database import connect
from processes.adapters.postgres.queries import load_queries

__all__ = ["OpenResult", "open_results"]

_SQL: Final = load_queries("open_results.sql")
MOST: Final = 5_000  # the newest


class OpenResult(msgspec.Struct, frozen=True):
    """A market of any session without a final result.

    Attributes:
        ticker: The market.
        heard: What was reported so far, None where nothing was.
    """

    ticker: str
    heard: MarketResult | None


async def open_results(dsn: str, environment: str) -> list[OpenResult]:
    """List markets without a final result, the oldest first, at most the 5,000 newest.

    Args:
        dsn: A PostgreSQL URL.
        environment: Only markets of this one.

    Raises:
        ConfigError: The database cannot be used.
        OSError: Or another of `processes.adapters.postgres.database.LOST`: the server is lost.
    """
    connection = await connect(dsn)
    try:
        rows = await connection.fetch(_SQL["open_results"], environment, MOST)
    finally:
        connection.terminate()
    return [_open(row) for row in reversed(rows)]


def _open(row: Any) -> OpenResult:
    heard = None
    if row["told_ns"] is not None:
        heard = MarketResult(
            market_ticker=row["market_ticker"],
            result=row["result"],
            yes_value_e4=row["yes_value_e4"],
            determined_ms=row["determined_ms"],
            settled_ms=None,
            reported_ns=row["told_ns"],
        )
    return OpenResult(row["market_ticker"], heard)
