"""What `RL_EXCHANGE_REPLAY` names: a recording, an archive, a folder or glob of them, a session."""

from __future__ import annotations

import asyncio
import glob
from pathlib import Path
from typing import Final

from models.simulation.tape import SessionError
from processes.adapters.kalshi.recordings import RecordingError, recording_files
from processes.adapters.postgres.archives import load_archive
from processes.adapters.postgres.database import connect_when_migrated
from processes.adapters.postgres.location import dsn_of
from processes.adapters.postgres.sessions import LATEST, SessionDataLoader, named_session
from processes.exchange.replay.stored import sources_of
from processes.exchange.replay.timeline import ReplaySource, load_recordings
from processes.runtime.config import ConfigError, Settings

__all__ = ["check_replay", "names_session", "replay_sources"]

ARCHIVE: Final = ".parquet"
PATIENCE_S: Final = 120.0  # for the stack's own database to be made and migrated
GLOB: Final = frozenset("*?[")


def check_replay(settings: Settings) -> None:
    """`ConfigError` for what cannot be replayed; a session is looked for once there is a server."""
    if not names_session(settings):
        _from_files(settings)


def names_session(settings: Settings) -> bool:
    """Whether a session is named, not files: a word that is no path, and no file's name."""
    path = settings.exchange.replay
    if path is None or GLOB & set(str(path)) or path.exists():
        return False
    return len(path.parts) == 1 and not path.suffix


async def replay_sources(settings: Settings, stop: asyncio.Event) -> list[ReplaySource]:
    """What is to be replayed by the order of its start, nothing for synthetic markets.

    For a session it waits for the database.

    Raises:
        ConfigError: What is named cannot be replayed.
        Stopped: Asked to stop while waiting.
    """
    if names_session(settings):
        return _sorted(await _from_session(settings, stop))
    return _from_files(settings)


def _sorted(sources: list[ReplaySource]) -> list[ReplaySource]:
    return sorted(sources, key=lambda s: (s.starts_ms, s.path.name, s.markets[0].ticker))


def _from_files(settings: Settings) -> list[ReplaySource]:
    named = settings.exchange.replay
    if named is None:
        return []
    try:
        return _sorted([source for path in _paths(named) for source in _of_path(path)])
    except (RecordingError, SessionError) as error:
        raise ConfigError(f"RL_EXCHANGE_REPLAY={named} cannot be replayed: {error}") from None


def _paths(named: Path) -> list[Path]:
    """The path itself, or what a pattern finds."""
    if not GLOB & set(str(named)) or named.exists():
        return [named]
    found = sorted(Path(name) for name in glob.glob(str(named), recursive=True))
    if not found:
        raise RecordingError(named, 0, "nothing of that pattern")
    return found


def _of_path(path: Path) -> list[ReplaySource]:
    if path.is_dir():
        archives = sorted(path.glob(f"*{ARCHIVE}"))
        stored = [source for archive in archives for source in _of_archive(archive)]
        return stored + (_recordings_in(path) if stored else load_recordings(path))
    return _of_archive(path) if path.suffix == ARCHIVE else load_recordings(path)


def _recordings_in(folder: Path) -> list[ReplaySource]:
    """Those that lie beside archives, if any do."""
    try:
        recording_files(folder)
    except RecordingError:
        return []
    return load_recordings(folder)


def _of_archive(path: Path) -> list[ReplaySource]:
    if sources := sources_of(path, load_archive(path)):
        return sources
    raise RecordingError(path, 0, "no book in it")


async def _from_session(settings: Settings, stop: asyncio.Event) -> list[ReplaySource]:
    named = settings.exchange.replay or Path(LATEST)
    try:
        async with asyncio.timeout(PATIENCE_S):
            connection = await connect_when_migrated(dsn_of(settings), stop)
    except TimeoutError:
        raise ConfigError(
            f"RL_EXCHANGE_REPLAY={named} is no file or folder, and there is no database to look "
            f"for a session of that name in (waited {PATIENCE_S:g} s)"
        ) from None
    try:
        loader = SessionDataLoader(connection)
        ended = [s for s in await loader.sessions() if s.status != "active"]
        sources = sources_of(named, await loader.load(named_session(ended, str(named))))
    except SessionError as error:
        raise ConfigError(
            f"RL_EXCHANGE_REPLAY={named} is no file, and no session that can be replayed: {error}"
        ) from None
    finally:
        connection.terminate()
    if not sources:
        raise ConfigError(f"RL_EXCHANGE_REPLAY={named} cannot be replayed: no book in it")
    return sources
