"""What the actor did in a stored session, beside the session's own events."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import groupby
from typing import Any, Final, NamedTuple

import msgspec
import numpy as np

from ipc.account_table import row_of_words
from ipc.messages import ActorAction
from models.parity.rebuilding import ActorRun, LiveMarket
from models.simulation.tape import RecordedSession
from processes.adapters.postgres.database import FOREIGN_PATIENCE, connect_within
from processes.adapters.postgres.location import dsn_of
from processes.adapters.postgres.queries import load_queries
from processes.adapters.postgres.sessions import (
    ALL,
    SessionDataLoader,
    StoredSession,
    named_session,
    on_events_of,
)
from processes.runtime.config import load_settings

__all__ = ["LiveSession", "LiveSessions"]

_SQL: Final = load_queries("live_sessions.sql")


class LiveSession(NamedTuple):
    """What the actor did in a session.

    Attributes:
        markets: Every market with its events, and what each run of the actor recorded of it.
        active: Whether the session still goes on: then as far as all of it is recorded.
    """

    markets: list[LiveMarket]
    active: bool


class LiveSessions:
    """Live sessions in the database of a stack.

    Args:
        environ: The stack's variables.

    Attributes:
        data_dir: Its folder.
        pricing: Where its actor places limits.
        contract_size_e2: Size of its actor's orders before caps.

    Raises:
        ConfigError: A setting cannot be used.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        settings = load_settings(environ)
        self._dsn = dsn_of(settings)
        self.data_dir = settings.data_dir
        self.pricing = str(settings.actor.pricing)
        self.contract_size_e2 = settings.actor.contract_size_e2
        self.max_data_age_ms = settings.actor.max_data_age_ms

    def load(self, session: str) -> LiveSession:
        """Load a session; opens and closes a connection and an event loop of its own.

        Args:
            session: Its number or uid, or `latest`.

        Raises:
            SessionError: There is none, or its events are incomplete.
            ConfigError: The database cannot be reached.
        """
        return asyncio.run(_load(self._dsn, session))


class _Recorded(NamedTuple):
    """How far everything is there; later ticks and decisions are left out."""

    event_no: int
    account_version: int


async def _load(dsn: str, name: str) -> LiveSession:
    connection = await connect_within(dsn, FOREIGN_PATIENCE)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            stored = await SessionDataLoader(connection).sessions()
            return await _session(connection, named_session(stored, name))
    finally:
        await connection.close()


async def _session(connection: Any, stored: StoredSession) -> LiveSession:
    active = stored.status == "active"
    whole = _Recorded(ALL, ALL)
    recorded_query = on_events_of(stored, _SQL["recorded"])
    found = await connection.fetchrow(recorded_query, stored.session_id)
    limit = _Recorded(**found) if active else whole
    recorded = await SessionDataLoader(connection).load(stored)
    return LiveSession([await _live(connection, stored, m, limit) for m in recorded], active)


async def _live(
    connection: Any, stored: StoredSession, market: RecordedSession, limit: _Recorded
) -> LiveMarket:
    asked = stored.session_uid, market.ticker
    ticks = [t for t in await connection.fetch(_SQL["ticks"], *asked) if _is_in(t, limit)]
    rows = [d for d in await connection.fetch(_SQL["decisions"], *asked) if _is_in(d, limit)]
    rows = [d for d in rows if d["account_version"] <= limit.account_version]
    accounts = await connection.fetch(_SQL["accounts"], *asked)
    by_run = {
        stream: [_decision(row) for row in group]
        for stream, group in groupby(rows, key=lambda row: row["stream_id"])
    }
    runs = []
    for stream, group in groupby(ticks, key=lambda row: row["stream_id"]):
        pairs = np.array([(row["event_no"], row["history"]) for row in group], np.int64)
        runs.append(ActorRun(pairs[:, 0].copy(), pairs[:, 1].copy(), by_run.get(stream, [])))
    versions = {r["account_version"]: row_of_words(r["words"], r["layout"]) for r in accounts}
    return LiveMarket(market, runs, versions)


def _is_in(row: Any, limit: _Recorded) -> bool:
    return bool(row["event_no"] <= limit.event_no)


def _decision(row: Any) -> ActorAction:
    facts = {name: row[name] for name in ActorAction.__struct_fields__}
    return msgspec.convert(facts, ActorAction)
