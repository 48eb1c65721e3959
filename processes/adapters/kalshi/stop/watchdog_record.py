"""What the watchdog did last: a private file that it writes before it acts, and execution reads.

`<RL_DATA_DIR>/watchdog.json`. Without it, execution could not tell a group that the watchdog
triggered, which it resets when it is back, from one that the exchange triggered, which latches.
"""

from __future__ import annotations

from pathlib import Path

import msgspec

from ipc.errors import KalshiActorError
from ipc.private_files import UnreadableFileError, UnsafePathError, read_json, write_file

__all__ = ["WatchdogRecord", "WatchdogRecordError", "load_fired", "record_path", "save_fired"]


class WatchdogRecordError(KalshiActorError):
    """The watchdog's record cannot be read or written; its text says which and why."""


class WatchdogRecord(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One round of the watchdog.

    Attributes:
        number: Of the round, rising; 0 before the first.
        incident: Number of its incident: rounds repeat until nothing rests.
        since_utc_ns: When the incident began, Unix nanoseconds.
        is_over: Whether it acts no more: nothing rests, or execution is back.
        is_proven: Whether the exchange's list had none of our orders.
        canceled: Orders whose cancel was asked for.
        groups: Triggered in this incident.
    """

    number: int = 0
    incident: int = 0
    since_utc_ns: int = 0
    is_over: bool = True
    is_proven: bool = False
    canceled: int = 0
    groups: tuple[str, ...] = ()


def record_path(data_dir: Path) -> Path:
    """Where the record of a data folder is."""
    return data_dir / "watchdog.json"


def load_fired(data_dir: Path) -> WatchdogRecord:
    """What the watchdog did last; a record of round 0 where it never did anything.

    Raises:
        WatchdogRecordError: It cannot be read.
    """
    path = record_path(data_dir)
    try:
        return read_json(path, WatchdogRecord) or WatchdogRecord()
    except UnreadableFileError as error:
        raise WatchdogRecordError(f"{path}: {error}") from None


def save_fired(data_dir: Path, record: WatchdogRecord) -> None:
    """Replace the file.

    Raises:
        WatchdogRecordError: It cannot be written; the old one stays.
    """
    path = record_path(data_dir)
    try:
        write_file(path, msgspec.json.format(msgspec.json.encode(record)))
    except (OSError, UnsafePathError) as error:
        raise WatchdogRecordError(" ".join(f"{path}: {error}".split())) from None
