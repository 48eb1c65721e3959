"""The embedded PostgreSQL lets in its own user only, whichever version made the cluster."""

from __future__ import annotations

import asyncio
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from support.postgres import ROOT, PostgresServer

from processes.adapters.postgres.database import connect_within
from processes.adapters.postgres.location import (
    embedded_dsn,
    password_path,
    pg_folder,
    socket_folder,
)

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


AS_NOBODY = """
from processes.adapters.postgres import server, unprivileged
unprivileged._namespaces_allowed = lambda account: False
server.main()
"""


@contextmanager
def served_as_nobody(data_dir: Path) -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "-c", AS_NOBODY],
        cwd=ROOT,
        env={**os.environ, "RL_DATA_DIR": str(data_dir)},
        stdout=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(30)


async def once_there(dsn: str) -> Any:
    connection = await connect_within(dsn, 60)
    try:
        return await connection.fetchval("select 1")
    finally:
        await connection.close()


def private(found: os.stat_result, owner: int) -> bool:
    return found.st_uid == owner and not found.st_mode & 0o077


@pytest.mark.skipif(os.geteuid() != 0, reason="only root becomes nobody")
@pytest.mark.parametrize("depth", [4, 100])
def test_as_nobody_it_stays_private_and_comes_back(depth: int) -> None:
    nobody = pwd.getpwnam("nobody").pw_uid
    with tempfile.TemporaryDirectory() as name:
        data_dir = Path(name) / ("d" * depth)
        for _ in range(2):
            with served_as_nobody(data_dir):
                assert asyncio.run(once_there(embedded_dsn(data_dir, "postgres"))) == 1
                refused(data_dir, ":wrong")
                sockets, pg = socket_folder(data_dir), pg_folder(data_dir)
                around = (data_dir, password_path(data_dir), pg, sockets)
                assert all(private(path.stat(), 0) for path in around)
                own = (pg / CLUSTER, pg / "postgres.log", *sockets.iterdir())
                assert len(own) == 4, "the socket and its lock file too"
                assert all(private(path.stat(), nobody) for path in own)
        if socket_folder(data_dir).parent != pg_folder(data_dir):
            shutil.rmtree(socket_folder(data_dir))


def test_another_password_file_is_another_password(server: PostgresServer, data_dir: Path) -> None:
    server.stop()
    before = password_path(data_dir).read_text()
    password_path(data_dir).unlink()
    server.start()
    assert password_path(data_dir).read_text() != before
    refused(data_dir, before.strip().replace("*:*:*:postgres", ""))
    assert asyncio.run(ask(server.dsn("postgres"), "select 1")) == 1
