"""The embedded PostgreSQL lets in its own user only, whichever version made the cluster."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from support.postgres import PostgresServer

from processes.adapters.postgres.location import password_path, pg_folder, socket_folder

CLUSTER = "data18"
NOBODY_GIVEN = "/dev/null"


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    return tmp_path / "data"


@pytest.fixture
def server(data_dir: Path) -> Iterator[PostgresServer]:
    found = PostgresServer(data_dir)
    found.start()
    yield found
    found.stop()


async def ask(dsn: str, query: str) -> Any:
    connection = await asyncpg.connect(dsn, timeout=30)
    try:
        return await connection.fetchval(query)
    finally:
        await connection.close()


def refused(data_dir: Path, word: str) -> None:
    """Whoever reaches the socket, and knows this word."""
    host = socket_folder(data_dir)
    with pytest.raises(asyncpg.InvalidPasswordError):
        asyncio.run(ask(f"postgresql://postgres{word}@/postgres?host={host}", "select 1"))


@pytest.fixture(autouse=True)
def no_password_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing from outside helps."""
    monkeypatch.delenv("PGPASSWORD", raising=False)
    monkeypatch.setenv("PGPASSFILE", NOBODY_GIVEN)


def test_the_socket_alone_lets_nobody_in(server: PostgresServer, data_dir: Path) -> None:
    with pytest.warns(UserWarning, match="not a plain file"):
        refused(data_dir, "")
    refused(data_dir, ":wrong")
    assert asyncio.run(ask(server.dsn("postgres"), "select 1")) == 1
    method = asyncio.run(ask(server.dsn("postgres"), "select auth_method from pg_hba_file_rules"))
    assert method == "scram-sha-256"
    socket = next(socket_folder(data_dir).glob(".s.PGSQL.*[0-9]"))
    assert socket.stat().st_mode & 0o777 == 0o700
    assert password_path(data_dir).stat().st_mode & 0o777 == 0o600


def test_a_cluster_that_trusted_everybody_is_given_a_password_before_it_listens(
    server: PostgresServer, data_dir: Path
) -> None:
    asyncio.run(ask(server.dsn("postgres"), "create table kept as select 42 as number"))
    asyncio.run(ask(server.dsn("postgres"), "alter role postgres password null"))
    server.stop()
    cluster = pg_folder(data_dir) / CLUSTER
    (cluster / "pg_hba.conf").write_text("local all all trust\nhost all all 127.0.0.1/32 trust\n")
    (cluster / "password.sha256").unlink()
    password_path(data_dir).unlink()
    server.start()
    refused(data_dir, ":wrong")
    assert asyncio.run(ask(server.dsn("postgres"), "select number from kept")) == 42
    rules = asyncio.run(ask(server.dsn("postgres"), "select count(*) from pg_hba_file_rules"))
    assert rules == 1


def test_another_password_file_is_another_password(server: PostgresServer, data_dir: Path) -> None:
    server.stop()
    before = password_path(data_dir).read_text()
    password_path(data_dir).unlink()
    server.start()
    assert password_path(data_dir).read_text() != before
    refused(data_dir, before.strip().replace("*:*:*:postgres", ""))
    assert asyncio.run(ask(server.dsn("postgres"), "select 1")) == 1
