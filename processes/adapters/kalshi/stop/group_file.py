"""The order groups of this stack at the exchange: a private file that execution writes.

`<RL_DATA_DIR>/execution/order_groups.json`, replaced as a whole before a group's first order: so
whoever reads it, the watchdog too, knows every group that an order of ours may be in. A group that
is not in it is somebody else's.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ipc.errors import KalshiActorError
from ipc.messages import Environment
from ipc.private_files import (
    UnreadableFileError,
    UnsafePathError,
    private_folder,
    read_json,
    write_file,
)

__all__ = ["GroupFileError", "GroupList", "OwnGroup", "group_path", "load_groups", "save_groups"]


class GroupFileError(KalshiActorError):
    """The file of order groups cannot be read; its text says which and why."""


class OwnGroup(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A group that this stack made.

    Attributes:
        group_id: The exchange's.
        shard: Of the exchange (`exchange_index`); a group does not span two.
        environment: Where it is.
        subaccount: Of the account; None where the exchange chose.
    """

    group_id: str
    shard: int
    environment: Environment
    subaccount: int | None


class GroupList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file holds.

    Attributes:
        groups: All of them, of every environment.
        handled: The newest number of the watchdog's record after which they were reset.
    """

    groups: tuple[OwnGroup, ...] = ()
    handled: int = 0

    def of(self, environment: Environment, subaccount: int | None) -> tuple[OwnGroup, ...]:
        """Those of one subaccount of one environment."""
        place = (environment, subaccount)
        return tuple(g for g in self.groups if (g.environment, g.subaccount) == place)

    def replaced(
        self,
        environment: Environment,
        subaccount: int | None,
        groups: tuple[OwnGroup, ...],
        handled: int,
    ) -> GroupList:
        """With other groups of one subaccount of one environment."""
        gone = self.of(environment, subaccount)
        kept = tuple(group for group in self.groups if group not in gone)
        return GroupList((*kept, *groups), handled)


def group_path(data_dir: Path) -> Path:
    """Where the file of a data folder is."""
    return data_dir / "execution" / "order_groups.json"


def load_groups(data_dir: Path) -> GroupList:
    """What the file holds; nothing where there is none.

    Raises:
        GroupFileError: It cannot be read.
    """
    path = group_path(data_dir)
    try:
        return read_json(path, GroupList) or GroupList()
    except UnreadableFileError as error:
        raise GroupFileError(f"{path}: {error}") from None


def save_groups(data_dir: Path, groups: GroupList) -> None:
    """Replace the file.

    Raises:
        GroupFileError: It cannot be written; the old one stays.
    """
    path = group_path(data_dir)
    try:
        private_folder(path.parent)
        write_file(path, msgspec.json.format(msgspec.json.encode(groups)))
    except (OSError, UnsafePathError) as error:
        raise GroupFileError(" ".join(f"{path}: {error}".split())) from None
