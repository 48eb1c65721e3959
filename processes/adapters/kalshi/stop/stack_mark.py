"""The mark of a stack in the names of its orders: `ka-<mark>-<intent id>-{BY|SY|BN|SN}`.

It is a random word of the data folder, so that two stacks in one account tell their orders apart;
whoever copies a data folder gives both copies one mark. Names of version 0.1 have none,
`ka-<intent id>-BY`: which stack sent those cannot be told, so they are nobody's here, and the
exchange ends them at their expiry.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from ipc.private_files import exclusive, private_folder, random_word, read_file, write_file
from processes.adapters.kalshi.stop.own_orders import FAMILY
from processes.runtime.config import ConfigError

__all__ = ["known_prefix", "mark_path", "own_prefix"]

MARK_BYTES: Final = 4
_MARK: Final = re.compile(r"[0-9a-f]{8}\n?")


def mark_path(data_dir: Path) -> Path:
    """Where the mark of a data folder is kept."""
    return data_dir / "execution" / "mark"


def own_prefix(data_dir: Path) -> str:
    """What the names of a stack's orders begin with; its mark is made on first use.

    Args:
        data_dir: Folder of the stack.

    Raises:
        ConfigError: The file of the mark cannot be read or made, or holds none.
    """
    path = mark_path(data_dir)
    if (found := known_prefix(data_dir)) is not None:
        return found
    try:
        private_folder(path.parent)
        with exclusive(path.with_suffix(".lock")):
            if not path.exists():  # another process may have been first
                write_file(path, f"{random_word(MARK_BYTES)}\n".encode())
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be made: {error}; allowed: a private file") from None
    return own_prefix(data_dir)


def known_prefix(data_dir: Path) -> str | None:
    """As `own_prefix`, without making a mark: None where there is none yet."""
    path = mark_path(data_dir)
    try:
        mark = read_file(path).decode()
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read: {error}; allowed: a private file") from None
    if not _MARK.fullmatch(mark):
        raise ConfigError(
            f"{path} holds {mark[:20]!r}; allowed: 8 hexadecimal digits. Orders of this stack that "
            "rest have the mark that it had: stop them by hand before it is removed"
        )
    return f"{FAMILY}{mark.strip()}-"
