"""Execution as a process of its own, to be stopped and killed, in `execution_world`."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from support.actor_rig import remove_tables
from support.between import standing_between
from support.execution_world import World, idle_exchange
from support.patience import PATIENCE

from ipc.account_table import AccountTable
from ipc.shared_file import LayoutError, shared_path

__all__ = ["ProcessWorld", "running_execution"]

ROOT = Path(__file__).resolve().parents[2]


class ProcessWorld(World):
    """A world with `python -m processes.execution`; one life after the other."""

    process: Process | None = None
    settings: dict[str, str] | None = None

    async def spawn(self, program: str = "execution") -> Process:
        """The bare process, its requests going through `between`, with `settings`."""
        known = {k: v for k, v in os.environ.items() if not k.startswith(("RL_", "KALSHI_"))}
        port = self.between.url.rpartition(":")[2]
        known |= {"RL_DATA_DIR": str(self.data_dir), "RL_EXCHANGE_PORT": port}
        known |= self.settings or {}
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", f"processes.{program}"),
            cwd=ROOT,
            env=known,
            stdout=PIPE,
            stderr=PIPE,
        )

    async def start(self) -> None:
        """A new life, once it writes the account table: a dead one's rows still look known."""
        before = self._generation()
        self.process = await self.spawn()
        self.check_alive = self._check
        await self.until(lambda: self._generation() > before, "the table has a new writer")

    def _generation(self) -> int:
        try:
            table = AccountTable.attach(shared_path(self.data_dir, "accounts"))
        except (FileNotFoundError, LayoutError):  # not made yet
            return -1
        generation = table.generation
        table.close()
        return generation

    def _check(self) -> None:
        assert self.process is None or self.process.returncode is None, "execution has ended"

    async def ended(self) -> tuple[int, str]:
        """Wait until this life ends by itself -> (exit code, what it said)."""
        process, self.process = self.process, None
        self.check_alive = lambda: None
        assert process is not None
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode is not None
        return process.returncode, (out + err).decode()

    async def end(self, signum: int = signal.SIGTERM) -> int:
        """Signal this life and wait for its end -> the exit code."""
        process, self.process = self.process, None
        assert process is not None
        with suppress(ProcessLookupError):  # it has ended by itself
            process.send_signal(signum)
        try:
            await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            if process.returncode is None:
                process.kill()
                await process.communicate()
        assert process.returncode is not None
        return process.returncode


@asynccontextmanager
async def running_execution(data_dir: Path) -> AsyncIterator[ProcessWorld]:
    """A first life, and the world around it."""
    with remove_tables(data_dir), idle_exchange(data_dir) as exchange:
        async with standing_between(exchange.url) as between:
            world = ProcessWorld(data_dir, exchange, between)
            try:
                await world.start()
                yield world
            finally:
                try:
                    if world.process is not None:
                        await world.end()
                finally:
                    world.close()
