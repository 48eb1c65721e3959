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
    """A market of any session; `heard` is None where no result was reported yet."""

    ticker: str
    heard: MarketResult | None


async def open_results(dsn: str, environment: str) -> list[OpenResult]:
    """Those of an environment, the oldest first; one of `LOST`, or `ConfigError`."""
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
