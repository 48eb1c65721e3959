"""Closed sessions into Parquet: written, compared with the database row by row, maybe dropped."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

import numpy as np

from models.command_line import try_folder
from models.simulation.tape import SessionError
from processes.adapters.parquet.archive import ArchiveWriter, read_blocks, read_header
from processes.adapters.postgres.archives import header_of
from processes.adapters.postgres.queries import load_queries
from processes.adapters.postgres.sessions import StoredSession
from processes.recorder.sessions.desk import ALL, Desk, Progress, choose
from processes.recorder.sessions.listing import size_of
from processes.runtime.config import ConfigError

__all__ = ["archive_sessions"]

_SQL: Final = load_queries("sessions.sql")
SUFFIX: Final = ".parquet"


async def archive_sessions(desk: Desk, options: argparse.Namespace) -> int:
    """Archive each, `all` being those that have ended and are still here."""
    folder = (options.folder or desk.data_dir / "archive").absolute()
    _try_folder(folder)
    for session in await choose(desk.loader, options.session):
        if ALL in options.session and (session.status == "active" or not session.stored):
            continue
        _may_be_archived(session)
        path = folder / f"{session.session_uid or f'session-{session.session_id}'}{SUFFIX}"
        rows = await _write(desk, session, path)
        await _compare(desk, session, path)
        await desk.connection.execute(_SQL["archived"], session.session_id, str(path))
        size = path.stat().st_size
        print(f"session {session.session_id}: {rows:,} events in {path}, {size_of(size)}, compared")
        await _warn_of_unknown(desk, session)
        if options.drop:
            await _drop(desk, session)
    return 0


def _try_folder(folder: Path) -> None:
    try:
        try_folder("--folder", folder)
    except ValueError as error:
        raise ConfigError(str(error)) from None


def _may_be_archived(session: StoredSession) -> None:
    if session.status == "active":
        raise ConfigError(f"session {session.session_id} has status=active; allowed: closed, error")
    if not session.stored:
        raise ConfigError(
            f"session {session.session_id}: its events are not in the database; "
            f"allowed: sessions whose events are (this one's archive: {session.archive_path})"
        )


async def _write(desk: Desk, session: StoredSession, path: Path) -> int:
    rows = 0
    progress = Progress(f"archive session {session.session_id}", session.events)
    with ArchiveWriter(path, await header_of(desk.loader, session)) as writer:
        async for events, markets in desk.loader.blocks(session.session_id):
            if len(events):
                writer.write(events, markets)
            rows += len(events)
            progress.add(len(events))
    progress.end()
    return rows


async def _compare(desk: Desk, session: StoredSession, path: Path) -> None:
    """Read both again, block by block; `SessionError` for the first difference."""
    progress = Progress(f"compare session {session.session_id}", session.events)
    written = read_blocks(path)
    async for events, markets in desk.loader.blocks(session.session_id):
        if not len(events):
            continue
        again, same_markets = next(written, (events[:0], markets[:0]))
        if not (np.array_equal(events, again) and np.array_equal(markets, same_markets)):
            first = int(events["event_no"][0])
            raise SessionError(f"{path} differs from the database in the block of event {first}")
        progress.add(len(events))
    if next(written, None) is not None or read_header(path) != await header_of(
        desk.loader, session
    ):
        raise SessionError(f"{path} holds other than the database")
    progress.end()


async def _warn_of_unknown(desk: Desk, session: StoredSession) -> None:
    """What becomes known later is in the database, and not in this file."""
    markets = await desk.loader.markets(session.session_id)
    if unknown := [m.ticker for m in markets if m.yes_value_e4 is None]:
        print(
            f"session {session.session_id}: of {len(markets)} markets {len(unknown)} without a "
            f"known result, first {unknown[0]}"
        )


async def _drop(desk: Desk, session: StoredSession) -> None:
    sizes = await desk.connection.fetch(_SQL["sizes"], [session.session_id])
    size = sum(row["bytes"] for row in sizes)
    await desk.connection.execute(_SQL["drop_events"], session.session_id)
    print(f"session {session.session_id}: its events are dropped here, {size_of(size)} free")
