"""A real embedded PostgreSQL for tests: one server a run, one database a test."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import asyncpg

from processes.adapters.postgres.database import connect_within
from processes.adapters.postgres.location import embedded_dsn
from processes.adapters.postgres.migrate import migrate
from processes.adapters.postgres.migrations import load
from processes.runtime.log import no_log

from .patience import PATIENCE

__all__ = ["Database", "PostgresServer", "quiet"]

ROOT = Path(__file__).resolve().parents[2]
TEMPLATE = "rl_template"


quiet = no_log()


class PostgresServer:
    """The launcher that the stack uses, on a data folder of the test run."""

    def __init__(self, data_dir: Path) -> None:
        self.data_dir = data_dir
        self._process: subprocess.Popen[bytes] | None = None
        self._made = 0

    def start(self) -> None:
        environ = {k: v for k, v in os.environ.items() if k != "DATABASE_URL"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "processes.adapters.postgres.server"],
            cwd=ROOT,
            env={**environ, "RL_DATA_DIR": str(self.data_dir)},
            stdout=subprocess.DEVNULL,
        )
        asyncio.run(self._ready())

    def stop(self, signum: int = signal.SIGINT) -> None:
        if self._process is None:
            return
        process, self._process = self._process, None
        process.send_signal(signum)
        try:
            process.wait(PATIENCE)
        finally:
            process.kill()
            process.wait()

    def kill(self) -> None:
        """-9 to the postmaster, as a crash."""
        self.stop(signal.SIGKILL)

    def dsn(self, database: str) -> str:
        return embedded_dsn(self.data_dir, database)

    async def _ready(self) -> None:
        connection = await connect_within(self.dsn("postgres"), PATIENCE)
        await connection.close()

    def create(self, template: str = TEMPLATE) -> Database:
        """A fresh database with the whole schema; `template0`: an empty one."""
        self._made += 1
        name = f"test_{self._made}"
        asyncio.run(self._create(name, template))
        return Database(self, name)

    async def _create(self, name: str, template: str) -> None:
        connection = await connect_within(self.dsn("postgres"), PATIENCE)
        try:
            known = await connection.fetchval(
                "select 1 from pg_database where datname = $1", TEMPLATE
            )
            if not known:
                await self._make_template(connection)
            await connection.execute(f"create database {name} template {template}")
        finally:
            await connection.close()

    async def _make_template(self, connection: Any) -> None:
        await connection.execute(f"create database {TEMPLATE}")
        inside = await asyncpg.connect(self.dsn(TEMPLATE))
        try:
            await migrate(inside, load(), quiet)
        finally:
            await inside.close()


class Database:
    """One test's database."""

    def __init__(self, server: PostgresServer, name: str) -> None:
        self.server = server
        self.name = name

    @property
    def dsn(self) -> str:
        return self.server.dsn(self.name)

    def fetch(self, query: str, *arguments: object) -> list[Any]:
        """Rows of a query, by a connection of its own."""
        return asyncio.run(self.afetch(query, *arguments))

    async def afetch(self, query: str, *arguments: object) -> list[Any]:
        connection = await asyncpg.connect(self.dsn)
        try:
            rows: list[Any] = await connection.fetch(query, *arguments)
            return rows
        finally:
            await connection.close()

    def value(self, query: str, *arguments: object) -> Any:
        """The first field of the first row."""
        return self.fetch(query, *arguments)[0][0]
