"""Bring the schema up to date: `python -m processes.adapters.postgres.migrate`.

dbmate's file format and table, so operators may use dbmate itself. Two runners at once are safe,
and so is a kill at any moment.

Exit codes: 0 done; 1 the server was lost, which supervisord answers with another attempt; 2 this
database cannot be migrated, in one line that says why.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from typing import Any, Final

import asyncpg

from processes.adapters.postgres.database import (
    FOREIGN_PATIENCE,
    LOST,
    connect_within,
    refuse_pooler,
)
from processes.adapters.postgres.location import dsn_of
from processes.adapters.postgres.migrations import Migration, load, refuse_newer
from processes.runtime.config import ConfigError, Settings
from processes.runtime.log import Log
from processes.runtime.run import EXIT_FAULT, Run, run

__all__ = ["migrate"]

LOCK_KEY: Final = 0x6B616C73  # any number, the same for every runner
LOCK_POLL: Final = 0.1  # seconds
STEP_PATIENCE: Final = 86_400.0  # seconds; a step may read every row of a large database
EMBEDDED_PATIENCE: Final = 60.0  # seconds; initdb on a slow disk
# Classes of SQLSTATE that may pass: connection, rollback, resources, locks, operator, system.
_PASSING: Final = ("08", "40", "53", "55", "57", "58")


async def migrate(connection: Any, steps: Sequence[Migration], log: Log) -> int:
    """Apply what is missing, in order.

    Args:
        connection: An open connection with the right to change the schema.
        steps: All migrations, in order.
        log: Gets a line for each that is applied.

    Returns:
        How many were applied.

    Raises:
        ConfigError: The schema is newer than this program, or the database refuses a step for
            good: it is not what the step expects, or the role lacks a right.
    """
    await _lock(connection)
    try:
        rows = await _versions(connection)
        applied = {row["version"] for row in rows}
        refuse_newer(applied, {step.version for step in steps})
        missing = [step for step in steps if step.version not in applied]
        for step in missing:
            await _apply(connection, step)
            log("migration_applied", migration=step.name)
    finally:
        if not connection.is_closed():
            await connection.execute("select pg_advisory_unlock($1)", LOCK_KEY)
    return len(missing)


async def _lock(connection: Any) -> None:
    """Polled: a blocking advisory lock deadlocks with CREATE INDEX CONCURRENTLY."""
    while True:
        if await connection.fetchval("select pg_try_advisory_lock($1)", LOCK_KEY):
            return
        await asyncio.sleep(LOCK_POLL)


async def _versions(connection: Any) -> list[Any]:
    """The rows of the table of migrations, which is made if need be."""
    with _refusals("schema_migrations"):
        await connection.execute(
            "create table if not exists schema_migrations(version varchar primary key)"
        )
        rows: list[Any] = await connection.fetch("select version from schema_migrations")
    return rows


async def _apply(connection: Any, step: Migration) -> None:
    with _refusals(step.name):
        async with connection.transaction() if step.transaction else nullcontext():
            await connection.execute(step.sql, timeout=STEP_PATIENCE)
            await connection.execute("insert into schema_migrations values ($1)", step.version)


@contextmanager
def _refusals(name: str) -> Iterator[None]:
    """Tell what the database refuses for good, as `ConfigError`, from what may pass."""
    try:
        yield
    except asyncpg.PostgresError as error:
        if str(error.sqlstate)[:2] in _PASSING:
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ConfigError(
            f"the database refuses migration {name}: {reason}; nothing of it was applied; "
            "allowed: an empty database, or one that an older version of this program made, with "
            "a role that may create tables in it"
        ) from None


async def _main(this: Run) -> None:
    await _migrate_server(this.settings, this.log)


async def _migrate_server(settings: Settings, log: Log) -> None:
    patience = FOREIGN_PATIENCE if settings.database_url else EMBEDDED_PATIENCE
    connection = await connect_within(dsn_of(settings), patience)
    try:
        await refuse_pooler(connection, dsn_of(settings))
        log("migrations_done", applied=await migrate(connection, load(), log))
    except LOST as error:  # supervisord starts the next attempt
        log.error("migration_failed", error=f"{type(error).__name__}: {error}")
        sys.exit(EXIT_FAULT)
    finally:
        connection.terminate()


if __name__ == "__main__":
    run("migrate", _main)
