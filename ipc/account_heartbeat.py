"""Execution's heartbeat in the table of accounts, for a reader that needs nothing else of it.

`ipc.account_table` needs compiled kernels; this does not, so a watchdog stays small.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ipc.shared_file import SharedFile

__all__ = ["ENDED", "LAYOUT", "MAGIC", "attach_heartbeat"]

MAGIC: Final = 0x4B414C4143434F55  # "KALACCOU"
LAYOUT: Final = 2  # of the table of accounts
ENDED: Final = 0  # in place of a time: execution ended in order, and none of our orders was open


def attach_heartbeat(path: Path) -> SharedFile:
    """Map the table of accounts, to read its `heartbeat_mono_ns`.

    Args:
        path: Its place in the data folder, of `ipc.shared_file.shared_path`.

    Raises:
        FileNotFoundError: There is no table (yet).
        LayoutError: The file is of another version, or not a table.
    """
    return SharedFile.attach(path, MAGIC, LAYOUT)
