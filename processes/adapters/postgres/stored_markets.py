"""Markets of stored sessions, for what learns from them or judges on them; a note that it did."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from models.policies.onnx import ModelRun
from models.simulation.tape import RecordedSession
from processes.adapters.postgres.database import FOREIGN_PATIENCE, connect_within
from processes.adapters.postgres.location import dsn_of
from processes.adapters.postgres.sessions import SessionDataLoader, StoredSession, named_session
from processes.runtime.config import load_settings

__all__ = ["ALL", "load_stored", "note_runs"]

ALL: Final = "all"
ACTIVE: Final = "active"
INSERT: Final = """
    insert into rl_model_runs (model_id, model_hash, kind, environments, session_ids, code_version,
        config, metrics, started_ns, ended_ns, status)
    values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, 'closed')
"""


def load_stored(
    environ: Mapping[str, str],
    wanted: Sequence[str],
    environment: str | None = None,
    *,
    mixed: bool = True,
) -> list[RecordedSession]:
    """Load every market of stored sessions, for what learns from them or judges on them.

    Args:
        environ: Variables of the stack whose database it is.
        wanted: Numbers, uids, `latest`, or `all` for those that have ended.
        environment: Sessions of others are left out; None for any.
        mixed: Whether sessions of several environments are allowed at once.

    Raises:
        SessionError: No such session, or one that cannot be used.
        ConfigError: The database cannot be reached.
    """
    return asyncio.run(_load(dsn_of(load_settings(environ)), wanted, environment, mixed=mixed))


def note_runs(environ: Mapping[str, str], wanted: Sequence[str], runs: Sequence[ModelRun]) -> None:
    """Keep in the database what was made from sessions, or judged on them, for good.

    Args:
        environ: Variables of the stack whose database it is.
        wanted: The sessions, as of `load_stored`.
        runs: What was done.
    """
    asyncio.run(_note(dsn_of(load_settings(environ)), wanted, runs))


async def _note(dsn: str, wanted: Sequence[str], runs: Sequence[ModelRun]) -> None:
    connection = await connect_within(dsn, FOREIGN_PATIENCE)
    try:
        sessions = _chosen(await SessionDataLoader(connection).sessions(), wanted)
        of = sorted({s.environment for s in sessions}), [s.session_id for s in sessions]
        for run in runs:
            facts = [msgspec.json.encode(f).decode() for f in (run.config, run.metrics)]
            await connection.execute(
                *(INSERT, run.model_id, run.model_hash, run.kind, *of, run.code_version),
                *(*facts, run.started_ns, run.ended_ns),
            )
    finally:
        await connection.close()


async def _load(
    dsn: str, wanted: Sequence[str], environment: str | None, *, mixed: bool
) -> list[RecordedSession]:
    connection = await connect_within(dsn, FOREIGN_PATIENCE)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            loader = SessionDataLoader(connection)
            sessions = _chosen(await loader.sessions(), wanted)
            fitting = [s for s in sessions if environment in (None, s.environment)]
            return await loader.load_all(fitting, mixed=mixed)
    finally:
        await connection.close()


def _chosen(stored: Sequence[StoredSession], wanted: Sequence[str]) -> list[StoredSession]:
    """In the order in which they are named, each once; all: the oldest first."""
    named = [named_session(stored, word, ALL) for word in wanted if word != ALL]
    if ALL in wanted:
        return [s for s in reversed(stored) if s.status != ACTIVE]
    return list({s.session_id: s for s in named}.values())
