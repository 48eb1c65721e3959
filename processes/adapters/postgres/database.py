"""Connections: patient at the start, honest about what cannot work, ready to lose the server."""

from __future__ import annotations

import asyncio
import socket
from typing import Any, Final

import asyncpg

from processes.adapters.postgres.location import shown_dsn
from processes.adapters.postgres.migrations import known_versions, refuse_newer
from processes.runtime.config import ConfigError
from processes.runtime.tasks import Stopped

__all__ = [
    "FOREIGN_PATIENCE",
    "LOST",
    "check_server",
    "connect",
    "connect_when_asked",
    "connect_when_migrated",
    "connect_within",
]

# What a client sees when the server is killed or restarted under it: keep the batch, retry.
LOST: Final = (
    OSError,
    TimeoutError,
    asyncpg.PostgresError,
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,
)
_HOPELESS: Final = (
    ValueError,
    socket.gaierror,
    asyncpg.InvalidAuthorizationSpecificationError,  # and wrong passwords
    asyncpg.InvalidCatalogNameError,
)
RETRY: Final = 0.1  # seconds
COMMAND_PATIENCE: Final = 5.0  # seconds for a server to answer a command
FOREIGN_PATIENCE: Final = 10.0  # seconds for a server of the user's own to answer

Connection = Any


async def connect(dsn: str) -> Connection:
    """One connection; `ConfigError` when trying again cannot help, one of `LOST` when it can."""
    try:
        return await asyncpg.connect(dsn, timeout=5, command_timeout=60)
    except _HOPELESS as error:
        raise ConfigError(_refusal(dsn, error)) from None


def _refusal(dsn: str, error: Exception) -> str:
    reason = str(error).splitlines()[0] if str(error) else type(error).__name__
    return (
        f"DATABASE_URL={shown_dsn(dsn)} cannot be used: {reason}; "
        "allowed: postgresql://user:password@host:port/database, or unset for the embedded server"
    )


async def connect_within(dsn: str, patience_s: float) -> Connection:
    """Connect to a server that may still be starting; `ConfigError` when it stays away."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + patience_s
    while True:
        try:
            return await connect(dsn)
        except LOST as error:
            if loop.time() > deadline:
                raise ConfigError(_refusal(dsn, error)) from None
        await asyncio.sleep(RETRY)


async def check_server(dsn: str, patience_s: float = FOREIGN_PATIENCE) -> None:
    """`ConfigError` for a server that does not answer or holds a newer schema."""
    connection = await connect_within(dsn, patience_s)
    try:
        await _schema_is_ours(connection)
    finally:
        connection.terminate()


async def connect_when_asked(dsn: str) -> Connection:
    """Connect for a command: `ConfigError` unless the server is there and its schema ours."""
    connection = await connect_within(dsn, COMMAND_PATIENCE)
    try:
        if await _schema_is_ours(connection):
            return connection
    except ConfigError:
        connection.terminate()
        raise
    connection.terminate()
    raise ConfigError(
        f"DATABASE_URL={shown_dsn(dsn)} has an older schema than this program; allowed: start the "
        "stack once, or python -m processes.adapters.postgres.migrate"
    )


async def connect_when_migrated(dsn: str, stop: asyncio.Event) -> Connection:
    """Connect once the server is there and its schema is ours; waits as long as that takes.

    `Stopped` when asked to stop before, `ConfigError` for a schema that is newer than this program.
    Whether a server that cannot be reached is hopeless is for `migrate` to say.
    """
    while not stop.is_set():
        try:
            connection = await connect(dsn)
        except (ConfigError, *LOST):
            await _pause(stop)
            continue
        try:
            if await _schema_is_ours(connection):
                return connection
        except LOST:  # gone again
            await _pause(stop)
        except ConfigError:
            connection.terminate()
            raise
        connection.terminate()
        await _pause(stop)
    raise Stopped("stopped before the database was ready")


async def _pause(stop: asyncio.Event) -> None:
    try:
        async with asyncio.timeout(RETRY):
            await stop.wait()
    except TimeoutError:
        return


async def _schema_is_ours(connection: Connection) -> bool:
    if await connection.fetchval("select to_regclass('schema_migrations')") is None:
        return False
    rows = await connection.fetch("select version from schema_migrations")
    applied, known = {row["version"] for row in rows}, known_versions()
    refuse_newer(applied, known)
    return applied == known
