"""Frames at a steady rate through collector, journal, recorder and PostgreSQL, all on this machine.

Inference and the broadcaster look on; execution does not run: there is no exchange to trade on.
"""

from __future__ import annotations

import asyncio
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import asyncpg

from benchmarks.collector import count_of, cpu_s, process, until_journalled
from benchmarks.figures import Figure
from ipc.clock import mono_ns
from ipc.shared_file import remove_tables
from processes.adapters.postgres.database import connect_within
from processes.adapters.postgres.migrate import migrate
from processes.adapters.postgres.migrations import load
from tests.support.postgres import PostgresServer, quiet
from tests.support.stack import free_ports

__all__ = ["run"]

RATE: Final = 25_000  # deltas a second
SECONDS: Final = 20
FOLLOWERS: Final = ("processes.recorder", "processes.inference", "processes.broadcaster")


async def _prepare(dsn: str) -> None:
    connection = await connect_within(dsn, 60)
    try:
        await migrate(connection, load(), quiet)
    finally:
        await connection.close()


async def _recorded(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("select count(*) from rl_book_events"))
    finally:
        await connection.close()


def _until_recorded(dsn: str, number: int) -> float:
    """Seconds until the database has so many events."""
    begun_ns = mono_ns()
    while asyncio.run(_recorded(dsn)) < number:
        time.sleep(0.05)
    return (mono_ns() - begun_ns) / 1e9


def run() -> list[Figure]:
    """One run at the rate: what was kept up with, and what waited when the sender had ended."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder, deltas = Path(name), RATE * SECONDS
        sender = stack.enter_context(process("benchmarks.sender", name, str(deltas), str(RATE)))
        assert sender.stdout is not None
        port = sender.stdout.readline().strip()
        server = PostgresServer(folder)
        server.start()
        stack.callback(server.stop)
        dsn = server.dsn("postgres")
        asyncio.run(_prepare(dsn))
        places = {"RL_DATA_DIR": name, "RL_EXCHANGE_PORT": port, "DATABASE_URL": dsn}
        places["RL_BROADCASTER_PORT"] = str(free_ports(1)[0])
        for module in FOLLOWERS:
            stack.enter_context(process(module, **places))
        collector = stack.enter_context(process("processes.collector", **places))
        stack.callback(remove_tables, folder)
        first, begun_ns = until_journalled(folder, RATE, collector), mono_ns()
        last = until_journalled(folder, deltas, collector)
        seconds = (mono_ns() - begun_ns) / 1e9
        waiting = last - asyncio.run(_recorded(dsn))
        caught_up_s = _until_recorded(dsn, count_of(folder))
        return [
            Figure("sent, journalled and in the book", (last - first) / seconds, "deltas/s"),
            Figure("not yet in PostgreSQL at the end", waiting, "rows"),
            Figure("until all were", caught_up_s, "s"),
            Figure("collector, of a core", cpu_s(collector) / (seconds + 1), "s/s"),
        ]
