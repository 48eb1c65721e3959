"""Stored sessions: `python -m processes.recorder.sessions list|show|verify|archive|import|delete`.

Exit codes: 0 done, 1 verify found errors, 2 something was given that cannot be used (one line).
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Sequence

from models.simulation.tape import SessionError
from processes.adapters.kalshi.recordings.lines import RecordingError
from processes.adapters.parquet.archive import ArchiveError
from processes.adapters.postgres.database import LOST, connect_when_asked
from processes.adapters.postgres.location import dsn_of
from processes.recorder.sessions.arguments import parse
from processes.recorder.sessions.desk import Desk
from processes.runtime.config import ConfigError, load_settings
from processes.runtime.run import EXIT_CONFIG

__all__ = ["main"]


async def _run(argv: Sequence[str] | None) -> int:
    options = parse(argv)
    settings = load_settings(os.environ)
    dsn = dsn_of(settings)
    desk = Desk(dsn, await connect_when_asked(dsn), settings.data_dir, os.urandom(4))
    try:
        code: int = await options.command(desk, options)
        return code
    finally:
        await desk.connection.close()


def main(argv: Sequence[str] | None = None) -> int:
    """Do what was asked -> exit code."""
    try:
        return asyncio.run(_run(argv))
    except (ConfigError, SessionError, RecordingError, ArchiveError, *LOST) as error:
        sys.stderr.write(f"sessions: {' '.join(str(error).split())}\n")
        return EXIT_CONFIG
    except KeyboardInterrupt:
        sys.stderr.write("sessions: interrupted\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
