"""Where the embedded server keeps its data and its socket, and how one reaches it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import quote, urlsplit

from processes.runtime.config import Settings

__all__ = ["dsn_of", "is_embedded", "pg_folder", "shown_dsn", "socket_folder"]

_MAX_UNIX_PATH: Final = 107  # bytes of sockaddr_un.sun_path
_SOCKET_NAME: Final = ".s.PGSQL.5432"


def pg_folder(data_dir: Path) -> Path:
    """Everything of the embedded server but, sometimes, its socket."""
    return data_dir / "pg"


def socket_folder(data_dir: Path) -> Path:
    """`<data_dir>/pg/sock`, or a folder of the temporary directory where the path is too long."""
    wanted = (pg_folder(data_dir) / "sock").absolute()
    if len(os.fsencode(wanted / _SOCKET_NAME)) <= _MAX_UNIX_PATH:
        return wanted
    digest = hashlib.sha256(os.fsencode(wanted)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"kalshi-actor-pg-{os.getuid()}-{digest}"


def dsn_of(settings: Settings) -> str:
    """`DATABASE_URL`, or the embedded server's socket."""
    if settings.database_url:
        return settings.database_url
    return f"postgresql://postgres@/postgres?host={quote(str(socket_folder(settings.data_dir)))}"


def is_embedded() -> bool:
    """Whether it is the embedded server that this process's environment leads to."""
    return not os.environ.get("DATABASE_URL", "").strip()


def shown_dsn(dsn: str) -> str:
    """A database URL without its password, for messages."""
    try:
        parts = urlsplit(dsn)
    except ValueError:
        return "(not a URL)"
    if not parts.password:
        return dsn
    user_host = parts.netloc.replace(f":{parts.password}@", ":***@", 1)
    return parts._replace(netloc=user_host).geturl()
