"""Latches: limits that were hit, and stay hit until somebody resumes, over restarts too.

The record is one private file, `<RL_DATA_DIR>/execution/latches.json`, replaced as a whole; profit
and loss of the day are part of it. A record that cannot be read is itself a latch: what it held is
not known.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import msgspec

from ipc.private_files import UnreadableFileError, private_folder, read_json, write_file
from processes.execution.day_pnl import DayRecord

__all__ = ["GROUP_TRIGGERED", "UNREADABLE", "Latch", "LimitsRecord", "RecordFile", "record_path"]

UNREADABLE: Final = "latches_unreadable"
GROUP_TRIGGERED: Final = "order_group_triggered"  # the exchange stopped us
MOST_BYTES: Final = 16_777_216


class Latch(msgspec.Struct, frozen=True):
    """A limit that was hit.

    Attributes:
        name: Of the limit.
        measured: What was measured, with its unit.
        limit: What it was measured against, with its unit.
        scope: Of what, such as `total`.
        at_ms: When, market time.
    """

    name: str
    measured: str
    limit: str
    scope: str
    at_ms: int

    def __str__(self) -> str:
        return f"{self.name}: {self.measured}, limit {self.limit} ({self.scope})"


class LimitsRecord(msgspec.Struct, frozen=True):
    """What outlives a restart.

    Attributes:
        latches: Limits that were hit, by environment.
        days: The day so far, by environment.
    """

    latches: Mapping[str, tuple[Latch, ...]] = {}
    days: Mapping[str, DayRecord] = {}


def record_path(data_dir: Path) -> Path:
    """Where the record of a data folder is."""
    return data_dir / "execution" / "latches.json"


class RecordFile:
    """The record on disk, of which one environment is read and written.

    Args:
        path: Of the file; its folder is made when it is first written.
        environment: Whose part is read and replaced.

    Attributes:
        latches: What was stored.
        day: What was stored.
        error: Why the record could not be read, empty when it could.
    """

    def __init__(self, path: Path, environment: str) -> None:
        self._path = path
        self._environment = environment
        self.error = ""
        self._record = self._read()
        self.latches = self._record.latches.get(environment, ())
        self.day = self._record.days.get(environment, DayRecord())

    def _read(self) -> LimitsRecord:
        try:
            return read_json(self._path, LimitsRecord, MOST_BYTES) or LimitsRecord()
        except UnreadableFileError as error:
            self.error = f"{self._path}: {error}"
            return LimitsRecord()

    def write(self, latches: tuple[Latch, ...], day: DayRecord) -> None:
        """Replace this environment's part.

        Args:
            latches: All of them.
            day: So far.

        Raises:
            OSError: It cannot be written; the old record stays.
            UnsafePathError: Its folder is another user's.
        """
        env = self._environment
        self._record = LimitsRecord(
            latches={**self._record.latches, env: latches},
            days={**self._record.days, env: day},
        )
        private_folder(self._path.parent)
        write_file(self._path, msgspec.json.format(msgspec.json.encode(self._record)))
