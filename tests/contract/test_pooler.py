"""PostgreSQL behind PgBouncer, the real one."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support.patience import PATIENCE, eventually
from support.postgres import ROOT, Database, PostgresServer

from processes.adapters.postgres.database import check_server
from processes.adapters.postgres.location import password_path, socket_folder
from processes.runtime.config import ConfigError

PROGRAM = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = pytest.mark.skipif(PROGRAM is None, reason="pgbouncer is not installed")
# It does not run as root; in a namespace of its own root has another number.
AS_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000") if os.geteuid() == 0 else ()

Pooler = Callable[[str], str]


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def pooler(
    postgres_server: PostgresServer, empty_database: Database, tmp_path: Path
) -> Iterator[Pooler]:
    """The database's URL behind a pooler of that `pool_mode`."""
    data_dir = postgres_server.data_dir
    password = password_path(data_dir).read_text().strip().rpartition(":")[2]
    running: list[subprocess.Popen[bytes]] = []

    def start(mode: str) -> str:
        port = _free_port()
        config = tmp_path / "pgbouncer.ini"
        config.write_text(
            f"[databases]\n{empty_database.name} = host={socket_folder(data_dir)} port=5432 "
            f"user=postgres password={password} dbname={empty_database.name}\n"
            f"[pgbouncer]\nlisten_addr=127.0.0.1\nlisten_port={port}\nauth_type=any\n"
            f"pool_mode={mode}\nunix_socket_dir=\nlogfile={tmp_path / 'pgbouncer.log'}\n"
        )
        assert PROGRAM is not None
        running.append(subprocess.Popen([*AS_USER, PROGRAM, str(config)]))
        eventually(lambda: _answers(port), "the pooler listens")
        return f"postgresql://any:any@127.0.0.1:{port}/{empty_database.name}"

    yield start
    for process in running:
        process.kill()
        process.wait(PATIENCE)


def _migrate(dsn: str, data_dir: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "processes.adapters.postgres.migrate"],
        cwd=ROOT,
        env={**os.environ, "DATABASE_URL": dsn, "RL_DATA_DIR": str(data_dir)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_a_transaction_pooler_is_refused_in_one_line(pooler: Pooler, tmp_path: Path) -> None:
    dsn = pooler("transaction")
    with pytest.raises(ConfigError, match="pooler that changes its server process"):
        asyncio.run(check_server(dsn))
    done = _migrate(dsn, tmp_path / "data")
    assert done.returncode == 2
    assert "Traceback" not in done.stderr + done.stdout
    assert (done.stderr + done.stdout).count("pool_mode=session") == 1


def test_a_session_pooler_works(pooler: Pooler, tmp_path: Path) -> None:
    dsn = pooler("session")
    asyncio.run(check_server(dsn))
    assert _migrate(dsn, tmp_path / "data").returncode == 0
