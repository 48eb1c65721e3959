"""The files of `migrations/` in dbmate's format: `<version>_<name>.sql`, `-- migrate:up` first."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import msgspec

from ipc.places import resource
from processes.runtime.config import ConfigError

__all__ = ["FOLDER", "Migration", "known_versions", "load", "refuse_newer"]

FOLDER: Final = resource("migrations")
_UP: Final = re.compile(
    r"^-- migrate:up(?P<options>.*?)$(?P<sql>.*?)(?=^-- migrate:down|\Z)", re.M | re.S
)
_NAME: Final = re.compile(r"(?P<version>\d{14})_\w+\.sql")


class Migration(msgspec.Struct, frozen=True):
    """One step of the schema.

    Attributes:
        version: 14 digits, the key by which it is known as applied.
        name: Name of the file.
        sql: What brings the schema up.
        transaction: False for what PostgreSQL refuses inside one.
    """

    version: str
    name: str
    sql: str
    transaction: bool


def load(folder: Path = FOLDER) -> list[Migration]:
    """Read all steps, in order.

    Args:
        folder: Holds `<14 digits>_<name>.sql`.

    Raises:
        ConfigError: Names a file that is no migration, two of one version, or a folder without any.
    """
    steps = [_parse(path) for path in sorted(folder.glob("*.sql"))]
    if not steps:
        raise ConfigError(f"{folder}: there are no migrations; install kalshi-actor again")
    versions = [s.version for s in steps]
    if len(set(versions)) < len(versions):
        raise ConfigError(f"{folder}: two migrations share a version")
    return steps


def _parse(path: Path) -> Migration:
    name = _NAME.fullmatch(path.name)
    up = _UP.search(path.read_text())
    if name is None or up is None:
        raise ConfigError(
            f"{path}: not a migration; wanted <14 digits>_<name>.sql with a line '-- migrate:up'"
        )
    return Migration(
        name["version"], path.name, up["sql"], "transaction:false" not in up["options"]
    )


def known_versions(folder: Path = FOLDER) -> set[str]:
    """The versions that this program brings the schema to."""
    return {step.version for step in load(folder)}


def refuse_newer(applied: set[str], known: set[str]) -> None:
    """Refuse a schema that a newer program made.

    Args:
        applied: Versions in the database.
        known: Versions that this program has.

    Raises:
        ConfigError: The database has a version that is not known.
    """
    if newer := sorted(applied - known):
        raise ConfigError(
            f"the database has migration {newer[-1]}, which this program does not know; "
            f"its newest is {max(known, default='none')}: use the program that made it"
        )
