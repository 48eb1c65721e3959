"""Where the embedded server keeps its data and its socket, and how one reaches it."""

from __future__ import annotations

import hashlib
import os
import re
import tempfile
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote

from processes.runtime.config import Settings

__all__ = ["dsn_of", "pg_folder", "shown_dsn", "socket_folder"]

_MAX_UNIX_PATH: Final = 107  # bytes of sockaddr_un.sun_path
_SOCKET_NAME: Final = ".s.PGSQL.5432"
_HOST: Final = r"(?:[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?"
_PLAIN: Final = re.compile(  # a database URL that can be read in one way only
    r"postgres(?:ql)?://"
    r"(?:[^\s@/?#]*@)?"  # user and password
    rf"(?P<hosts>{_HOST}(?:,{_HOST})*)?"
    r"(?:/(?P<database>[A-Za-z0-9_.$-]{0,63}))?"
    r"(?:\?(?P<query>[^\s@?#]*))?"
)
_QUERY_HOST: Final = re.compile(r"[A-Za-z0-9_./-]+")
_OPEN_KEYS: Final = frozenset(  # of a query string that holds no secret
    ("application_name", "database", "dbname", "host", "port", "sslmode", "user")
)


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


def shown_dsn(dsn: str) -> str:
    """The hosts, ports and database of a database URL, or a note that nothing of it is shown.

    Only what was parsed and cannot be part of a password is put together again. Of a URL that could
    be read in two ways (a password with `#`, `/`, `?` or `@` in it), of a keyword string and of any
    other text nothing is shown: what is left after hiding may be the secret.
    """
    found = _PLAIN.fullmatch(dsn)
    if found is None:
        return "(not shown)"
    hosts, database = found["hosts"] or "", found["database"] or ""
    query = "" if hosts else _shown_query(found["query"] or "")
    return f"postgresql://{hosts}/{database}{query}"


def _shown_query(query: str) -> str:
    """The host of a query string whose every key is known to hold no secret."""
    entries = parse_qs(query, keep_blank_values=True)
    hosts = entries.get("host", [])
    safe = entries.keys() <= _OPEN_KEYS and len(hosts) == 1 and _QUERY_HOST.fullmatch(hosts[0])
    return f"?host={hosts[0]}" if safe else ""
