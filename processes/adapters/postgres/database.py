"""Connections: patient at the start, honest about what cannot work, ready to lose the server."""

from __future__ import annotations

import asyncio
import configparser
import errno
import os
import socket
import ssl
from typing import Any, Final

import asyncpg

from processes.adapters.postgres.location import is_embedded, shown_dsn
from processes.adapters.postgres.migrations import known_versions, refuse_newer
from processes.runtime.config import ConfigError
from processes.runtime.tasks import Stopped

__all__ = [
    "FOREIGN_PATIENCE",
    "LOST",
    "Unreachable",
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
_UNREADABLE: Final = (  # what the driver raises for a URL that is none
    *(ValueError, TypeError, LookupError, AttributeError, OverflowError, configparser.Error),
)
_HOPELESS: Final = (
    *_UNREADABLE,
    socket.gaierror,
    asyncpg.InvalidAuthorizationSpecificationError,  # and wrong passwords
    asyncpg.InvalidCatalogNameError,
)
_SQLSTATES: Final = {
    "28000": "the server does not let this user in",
    "28P01": "the server refuses the user or the password",
    "3D000": "the database does not exist",
    "53300": "the server has no free connection",
    "57P03": "the server is starting up or shutting down",
}
RETRY: Final = 0.1  # seconds
COMMAND_PATIENCE: Final = 5.0  # seconds for a server to answer a command
FOREIGN_PATIENCE: Final = 10.0  # seconds for a server of the user's own to answer

Connection = Any


class Unreachable(ConnectionError):
    """No connection for now; trying again may help. Shows nothing of the database's URL."""


async def connect(dsn: str) -> Connection:
    """One connection; `ConfigError` when trying again cannot help, one of `LOST` when it can.

    No error of the driver leaves this function: its texts repeat the URL, or parts of it.
    """
    try:
        return await asyncpg.connect(dsn, timeout=5, command_timeout=60)
    except _HOPELESS as error:
        raise ConfigError(_refusal(dsn, _reason(error))) from None
    except LOST as error:
        raise Unreachable(_reason(error)) from None


def _refusal(dsn: str, reason: object) -> str:
    if is_embedded(dsn):
        return (
            f"the embedded PostgreSQL does not answer ({reason}); start the stack, whose server it "
            "is, or set DATABASE_URL to a PostgreSQL of your own"
        )
    return (
        f"DATABASE_URL={shown_dsn(dsn)} cannot be used: {reason}; "
        "allowed: postgresql://user:password@host:port/database, special characters of the "
        "password percent-encoded, or unset for the embedded server"
    )


def _reason(error: Exception) -> str:
    """Why there is no connection, in words of our own."""
    match error:
        case asyncpg.PostgresError(sqlstate=str(state)):
            return _SQLSTATES.get(state, f"{type(error).__name__} (SQLSTATE {state})")
        case socket.gaierror():
            return f"the host cannot be found ({error.strerror})"
        case TimeoutError():
            return "the server does not answer within 5 seconds"
        case ssl.SSLError():
            return f"no TLS connection ({error.reason or type(error).__name__})"
        case OSError(errno=int(number)) if number in errno.errorcode:
            return os.strerror(number).lower()
        case ConnectionError() if "SSL" in str(error):
            return "the server does not offer the TLS that sslmode asks for"
    if isinstance(error, _UNREADABLE):
        return "it is not a database URL that can be read"
    return f"no connection ({type(error).__name__})"


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
        await _schema_is_current(connection)
    finally:
        connection.terminate()


async def connect_when_asked(dsn: str) -> Connection:
    """Connect for a command: `ConfigError` unless the server is there and its schema current."""
    connection = await connect_within(dsn, COMMAND_PATIENCE)
    try:
        if await _schema_is_current(connection):
            return connection
    except ConfigError:
        connection.terminate()
        raise
    connection.terminate()
    database = "the embedded PostgreSQL" if is_embedded(dsn) else f"DATABASE_URL={shown_dsn(dsn)}"
    raise ConfigError(
        f"{database} has an older schema than this program; allowed: start the "
        "stack once, or python -m processes.adapters.postgres.migrate"
    )


async def connect_when_migrated(dsn: str, stop: asyncio.Event) -> Connection:
    """Connect once the server is there and its schema is current; waits as long as that takes.

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
            if await _schema_is_current(connection):
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


async def _schema_is_current(connection: Connection) -> bool:
    if await connection.fetchval("select to_regclass('schema_migrations')") is None:
        return False
    rows = await connection.fetch("select version from schema_migrations")
    applied, known = {row["version"] for row in rows}, known_versions()
    refuse_newer(applied, known)
    return applied == known
