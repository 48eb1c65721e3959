"""Connections: patient at the start, honest about what cannot work, ready to lose the server."""

from __future__ import annotations

import asyncio
import configparser
import errno
import os
import socket
import ssl
from collections.abc import Callable, Coroutine
from typing import Any, Final, TypeVar

import asyncpg

from processes.adapters.postgres.location import is_embedded, shown_dsn
from processes.adapters.postgres.migrations import known_versions, refuse_newer
from processes.runtime.config import ConfigError
from processes.runtime.tasks import Backoff, Stopped

__all__ = [
    "FOREIGN_PATIENCE",
    "LOST",
    "Unreachable",
    "check_server",
    "connect",
    "connect_when_asked",
    "connect_when_migrated",
    "connect_within",
    "refuse_pooler",
    "while_open",
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
WAIT: Final = Backoff(0.1, 5.0)  # for a database that is not there or not ready
COMMAND_PATIENCE: Final = 5.0  # seconds for a server to answer a command
FOREIGN_PATIENCE: Final = 10.0  # seconds for a server of the user's own to answer

PROBES: Final = 5  # looks at the server process behind each of two connections
_NO_STATEMENT: Final = (  # a prepared statement is not where it was prepared
    asyncpg.InvalidSQLStatementNameError,
    asyncpg.DuplicatePreparedStatementError,
)

LAST_WORD_S: Final = 1.0  # for the driver to raise the error of a connection that has ended itself

Connection = Any
Result = TypeVar("Result")


class Unreachable(ConnectionError):
    """No connection for now; trying again may help. Shows nothing of the database's URL."""


async def connect(dsn: str) -> Connection:
    """Open one connection.

    No error of the driver leaves this function: its texts repeat the URL, or parts of it.

    Args:
        dsn: A PostgreSQL URL.

    Raises:
        ConfigError: Trying again cannot help: a URL that cannot be read, an unknown host, user,
            password or database.
        Unreachable: No connection for now; one of `LOST`.
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
    """Connect to a server that may still be starting.

    Args:
        dsn: A PostgreSQL URL.
        patience_s: How long to try, in seconds.

    Raises:
        ConfigError: It stays away, or trying again cannot help.
    """
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
    """Check that a server answers and that its schema is not newer than this program's.

    Args:
        dsn: A PostgreSQL URL.
        patience_s: How long to try, in seconds.

    Raises:
        ConfigError: It does not answer, or holds a newer schema.
    """
    connection = await connect_within(dsn, patience_s)
    try:
        await refuse_pooler(connection, dsn)
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


async def connect_when_migrated(
    dsn: str, stop: asyncio.Event, on_wait: Callable[[str], None] = lambda _: None
) -> Connection:
    """Connect once the server is there and its schema is current; waits as long as that takes.

    Args:
        dsn: The database.
        stop: Ends the wait.
        on_wait: Gets what is waited for, whenever that is another thing than before.

    Returns:
        The connection.

    Raises:
        Stopped: Asked to stop before.
        ConfigError: The schema is newer than this program. Whether a server that cannot be reached
            is hopeless is for `migrate` to say.
    """
    failures, reported = 0, ""
    while not stop.is_set():
        found = await _try_migrated(dsn)
        if not isinstance(found, str):
            return found
        if found != reported:
            on_wait(found)
            reported = found
        await _pause(stop, WAIT.after(failures))
        failures += 1
    raise Stopped("stopped before the database was ready")


async def _try_migrated(dsn: str) -> Connection | str:
    """A connection to the current schema, or why there is none for now."""
    try:
        connection = await connect(dsn)
    except (ConfigError, *LOST) as error:
        return str(error)
    try:
        if await _schema_is_current(connection):
            return connection
        reason = "its schema is not there, or not current; the stack's start makes it (migrate)"
    except LOST as error:  # gone again
        reason = f"{type(error).__name__}: {error}"
    except ConfigError:
        connection.terminate()
        raise
    connection.terminate()
    return reason


async def _pause(stop: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await stop.wait()
    except TimeoutError:
        return


async def while_open(connection: Connection, work: Coroutine[Any, Any, Result]) -> Result:
    """Await work on a connection, for no longer than there is one.

    The driver's COPY waits for room to write, and waits for ever when the connection ends before
    there is any.

    Args:
        connection: Open.
        work: What is done on it.

    Returns:
        What the work returns.

    Raises:
        ConnectionResetError: The connection ended, and the work did not end by itself.
    """
    ended = asyncio.Event()

    def on_end(_connection: Connection) -> None:
        ended.set()

    connection.add_termination_listener(on_end)
    tasks = (asyncio.ensure_future(work), asyncio.ensure_future(ended.wait()))
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        done, _ = await asyncio.wait(tasks[:1], timeout=LAST_WORD_S)
        if done:
            return tasks[0].result()
        raise ConnectionResetError("the connection ended during a COPY")
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if not connection.is_closed():
            connection.remove_termination_listener(on_end)


async def refuse_pooler(connection: Connection, dsn: str) -> None:
    """`ConfigError` for a pooler that gives each transaction another server process.

    Prepared statements, locks and settings of a session do not last there. It shows in two open
    connections with the same server process; a session pooler, and a server itself, never do that.
    """
    try:
        if await _backend_of(connection) == connection.get_server_pid():
            return
        other = await connect(dsn)
        try:
            pids = [await _backend_of(c) for _ in range(PROBES) for c in (connection, other)]
        finally:
            other.terminate()
    except _NO_STATEMENT:
        pids = [0, 0]
    if set(pids[::2]) & set(pids[1::2]) or len(set(pids)) > len(("connection", "other")):
        raise ConfigError(
            f"DATABASE_URL={shown_dsn(dsn)} is a pooler that changes its server process with each "
            "transaction (such as PgBouncer with pool_mode=transaction), which this program cannot "
            "use; allowed: the address of PostgreSQL itself, or a pool with pool_mode=session"
        )


async def _backend_of(connection: Connection) -> int:
    return int(await connection.fetchval("select pg_backend_pid()"))


async def _schema_is_current(connection: Connection) -> bool:
    if await connection.fetchval("select to_regclass('schema_migrations')") is None:
        return False
    rows = await connection.fetch("select version from schema_migrations")
    applied, known = {row["version"] for row in rows}, known_versions()
    refuse_newer(applied, known)
    return applied == known
