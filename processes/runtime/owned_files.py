"""Files that a process made and works in: are they still where others find them?

Who removes a socket, a table or a journal under a running process leaves it talking to nobody, and
writing what nobody will ever read. So it looks once a second, and ends when one has gone: started
again, it makes all of them again.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final, NoReturn

from ipc.errors import KalshiActorError

__all__ = ["FileGone", "OwnedFiles"]

LOOK_PAUSE: Final = 1.0  # seconds between two looks


class FileGone(KalshiActorError, RuntimeError):
    """A file that this process made has been removed or replaced.

    Attributes:
        path: Where it was.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        super().__init__(
            f"{path} was removed or replaced while this program used it; the program ends, and "
            "makes it again when it is started"
        )


class OwnedFiles:
    """What one process made, each file or folder by the inode that it has now.

    Args:
        paths: Files and folders; of a symlink, what it leads to counts.
        in_use: Each gives a file that changes as the process goes on, such as the one that a
            journal writes now; it has to be there.
    """

    def __init__(self, paths: Iterable[Path], *in_use: Callable[[], Path]) -> None:
        self._made = {path: _found(path) for path in paths}
        self._in_use = in_use

    def gone(self) -> Path | None:
        """The first that is not there any more, or is another one; None while all are there."""
        for path, made in self._made.items():
            if made is None or _found(path) != made:
                return path
        return next((path for look in self._in_use if _found(path := look()) is None), None)

    async def watch(self) -> NoReturn:
        """Look again and again.

        Raises:
            FileGone: One has gone.
        """
        while True:
            await asyncio.sleep(LOOK_PAUSE)
            if (path := self.gone()) is not None:
                raise FileGone(path)


def _found(path: Path) -> tuple[int, int] | None:
    """Device and inode of a path; None where nothing is, or nothing that can be reached."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_dev, found.st_ino
