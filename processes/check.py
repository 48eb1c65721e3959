"""Could this stack run? `python -m processes.check` asks all that its programs will ask.

It starts nothing and changes nothing. supervisord runs it before the first program, so that a wrong
model, recording or database is refused while no order can have been sent. The programs ask again:
each may be started alone. Beside a running stack it says what is in use.
"""

from __future__ import annotations

import sys

from ipc.account_table import AccountTable
from ipc.book_table import BookTable
from ipc.messages import Environment
from ipc.shared_file import shared_path
from processes.adapters.kalshi.auth.credentials import credentials_path, load_credentials
from processes.adapters.kalshi.auth.environments import Purpose, needs_local_exchange, target_of
from processes.adapters.postgres.database import check_server
from processes.exchange.admin.fault_handlers import fault_schedule_of
from processes.exchange.replay.timeline import recordings_of
from processes.inference.models import choice_of, strategy_of
from processes.runtime.config import Settings
from processes.runtime.preflight import check_folders, check_free, check_idle
from processes.runtime.run import Run, run
from processes.settings_notes import notes_of, refuse_misspelt

__all__ = ["check"]


async def check(settings: Settings) -> None:
    """Warn of settings that do nothing; `ConfigError` or `LayoutError` for what cannot be used."""
    notes = notes_of(settings)
    for note in notes:
        sys.stderr.write(f"stack: warning: {note.text}\n")
    refuse_misspelt(settings, notes)
    check_idle(settings.data_dir)
    check_folders(settings.data_dir)
    check_free(settings, patience_s=0.0)
    _check_exchange(settings)
    choice_of(settings.actor)
    strategy_of(settings)
    _check_tables(settings)
    if settings.database_url:
        await check_server(settings.database_url)


def _check_exchange(settings: Settings) -> None:
    """The exchange that is talked to: its addresses and keys, or what the local one replays."""
    for purpose in Purpose:
        target = target_of(settings, purpose)
        is_local = target.environment is Environment.SIMULATED
        if not is_local or credentials_path(settings.data_dir).exists():
            load_credentials(settings, purpose)
    if needs_local_exchange(settings):
        recordings_of(settings)
        fault_schedule_of(settings)


def _check_tables(settings: Settings) -> None:
    """Tables in memory that another version still writes, or files that are no tables."""
    for name, kind in (("books", BookTable), ("accounts", AccountTable)):
        try:
            kind.attach(shared_path(settings.data_dir, name)).close()
        except FileNotFoundError:
            continue


async def _main(this: Run) -> None:
    await check(this.settings)


if __name__ == "__main__":
    run("stack", _main)
