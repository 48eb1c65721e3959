"""Where the embedded server keeps its data and its socket, and how one reaches it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, quote

from ipc.private_files import UnsafePathError, random_word, read_file, short_folder, write_file
from processes.runtime.config import ConfigError, Settings

__all__ = [
    "USER",
    "dsn_of",
    "embedded_dsn",
    "is_embedded",
    "make_password",
    "password_path",
    "pg_folder",
    "shown_dsn",
    "socket_folder",
]

USER: Final = "postgres"
_PASSWORD_FOR: Final = f"*:*:*:{USER}:"  # a line of PGPASSFILE: any host, port and database
_PASSWORD_BYTES: Final = 32
_SOCKET_NAME: Final = ".s.PGSQL.5432"
_PASSWORD_NAME: Final = "pg.pass"
_EMBEDDED: Final = re.compile(
    rf"postgresql://{USER}@/postgres\?host=[^&]+&passfile=[^&]+/{re.escape(_PASSWORD_NAME)}"
)
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
    """`<data_dir>/pg/sock`, or a short folder with a random name that the data folder remembers."""
    return short_folder(pg_folder(data_dir) / "sock", len(_SOCKET_NAME), data_dir / "pg.path")


def password_path(data_dir: Path) -> Path:
    """The file of the embedded server's password, in the form of PGPASSFILE."""
    return data_dir / _PASSWORD_NAME


def make_password(data_dir: Path) -> str:
    """The data folder's password for the embedded server, made where there is none.

    Only the server itself needs to know it: clients name its file.

    Raises:
        ConfigError: The file is not this user's alone, or holds something else.
    """
    path = password_path(data_dir)
    try:
        line = read_file(path).decode("ascii", "replace").strip()
    except FileNotFoundError:
        word = random_word(_PASSWORD_BYTES)
        write_file(path, f"{_PASSWORD_FOR}{word}\n".encode())
        return word
    except UnsafePathError as error:
        raise ConfigError(str(error)) from None
    word = line.removeprefix(_PASSWORD_FOR)
    if not re.fullmatch(f"[0-9a-f]{{{2 * _PASSWORD_BYTES}}}", word):
        raise ConfigError(f"{path} is not a password of ours; remove it and a new one is made")
    return word


def dsn_of(settings: Settings) -> str:
    """`DATABASE_URL`, or the embedded server's socket with the file of its password."""
    if settings.database_url:
        return settings.database_url
    return embedded_dsn(settings.data_dir, "postgres")


def embedded_dsn(data_dir: Path, database: str) -> str:
    """The URL of a database of the embedded server; the client reads the password when it connects.

    Args:
        data_dir: Folder of the stack.
        database: Its name.
    """
    host, passfile = quote(str(socket_folder(data_dir))), quote(str(password_path(data_dir)))
    return f"postgresql://{USER}@/{database}?host={host}&passfile={passfile}"


def is_embedded(dsn: str) -> bool:
    """Whether a URL is what `dsn_of` answers where the user gave none."""
    return _EMBEDDED.fullmatch(dsn) is not None


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
