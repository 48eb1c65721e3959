"""Could this stack run? `python -m processes.check` asks all that its programs will ask.

It starts nothing and changes nothing. supervisord runs it before the first program, so that a wrong
model, recording or database is refused while no order can have been sent. The programs ask again:
each may be started alone. Beside a running stack it says what is in use.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

from ipc import account_table, book_table
from ipc.account_table import AccountTable
from ipc.book_table import BookTable
from ipc.messages import Environment
from ipc.shared_file import shared_path
from processes.adapters.kalshi.credentials import credentials_path, load_credentials
from processes.adapters.kalshi.environments import Purpose, needs_local_exchange, target_of
from processes.adapters.postgres.database import check_server
from processes.exchange.admin.scheduled import scheduled_of
from processes.exchange.replay.timeline import recordings_of
from processes.inference.strategy import choice_of, strategy_of
from processes.runtime.config import ConfigError, Settings
from processes.runtime.preflight import check_folders, check_free, check_idle
from processes.runtime.run import run, unless_stopped

__all__ = ["check"]


async def check(settings: Settings) -> None:
    """`ConfigError` or `LayoutError` for the first thing that cannot be used."""
    check_idle(settings.data_dir)
    check_folders(settings.data_dir)
    check_free(settings, patience_s=0.0)
    _check_exchange(settings)
    choice_of(settings.actor)
    strategy_of(settings)
    _check_tables(settings)
    _check_memory(settings)
    if settings.database_url:
        await check_server(settings.database_url)


def _check_exchange(settings: Settings) -> None:
    """The exchange that is talked to: its addresses and keys, or what the local one replays."""
    for purpose in Purpose:
        target = target_of(settings, purpose)
        ours = target.environment is Environment.SIMULATED
        if not ours or credentials_path(settings.data_dir).exists():
            load_credentials(settings, purpose)
    if needs_local_exchange(settings):
        recordings_of(settings)
        scheduled_of(settings)


def _check_tables(settings: Settings) -> None:
    """Tables in memory that another version still writes, or that are none of ours."""
    for name, kind in (("books", BookTable), ("accounts", AccountTable)):
        try:
            kind.attach(shared_path(settings.data_dir, name)).close()
        except FileNotFoundError:
            continue


def _check_memory(settings: Settings) -> None:
    """Room for the tables, where a small /dev/shm is the rule: a container's has 64 MB or less."""
    rows, slots = settings.books.rows, settings.books.slots
    sizes = {"books": book_table.file_bytes(rows, slots), "accounts": account_table.file_bytes()}
    paths = {shared_path(settings.data_dir, name): size for name, size in sizes.items()}
    needed = sum(max(0, size - _allocated(path)) for path, size in paths.items())
    folder = next(iter(paths)).parent
    if not folder.is_dir():
        return  # it is made below the data folder, on disk
    facts = os.statvfs(folder)
    free = facts.f_bavail * facts.f_frsize
    if free < needed or not os.access(folder, os.W_OK | os.X_OK):
        short = f"has {free >> 10} KiB free, and the tables of this stack need {needed >> 10} KiB"
        raise ConfigError(
            f"{folder} {short if free < needed else 'cannot be written by this user'}; allowed: "
            f"mount -o remount,size=64m,mode=1777 {folder}, docker run --shm-size=64m, "
            "or fewer RL_BOOK_ROWS"
        )


def _allocated(path: Path) -> int:
    return path.stat().st_blocks * 512 if path.exists() else 0


async def _main(settings: Settings, stop: asyncio.Event) -> None:
    await unless_stopped(stop, check(settings))


if __name__ == "__main__":
    run("stack", _main)
